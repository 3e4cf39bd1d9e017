"""The archive has one form; whatever tar and gzip can say beyond it is refused."""

import gzip
import io
import shutil
import subprocess
import tarfile
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.errors import DigestMismatchError, FormatError, RejectedError
from signing.format.archive import MAX_ARCHIVE_BYTES, Bundle, SourceFile, read_bundle, render_bundle
from signing.format.digest import check_sha256, sha256_of
from signing.format.manifest import MANIFEST_NAME, Kind, MemberPath, Mode
from signing.format.names import Pin

PIN = Pin.parse("web-search==1.2.0")
LONG = MemberPath("/".join(["deep" * 12] * 3) + "/" + "n" * 40)  # needs the prefix field of ustar


def bundle(files: dict[str, bytes] | None = None) -> Bundle:
    contents = {"SKILL.md": b"# Search\n", **(files or {})}
    return Bundle.build(
        pin=PIN,
        kind=Kind.SKILL,
        files={
            MemberPath(path): SourceFile(
                content=data, mode=Mode.EXECUTABLE if path.startswith("scripts/") else Mode.PLAIN
            )
            for path, data in contents.items()
        },
    )


SMALL = bundle({"scripts/run.sh": b"#!/bin/sh\n"})
SMALL_BYTES = render_bundle(SMALL)


def gunzip(data: bytes) -> bytes:
    return zlib.decompress(data, wbits=31)


