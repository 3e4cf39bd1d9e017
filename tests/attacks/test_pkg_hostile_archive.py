"""A package or catalogue that is made to hurt whoever reads it: refused, and nothing of it handed on."""

import io
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from repo_server.pkgrepo.catalogue import read_catalogue
from signing.errors import FormatError
from signing.format.pkg.archive import PackageLimits, read_package
from signing.format.pkg.compression import StreamLimits
from tests.support.pkg_archives import compact, header, member, pack, package, pax, tar, text


def names_of(data: bytes, limits: PackageLimits | None = None) -> Iterator[str]:
    with read_package(io.BytesIO(data), limits) as found:
        for one in found.members():
            yield one.name


ESCAPES = {
    "relative": [member("usr/local/x")],
    "parent": [member("/usr/../../etc/passwd")],
    "dot": [member("/./x")],
    "double-slash": [member("//x")],
    "root": [member("/", kind=b"5")],
    "control": [member("/a\x1b[2K")],
    "not-utf8": [member("", raw_name=b"/caf\xe9")],
    "hidden-behind-zero": [member("", raw_name=b"/a\0/etc/passwd")],
    "plus-name": [member("+INSTALL", b"#!/bin/sh")],
    "third-manifest": [member("+MANIFEST", text(compact()))],
    "twice": [member("/a", b"1"), member("/a", b"2")],
    "folder-then-file": [member("/a/", kind=b"5"), member("/a", b"x")],
    "below-a-link": [member("/a", kind=b"2", link="/etc"), member("/a/passwd", b"x")],
    "deep-below-a-link": [member("/a", kind=b"2", link="/etc"), member("/a/b/c/", kind=b"5")],
    "below-a-file": [member("/a", b"x"), member("/a/b", b"y")],
    "link-over-a-folder": [member("/a/b", b"x"), member("/a", kind=b"2", link="/etc")],
    "hard-link-to-outside": [member("/a", kind=b"1", link="/etc/master.passwd")],
    "hard-link-to-a-link": [member("/l", kind=b"2", link="/etc/passwd"), member("/a", kind=b"1", link="/l")],
    "hard-link-to-itself": [member("/a", kind=b"1", link="/a")],
    "hard-link-with-content": [member("/a", b"x"), member("/b", b"y", kind=b"1", link="/a")],
    "link-with-content": [member("/a", b"x", kind=b"2", link="/b")],
    "link-to-nothing": [member("/a", kind=b"2")],
    "file-with-link": [member("/a", b"x", link="/b")],
    "device": [member("/dev", kind=b"3")],
    "block-device": [member("/dev", kind=b"4")],
    "fifo": [member("/fifo", kind=b"6")],
    "contiguous": [member("/a", b"x", kind=b"7")],
    "old-file": [member("/a", b"x", kind=b"\0")],
    "gnu-long-name": [member("././@LongLink", b"/etc/passwd\0", kind=b"L"), member("/a", b"x")],
    "gnu-sparse": [member("/a", b"x", kind=b"S")],
    "gnu-magic": [member("/a", b"x", magic=b"ustar  \0")],
    "global-pax": [member("g", b"18 path=/etc/pass\n", kind=b"g"), member("/a", b"x")],
    "pax-size": [pax(("size", "0")), member("/a", b"x")],
    "pax-sparse": [pax(("GNU.sparse.name", "/etc/passwd")), member("/a", b"x")],
    "pax-xattr": [pax(("SCHILY.xattr.user.x", "y")), member("/a", b"x")],
    "pax-acl": [pax(("SCHILY.acl.ace", "everyone@:rwxp")), member("/a", b"x")],
    "pax-path-escape": [pax(("path", "/../etc/passwd")), member("/a", b"x")],
    "pax-twice": [pax(("path", "/a"), ("path", "/b")), member("/a", b"x")],
    "pax-pax": [pax(("path", "/a")), pax(("path", "/b")), member("/a", b"x")],
    "pax-damaged": [member("x", b"99 path=/a\n", kind=b"x"), member("/a", b"x")],
    "pax-huge": [member("x", b"x" * 70_000, kind=b"x"), member("/a", b"x")],
    "negative-size": [header("/a", size_field=b"-0000000001 ")],
    "base256-size": [header("/a", size_field=b"\x80" + bytes(10) + b"\x01") + bytes(512)],
    "no-size": [header("/a", size_field=b"            ")],
    "bad-checksum": [member("/a", b"x")[:-1024] + b"".join([b"/b", member("/a", b"x")[2:]])],
    "odd-owner": [member("/a", b"x", uname=b"root;id")],
    "no-owner": [member("/a", b"x", uname=b"")],
    "owner-behind-zero": [member("/a", b"x", gname=b"a\0wheel")],
}  # fmt: skip


