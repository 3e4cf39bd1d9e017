"""Ed25519 public keys as pkg writes them: a point of the same curve in short Weierstrass form (reference/freebsd-pkg §3).

    SEQUENCE { UTF8 "pkg", INTEGER 1, UTF8 "ecc", UTF8 "WEI25519", BOOLEAN true, BIT STRING 00 04 x(32) y(32) }

All modulo p. From Ed25519: decompress (x, y), then u = (1 + y) / (1 - y), v = r * u / x with r = sqrt(-486664), and the
point is (u + A/3, v). Back: y = (u - 1) / (u + 1) and x = r * u / v. Of the two square roots libecc, and so pkg, takes
the odd one, which leads from one curve's generator to the other's; with the even one the key would be its own negative,
and no signature would verify.

A point of small order is no key: whoever knows no secret at all can sign for it. Public values only: nothing here has to
hide its time.
"""

from typing import Final

from repo_server.pkgrepo.der import BIT_STRING, BOOLEAN, SEQUENCE, UTF8, der, der_integer
from signing.errors import FormatError

CURVE: Final = b"WEI25519"
_P: Final = 2**255 - 19
_A: Final = 486662
_A_THIRD: Final = _A * pow(3, -1, _P) % _P
_D: Final = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE: Final = pow(2, (_P - 1) // 4, _P)
_BYTES: Final = 32
_POINT_BYTES: Final = 2 + 2 * _BYTES


def wei25519_certificate(public: bytes) -> bytes:
    """Return the certificate of the Ed25519 key with the 32 public bytes ``public``.

    Raises:
        FormatError: these are not a point of the curve, or one that is no key.
    """
    x, y = _decompress(public)
    _check_order(x, y, where="key")
    u = (1 + y) * pow(1 - y, -1, _P) % _P
    v = _ROOT_OF_TWIST * u * pow(x, -1, _P) % _P
    wei_x = (u + _A_THIRD) % _P
    point = b"\x00\x04" + wei_x.to_bytes(_BYTES, "big") + v.to_bytes(_BYTES, "big")
    return der(
        SEQUENCE,
        der(UTF8, b"pkg"),
        der_integer(1),
        der(UTF8, b"ecc"),
        der(UTF8, CURVE),
        der(BOOLEAN, b"\xff"),
        der(BIT_STRING, point),
    )


def ed25519_of_point(point: bytes, *, where: str = "certificate") -> bytes:
    """Return the 32 bytes of the Ed25519 key whose certificate holds ``point`` (with the two bytes before it).

    Raises:
        FormatError: not a point of the curve, or one of small order.
    """
    if len(point) != _POINT_BYTES:
        raise FormatError("is not an Ed25519 key of pkg", where=where)
    wei_x = int.from_bytes(point[2 : 2 + _BYTES], "big")
    v = int.from_bytes(point[2 + _BYTES :], "big")
    u = (wei_x - _A_THIRD) % _P
    if max(wei_x, v) >= _P or v == 0 or (u + 1) % _P == 0 or (v * v - u * (u * u + _A * u + 1)) % _P:
        raise FormatError("is not a point of the curve", where=where)
    y = (u - 1) * pow(u + 1, -1, _P) % _P
    x = _ROOT_OF_TWIST * u * pow(v, -1, _P) % _P
    _check_order(x, y, where=where)
    return (y | (x & 1) << 255).to_bytes(_BYTES, "little")


def _check_order(x: int, y: int, *, where: str) -> None:
    """Return None when eight times the point is not the neutral one; those that are have an order of 1, 2, 4 or 8."""
    for _ in range(3):
        product = _D * x * x * y * y % _P
        x, y = (
            2 * x * y * pow(1 + product, -1, _P) % _P,
            (y * y + x * x) * pow(1 - product, -1, _P) % _P,
        )
    if (x, y) == (0, 1):
        raise FormatError("is a point of small order: anybody could sign for it", where=where)


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


def _odd(number: int) -> int:
    return number if number % 2 else _P - number


_ROOT_OF_TWIST: Final = _odd(_root(-(_A + 2)))
