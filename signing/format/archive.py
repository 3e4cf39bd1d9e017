r"""The bundle archive: a deterministic ``.tar.gz`` and its strict reader.

    gzip   1f 8b 08 00 | 00 00 00 00 | 02 ff      one member, no name, no time; nothing after it
    tar    MANIFEST.json, then exactly the manifest's files, in its order
           each header is the one ustar header that `_header` makes for (path, size, mode), to the byte
           two zero blocks, and nothing after them

The reader does not interpret tar: it makes the header that has to stand there and compares. Links, devices,
folders, duplicates, other owners, sparse files, PAX records and whatever tar may learn next are therefore
all the same refusal. Python's ``tarfile`` and its filters are not used (they were passed by more than once;
reference/containment-and-admission §1.5).
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self

from signing.errors import FormatError
from signing.format.digest import check_sha256, sha256_of
from signing.format.manifest import (
    MANIFEST_NAME,
    MAX_FILES,
    MAX_MANIFEST_BYTES,
    MAX_TOTAL_BYTES,
    FileEntry,
    Kind,
    Manifest,
    MemberPath,
    Mode,
)
from signing.format.names import Pin

MAX_ARCHIVE_BYTES: Final = 34 << 20
_MAX_TAR_BYTES: Final = MAX_TOTAL_BYTES + MAX_MANIFEST_BYTES + (MAX_FILES + 4) * 1024
_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
_BLOCK: Final = 512
_NAME_BYTES: Final = 100
_PREFIX_BYTES: Final = 155


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file on its way into a bundle."""

    content: bytes
    mode: Mode = Mode.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The parsed content of a bundle: well-formed and complete, but vouched for by nobody."""

    manifest: Manifest
    contents: Mapping[MemberPath, bytes]

    @classmethod
    def build(cls, *, pin: Pin, kind: Kind, files: Mapping[MemberPath, SourceFile]) -> Self:
        """Return the bundle of ``files``.

        Raises:
            FormatError: the files may not stand together in a bundle (see ``Manifest``).
        """
        entries = tuple(
            FileEntry(
                path=path,
                size=len(files[path].content),
                mode=files[path].mode,
                sha256=sha256_of(files[path].content),
            )
            for path in sorted(files)
        )
        manifest = Manifest(kind=kind, pin=pin, files=entries)
        return cls(
            manifest=manifest,
            contents=MappingProxyType({path: files[path].content for path in sorted(files)}),
        )


def render_bundle(bundle: Bundle) -> bytes:
    """Return the archive of ``bundle``; the same bundle gives the same bytes with the same zlib.

    Raises:
        FormatError: a path does not fit a ustar header.
    """
    parts = [_member(MemberPath(MANIFEST_NAME), bundle.manifest.render(), Mode.PLAIN)]
    parts += [_member(entry.path, bundle.contents[entry.path], entry.mode) for entry in bundle.manifest.files]
    tar = b"".join([*parts, bytes(2 * _BLOCK)])
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = compressor.compress(tar) + compressor.flush()
    return _GZIP_HEADER + body + zlib.crc32(tar).to_bytes(4, "little") + len(tar).to_bytes(4, "little")


def read_bundle(data: bytes) -> Bundle:
    """Return the bundle written as ``data``.

    Raises:
        FormatError: not an archive of exactly this form.
        DigestMismatchError: a file is not what the manifest says (the manifest lies).
    """
    tar = _gunzip(data)
    manifest_size = _declared_size(tar)
    reader = _Blocks(tar)
    manifest = Manifest.parse(reader.member(MemberPath(MANIFEST_NAME), manifest_size, Mode.PLAIN))
    contents: dict[MemberPath, bytes] = {}
    for entry in manifest.files:
        content = reader.member(entry.path, entry.size, entry.mode)
        check_sha256(content, entry.sha256, where=entry.path)
        contents[entry.path] = content
    reader.end()
    return Bundle(manifest=manifest, contents=MappingProxyType(contents))


class _Blocks:
    """A cursor over the uncompressed archive."""

    def __init__(self, tar: bytes) -> None:
        self._tar, self._at = tar, 0

    def member(self, path: MemberPath, size: int, mode: Mode) -> bytes:
        expected = _header(path, size, mode)
        if self._take(_BLOCK) != expected:
            raise FormatError(f"{path!r} does not stand here as the manifest lists it", where="archive")
        content = self._take(size)
        if any(self._take(-size % _BLOCK)):
            raise FormatError(f"bytes hidden after {path!r}", where="archive")
        return content

    def end(self) -> None:
        if self._tar[self._at :] != bytes(2 * _BLOCK):
            raise FormatError("something stands after the last listed file", where="archive")

    def _take(self, count: int) -> bytes:
        piece = self._tar[self._at : self._at + count]
        if len(piece) != count:
            raise FormatError("ends too early", where="archive")
        self._at += count
        return piece


def _gunzip(data: bytes) -> bytes:
    if len(data) > MAX_ARCHIVE_BYTES:
        raise FormatError(f"larger than {MAX_ARCHIVE_BYTES} bytes", where="archive")
    if not data.startswith(_GZIP_HEADER):
        raise FormatError("does not start with the one accepted gzip header", where="archive")
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        # max_length: a bomb is noticed one byte past what the largest honest bundle needs.
        tar = stream.decompress(data[len(_GZIP_HEADER) :], _MAX_TAR_BYTES + 1)
    except zlib.error as error:
        raise FormatError("compressed data is damaged", where="archive") from error
    if len(tar) > _MAX_TAR_BYTES or stream.unconsumed_tail:
        raise FormatError(f"unpacks to more than {_MAX_TAR_BYTES} bytes", where="archive")
    trailer = zlib.crc32(tar).to_bytes(4, "little") + (len(tar) & 0xFFFFFFFF).to_bytes(4, "little")
    if not stream.eof or stream.unused_data != trailer:
        raise FormatError("wrong checksum, or something stands after the compressed data", where="archive")
    return tar


def _declared_size(tar: bytes) -> int:
    """Return the size that the first header declares; `_Blocks.member` then checks the whole header."""
    field = tar[124:136]
    if len(field) != 12 or not field[:11].isdigit() or any(byte > ord("7") for byte in field[:11]):  # noqa: PLR2004
        raise FormatError("first header has no octal size", where="archive")
    size = int(field[:11], 8)
    if size > MAX_MANIFEST_BYTES:
        raise FormatError(f"manifest is larger than {MAX_MANIFEST_BYTES} bytes", where="archive")
    return size


def _member(path: MemberPath, content: bytes, mode: Mode) -> bytes:
    return _header(path, len(content), mode) + content + bytes(-len(content) % _BLOCK)


def _header(path: MemberPath, size: int, mode: Mode) -> bytes:
    """Return the ustar header (POSIX.1-1988): uid, gid and time 0, no owner names, regular file."""
    prefix, name = _split(path)
    head = b"".join(
        [
            name.ljust(_NAME_BYTES, b"\0"),
            b"%07o\0" % mode.bits,
            b"0000000\0" * 2,
            b"%011o\0" % size,
            b"00000000000\0",
            b" " * 8,
            b"0",
            bytes(100),
            b"ustar\x0000",
            bytes(64),
            b"0000000\0" * 2,
            prefix.ljust(_PREFIX_BYTES, b"\0"),
            bytes(12),
        ]
    )
    return head[:148] + b"%06o\0 " % sum(head) + head[156:]


def _split(path: MemberPath) -> tuple[bytes, bytes]:
    """Return ``path`` as ustar prefix and name; the shortest prefix that fits."""
    raw = path.encode()
    if len(raw) <= _NAME_BYTES:
        return b"", raw
    for index, byte in enumerate(raw):
        if byte == ord("/") and len(raw) - index - 1 <= _NAME_BYTES and index <= _PREFIX_BYTES:
            return raw[:index], raw[index + 1 :]
    raise FormatError(
        f"{path!r} does not fit a tar header", where="archive", hint="shorten the file or folder name"
    )