@pytest.mark.parametrize("name", ESCAPES)
def test_members_with_tricks_are_refused_before_they_are_handed_out(name: str) -> None:
    handed_out: list[str] = []
    with pytest.raises(FormatError):
        handed_out.extend(names_of(package(*ESCAPES[name])))
    # What came before the trick may have been handed out; the trick itself was not.
    assert len(handed_out) == len([m for m in ESCAPES[name] if m[156:157] not in {b"x", b"g", b"L"}]) - 1


@pytest.mark.parametrize(
    "last",
    [header("/a", size_field=b"77777777777\0"), header("/a", 1) + b"x" + b"hidden" + bytes(505)],
    ids=["longer-than-the-archive", "bytes-behind-the-content"],
)
def test_what_is_seen_behind_the_content_only_is_seen_before_the_next_member(last: bytes) -> None:
    handed_out: list[str] = []
    with pytest.raises(FormatError):
        handed_out.extend(names_of(package(last, member("/b", b"y"))))
    assert handed_out == ["/a"]


def test_long_names_by_pax_are_read_as_libarchive_writes_them() -> None:
    long = "/usr/local/" + "a" * 200
    data = package(
        pax(("mtime", "1.5"), ("SCHILY.fflags", "uarch"), ("path", long), ("LIBARCHIVE.creationtime", "1.2")),
        member("/usr/local/aaa", b"x"),
        pax(("linkpath", long)),
        member("/l", kind=b"2", link="/usr"),
        member("/after", b"y"),
    )
    assert list(names_of(data)) == [long, "/l", "/after"]


@pytest.mark.parametrize(
    "end",
    [
        b"",
        bytes(512),
        bytes(512) + b"x" * 512,
        bytes(1024) + b"x",
        bytes(1024) + member("/evil", b"x"),
        bytes(3 << 20),
    ],
    ids=["none", "one", "one-then-bytes", "byte-behind", "member-behind", "endless-zeros"],
)
@pytest.mark.parametrize("how", ["zstd", "none"])
def test_an_archive_ends_once(end: bytes, how: str) -> None:
    said = [member("+COMPACT_MANIFEST", text(compact())), member("+MANIFEST", text(compact()))]
    with pytest.raises(FormatError):
        list(names_of(pack(tar(*said, member("/a", b"x"), end=end), how)))
    assert list(names_of(pack(tar(*said, member("/a", b"x"), end=bytes(10240)), how))) == ["/a"]


@pytest.mark.parametrize("how", ["zstd", "xz", "bzip2", "gzip"])
def test_a_second_package_behind_the_first_is_refused(how: str) -> None:
    """libarchive reads concatenated streams as one; another reader stops at the first."""
    with pytest.raises(FormatError, match="behind"):
        list(names_of(package(member("/a", b"x"), how=how) + package(member("/b", b"y"), how=how)))


def test_a_truncated_package_is_refused_wherever_it_is_cut() -> None:
    data = package(member("/a", b"x" * 3000), member("/b", b"y"), how="none")
    for end in range(0, len(data), 256):
        with pytest.raises(FormatError):
            list(names_of(data[:end]))


@pytest.mark.parametrize("how", ["zstd", "xz", "bzip2", "gzip"])
def test_a_bomb_costs_what_the_limits_say(how: str) -> None:
    data = package(member("/zeros", bytes(48 << 20)), how=how)
    limits = PackageLimits(stream=StreamLimits(free_bytes=1 << 20, max_ratio=50))
    start = time.monotonic()
    with pytest.raises(FormatError, match="bomb"):
        list(names_of(data, limits))
    assert time.monotonic() - start < 5


