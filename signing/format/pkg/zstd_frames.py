"""One zstd frame, unpacked block by block (RFC 8878).

    frame   magic, descriptor, [window], [dictionary id], [content size], blocks, [checksum]
    block   3 bytes: last (1 bit), kind (2 bits), size (21 bits); then that many bytes (one, for a run)

The library gives back everything that the bytes it is handed unpack to: four bytes can be 128 KiB, so sixteen
kilobytes can be half a gigabyte. Handed single blocks, it never makes more than one block (at most 128 KiB) at a time,
and we know exactly where the frame ends and that nothing follows.
"""

from collections.abc import Iterator
from typing import Final, Protocol

from signing.errors import FormatError

MAX_WINDOW: Final = 1 << 27  # what the zstd command accepts without being asked
_MAX_BLOCK: Final = 1 << 17
_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_SINGLE_SEGMENT: Final = 0x20
_RESERVED: Final = 0x08
_CHECKSUM: Final = 0x04
_DICTIONARY: Final = 0x03
_RUN, _INVALID = 1, 3
_SMALLEST_WINDOW: Final = 10


class _Source(Protocol):
    def read(self, count: int, /) -> bytes: ...


def blocks_of(source: _Source, *, where: str) -> Iterator[bytes]:
    """Yield what the one frame of ``source`` unpacks to.

    Raises:
        FormatError: damaged, cut off, made with a dictionary, needs too much memory, or followed by something.
    """
    # Here and not above: hive reads packages too, and has no need of the library before it does.
    import zstandard  # noqa: PLC0415

    descriptor, head = _frame_header(source, where)
    frame = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj()
    try:
        frame.decompress(head)
        last = False
        while not last:
            header = _take(source, 3, where)
            number = int.from_bytes(header, "little")
            last, kind, size = bool(number & 1), number >> 1 & 3, number >> 3
            if kind == _INVALID or size > _MAX_BLOCK:
                raise FormatError("damaged zstd data", where=where)
            if piece := frame.decompress(header + _take(source, 1 if kind == _RUN else size, where)):
                yield piece
        if descriptor & _CHECKSUM and (piece := frame.decompress(_take(source, 4, where))):
            yield piece
    except zstandard.ZstdError as error:
        raise FormatError("damaged zstd data", where=where) from error
    if not frame.eof:
        raise FormatError("damaged zstd data", where=where)
    if source.read(1):
        raise FormatError("something stands behind the compressed data", where=where)


def _frame_header(source: _Source, where: str) -> tuple[int, bytes]:
    head = _take(source, 5, where)
    descriptor = head[4]
    if head[:4] != _MAGIC or descriptor & _RESERVED or descriptor & _DICTIONARY:
        raise FormatError("is not a zstd frame, or needs a dictionary", where=where)
    size_flag = descriptor >> 6
    if descriptor & _SINGLE_SEGMENT:
        size = _take(source, 1 << size_flag, where)
        content = int.from_bytes(size, "little") + (256 if len(size) == 2 else 0)  # noqa: PLR2004
        head += size
    else:
        window = _take(source, 1, where)
        exponent, mantissa = window[0] >> 3, window[0] & 7
        base = 1 << (_SMALLEST_WINDOW + exponent)
        content = base + (base >> 3) * mantissa
        head += window + (_take(source, 1 << size_flag, where) if size_flag else b"")
    if content > MAX_WINDOW:
        raise FormatError(f"needs {content} bytes of memory to be unpacked", where=where)
    return descriptor, head


def _take(source: _Source, count: int, where: str) -> bytes:
    found = source.read(count)
    while len(found) < count:
        piece = source.read(count - len(found))
        if not piece:
            raise FormatError("ends too early", where=where)
        found += piece
    return found
