import gzip
import io
import struct
import tarfile
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repo_server.curation.limits import Limits
from repo_server.curation.tree import SourceTree
from repo_server.curation.unpack import unpack
from signing.errors import FormatError, RejectedError
from tests.repo_server.curation.material import HOSTILE, SKILL_MD

REFUSED = {
    "zip-path-traversal.zip": "clean relative path",
    "zip-symlink.zip": "link",
    "zip-case-collision.zip": "twins",
    "zip-unicode-collision.zip": "normal form",
    "zip-duplicate-entry.zip": "twice",
    "zip-bomb-64MiB.zip": "unpacks to more",
    "zip-many-files-2500.zip": "more than 1000 files",
    "zip-no-skill-md.zip": r"no SKILL\.md",
    "tar-special-members.tar.gz": "link",
}
ACCEPTED = {  # well-formed archives with bad content: the checks say so (test_checks)
    *("zip-nested-archive.zip", "zip-polyglot-png-zip.zip", "zip-elf-as-md.zip", "zip-latin1.zip"),
    "zip-skillignore.zip",
}


def tree(data: bytes, limits: Limits | None = None) -> SourceTree:
    return SourceTree.of(unpack(data, limits or Limits()))


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return target.getvalue()


def tarred(*members: tarfile.TarInfo, form: int = tarfile.USTAR_FORMAT, content: bytes = b"x") -> bytes:
    blocks = b""
    for member in members:
        blocks += member.tobuf(form, "utf-8", "strict")
        if member.size > 0:
            blocks += content.ljust(-(-member.size // 512) * 512, b"\0")
    return gzip.compress(blocks + bytes(1024))


def member(
    name: str, *, size: int = 1, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname, info.mode = size, kind, target, mode
    return info


def test_every_hostile_archive_has_a_row() -> None:
    present = {path.name for path in HOSTILE.iterdir() if path.is_file()}
    assert present == set(REFUSED) | ACCEPTED
    assert len(present) == 14


@pytest.mark.parametrize(("name", "reason"), sorted(REFUSED.items()))
def test_hostile_archive_is_refused(name: str, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        tree((HOSTILE / name).read_bytes())


@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_archive_with_bad_content_is_read_for_the_checks(name: str) -> None:
    assert "SKILL.md" in tree((HOSTILE / name).read_bytes()).files


def test_one_common_folder_is_stripped_once() -> None:
    assert list(tree(zipped(("top/SKILL.md", SKILL_MD), ("top/a/b.md", b""))).files) == ["SKILL.md", "a/b.md"]
    with pytest.raises(FormatError, match=r"no SKILL\.md"):
        tree(zipped(("top/next/SKILL.md", SKILL_MD)))
    with pytest.raises(FormatError, match=r"no SKILL\.md"):
        tree(zipped(("top/SKILL.md", SKILL_MD), ("beside.md", b"")))


def test_zip_and_tar_of_the_same_files_are_the_same_tree() -> None:
    info = zipfile.ZipInfo("scripts/run.sh")
    info.external_attr = 0o100755 << 16
    from_zip = tree(zipped(("SKILL.md", SKILL_MD), (info, b"x")))
    skill = member("./SKILL.md", size=len(SKILL_MD))
    blocks = gzip.decompress(tarred(skill, content=SKILL_MD))[:-1024]
    script = gzip.decompress(tarred(member("./scripts/run.sh", mode=0o755)))
    from_tar = tree(gzip.compress(blocks + script))
    assert from_zip.digest == from_tar.digest
    assert from_zip == from_tar


@pytest.mark.parametrize(
    "name",
    [
        "a\\b",
        "C:x",
        "a\0b",
        "/etc/x",
        "a/../b",
        "a//b",
        "./a",
        "a/./b",
        "\u202ea",
        "a ",
        "a.",
        "é".encode().decode("latin-1") + "\x80",
    ],
)
def test_zip_name_is_refused(name: str) -> None:
    data = zipped(("SKILL.md", SKILL_MD), ("PLACEHOLDER", b""))
    raw = name.encode()
    replaced = (
        zipped(("SKILL.md", SKILL_MD), (name, b""))
        if "\0" not in name
        else data.replace(b"PLACEHOLDER", raw.ljust(11, b"x"))
    )
    with pytest.raises(FormatError):
        tree(replaced)


def test_zip_name_without_utf8_flag_is_refused() -> None:
    data = zipped(("SKILL.md", SKILL_MD), ("cafe.md", b"")).replace(b"cafe.md", b"caf\xe9.md")
    with pytest.raises(FormatError, match="not marked as UTF-8"):
        tree(data)


def test_zip_file_that_is_also_a_folder_is_refused() -> None:
    with pytest.raises(FormatError, match="file and a folder"):
        tree(zipped(("SKILL.md", SKILL_MD), ("a", b""), ("a/b", b"")))
    with pytest.raises(FormatError, match="file and a folder"):
        tree(zipped(("SKILL.md", SKILL_MD), ("a", b""), ("a/", b"")))


def test_zip_with_anything_around_it_is_refused() -> None:
    data = zipped(("SKILL.md", SKILL_MD))
    for spoiled in (b"\x89PNG" + data, b"PK\x03\x04" + data, data + b"x", data + data):
        with pytest.raises(FormatError):
            tree(spoiled)
    commented = io.BytesIO()
    with zipfile.ZipFile(commented, "w") as archive:
        archive.writestr("SKILL.md", SKILL_MD)
        archive.comment = b"#!/bin/sh"
    with pytest.raises(FormatError, match="comment"):
        tree(commented.getvalue())


def test_zip_with_bytes_between_members_is_refused() -> None:
    data = zipped(("SKILL.md", SKILL_MD), ("a.md", b"a"))
    at = data.index(b"PK\x01\x02")
    end = bytearray(data[at:])
    offset = struct.unpack_from("<L", end, len(end) - 6)[0]
    struct.pack_into("<L", end, len(end) - 6, offset + 4)
    with pytest.raises(FormatError, match="between"):
        tree(data[:at] + b"EVIL" + bytes(end))


def test_zip_whose_members_share_bytes_is_refused() -> None:
    # The quoted-overlap bomb: two directory records, one member.
    data = zipped(("SKILL.md", SKILL_MD))
    at = data.index(b"PK\x01\x02")
    record, end = data[at:-22], bytearray(data[-22:])
    struct.pack_into("<HHL", end, 8, 2, 2, 2 * len(record))
    with pytest.raises(FormatError, match=r"overlap|between"):
        tree(data[:at] + record + record.replace(b"SKILL.md", b"SKILX.md") + bytes(end))


@pytest.mark.parametrize(("offset", "value"), [(6, 1), (6, 0x40), (8, 14), (8, 99)])
def test_zip_that_is_encrypted_or_oddly_compressed_is_refused(offset: int, value: int) -> None:
    data = bytearray(zipped(("SKILL.md", SKILL_MD)))
    at = data.index(b"PK\x01\x02")
    struct.pack_into("<H", data, offset, value)
    struct.pack_into("<H", data, at + offset + 2, value)
    with pytest.raises(FormatError):
        tree(bytes(data))


def test_zip_that_declares_less_than_it_holds_is_refused() -> None:
    data = bytearray(zipped(("SKILL.md", SKILL_MD + bytes(1 << 20))))
    at = data.index(b"PK\x01\x02")
    struct.pack_into("<L", data, 22, 10)
    struct.pack_into("<L", data, at + 24, 10)
    with pytest.raises(FormatError):
        tree(bytes(data))


def test_zip64_is_refused() -> None:
    data = bytearray(zipped(("SKILL.md", SKILL_MD)))
    struct.pack_into("<L", data, len(data) - 6, 0xFFFFFFFF)
    with pytest.raises(FormatError, match="zip64"):
        tree(bytes(data))


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.LNKTYPE,
        tarfile.SYMTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.CONTTYPE,
        tarfile.GNUTYPE_SPARSE,
        b"V",
        b"?",
    ],
)
def test_tar_special_member_is_refused(kind: bytes) -> None:
    with pytest.raises(FormatError):
        tree(tarred(member("SKILL.md"), member("b", size=0, kind=kind, target="SKILL.md")))


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a\\x", "C:x", "././x", "a//x"])
def test_tar_name_is_refused(name: str) -> None:
    with pytest.raises(FormatError):
        tree(tarred(member("SKILL.md"), member(name)))


def test_tar_long_names_are_read_in_both_forms() -> None:
    name = "references/" + "x" * 90 + "/" + "y" * 60 + ".md"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        assert list(tree(tarred(member("SKILL.md"), member(name), form=form)).files) == ["SKILL.md", name]


def test_tar_pax_records_that_change_a_file_are_refused() -> None:
    for key, value in (
        ("size", "5"),
        ("GNU.sparse.major", "1"),
        ("linkpath", "/etc/passwd"),
        ("path", "../x"),
    ):
        info = member("SKILL.md")
        info.pax_headers = {key: value}
        with pytest.raises(FormatError):
            tree(tarred(info, form=tarfile.PAX_FORMAT))


def test_tar_with_something_after_its_end_is_refused() -> None:
    data = gzip.decompress(tarred(member("SKILL.md")))
    for spoiled in (
        gzip.compress(data + b"x"),
        gzip.compress(data) + b"x",
        gzip.compress(data) * 2,
        gzip.compress(data)[:-4],
    ):
        with pytest.raises(FormatError):
            tree(spoiled)


def test_tar_with_a_negative_size_is_refused() -> None:
    block = bytearray(member("SKILL.md").tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"\xff" * 11 + b"\x00"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(FormatError):
        tree(gzip.compress(bytes(block) + bytes(1024)))


def test_tar_chain_of_extension_headers_is_refused() -> None:
    header = member("././@LongLink", size=5, kind=tarfile.GNUTYPE_LONGNAME)
    with pytest.raises(FormatError, match="repeated"):
        tree(tarred(*[header] * 5_000, content=b"a.md\0"))


def test_gzip_bomb_is_stopped_while_it_unpacks() -> None:
    with pytest.raises(FormatError, match="bomb"):
        tree(gzip.compress(bytes(64 << 20)))


def test_limits_are_the_callers() -> None:
    data = zipped(("SKILL.md", SKILL_MD), ("a.md", b"12345"))
    for limits in (
        Limits(max_files=1),
        Limits(max_file_bytes=4),
        Limits(max_total_bytes=40),
        Limits(max_archive_bytes=9),
    ):
        with pytest.raises(FormatError):
            tree(data, limits)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=600), st.sampled_from([b"", b"PK\x03\x04", b"\x1f\x8b\x08\x00"]))
def test_any_bytes_are_a_tree_or_a_rejection(data: bytes, magic: bytes) -> None:
    for candidate in (magic + data, gzip.compress(data)):
        with suppress(RejectedError):
            tree(candidate)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_mutation_of_an_archive_is_a_tree_or_a_rejection(data: st.DataObject) -> None:
    plain = gzip.decompress(tarred(member("SKILL.md"), member("x" * 120), form=tarfile.PAX_FORMAT))
    original = bytearray(data.draw(st.sampled_from([zipped(("SKILL.md", SKILL_MD), ("a.md", b"a")), plain])))
    for _ in range(data.draw(st.integers(1, 4))):
        original[data.draw(st.integers(0, len(original) - 1))] = data.draw(st.integers(0, 255))
    spoiled = bytes(original) if original[:2] == b"PK" else gzip.compress(bytes(original))
    with suppress(RejectedError):
        tree(spoiled)
