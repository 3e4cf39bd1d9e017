"""Tar as libarchive writes it for pkg, member by member, from a stream (POSIX.1-1988 ustar, with few PAX records).

    header    512 bytes: name, mode, uid, gid, size, time, checksum, kind, link, "ustar" 0 "00", owner, group, …, prefix
    x         a PAX header: records for the one member after it
    0 5 2 1   file, folder, symbolic link, hard link; every other kind is refused
    end       two blocks of zeros, then zeros only

Names come out as they stand, and are not trusted here (`signing.format.pkg.archive` has the rules for packages). The
content of a member is read before the next one, and never held as a whole. ``tarfile`` is not used: it stops quietly at
damage, repairs what it should refuse, and follows what it should not (reference/containment-and-admission §1.5).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from signing.errors import FormatError
from signing.format.pkg.compression import ByteSource

_BLOCK: Final = 512
_PIECE: Final = 1 << 16
_MAX_PAX: Final = 1 << 16
_MAX_TRAILER: Final = 1 << 20
_MAX_MEMBER: Final = 8 << 30
_ZEROS: Final = bytes(_BLOCK)
_MAGIC: Final = b"ustar\x0000"
_NUMBER: Final = re.compile(rb" *([0-7]+)[ \0]*")
# What may stand in a PAX header without changing which bytes go where. Unknown records are refused: `size` and
# `GNU.sparse.*` make two readers see two files; access lists and extended attributes would be lost without a word.
_HARMLESS: Final = frozenset({"atime", "ctime", "mtime", "comment", "uid", "gid", "hdrcharset"})
_HARMLESS_PREFIXES: Final = (
    "LIBARCHIVE.creationtime",
    "SCHILY.dev",
    "SCHILY.ino",
    "SCHILY.nlink",
)
_FLAGS: Final = "SCHILY.fflags"
_USED: Final = frozenset({"path", "linkpath", "uname", "gname", _FLAGS})


class MemberKind(StrEnum):
    """What a member is."""

    FILE = "file"
    FOLDER = "dir"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"


_KINDS: Final = {
    b"0": MemberKind.FILE,
    b"1": MemberKind.HARDLINK,
    b"2": MemberKind.SYMLINK,
    b"5": MemberKind.FOLDER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TarHeader:
    """What stands before the content of a member. A folder's name is without its last slash.

    ``flags`` are FreeBSD's file flags, as chflags(1) writes them.
    """

    name: str
    kind: MemberKind
    mode: int
    uname: str
    gname: str
    mtime: int
    link: str
    size: int
    flags: str = ""


class TarReader:
    """A cursor over the members of a tar stream."""

    def __init__(self, source: ByteSource, *, where: str) -> None:
        self._source, self._where = source, where
        self._left = self._padding = 0

    def next(self) -> TarHeader | None:
        """Return the next header; None at the end. What was not read of the last member is passed over.

        Raises:
            FormatError: not a tar of this form, or cut off.
        """
        for _ in self.content():
            pass
        if any(self._take(self._padding)):
            raise FormatError("bytes are hidden behind a file", where=self._where)
        self._padding = 0
        records: Mapping[str, str] = {}
        block = self._take(_BLOCK)
        if block == _ZEROS:
            self._end()
            return None
        _check_block(block, self._where)
        if block[156:157] == b"x":
            records = self._records(_size(block, self._where))
            block = self._take(_BLOCK)
            _check_block(block, self._where)
        header = _header(block, records, self._where)
        self._left, self._padding = header.size, -header.size % _BLOCK
        return header

    def content(self) -> Iterator[bytes]:
        """Yield what was not read yet of the current member, in pieces.

        Raises:
            FormatError: cut off.
        """
        while self._left:
            piece = self._source.read(min(self._left, _PIECE))
            if not piece:
                raise FormatError("ends in the middle of a file", where=self._where)
            self._left -= len(piece)
            yield piece

    def _records(self, size: int) -> Mapping[str, str]:
        if size > _MAX_PAX:
            raise FormatError("has an oversized extension header", where=self._where)
        content = self._take(size)
        if any(self._take(-size % _BLOCK)):
            raise FormatError("bytes are hidden behind an extension header", where=self._where)
        return pax_records(content, where=self._where)

    def _end(self) -> None:
        if self._take(_BLOCK) != _ZEROS:
            raise FormatError("has one block of zeros where two end it", where=self._where)
        behind = 0
        while piece := self._source.read(_PIECE):
            behind += len(piece)
            if piece.count(0) != len(piece) or behind > _MAX_TRAILER:
                raise FormatError("something stands after its end", where=self._where)

    def _take(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            piece = self._source.read(count - len(found))
            if not piece:
                raise FormatError("ends too early", where=self._where)
            found += piece
        return found


def pax_records(content: bytes, *, where: str) -> Mapping[str, str]:
    """Return the records of a PAX header: ``LENGTH KEY=VALUE`` and a line end, the length counting itself.

    Raises:
        FormatError: damaged, a key twice, or one that would change what is read.
    """
    records: dict[str, str] = {}
    at = 0
    while at < len(content):
        digits = content[at : at + 6].partition(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        record = content[at : at + length]
        if length <= len(digits) or len(record) != length or not record.endswith(b"\n"):
            raise FormatError("has a damaged extension header", where=where)
        key, equals, value = record[len(digits) + 1 : -1].partition(b"=")
        name = _text(key, where)
        if not equals or name in records:
            raise FormatError("has a damaged extension header", where=where)
        if name not in _USED and name not in _HARMLESS and not name.startswith(_HARMLESS_PREFIXES):
            raise FormatError(f"has the extension {name[:40]!a}", where=where)
        records[name] = _text(value, where) if name in _USED else ""
        at += length
    return records


def _check_block(block: bytes, where: str) -> None:
    if block[257:265] != _MAGIC or any(block[500:]):
        raise FormatError("is not a tar that pkg writes", where=where)
    if sum(block[:148]) + 8 * 32 + sum(block[156:]) != _number(block[148:156], where):
        raise FormatError("has a header with a wrong checksum", where=where)


def _header(block: bytes, records: Mapping[str, str], where: str) -> TarHeader:
    kind = _KINDS.get(block[156:157])
    if kind is None:
        raise FormatError("holds a device, a pipe or another special file", where=where)
    size = _size(block, where)
    if (kind is not MemberKind.FILE and size) or size > _MAX_MEMBER:
        raise FormatError("gives a size to what has none, or one too large", where=where)
    name = records.get("path", "")
    if not name:
        prefix, name = _field(block[345:500], where), _field(block[:100], where)
        name = f"{prefix}/{name}" if prefix else name
    if kind is MemberKind.FOLDER:
        name = name.removesuffix("/")
    return TarHeader(
        name=name,
        kind=kind,
        mode=_number(block[100:108], where),
        uname=records.get("uname", "") or _field(block[265:297], where),
        gname=records.get("gname", "") or _field(block[297:329], where),
        mtime=_number(block[136:148], where),
        link=records.get("linkpath", "") or _field(block[157:257], where),
        size=size,
        flags=records.get(_FLAGS, ""),
    )


def _size(block: bytes, where: str) -> int:
    return _number(block[124:136], where)


def _number(field: bytes, where: str) -> int:
    match = _NUMBER.fullmatch(field)
    if match is None:
        raise FormatError("has a header with a number that is none", where=where)
    return int(match[1], 8)


def _field(field: bytes, where: str) -> str:
    text, _, rest = field.partition(b"\0")
    if any(rest):
        # One reader stops at the zero, another does not.
        raise FormatError("hides bytes behind a name", where=where)
    return _text(text, where)


def _text(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("has a name that is not UTF-8", where=where) from error
