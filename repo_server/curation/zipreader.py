"""A ZIP file, read as strictly as a signature deserves.

    PK 03 04 …   members, one directly after the other, from the first byte
    PK 01 02 …   the central directory, which lists exactly these
    PK 05 06     the end record, without comment, as the last 22 bytes

ZIP is read from the end, so two readers can see two archives in one file: bytes before the first member, between
members, after the end, members that share bytes (a small file that unpacks to terabytes), a second directory.
Here every byte belongs to exactly one member or to the directory. Zip64 is for files larger than our limits.
"""

import io
import stat
import struct
import zipfile

from repo_server.curation.limits import Limits
from repo_server.curation.members import Collector
from repo_server.curation.tree import Entry
from signing.errors import FormatError

_END = struct.Struct("<4s4H2LH")
_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_MAGIC = b"PK\x03\x04"
_END_MAGIC = b"PK\x05\x06"
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_DESCRIPTOR = 0x8
_UTF8 = 0x800
# A directory record is 46 bytes, a name of at most 200 and extra fields.
_RECORD_BYTES = 1024
_CHUNK = 1 << 16


def read_zip(data: bytes, limits: Limits) -> list[Entry]:
    """Return the entries of the ZIP file ``data``; library errors are turned by the caller."""
    directory_at = _check_end(data, limits)
    collector = Collector(limits)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        _check_layout(data, members, directory_at)
        for member in members:
            _check_member(member)
            path = member.orig_filename  # `filename` is repaired: cut at NUL, separators exchanged
            if path.endswith("/"):
                if member.file_size:
                    raise FormatError(f"folder {path[:80]!a} has content", where="archive")
                collector.folder(path)
                continue
            content = _read(archive, member, collector.allowance(path))
            if content is None:
                raise collector.too_large(path)
            collector.file(path, content, executable=_mode(member) & 0o111 != 0)
    return collector.finish()


def _check_end(data: bytes, limits: Limits) -> int:
    """Return where the directory begins, from an end record that must close the file."""
    if len(data) < _END.size or not data.startswith(_LOCAL_MAGIC):
        raise FormatError("does not begin with a ZIP member (something stands before it)", where="archive")
    magic, disk, start_disk, here, count, size, offset, comment = _END.unpack(data[-_END.size :])
    if magic != _END_MAGIC or comment:
        raise FormatError("has a comment, or something stands after its end", where="archive")
    if (disk, start_disk) != (0, 0) or here != count or offset + size != len(data) - _END.size:
        raise FormatError(
            "its end record does not describe this file (zip64 is not accepted)", where="archive"
        )
    # Before zipfile makes an object for each record: the count in the end record is only a claim.
    if count > 2 * limits.max_files or size > 2 * limits.max_files * _RECORD_BYTES:
        raise FormatError(f"more than {limits.max_files} files", where="archive")
    return int(offset)


def _check_layout(data: bytes, members: list[zipfile.ZipInfo], directory_at: int) -> None:
    at = 0
    for member in sorted(members, key=lambda item: item.header_offset):
        if member.header_offset != at:
            raise FormatError("members overlap, or something stands between them", where="archive")
        magic, _, flags, _, _, _, _, _, _, name, extra = _LOCAL.unpack_from(data, at)
        if magic != _LOCAL_MAGIC:
            raise FormatError("the directory points at something that is no member", where="archive")
        at += _LOCAL.size + name + extra + member.compress_size
        if flags & _DESCRIPTOR:
            at += 16 if data[at : at + 4] == b"PK\x07\x08" else 12
    if at != directory_at:
        raise FormatError("something stands between the last member and the directory", where="archive")


def _check_member(member: zipfile.ZipInfo) -> None:
    shown = ascii(member.orig_filename[:80])
    if member.flag_bits & _ENCRYPTED:
        raise FormatError(f"{shown} is encrypted: nobody can review it", where="archive")
    if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise FormatError(f"{shown} is compressed by method {member.compress_type}", where="archive")
    if not member.flag_bits & _UTF8 and not member.orig_filename.isascii():
        # Without the flag the name is in some code page: each reader sees another name.
        raise FormatError(f"{shown} has a name that is not marked as UTF-8", where="archive")
    kind = stat.S_IFMT(_mode(member))
    allowed = {0, stat.S_IFDIR} if member.orig_filename.endswith("/") else {0, stat.S_IFREG}
    if kind not in allowed:
        raise FormatError(
            f"{shown} is a link, a device or another special file",
            where="archive",
            hint="a skill holds regular files only; pack the file that the link points at",
        )


def _mode(member: zipfile.ZipInfo) -> int:
    # Read whatever system the archive claims to be from: unpackers do not agree on asking.
    return member.external_attr >> 16


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, allowance: int) -> bytes | None:
    """Return the content, or None when there is more than ``allowance``, whatever the header says."""
    pieces: list[bytes] = []
    size = 0
    with archive.open(member) as stream:
        while piece := stream.read(_CHUNK):
            size += len(piece)
            if size > allowance:
                return None
            pieces.append(piece)
    return b"".join(pieces)
