import io
import random

import pytest
import zstandard

from signing.errors import FormatError
from signing.format.pkg.compression import Compression, Decompressed, StreamLimits, open_decompressed
from signing.format.pkg.zstd_frames import MAX_WINDOW
from tests.support.pkg_archives import pack

KINDS = ["zstd", "xz", "bzip2", "gzip", "none"]
PACKED = KINDS[:4]
CONTENT = random.Random(7).randbytes(300_000) + b"the same again " * 40_000


def unpack(data: bytes, limits: StreamLimits | None = None, *, step: int = 1 << 16) -> bytes:
    stream = open_decompressed(io.BytesIO(data), limits)
    return b"".join(iter(lambda: stream.read(step), b""))


class Slow:
    """A source that gives one byte at a time, as a pipe may."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def read(self, count: int, /) -> bytes:
        return self._stream.read(min(count, 1))


@pytest.mark.parametrize("how", KINDS)
def test_every_packing_is_known_by_its_magic(how: str) -> None:
    stream = open_decompressed(io.BytesIO(pack(CONTENT, how)))
    assert stream.kind is Compression(how)
    assert b"".join(iter(lambda: stream.read(1000), b"")) == CONTENT
    assert stream.read(1) == b""


@pytest.mark.parametrize("how", KINDS)
def test_a_source_that_gives_single_bytes_is_read_too(how: str) -> None:
    stream = Decompressed(Slow(pack(CONTENT[:5000], how)), StreamLimits(), where="x")
    assert b"".join(iter(lambda: stream.read(64), b"")) == CONTENT[:5000]


@pytest.mark.parametrize("level", [1, 19])
@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("sized", [False, True])
def test_zstd_frames_of_all_shapes(level: int, checksum: bool, sized: bool) -> None:
    for content in (b"", b"a", CONTENT[:300], CONTENT):
        packer = zstandard.ZstdCompressor(level=level, write_checksum=checksum, write_content_size=sized)
        assert unpack(packer.compress(content)) == content
        pieces = packer.compressobj()
        assert unpack(pieces.compress(content) + pieces.flush()) == content


@pytest.mark.parametrize("how", PACKED)
def test_what_is_cut_off_anywhere_is_refused(how: str) -> None:
    data = pack(CONTENT[:2000], how)
    for end in [*range(6, len(data), 97), len(data) - 1]:
        with pytest.raises(FormatError):
            unpack(data[:end])


@pytest.mark.parametrize("how", PACKED)
@pytest.mark.parametrize("behind", [b"x", b"\0", bytes(512)], ids=["byte", "zero", "block"])
def test_what_stands_behind_the_stream_is_refused(how: str, behind: bytes) -> None:
    with pytest.raises(FormatError, match="behind"):
        unpack(pack(CONTENT, how) + behind)


@pytest.mark.parametrize("how", PACKED)
@pytest.mark.parametrize("second", PACKED)
def test_a_second_stream_is_refused(how: str, second: str) -> None:
    with pytest.raises(FormatError, match="behind"):
        unpack(pack(b"one", how) + pack(b"two", second))


def test_skippable_frames_and_dictionaries_are_refused() -> None:
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"hide"
    with pytest.raises(FormatError):
        unpack(pack(b"x") + skippable)
    dictionary = zstandard.ZstdCompressionDict(b"some words that come again and again " * 20)
    with pytest.raises(FormatError, match="dictionary"):
        unpack(
            zstandard.ZstdCompressor(
                dict_data=zstandard.train_dictionary(
                    1024, [f"sample {n} of something {n * 7}".encode() * 20 for n in range(200)]
                )
            ).compress(b"sample of something")
        )
    assert dictionary is not None


def test_a_window_that_needs_gigabytes_is_refused_before_anything_is_unpacked() -> None:
    huge = b"\x28\xb5\x2f\xfd\x00" + bytes([(28 - 10) << 3]) + b"\x01\x00\x00"
    with pytest.raises(FormatError, match="memory"):
        unpack(huge)
    assert MAX_WINDOW == 1 << 27


@pytest.mark.parametrize("how", PACKED)
def test_damage_is_our_error(how: str) -> None:
    data = bytearray(pack(CONTENT, how))
    for place in range(10, len(data), len(data) // 40):
        damaged = bytes(data[:place]) + bytes([data[place] ^ 0xFF]) + bytes(data[place + 1 :])
        try:
            assert unpack(damaged) != CONTENT or how == "zstd"  # zstd has no checksum unless asked for one
        except FormatError:
            continue


@pytest.mark.parametrize("how", KINDS)
def test_no_more_than_the_limit_is_unpacked(how: str) -> None:
    assert unpack(pack(bytes(5000), how), StreamLimits(max_bytes=5000)) == bytes(5000)
    with pytest.raises(FormatError, match="bomb"):
        unpack(pack(bytes(5001), how), StreamLimits(max_bytes=5000))


def test_a_small_piece_never_becomes_a_large_one() -> None:
    """Megabytes in two kilobytes: what is made at a time stays at a block, and the ratio ends it."""
    data = pack(bytes(64 << 20))
    stream = open_decompressed(io.BytesIO(data), StreamLimits(free_bytes=1 << 20, max_ratio=100))
    made = 0
    with pytest.raises(FormatError, match="bomb"):  # noqa: PT012
        while piece := stream.read(1 << 30):
            assert len(piece) <= 1 << 17
            made += len(piece)
    assert made <= (1 << 20) + 100 * len(data)
