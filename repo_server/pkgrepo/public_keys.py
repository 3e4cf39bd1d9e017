"""The public keys of pkg and what they sign: three kinds, read as pkg and openssl write them (reference/freebsd-pkg §3).

    rsa      PEM, or DER SubjectPublicKeyInfo
    ecdsa    DER SubjectPublicKeyInfo (or PEM), or pkg's own: SEQUENCE { "pkg", 1, "ecc", curve, true, point }
    eddsa    pkg's own, with the point of Ed25519 in short Weierstrass form (`repo_server.pkgrepo.wei25519`)

    $PKGSIGN:ecdsa$…    before a signature or a key in a catalogue: of which kind it is; without it, RSA

    kind, data = split_header(member, where=…)
    check_signature_by(load_public_key(kind, data, where=…), signature, message, where=…)

A key that anybody could sign for is no key, whoever trusts it: short RSA, an exponent of 1, small curves, points of small
order. The libraries that know the mathematics are loaded when a key is.
"""

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

from repo_server.pkgrepo.der import BIT_STRING, BOOLEAN, INTEGER, UTF8, sequence, unsigned
from repo_server.pkgrepo.wei25519 import CURVE as WEI25519
from repo_server.pkgrepo.wei25519 import ed25519_of_point
from signing.errors import BadSignatureError, FormatError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 16384
MAX_KEY_BYTES: Final = 32 << 10
_MAX_EXPONENT_BITS: Final = 64  # more is no safer, and each signature would cost seconds
_HALF: Final = 32
_HEADER: Final = re.compile(rb"\$PKGSIGN:([a-z0-9]{1,16})\$", re.ASCII)
# As pkg calls them; its SECP512R1 is the curve secp521r1.
_CURVES: Final = {
    b"SECP256K1": "SECP256K1",
    b"SECP256R1": "SECP256R1",
    b"SECP384R1": "SECP384R1",
    b"SECP512R1": "SECP521R1",
    b"SECP521R1": "SECP521R1",
    b"BRAINPOOLP256R1": "BrainpoolP256R1",
    b"BRAINPOOLP384R1": "BrainpoolP384R1",
    b"BRAINPOOLP512R1": "BrainpoolP512R1",
}
_CURVE_NAMES: Final = frozenset(name.lower() for name in _CURVES.values())


class KeyKind(StrEnum):
    """The kinds of signature that pkg knows, by the names that it uses."""

    RSA = "rsa"
    ECDSA = "ecdsa"
    EDDSA = "eddsa"

    @property
    def header(self) -> bytes:
        """What stands before signatures and keys of this kind in a catalogue."""
        return b"" if self is KeyKind.RSA else f"$PKGSIGN:{self.value}$".encode()


def split_header(member: bytes, *, where: str) -> tuple[KeyKind, bytes]:
    """Return of which kind a signature or a key in a catalogue is, and its bytes without the header.

    Raises:
        BadSignatureError: it is of a kind that nobody knows.
    """
    match = _HEADER.match(member)
    if match is None:
        if member.startswith(b"$PKGSIGN"):
            raise BadSignatureError("begins like a signature of pkg, and is none", where=where)
        return KeyKind.RSA, member
    name = match[1].decode()
    if name not in set(KeyKind):
        raise BadSignatureError(f"is a signature of the unknown kind {name}", where=where)
    return KeyKind(name), member[match.end() :]


def without_header(member: bytes) -> bytes:
    """Return ``member`` without its header, also one of a kind that nobody knows."""
    match = _HEADER.match(member)
    return member[match.end() :] if match is not None else member


def load_public_key(kind: KeyKind, data: bytes, *, where: str) -> "PublicKey":
    """Return the key written as ``data``.

    Raises:
        FormatError: it is not in a form of its kind, or so weak that it means nothing.
    """
    if len(data) > MAX_KEY_BYTES:
        raise FormatError("is larger than a public key is", where=where)
    match kind:
        case KeyKind.RSA:
            return _rsa_key(data, where)
        case KeyKind.ECDSA:
            return _ec_key(data, where)
        case KeyKind.EDDSA:
            return _ed25519_key(data, where)


