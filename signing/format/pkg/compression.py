"""One compressed stream, read piece by piece: which kind, by its first bytes, and never more than is allowed.

    28 b5 2f fd         zstd, what pkg writes by default
    fd 37 7a 58 5a 00   xz
    42 5a 68            bzip2
    1f 8b               gzip
    anything else       nothing: a plain tar

pkg calls all of them ``.pkg``. Here a file is exactly one stream of one kind: a second one behind it, or anything
else, is refused, since another reader may see it and act on it. A piece of output is bounded by what was asked for, so
that a bomb costs what the limits say and no more; all of it is bounded in bytes, and in proportion to what was read.
"""

import bz2
import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from signing.errors import FormatError
from signing.format.pkg.zstd_frames import blocks_of

_PIECE: Final = 1 << 16
_XZ_MEMORY: Final = 256 << 20
_MAGIC: Final = 6


class ByteSource(Protocol):
    """Anything that is read from: a file, an answer of a server, bytes in memory."""

    def read(self, count: int, /) -> bytes:
        """Return up to ``count`` bytes; none at the end."""


class Compression(StrEnum):
    """How a stream is packed."""

    ZSTD = "zstd"
    XZ = "xz"
    BZIP2 = "bzip2"
    GZIP = "gzip"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """How far a stream may unpack.

    ``max_ratio`` holds beyond the first ``free_bytes``: a small file of zeros is harmless, and packs a thousandfold.
    """

    max_bytes: int = 16 << 30
    max_ratio: int = 2_000
    free_bytes: int = 64 << 20


class Decompressed:
    """The unpacked bytes of one stream, and nothing but one stream.

    ``kind`` says how it was packed. Every error of a library becomes a FormatError with ``where``.
    """

    def __init__(self, source: ByteSource, limits: StreamLimits, *, where: str) -> None:
        self._counted = _Counted(source)
        self._limits, self._where = limits, where
        magic = _exactly(self._counted, _MAGIC)
        self.kind = _kind_of(magic)
        self._pieces = self._unpacked(_Rewound(magic, self._counted))
        self._held, self._made, self._ended = b"", 0, False

    def read(self, count: int, /) -> bytes:
        """Return up to ``count`` bytes; none at the end, which is reached only when nothing stands behind it.

        Raises:
            FormatError: damaged, cut off, followed by something, or larger than the limits.
        """
        while not self._held and not self._ended:
            self._held = self._next()
        piece, self._held = self._held[:count], self._held[count:]
        return piece

    def _next(self) -> bytes:
        try:
            piece = next(self._pieces, None)
        except FormatError:
            raise
        except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
            raise FormatError(f"damaged {self.kind} data", where=self._where) from error
        if piece is None:
            self._ended = True
            return b""
        self._made += len(piece)
        allowed = self._limits.free_bytes + self._limits.max_ratio * self._counted.count
        if self._made > min(self._limits.max_bytes, allowed):
            raise FormatError(
                f"unpacks to more than {min(self._limits.max_bytes, allowed)} bytes: too large, or a bomb",
                where=self._where,
            )
        return piece

    def _unpacked(self, source: ByteSource) -> Iterator[bytes]:
        match self.kind:
            case Compression.NONE:
                while piece := source.read(_PIECE):
                    yield piece
            case Compression.ZSTD:
                yield from blocks_of(source, where=self._where)
            case Compression.GZIP:
                yield from self._gunzipped(source)
            case Compression.XZ:
                yield from self._by(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY), source)
            case Compression.BZIP2:
                yield from self._by(bz2.BZ2Decompressor(), source)

    def _by(
        self, decompressor: "lzma.LZMADecompressor | bz2.BZ2Decompressor", source: ByteSource
    ) -> Iterator[bytes]:
        while not decompressor.eof:
            given = source.read(_PIECE) if decompressor.needs_input else b""
            if decompressor.needs_input and not given:
                raise FormatError("ends too early", where=self._where)
            if piece := decompressor.decompress(given, _PIECE):
                yield piece
        self._check_end(decompressor.unused_data or source.read(1))

    def _gunzipped(self, source: ByteSource) -> Iterator[bytes]:
        decompressor = zlib.decompressobj(16 + zlib.MAX_WBITS)
        while not decompressor.eof:
            given = decompressor.unconsumed_tail or source.read(_PIECE)
            piece = decompressor.decompress(given, _PIECE)
            if not given and not piece and not decompressor.eof:
                raise FormatError("ends too early", where=self._where)
            if piece:
                yield piece
        self._check_end(decompressor.unused_data or source.read(1))

    def _check_end(self, behind: bytes) -> None:
        if behind:
            raise FormatError("something stands behind the compressed data", where=self._where)


def open_decompressed(
    source: ByteSource, limits: StreamLimits | None = None, *, where: str = "archive"
) -> Decompressed:
    """Return the unpacked bytes of ``source``, which stays the caller's to close.

    Raises:
        FormatError: it cannot be read.
    """
    return Decompressed(source, limits or StreamLimits(), where=where)


class _Counted:
    """A source, and how much was read from it."""

    def __init__(self, source: ByteSource) -> None:
        self._source, self.count = source, 0

    def read(self, count: int, /) -> bytes:
        piece = self._source.read(count)
        self.count += len(piece)
        return piece


class _Rewound:
    """A source whose first bytes were looked at already."""

    def __init__(self, first: bytes, source: ByteSource) -> None:
        self._first, self._source = first, source

    def read(self, count: int, /) -> bytes:
        if self._first:
            piece, self._first = self._first[:count], self._first[count:]
            return piece
        return self._source.read(count)


def _kind_of(magic: bytes) -> Compression:
    for kind, start in (
        (Compression.ZSTD, b"\x28\xb5\x2f\xfd"),
        (Compression.XZ, b"\xfd7zXZ\x00"),
        (Compression.BZIP2, b"BZh"),
        (Compression.GZIP, b"\x1f\x8b"),
    ):
        if magic.startswith(start):
            return kind
    return Compression.NONE


def _exactly(source: ByteSource, count: int) -> bytes:
    """Return ``count`` bytes, or all that there are."""
    found = b""
    while len(found) < count and (piece := source.read(count - len(found))):
        found += piece
    return found
