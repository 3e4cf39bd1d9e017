"""As much DER as sealed keys, signatures and public keys of pkg need; no IO.

    der(SEQUENCE, der_integer(7), …)       writing
    sequence(data, where=…)                reading: one SEQUENCE and nothing else

DER has one spelling of everything. Longer lengths than needed, indefinite ones and bytes behind the end are refused; and
nothing that pkg signs has more than a few elements.
"""

from typing import Final

from signing.errors import FormatError

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTETS: Final = 0x04
OBJECT: Final = 0x06
UTF8: Final = 0x0C
SEQUENCE: Final = 0x30

_SHORT: Final = 0x80
_MAX_BYTES: Final = 1 << 16
_MAX_ELEMENTS: Final = 16


def der(tag: int, *parts: bytes) -> bytes:
    """Return the element ``tag`` that holds ``parts`` one after the other."""
    body = b"".join(parts)
    length = len(body)
    if length < _SHORT:
        return bytes([tag, length]) + body
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, _SHORT | len(size)]) + size + body


def der_integer(number: int) -> bytes:
    """Return a number that is not negative, in its shortest form."""
    return der(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def sequence(data: bytes, *, where: str) -> list[tuple[int, bytes]]:
    """Return the elements of ``data``, which is one SEQUENCE and nothing else: tags and contents.

    Raises:
        FormatError: it is not, or it is larger than any that pkg writes.
    """
    if len(data) > _MAX_BYTES:
        raise FormatError("more DER than pkg writes", where=where)
    found = _elements(data, where)
    if len(found) != 1 or found[0][0] != SEQUENCE:
        raise FormatError("not a DER sequence", where=where)
    return _elements(found[0][1], where)


def unsigned(element: tuple[int, bytes], *, where: str) -> int:
    """Return the number that an INTEGER holds.

    Raises:
        FormatError: no integer, a negative one, or one with zeros before it.
    """
    tag, content = element
    if tag != INTEGER or not content or content[0] & _SHORT:
        raise FormatError("not a positive number", where=where)
    if content[0] == 0 and len(content) > 1 and not content[1] & _SHORT:
        raise FormatError("a number in a longer form than needed", where=where)
    return int.from_bytes(content, "big")


def _elements(data: bytes, where: str) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        tag, length, start = _head(data, at, where)
        if start + length > len(data) or len(found) == _MAX_ELEMENTS:
            raise FormatError("DER ends too early, or holds too much", where=where)
        found.append((tag, data[start : start + length]))
        at = start + length
    return found


def _head(data: bytes, at: int, where: str) -> tuple[int, int, int]:
    if at + 2 > len(data):
        raise FormatError("DER ends too early", where=where)
    tag, length, start = data[at], data[at + 1], at + 2
    if length >= _SHORT:
        raw = data[start : start + length - _SHORT]
        if not 1 <= length - _SHORT == len(raw) or raw[0] == 0:
            raise FormatError("not DER", where=where)
        length, start = int.from_bytes(raw, "big"), start + len(raw)
        if length < _SHORT:
            raise FormatError("not DER: a longer form than needed", where=where)
    return tag, length, start
