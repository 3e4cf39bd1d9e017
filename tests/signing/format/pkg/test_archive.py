import io
from pathlib import Path

import pytest

from signing.errors import DigestMismatchError, FormatError
from signing.format.pkg.archive import PackageLimits, check_payload, read_package
from signing.format.pkg.compression import Compression
from signing.format.pkg.tar import MemberKind
from tests.support.pkg_archives import DATA, compact, member, pack, package, repository, tar, text

SUM = "1$ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of b"abc"
OWNED = {"uname": "root", "gname": "wheel", "perm": "0644"}
PACKAGES = sorted(
    path for root in ("repos", "repos-bad") for path in (DATA / root).glob("*/*/latest/All/**/*.pkg")
    if path.stat().st_size > 100 and not {"fp-rsa-badpkg", "fp-rsa-bigpkg"} & set(path.parts)
)  # fmt: skip


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: "/".join(path.parts[-6:]))
def test_every_package_that_pkg_made_is_read_to_its_end(path: Path) -> None:
    with path.open("rb") as stream, read_package(stream) as found:
        assert check_payload(found) == len(found.manifest.files) > 0


@pytest.mark.parametrize("how", list(Compression))
def test_members_come_with_all_that_is_said_of_them(how: Compression) -> None:
    data = package(
        member("/usr/a", b"abc", mode=0o4755, uname=b"demo", gname=b"staff"),
        member("/usr/l", kind=b"2", link="../x"),
        member("/usr/h", kind=b"1", link="/usr/a"),
        member("/usr/d/", kind=b"5", mode=0o700),
        how=how.value,
    )
    with read_package(io.BytesIO(data)) as found:
        assert found.compression is how
        assert (found.compact.pin, found.compact_bytes) == (found.manifest.pin, text(compact()))
        members = [(m.name, m.kind, oct(m.mode), m.uname, m.gname, m.link, m.size, b"".join(m.chunks()))
                   for m in found.members()]  # fmt: skip
    assert members == [
        ("/usr/a", MemberKind.FILE, "0o4755", "demo", "staff", "", 3, b"abc"),
        ("/usr/l", MemberKind.SYMLINK, "0o644", "root", "wheel", "../x", 0, b""),
        ("/usr/h", MemberKind.HARDLINK, "0o644", "root", "wheel", "/usr/a", 0, b""),
        ("/usr/d", MemberKind.FOLDER, "0o700", "root", "wheel", "", 0, b""),
    ]


def test_content_that_nobody_reads_is_passed_over() -> None:
    data = package(member("/a", b"x" * 100_000), member("/b", b"abc"))
    with read_package(io.BytesIO(data)) as found:
        members = found.members()
        assert next(next(members).chunks())
        assert b"".join(next(members).chunks()) == b"abc"
        assert next(members, None) is None
        with pytest.raises(FormatError, match="already"):
            list(found.members())


def test_the_stream_stays_open_for_its_owner() -> None:
    stream = io.BytesIO(package())
    with read_package(stream) as found:
        list(found.members())
    assert not stream.closed


@pytest.mark.parametrize(
    "members",
    [
        [],
        [member("+MANIFEST", text(compact()))],
        [member("+MANIFEST", text(compact())), member("+COMPACT_MANIFEST", text(compact()))],
        [member("+COMPACT_MANIFEST", text(compact())), member("/a")],
        [member("/a"), member("+COMPACT_MANIFEST", text(compact())), member("+MANIFEST", text(compact()))],
        [member("+COMPACT_MANIFEST", text(compact())), member("+MANIFEST", kind=b"2", link="/etc/passwd")],
        [member("+COMPACT_MANIFEST", text(compact())), member("+MANIFEST", b"{}")],
    ],
    ids=["nothing", "no-compact", "swapped", "no-full", "late", "link", "empty"],
)
def test_the_manifests_stand_first_and_in_order(members: list[bytes]) -> None:
    with pytest.raises(FormatError):
        read_package(io.BytesIO(pack(tar(*members))))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (compact(), compact(version="2.0")),
        (compact(), compact(deps={"x": {"origin": "a/x", "version": "1"}})),
        (compact(comment="safe"), compact(comment="other")),
        (compact(files={"/a": SUM}), compact()),
        (compact(), {**compact(), "novelty": 1}),
    ],
    ids=["version", "deps", "comment", "files", "unknown"],
)
def test_two_manifests_that_differ_are_refused(one: dict[str, object], other: dict[str, object]) -> None:
    data = pack(tar(member("+COMPACT_MANIFEST", text(one)), member("+MANIFEST", text(other))))
    with pytest.raises(FormatError, match="differ"):
        read_package(io.BytesIO(data))


def check(*members: bytes, **in_full: object) -> int:
    with read_package(io.BytesIO(package(*members, **in_full))) as found:
        return check_payload(found)


def test_every_file_is_compared_with_its_sum() -> None:
    files = {"/a": {"sum": SUM, **OWNED}, "/h": {"sum": SUM}}
    good = (member("/a", b"abc"), member("/h", kind=b"1", link="/a"))
    assert check(*good, files=files) == 2
    with pytest.raises(DigestMismatchError):
        check(member("/a", b"abd"), good[1], files=files)
    with pytest.raises(FormatError, match="not there"):
        check(good[0], files=files)
    with pytest.raises(FormatError, match="not in the manifest"):
        check(*good, member("/c", b"abc"), files=files)
    with pytest.raises(FormatError, match="not in the manifest"):
        check(*good, member("/d/", kind=b"5"), files=files)


@pytest.mark.parametrize(
    "how", [{"mode": 0o4644}, {"uname": b"demo"}, {"gname": b"demo"}], ids=["mode", "owner", "group"]
)
def test_owner_group_and_mode_are_compared(how: dict[str, object]) -> None:
    assert check(member("/a", b"abc"), files={"/a": {"sum": SUM, **OWNED}}) == 1
    with pytest.raises(DigestMismatchError):
        check(member("/a", b"abc", **how), files={"/a": {"sum": SUM, **OWNED}})
    with pytest.raises(DigestMismatchError):
        check(member("/d/", kind=b"5", **{"mode": 0o644} | how), directories={"/d": OWNED})


def test_links_are_compared_by_target() -> None:
    entry = {"sum": SUM, "symlink_target": "abc"}
    assert check(member("/l", kind=b"2", link="abc"), files={"/l": entry}) == 1
    with pytest.raises(DigestMismatchError):
        check(member("/l", kind=b"2", link="abd"), files={"/l": entry})
    with pytest.raises(DigestMismatchError, match="link"):
        check(member("/l", b"abc"), files={"/l": entry})


def test_a_package_whose_payload_was_exchanged_is_found_by_its_own_manifest() -> None:
    path = DATA / "tampered-same-size" / "payload-differs-from-manifest.pkg"
    with path.open("rb") as stream, read_package(stream) as found, pytest.raises(DigestMismatchError):
        check_payload(found)
    with (
        (repository("fp-rsa-tar") / "All" / "demo-base-1.0.0.pkg").open("rb") as stream,
        read_package(stream) as found,
    ):
        assert check_payload(found) > 0


def test_limits_of_one_package() -> None:
    many = [member(f"/{n}") for n in range(11)]
    for limits in (PackageLimits(max_members=10), PackageLimits(max_name_bytes=20)):
        with (
            read_package(io.BytesIO(package(*many)), limits) as found,
            pytest.raises(FormatError, match="too many"),
        ):
            list(found.members())
    with pytest.raises(FormatError, match="larger"):
        read_package(io.BytesIO(package()), PackageLimits(max_manifest_bytes=100))