def test_names_that_unfold_into_parents_are_bounded() -> None:
    """A path of a thousand folders is a thousand names to remember; depth and bytes are counted."""
    with pytest.raises(FormatError, match="plain path"):
        list(
            names_of(
                package(
                    member("", raw_name=b"/" + b"a/" * 45 + b"x"), pax(("path", "/a" * 100)), member("/x")
                )
            )
        )
    wide = [pax(("path", f"/{n}" + "/a" * 60)) + member("/x") for n in range(300)]
    with pytest.raises(FormatError, match="too many files"):
        list(names_of(package(*wide), PackageLimits(max_name_bytes=200_000)))


def test_a_bomb_leaves_the_memory_alone() -> None:
    """A child that may take 300 MiB reads a package that unpacks to eight gigabytes, and refuses it."""
    program = (
        "import io, sys, resource\n"
        "from signing.errors import FormatError\n"
        "from signing.format.pkg.archive import read_package\n"
        "data = sys.stdin.buffer.read()\n"
        "try:\n"
        "    with read_package(io.BytesIO(data)) as found: list(found.members())\n"
        "except FormatError as error: print(error)\n"
        # The peak of this program: the other count begins with what the parent had when it forked.
        "try: print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')))\n"
        "except OSError: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    # One zstd frame by hand: runs of 128 KiB of zeros, four bytes each.
    said = tar(
        member("+COMPACT_MANIFEST", text(compact())),
        member("+MANIFEST", text(compact(files={}))),
        header("/zeros", 8 << 30 - 1),
        end=b"",
    )
    blocks = (
        (len(said) << 3).to_bytes(3, "little") + said + (1 << 17 << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    )
    bomb = (
        b"\x28\xb5\x2f\xfd\x00\x58"
        + blocks
        + ((1 << 17 << 3 | 1 << 1).to_bytes(3, "little") + b"\0") * 60_000
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=bomb,
        capture_output=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)),
    )
    message, peak = done.stdout.decode().splitlines()
    assert "bomb" in message
    assert int(peak) < 300 << 10


SIGNATURES = {
    "nine-members": [member(f"{n}.sig", b"s") + member(f"{n}.pub", b"c") for n in range(5)],
    "empty-signature": [member("data.sig", b""), member("data.pub", b"c")],
    "empty-certificate": [member("data.sig", b"s"), member("data.pub", b"")],
    "huge-signature": [member("data.sig", bytes((1 << 20) + 1)), member("data.pub", b"c")],
    "signature-alone": [member("data.sig", b"s")],
    "certificate-alone": [member("data.pub", b"c")],
    "signature-twice": [member("data.sig", b"s"), member("data.pub", b"c"), member("data.sig", b"t")],
    "signature-link": [member("data.sig", kind=b"2", link="/etc/passwd"), member("data.pub", b"c")],
    "strange-member": [member("evil", b"x")],
    "payload-of-another": [member("packagesite.yaml", b"x")],
    "folder": [member("d/", kind=b"5")],
    "path-in-name": [member("../data.sig", b"s"), member("../data.pub", b"c")],
    "no-stem": [member(".sig", b"s"), member(".pub", b"c")],
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_catalogues_with_tricks_are_refused(name: str) -> None:
    with pytest.raises(FormatError):
        read_catalogue(pack(tar(*SIGNATURES[name], member("data", b"{}"))), "data")


def test_a_catalogue_takes_eight_members_of_a_mebibyte_and_one_payload() -> None:
    most = [member(f"{n}.sig", bytes(1 << 20)) + member(f"{n}.pub", b"c") for n in range(4)]
    found = read_catalogue(pack(tar(*most, member("data", b"{}"))), "data")
    assert (len(found.signatures), found.payload) == (4, b"{}")
    for wrong in ([member("data", b"{}"), member("data", b"[]")], [], [member("data/", kind=b"5")]):
        with pytest.raises(FormatError):
            read_catalogue(pack(tar(*wrong)), "data")


def test_the_signatures_may_stand_behind_the_payload_but_are_counted_there_too() -> None:
    tail = [member(f"{n}.sig", b"s") + member(f"{n}.pub", b"c") for n in range(4)]
    assert len(read_catalogue(pack(tar(member("data", b"{}"), *tail)), "data").signatures) == 4
    with pytest.raises(FormatError, match="more than 8"):
        read_catalogue(pack(tar(member("data", b"{}"), *tail, member("x.sig", b"s"))), "data")
