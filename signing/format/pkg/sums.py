r"""Sums as pkg writes them: of packages in a catalogue, of files in a manifest (reference/freebsd-pkg §2.6).

    9f86d081…                64 hexadecimal digits    SHA-256; how packages are named up to pkg 2.7
    1$9f86d081…              typed: kind, ``$``, digest
    2$6uyuqndwtwtdq…         z-base-32 of BLAKE2b-512; how everything is named from pkg 2.8 on

    kind  0 sha256, z-base-32   1 sha256, hex   2 BLAKE2b-512, z-base-32   3 sha256, raw bytes
          4 BLAKE2b-512, raw    5 BLAKE2s-256, z-base-32                   6 BLAKE2s-256, raw

pkg's z-base-32 is its own: the bytes are one little-endian number, written five bits at a time from the low end.

    >>> zbase32(b"\x01")
    'by'

One digest has one spelling of each kind: capital letters, other lengths and surplus bits are refused.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from signing.errors import CouldNotVerifyError, FormatError
from signing.format.digest import Sha256

_ALPHABET: Final = "ybndrfg8ejkmcpqxot1uwisza345h769"
_ZBASE32: Final = re.compile(r"[ybndrfg8ejkmcpqxot1uwisza345h769]+", re.ASCII)
_AS_PYTHON: Final = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")
_BITS: Final = 5
_HEX: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_RAW_SIZE: Final = {"sha256": 32, "blake2b": 64, "blake2s": 32}


class SumKind(IntEnum):
    """Which digest, and how it is spelled; the numbers are pkg's."""

    SHA256_BASE32 = 0
    SHA256_HEX = 1
    BLAKE2_BASE32 = 2
    SHA256_RAW = 3
    BLAKE2_RAW = 4
    BLAKE2S_BASE32 = 5
    BLAKE2S_RAW = 6

    @property
    def algorithm(self) -> str:
        """The name of the digest as `hashlib` knows it."""
        if self in {SumKind.BLAKE2_BASE32, SumKind.BLAKE2_RAW}:
            return "blake2b"
        return "blake2s" if self in {SumKind.BLAKE2S_BASE32, SumKind.BLAKE2S_RAW} else "sha256"


_BASE32: Final = frozenset({SumKind.SHA256_BASE32, SumKind.BLAKE2_BASE32, SumKind.BLAKE2S_BASE32})


def zbase32(data: bytes) -> str:
    """Return ``data`` in pkg's z-base-32: ceil(8n/5) characters."""
    number, length = int.from_bytes(data, "little"), -(-8 * len(data) // _BITS)
    return "".join(_ALPHABET[number >> (_BITS * place) & 31] for place in range(length))


def parse_zbase32(text: str, size: int, *, where: str = "sum") -> bytes:
    """Return the ``size`` bytes that ``text`` spells.

    Raises:
        FormatError: another length, another alphabet, or bits beyond the last byte.
    """
    if len(text) != -(-8 * size // _BITS) or not _ZBASE32.fullmatch(text):
        raise FormatError(f"not the z-base-32 of {size} bytes", where=where)
    # The last character is the highest; int() knows its own alphabet for base 32, and is a hundred times faster.
    number = int(text[::-1].translate(_AS_PYTHON), 32)
    if number >> (8 * size):
        raise FormatError("not z-base-32: bits beyond the last byte", where=where)
    return number.to_bytes(size, "little")


def blake2_sum(digest: bytes) -> str:
    """Return the sum that pkg 2.8 writes for a BLAKE2b-512 ``digest``."""
    return f"{SumKind.BLAKE2_BASE32}${zbase32(digest)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """What some bytes hash to, in lower-case hexadecimal. ``blake2s`` is None when nobody asked for it."""

    sha256: Sha256
    blake2b: str
    blake2s: str | None = None

    @property
    def pkg_sum(self) -> str:
        """The sum that pkg 2.8 writes for these bytes."""
        return blake2_sum(bytes.fromhex(self.blake2b))


class Hasher:
    """All digests of a stream in one pass. BLAKE2s, which no pkg writes by default, is made on demand only."""

    def __init__(self, *, blake2s: bool = False) -> None:
        self._sha256, self._blake2b = hashlib.sha256(), hashlib.blake2b()
        self._blake2s = hashlib.blake2s() if blake2s else None

    @classmethod
    def of(cls, data: bytes, *, blake2s: bool = False) -> Digests:
        """Return the digests of ``data``."""
        hasher = cls(blake2s=blake2s)
        hasher.update(data)
        return hasher.digests()

    def update(self, piece: bytes) -> None:
        """Take the next bytes of the stream."""
        self._sha256.update(piece)
        self._blake2b.update(piece)
        if self._blake2s is not None:
            self._blake2s.update(piece)

    def digests(self) -> Digests:
        """Return the digests of all bytes so far."""
        return Digests(
            sha256=Sha256(self._sha256.hexdigest()),
            blake2b=self._blake2b.hexdigest(),
            blake2s=self._blake2s.hexdigest() if self._blake2s is not None else None,
        )


@dataclass(frozen=True, slots=True)
class Sum:
    """A digest and how it was spelled. ``typed`` is False for bare hexadecimal digits."""

    kind: SumKind
    value: bytes
    typed: bool = True

    @classmethod
    def parse(cls, text: object, *, where: str = "sum") -> Self:
        """Return the sum written as ``text``.

        A raw digest is hardly text; it is accepted when the UTF-8 of ``text`` is exactly its bytes.

        Raises:
            FormatError: no kind that pkg knows, or not the one spelling of a digest of that kind.
        """
        if not isinstance(text, str):
            raise FormatError("is not a string", where=where)
        if _HEX.fullmatch(text):
            return cls(SumKind.SHA256_HEX, bytes.fromhex(text), typed=False)
        number, dollar, digest = text[:1], text[1:2], text[2:]
        if dollar != "$" or number not in set("0123456"):
            raise FormatError("is not a sum that pkg writes", where=where)
        kind = SumKind(int(number))
        size = _RAW_SIZE[kind.algorithm]
        if kind in _BASE32:
            return cls(kind, parse_zbase32(digest, size, where=where))
        if kind is SumKind.SHA256_HEX:
            if not _HEX.fullmatch(digest):
                raise FormatError("is not 64 lower-case hexadecimal digits", where=where)
            return cls(kind, bytes.fromhex(digest))
        raw = digest.encode("utf-8", "surrogateescape")
        if len(raw) != size:
            raise FormatError(f"is not {size} raw bytes", where=where)
        return cls(kind, raw)

    def __str__(self) -> str:
        if self.kind in _BASE32:
            return f"{self.kind}${zbase32(self.value)}"
        if self.kind is SumKind.SHA256_HEX:
            return f"{self.kind}${self.value.hex()}" if self.typed else self.value.hex()
        return f"{self.kind}${self.value.decode('utf-8', 'surrogateescape')}"

    @property
    def needs_blake2s(self) -> bool:
        """Whether a `Hasher` must make BLAKE2s for this sum to be compared."""
        return self.kind.algorithm == "blake2s"

    def matches(self, digests: Digests) -> bool:
        """Return whether these are the digests of the bytes that the sum is of.

        Raises:
            CouldNotVerifyError: the digest of this kind was not made.
        """
        match self.kind.algorithm:
            case "sha256":
                found: str | None = digests.sha256
            case "blake2b":
                found = digests.blake2b
            case _:
                found = digests.blake2s
        if found is None:
            raise CouldNotVerifyError(f"no {self.kind.algorithm} digest was made", where="sum")
        return found == self.value.hex()