def gzipped(tar: bytes, level: int = 9) -> bytes:
    """Compress as the format demands; an attacker can do that too."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = compressor.compress(tar) + compressor.flush()
    trailer = zlib.crc32(tar).to_bytes(4, "little") + (len(tar) & 0xFFFFFFFF).to_bytes(4, "little")
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + body + trailer


# --- identity and determinism ---------------------------------------------------------------------------

SEGMENT = st.text(st.sampled_from("abcdefgXYZ0189_-é日"), min_size=1, max_size=30)
CONTENTS = st.dictionaries(
    st.lists(SEGMENT, min_size=1, max_size=4).map("/".join).filter(lambda path: len(path.encode()) <= 200),
    st.tuples(st.binary(max_size=1_100), st.sampled_from(Mode)),
    max_size=5,
)


@given(CONTENTS, st.sampled_from(Kind))
@settings(max_examples=60, deadline=None)
def test_a_built_bundle_is_read_back_unchanged(contents, kind):
    files = {MemberPath(path): SourceFile(content=data, mode=mode) for path, (data, mode) in contents.items()}
    files[MemberPath("SKILL.md")] = SourceFile(content=b"#")
    try:
        built = Bundle.build(pin=PIN, kind=kind, files=files)
        data = render_bundle(built)
    except FormatError:  # twins, or a name beyond what tar can write
        return
    assert read_bundle(data) == built
    assert render_bundle(read_bundle(data)) == data


def test_the_order_in_which_files_are_given_does_not_matter():
    files = {"b": b"2", "a": b"1", "a-": b"3"}
    assert render_bundle(bundle(files)) == render_bundle(bundle(dict(reversed(files.items()))))


def test_the_bytes_hold_no_time_no_owner_and_no_host():
    assert SMALL_BYTES[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
    with tarfile.TarFile(fileobj=io.BytesIO(gunzip(SMALL_BYTES))) as archive:
        for member in archive.getmembers():
            assert (member.uid, member.gid, member.uname, member.gname, member.mtime) == (0, 0, "", "", 0)


def test_a_file_that_is_empty_or_fills_blocks_exactly_is_kept():
    files = {"empty": b"", "one": b"x" * 511, "full": b"x" * 512, "more": b"x" * 513}
    assert dict(read_bundle(render_bundle(bundle(files))).contents) == {"SKILL.md": b"# Search\n", **files}


def test_a_name_that_no_tar_header_can_hold_is_refused_when_it_is_written():
    with pytest.raises(FormatError, match="does not fit a tar header"):
        render_bundle(bundle({"n" * 101: b""}))


def test_the_content_of_a_read_bundle_cannot_be_changed():
    with pytest.raises(TypeError):
        read_bundle(SMALL_BYTES).contents[MemberPath("SKILL.md")] = b"other"  # type: ignore[index]


# --- other programs read it -----------------------------------------------------------------------------


def test_python_reads_the_same_files():
    built = bundle({LONG: b"far away", "docs/日本語.md": b"text", "scripts/run.sh": b"#!/bin/sh\n"})
    with tarfile.TarFile(fileobj=io.BytesIO(gunzip(render_bundle(built)))) as archive:
        members = archive.getmembers()
        assert [member.name for member in members] == [MANIFEST_NAME, *built.contents]
        assert all(member.isreg() for member in members)
        for entry in built.manifest.files:
            member = archive.getmember(entry.path)
            stream = archive.extractfile(member)
            assert stream is not None
            assert (stream.read(), member.mode) == (built.contents[entry.path], entry.mode.bits)


@pytest.mark.skipif(
    shutil.which("tar") is None, reason="no tar command on this host: interoperability NOT tested"
)
def test_the_tar_command_unpacks_the_same_files(tmp_path):
    built = bundle({LONG: b"far away", "scripts/run.sh": b"#!/bin/sh\n", "empty": b""})
    (tmp_path / "b.tar.gz").write_bytes(render_bundle(built))
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xzf", "b.tar.gz", "-C", "out"], cwd=tmp_path, check=True, capture_output=True)
    found = {
        str(path.relative_to(tmp_path / "out")): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert found == {MANIFEST_NAME: built.manifest.render(), **built.contents}
    assert (tmp_path / "out/scripts/run.sh").stat().st_mode & 0o111 == 0o111


# --- every byte -----------------------------------------------------------------------------------------


def outcome(data: bytes) -> Bundle | None:
    """Read; None for a refusal. Anything but a refusal of ours fails the test."""
    try:
        return read_bundle(data)
    except RejectedError:
        return None


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF], ids=hex)
def test_every_flipped_byte_of_the_archive_is_noticed_by_the_digest_and_never_read_as_another_bundle(flip):
    vouched = sha256_of(SMALL_BYTES)
    for at in range(len(SMALL_BYTES)):
        mutated = bytearray(SMALL_BYTES)
        mutated[at] ^= flip
        with pytest.raises(DigestMismatchError):
            check_sha256(bytes(mutated), vouched, where="archive")
        assert outcome(bytes(mutated)) in (None, SMALL), at


@pytest.mark.parametrize("flip", [0x01, 0x80], ids=hex)
def test_every_flipped_byte_of_the_tar_inside_is_refused_or_changes_the_tree_digest(flip):
    """The attacker mends the checksum; what is left to change is a name or version in the manifest itself."""
    tar = gunzip(SMALL_BYTES)
    for at in range(len(tar)):
        mutated = bytearray(tar)
        mutated[at] ^= flip
        read = outcome(gzipped(bytes(mutated), level=0))
        if read is not None:
            assert read.manifest.pin != SMALL.manifest.pin, at
            assert read.manifest.tree_digest != SMALL.manifest.tree_digest
            assert read.contents == SMALL.contents


def test_every_truncation_is_refused():
    for length in range(len(SMALL_BYTES)):
        with pytest.raises(FormatError):
            read_bundle(SMALL_BYTES[:length])


def test_every_truncation_of_the_tar_inside_is_refused():
    tar = gunzip(SMALL_BYTES)
    for length in range(0, len(tar), 16):
        with pytest.raises(FormatError):
            read_bundle(gzipped(tar[:length], level=0))


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=100, deadline=None)
def test_random_bytes_raise_nothing_but_refusals(data, as_gzip):
    assert outcome(gzipped(data) if as_gzip else data) is None


# --- hostile tars, honestly compressed ------------------------------------------------------------------


def member(name: str, content: bytes = b"", **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o644
    for key, value in fields.items():
        setattr(info, key, value)
    return info


Rows = list[tuple[tarfile.TarInfo, bytes]]


def honest_rows(built: Bundle = SMALL) -> Rows:
    manifest = built.manifest.render()
    rows: Rows = [(member(MANIFEST_NAME, manifest), manifest)]
    for entry in built.manifest.files:
        content = built.contents[entry.path]
        rows.append((member(entry.path, content, mode=entry.mode.bits), content))
    return rows


def written(rows: Rows, form: int = tarfile.USTAR_FORMAT) -> bytes:
    parts = [
        info.tobuf(form, "utf-8", "strict") + content + bytes(-len(content) % 512) for info, content in rows
    ]
    return gzipped(b"".join([*parts, bytes(1024)]))


def test_pythons_tar_of_the_same_files_is_the_same_archive_but_for_device_numbers():
    """So that the hostile tars below are refused for what they do and not for who wrote them."""
    tar = gunzip(written(honest_rows()))
    blank, ours = b"\0" * 16, b"0000000\0" * 2
    mended = bytearray(tar)
    for at in range(0, len(tar), 512):
        if tar[at + 257 : at + 262] == b"ustar" and tar[at + 329 : at + 345] == blank:
            mended[at + 329 : at + 345] = ours
            mended[at + 148 : at + 156] = b" " * 8
            mended[at + 148 : at + 156] = b"%06o\0 " % sum(mended[at : at + 512])
    assert bytes(mended) == gunzip(SMALL_BYTES)


def replaced(change: Callable[[Rows], Rows | None], built: Bundle = SMALL) -> bytes:
    """The honest members, with a change, written by hand with our own header form."""
    rows = honest_rows(built)
    if (changed := change(rows)) is not None:
        rows = changed
    parts = []
    for info, content in rows:
        head = bytearray(info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict"))
        if head[329:345] == b"\0" * 16:
            head[329:345] = b"0000000\0" * 2
        head[148:156] = b" " * 8
        head[148:156] = b"%06o\0 " % sum(head)
        parts.append(bytes(head) + content + bytes(-len(content) % 512))
    return gzipped(b"".join([*parts, bytes(1024)]))


def test_the_hostile_writer_can_write_an_honest_archive():
    assert replaced(lambda rows: None) == SMALL_BYTES


def becomes(**fields: object) -> Callable[[Rows], None]:
    """Change fields of the member SKILL.md."""

    def change(rows: Rows) -> None:
        for key, value in fields.items():
            setattr(rows[1][0], key, value)

    return change


def as_other(kind: bytes, **fields: object) -> Callable[[Rows], Rows]:
    """SKILL.md is not a file but something else (without content)."""

    def change(rows: Rows) -> Rows:
        rows[1] = (member("SKILL.md", type=kind, **fields), b"")
        return rows

    return change


def added(*more: tuple[tarfile.TarInfo, bytes], at: int = 99) -> Callable[[Rows], Rows]:
    return lambda rows: [*rows[:at], *more, *rows[at:]]


def other_content(rows: Rows) -> None:
    rows[1] = (rows[1][0], b"# Smirch\n")


HOSTILE_MEMBERS: dict[str, Callable[[Rows], Rows | None]] = {
    "symbolic link instead of a file": as_other(tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hard link instead of a file": as_other(tarfile.LNKTYPE, linkname="MANIFEST.json"),
    "character device": as_other(tarfile.CHRTYPE, devmajor=1, devminor=3),
    "block device": as_other(tarfile.BLKTYPE, devmajor=8),
    "FIFO": as_other(tarfile.FIFOTYPE),
    "folder instead of a file": as_other(tarfile.DIRTYPE),
    "folder member before its files": added((member("scripts", type=tarfile.DIRTYPE, mode=0o755), b""), at=2),
    "contiguous file": becomes(type=tarfile.CONTTYPE),
    "old regular type": becomes(type=tarfile.AREGTYPE),
    "sparse file": becomes(type=tarfile.GNUTYPE_SPARSE),
    "link added at the end": added((member("x", type=tarfile.SYMTYPE, linkname="/"), b"")),
    "link added before its target": added(
        (member("scripts", type=tarfile.SYMTYPE, linkname="/tmp"), b""), at=2
    ),
    "unlisted file at the end": added((member("extra.sh", b"x"), b"x")),
    "unlisted file between": added((member("SKILL.md~", b"x"), b"x"), at=2),
    "a listed file twice": lambda rows: [*rows, rows[1]],
    "a second manifest": lambda rows: [*rows, rows[0]],
    "missing file": lambda rows: rows[:-1],
    "missing manifest": lambda rows: rows[1:],
    "no members": lambda rows: rows[:0],
    "files in another order": lambda rows: [rows[0], rows[2], rows[1]],
    "manifest last": lambda rows: [*rows[1:], rows[0]],
    "executable that is listed as plain": becomes(mode=0o755),
    "setuid": becomes(mode=0o4644),
    "world-writable": becomes(mode=0o666),
    "another owner": becomes(uid=1001),
    "another group": becomes(gid=1001),
    "owner's name": becomes(uname="root"),
    "group's name": becomes(gname="wheel"),
    "a time": becomes(mtime=1),
    "a link name on a regular file": becomes(linkname="/etc/passwd"),
    "another name": becomes(name="SKILL.MD"),
    "an absolute name": becomes(name="/SKILL.md"),
    "a name with ./": becomes(name="./SKILL.md"),
}


@pytest.mark.parametrize("change", HOSTILE_MEMBERS.values(), ids=HOSTILE_MEMBERS)
def test_a_hostile_member_is_refused(change):
    with pytest.raises(FormatError) as caught:
        read_bundle(replaced(change))
    assert caught.value.where == "archive"


def test_other_content_than_the_manifest_lists_is_refused_as_a_lie():
    with pytest.raises(DigestMismatchError) as caught:
        read_bundle(replaced(other_content))
    assert caught.value.where == "SKILL.md"


def pax() -> bytes:
    rows = honest_rows()
    rows[1][0].pax_headers = {"path": "../../etc/cron.d/x"}
    return written(rows, tarfile.PAX_FORMAT)


def pax_global() -> bytes:
    header = tarfile.TarInfo.create_pax_global_header({"mode": "04755"})
    return gzipped(header + gunzip(SMALL_BYTES))


def gnu_long_name() -> bytes:
    long = "a/" * 60 + "x"
    return written([*honest_rows(), (member(long, b"x"), b"x")], tarfile.GNU_FORMAT)


def gnu_long_link() -> bytes:
    return written(
        [*honest_rows(), (member("x", type=tarfile.SYMTYPE, linkname="y" * 150), b"")], tarfile.GNU_FORMAT
    )


def gnu_magic() -> bytes:
    return written(honest_rows(), tarfile.GNU_FORMAT)


def base_256_size() -> bytes:
    tar = bytearray(gunzip(SMALL_BYTES))
    tar[124:136] = b"\x80" + (len(SMALL.manifest.render())).to_bytes(11, "big")
    return gzipped(bytes(tar))


def size_with_signs(field: bytes) -> bytes:
    tar = bytearray(gunzip(SMALL_BYTES))
    tar[124:136] = field
    return gzipped(bytes(tar))


def hidden_in_padding() -> bytes:
    tar = bytearray(gunzip(SMALL_BYTES))
    at = 512 + len(SMALL.manifest.render())
    assert tar[at : at + 6] == bytes(6)
    tar[at : at + 6] = b"secret"
    return gzipped(bytes(tar))


def hidden_in_header_tail() -> bytes:
    tar = bytearray(gunzip(SMALL_BYTES))
    tar[500:512] = b"hidden bytes"
    tar[148:156] = b" " * 8
    tar[148:156] = b"%06o\0 " % sum(tar[:512])
    return gzipped(bytes(tar))


HOSTILE_TARS: dict[str, Callable[[], bytes]] = {
    "PAX path": pax,
    "PAX global header": pax_global,
    "GNU long name": gnu_long_name,
    "GNU long link": gnu_long_link,
    "GNU magic": gnu_magic,
    "base-256 size": base_256_size,
    "size with a sign": lambda: size_with_signs(b"+0000000512\0"),
    "size with spaces": lambda: size_with_signs(b"        512\0"),
    "size beyond octal": lambda: size_with_signs(b"00000000899\0"),
    "manifest declares eight gigabytes": lambda: size_with_signs(b"77777777777\0"),
    "manifest declares more than there is": lambda: size_with_signs(b"00001000000\0"),
    "manifest declares nothing": lambda: size_with_signs(b"00000000000\0"),
    "bytes hidden in padding": hidden_in_padding,
    "bytes hidden after a header": hidden_in_header_tail,
    "no end blocks": lambda: gzipped(gunzip(SMALL_BYTES)[:-1024]),
    "one end block": lambda: gzipped(gunzip(SMALL_BYTES)[:-512]),
    "ten kilobytes of end blocks": lambda: gzipped(gunzip(SMALL_BYTES) + bytes(9 * 1024)),
    "bytes after the end": lambda: gzipped(gunzip(SMALL_BYTES) + b"x"),
    "another archive after the end": lambda: gzipped(gunzip(SMALL_BYTES) * 2),
    "empty": lambda: gzipped(b""),
    "nothing but end blocks": lambda: gzipped(bytes(1024)),
}


@pytest.mark.parametrize("build", HOSTILE_TARS.values(), ids=HOSTILE_TARS)
def test_a_hostile_tar_is_refused(build):
    with pytest.raises(FormatError):
        read_bundle(build())


def test_a_manifest_that_lists_more_than_a_header_can_name_is_refused():
    # Such a path is fine for the manifest; no archive of it can exist.
    path = MemberPath("n" * 150)
    built = bundle({path: b""})
    rows = honest_rows(built)[:2]
    with pytest.raises(FormatError, match="does not fit"):
        read_bundle(replaced(lambda _: rows, SMALL))


# --- gzip -----------------------------------------------------------------------------------------------


def with_header(flags: int, extra: bytes = b"", mtime: int = 0, system: int = 255, level: int = 2) -> bytes:
    return (
        b"\x1f\x8b\x08" + bytes([flags]) + mtime.to_bytes(4, "little") + bytes([level, system]) + extra
    ) + SMALL_BYTES[10:]


HOSTILE_GZIPS = {
    "a file name": with_header(0x08, b"x.tar\0"),
    "a comment": with_header(0x10, b"x\0"),
    "an extra field": with_header(0x04, b"\x02\0ab"),
    "a header checksum": with_header(0x02, b"\0\0"),
    "the text flag": with_header(0x01),
    "reserved flags": with_header(0xE0),
    "a time": with_header(0, mtime=1_700_000_000),
    "an operating system": with_header(0, system=3),
    "another level": with_header(0, level=0),
    "two members": SMALL_BYTES + SMALL_BYTES,
    "an empty second member": SMALL_BYTES + gzip.compress(b""),
    "an empty first member": gzip.compress(b"", mtime=0) + SMALL_BYTES,
    "a byte after the end": SMALL_BYTES + b"\0",
    "text after the end": SMALL_BYTES + b"#!/bin/sh\n",
    "wrong checksum": SMALL_BYTES[:-8] + b"\0\0\0\0" + SMALL_BYTES[-4:],
    "wrong length": SMALL_BYTES[:-4] + b"\0\0\0\0",
    "zlib instead": zlib.compress(gunzip(SMALL_BYTES)),
    "not compressed": gunzip(SMALL_BYTES),
    "a zip file": b"PK\x03\x04" + SMALL_BYTES,
    "nothing": b"",
    "a header only": SMALL_BYTES[:10],
}


@pytest.mark.parametrize("data", HOSTILE_GZIPS.values(), ids=HOSTILE_GZIPS)
def test_another_gzip_stream_is_refused(data):
    with pytest.raises(FormatError) as caught:
        read_bundle(data)
    assert caught.value.where == "archive"


def test_another_compression_of_the_same_tar_is_the_same_bundle_with_another_digest():
    # The digest of the archive tells them apart, the tree digest does not have to.
    other = gzipped(gunzip(SMALL_BYTES), level=1)
    assert sha256_of(other) != sha256_of(SMALL_BYTES)
    assert read_bundle(other) == SMALL


# --- bombs ----------------------------------------------------------------------------------------------


def test_a_hundred_megabytes_of_zeros_cost_little_memory_and_time():
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(1 << 20)
    body = b"".join([*(compressor.compress(zeros) for _ in range(100)), compressor.flush()])
    bomb = SMALL_BYTES[:10] + body + bytes(8)
    assert len(bomb) < 200_000
    started = time.perf_counter()
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="unpacks to more than"):
            read_bundle(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - started < 5
    assert peak < 90 << 20


def test_an_archive_larger_than_the_limit_is_refused_before_it_is_unpacked():
    with pytest.raises(FormatError, match="larger than"):
        read_bundle(SMALL_BYTES + bytes(MAX_ARCHIVE_BYTES))
