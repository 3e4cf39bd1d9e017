"""As much DER as pkg's signatures and public keys need; reading only, no IO.

    30 len …    SEQUENCE, of elements read by `elements`
    02 len …    INTEGER, positive and in its shortest form

DER has one spelling of everything. Longer lengths than needed, indefinite ones and bytes behind the end are refused.
"""

from typing import Final

from repo_server.pkgrepo.der import INTEGER, SEQUENCE
from signing.errors import FormatError

_SHORT: Final = 0x80
_MAX_LENGTH_BYTES: Final = 3


def sequence(data: bytes, *, where: str) -> list[tuple[int, bytes]]:
    """Return the elements of ``data``, which is one SEQUENCE and nothing else: tags and contents.

    Raises:
        FormatError: it is not.
    """
    found = elements(data, where=where)
    if len(found) != 1 or found[0][0] != SEQUENCE:
        raise FormatError("not a DER sequence", where=where)
    return elements(found[0][1], where=where)


def elements(data: bytes, *, where: str) -> list[tuple[int, bytes]]:
    """Return the elements that stand one after the other in ``data``: tags and contents.

    Raises:
        FormatError: not DER.
    """
    found = []
    at = 0
    while at < len(data):
        tag, length, start = _head(data, at, where)
        if start + length > len(data):
            raise FormatError("DER ends too early", where=where)
        found.append((tag, data[start : start + length]))
        at = start + length
    return found


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


def _head(data: bytes, at: int, where: str) -> tuple[int, int, int]:
    if at + 2 > len(data):
        raise FormatError("DER ends too early", where=where)
    tag, length, start = data[at], data[at + 1], at + 2
    if length >= _SHORT:
        count = length - _SHORT
        raw = data[start : start + count]
        if not 1 <= count <= _MAX_LENGTH_BYTES or len(raw) != count or raw[0] == 0:
            raise FormatError("not DER", where=where)
        length, start = int.from_bytes(raw, "big"), start + count
        if length < _SHORT:
            raise FormatError("not DER: a longer form than needed", where=where)
    return tag, length, start
