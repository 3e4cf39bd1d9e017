"""As much DER as a sealed key and a certificate of pkg need; writing only, no IO."""

from typing import Final

INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTETS: Final = 0x04
OBJECT: Final = 0x06
UTF8: Final = 0x0C
SEQUENCE: Final = 0x30
BOOLEAN: Final = 0x01

_SHORT: Final = 0x80


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
