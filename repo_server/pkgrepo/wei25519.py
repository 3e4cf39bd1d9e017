"""Ed25519 public keys as pkg writes them: a point of the same curve in short Weierstrass form (reference/freebsd-pkg §3).

    SEQUENCE { UTF8 "pkg", INTEGER 1, UTF8 "ecc", UTF8 "WEI25519", BOOLEAN true, BIT STRING 00 04 x(32) y(32) }

The way there, all modulo p: decompress (x, y) of Ed25519, then u = (1 + y) / (1 - y), v = sqrt(-486664) * u / x, and
the point is (u + A/3, v). Of the two square roots libecc, and so pkg, takes the even one; with the other the key
would be its own negative, and no signature would verify. Public values only: nothing here has to hide its time.
"""

from typing import Final

from repo_server.pkgrepo.der import BIT_STRING, BOOLEAN, SEQUENCE, UTF8, der, der_integer
from signing.errors import FormatError

_P: Final = 2**255 - 19
_A: Final = 486662
_D: Final = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE: Final = pow(2, (_P - 1) // 4, _P)
_BYTES: Final = 32


def wei25519_certificate(public: bytes) -> bytes:
    """Return the certificate of the Ed25519 key with the 32 public bytes ``public``.

    Raises:
        FormatError: these are not a point of the curve, or one that has no such form.
    """
    x, y = _decompress(public)
    if x == 0:
        raise FormatError("not a usable Ed25519 key", where="key")
    root = _root(-(_A + 2))
    root = root if root % 2 == 0 else _P - root
    u = (1 + y) * pow(1 - y, -1, _P) % _P
    v = root * u * pow(x, -1, _P) % _P
    wei_x = (u + _A * pow(3, -1, _P)) % _P
    point = b"\x00\x04" + wei_x.to_bytes(_BYTES, "big") + v.to_bytes(_BYTES, "big")
    return der(
        SEQUENCE,
        der(UTF8, b"pkg"),
        der_integer(1),
        der(UTF8, b"ecc"),
        der(UTF8, b"WEI25519"),
        der(BOOLEAN, b"\xff"),
        der(BIT_STRING, point),
    )


def _decompress(public: bytes) -> tuple[int, int]:
    if len(public) != _BYTES:
        raise FormatError("an Ed25519 key has 32 bytes", where="key")
    number = int.from_bytes(public, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= _P:
        raise FormatError("not a point of the curve", where="key")
    x = _root((y * y - 1) * pow(_D * y * y + 1, -1, _P))
    return (_P - x if x % 2 != sign else x) % _P, y


def _root(square: int) -> int:
    """Return a square root of ``square`` modulo p.

    Raises:
        FormatError: there is none.
    """
    square %= _P
    root = pow(square, (_P + 3) // 8, _P)
    if root * root % _P != square:
        root = root * _ROOT_OF_MINUS_ONE % _P
    if root * root % _P != square:
        raise FormatError("not a point of the curve", where="key")
    return root