def check_strength(key: "PublicKey", *, where: str) -> None:
    """Return None when nobody but its holder can sign for ``key``.

    Raises:
        FormatError: RSA that is too short or has an odd exponent, or a curve that pkg does not use.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415 - curators need no cryptography

    if isinstance(key, rsa.RSAPublicKey):
        if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            raise FormatError(
                f"is an RSA key of {key.key_size} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are used",
                where=where,
            )
        exponent = key.public_numbers().e
        if exponent < 3 or exponent % 2 == 0 or exponent.bit_length() > _MAX_EXPONENT_BITS:  # noqa: PLR2004
            raise FormatError(f"is an RSA key with the exponent {exponent:#x}"[:80], where=where)
    elif isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name.lower() not in _CURVE_NAMES:
        raise FormatError(f"is a key on the curve {key.curve.name}, which is not used", where=where)


def check_signature_by(key: "PublicKey", signature: bytes, message: bytes, *, where: str) -> None:
    """Return None when ``signature`` (without a header) is that of ``key`` over ``message``.

    Raises:
        BadSignatureError: it is not. FormatError: it is not in the form of its kind.
    """
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, message, padding.PKCS1v15(), SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(SHA256()))
        else:
            key.verify(_raw_ed25519(signature, where), message)
    except InvalidSignature as error:
        raise BadSignatureError("the signature does not fit", where=where) from error


def signature_bytes(key: "PublicKey") -> int | None:
    """Return how many bytes a signature by ``key`` has; None where they differ in length."""
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    return (key.key_size + 7) // 8 if isinstance(key, rsa.RSAPublicKey) else None


def _raw_ed25519(signature: bytes, where: str) -> bytes:
    """Return the 64 bytes of a signature that pkg writes as two numbers."""
    halves = [unsigned(element, where=where) for element in sequence(signature, where=where)]
    if len(halves) != 2 or any(half >> (8 * _HALF) for half in halves):  # noqa: PLR2004 - R and S
        raise FormatError("is not an Ed25519 signature of pkg", where=where)
    return b"".join(half.to_bytes(_HALF, "big") for half in halves)


def _rsa_key(data: bytes, where: str) -> "RSAPublicKey":
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415

    key = _spki(data, where)
    if not isinstance(key, RSAPublicKey):
        raise FormatError("is not an RSA key", where=where)
    check_strength(key, where=where)
    return key


def _ec_key(data: bytes, where: str) -> "EllipticCurvePublicKey":
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    if b"\x0c\x03pkg" not in data[:8]:
        key = _spki(data, where)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise FormatError("is not an ECDSA key", where=where)
        check_strength(key, where=where)
        return key
    name, point = _pkg_container(data, where)
    if name not in _CURVES:
        raise FormatError(f"is a key on the curve {name[:20]!a}, which we do not know", where=where)
    curve: ec.EllipticCurve = getattr(ec, _CURVES[name])()
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, point[1:])
    except ValueError as error:
        raise FormatError("is not a point of its curve", where=where) from error


def _ed25519_key(data: bytes, where: str) -> "Ed25519PublicKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    curve, point = _pkg_container(data, where)
    if curve != WEI25519:
        raise FormatError("is not an Ed25519 key of pkg", where=where)
    return Ed25519PublicKey.from_public_bytes(ed25519_of_point(point, where=where))


def _pkg_container(data: bytes, where: str) -> tuple[bytes, bytes]:
    """Return curve and point (with the two bytes before it) of a public key in pkg's own form."""
    found = sequence(data, where=where)
    if [tag for tag, _ in found] != [UTF8, INTEGER, UTF8, UTF8, BOOLEAN, BIT_STRING]:
        raise FormatError("is not a key that pkg writes", where=where)
    application, version, signer, curve, public, point = (content for _, content in found)
    if (application, version, signer) != (b"pkg", b"\x01", b"ecc") or public != b"\xff":
        raise FormatError("is not a public key that pkg writes", where=where)
    if not point.startswith(b"\x00\x04"):
        raise FormatError("is not an uncompressed point", where=where)
    return curve, point


def _spki(data: bytes, where: str) -> object:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key  # noqa: PLC0415

    load = load_pem_public_key if data.startswith(b"-----BEGIN ") else load_der_public_key
    try:
        return load(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise FormatError("is not a public key", where=where) from error
