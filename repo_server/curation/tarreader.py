"""A ``.tar.gz`` file, read header by header.

    gzip    one member, nothing after it, unpacked only as far as the limits go
    tar     ustar or GNU headers; PAX records only for ``path``; regular files and folders, nothing else;
            zero blocks to the end

``tarfile`` takes apart single headers of 512 bytes here and never sees the stream. Its own loop over an archive
stops quietly at damage, recurses over chained headers, and in some releases runs for ever on a negative size;
its ``extract`` is out of the question.
"""

import tarfile
import zlib

from repo_server.curation.limits import Limits
from repo_server.curation.members import Collector
from repo_server.curation.tree import Entry
from signing.errors import FormatError

_BLOCK = tarfile.BLOCKSIZE
_GZIP = 16 + zlib.MAX_WBITS
_MAX_EXTENSION = 1 << 14
_REGULAR = {tarfile.REGTYPE, tarfile.AREGTYPE}
_PAX = {tarfile.XHDTYPE, tarfile.XGLTYPE}
# What tar programs write into PAX records without changing what the file is. Everything else is refused:
# `size` and `GNU.sparse.*` make two readers see two files, `linkpath` has nothing to link.
_HARMLESS_PAX = {"atime", "ctime", "mtime", "comment", "uid", "gid", "uname", "gname"}


def read_tar_gz(data: bytes, limits: Limits) -> list[Entry]:
    """Return the entries of the ``.tar.gz`` file ``data``; library errors are turned by the caller."""
    return read_tar(_gunzip(data, limits), limits)


def read_tar(tar: bytes, limits: Limits) -> list[Entry]:
    """Return the entries of the plain tar file ``tar``."""
    collector = Collector(limits)
    at, longer_path = 0, ""
    while any(block := tar[at : at + _BLOCK]):
        member = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        at += _BLOCK
        content = tar[at : at + member.size] if member.size >= 0 else b""
        if len(content) != member.size:
            raise FormatError("ends in the middle of a file, or has a negative size", where="archive")
        padding = -member.size % _BLOCK
        if any(tar[at + member.size : at + member.size + padding]):
            raise FormatError("bytes are hidden behind a file", where="archive")
        at += member.size + padding
        if member.type in _PAX or member.type == tarfile.GNUTYPE_LONGNAME:
            # The size is bounded above by the archive's; this bound keeps the parsing short.
            if member.size > _MAX_EXTENSION or longer_path:
                raise FormatError("has an oversized or repeated extension header", where="archive")
            longer_path = _extension(member, content)
            continue
        path = (longer_path or member.name).removeprefix("./")  # how `tar -c .` spells relative names
        longer_path = ""
        _take(collector, member, path, content)
    if tar[at:].strip(b"\0"):
        raise FormatError("something stands after its end", where="archive")
    return collector.finish()


def _take(collector: Collector, member: tarfile.TarInfo, path: str, content: bytes) -> None:
    if member.type in _REGULAR and not path.endswith("/"):
        collector.file(path, content, executable=member.mode & 0o111 != 0)
    elif member.type == tarfile.DIRTYPE and not content:
        if path not in {"", "."}:
            collector.folder(path)
    else:
        raise FormatError(
            f"{path[:80]!a} is a link, a device or another special file",
            where="archive",
            hint="a skill holds regular files only; pack the file that the link points at",
        )


def _extension(member: tarfile.TarInfo, content: bytes) -> str:
    """Return the path that an extension header gives to the member after it, or an empty string."""
    if member.type == tarfile.GNUTYPE_LONGNAME:
        return content.removesuffix(b"\0").decode("utf-8")
    records = _pax_records(content)
    if member.type == tarfile.XGLTYPE and "path" in records:
        raise FormatError("gives one path to all files", where="archive")
    if unknown := sorted(set(records) - _HARMLESS_PAX - {"path"}):
        raise FormatError(f"has the PAX record {unknown[0][:40]!a}", where="archive")
    return records.get("path", "")


def _pax_records(content: bytes) -> dict[str, str]:
    """Return the records of a PAX header: ``LENGTH KEY=VALUE`` and a line end, the length counting itself."""
    records: dict[str, str] = {}
    at = 0
    while at < len(content):
        digits = content[at : at + 6].partition(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        record = content[at : at + length]
        if length <= len(digits) or len(record) != length or not record.endswith(b"\n"):
            raise FormatError("has a damaged PAX header", where="archive")
        key, equals, value = record[len(digits) + 1 : -1].decode("utf-8").partition("=")
        if not equals or key in records:
            raise FormatError("has a damaged PAX header", where="archive")
        records[key] = value
        at += length
    return records


def _gunzip(data: bytes, limits: Limits) -> bytes:
    most = limits.max_total_bytes + 4 * _BLOCK * (2 * limits.max_files + 20)
    stream = zlib.decompressobj(_GZIP)
    tar = stream.decompress(data, most + 1)
    if len(tar) > most or stream.unconsumed_tail:
        raise FormatError(f"unpacks to more than {most} bytes: too large, or a bomb", where="archive")
    if not stream.eof:
        raise FormatError("ends too early", where="archive")
    if stream.unused_data:
        raise FormatError("something stands after the compressed data", where="archive")
    return tar
