"""The public keys of pkg: of three kinds, in the forms that pkg and openssl write them (reference/freebsd-pkg §3).

    rsa      PEM, or DER SubjectPublicKeyInfo
    ecdsa    DER SubjectPublicKeyInfo (or PEM), or pkg's own: SEQUENCE { "pkg", 1, "ecc", curve, true, point }
    eddsa    pkg's own, with the point of Ed25519 in short Weierstrass form (WEI25519)

`check` raises unless a signature fits. The libraries that know the mathematics are loaded when a signature is checked.
"""

from typing import TYPE_CHECKING, Final

from repo_server.pkgrepo.certificates import KeyKind
from repo_server.pkgrepo.der import BIT_STRING, BOOLEAN, UTF8
from repo_server.pkgrepo.der_reading import sequence, unsigned
from signing.errors import BadSignatureError, FormatError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurve, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 16384
_P: Final = 2**255 - 19
_A: Final = 486662
_D: Final = -121665 * pow(121666, -1, _P) % _P
_HALF: Final = 32
_POINT: Final = 2 + 2 * _HALF
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


def check(kind: KeyKind, key: bytes, signature: bytes, message: bytes, *, where: str) -> None:
    """Return None when ``signature`` is that of ``key`` over ``message``.

    Raises:
        BadSignatureError: it is not.
        FormatError: the key or the signature is not in its form.
    """
    match kind:
        case KeyKind.RSA:
            _check_rsa(key, signature, message, where)
        case KeyKind.ECDSA:
            _check_ecdsa(key, signature, message, where)
        case KeyKind.EDDSA:
            _check_eddsa(key, signature, message, where)


def rsa_bytes(key: bytes, *, where: str) -> int:
    """Return how many bytes a signature by the RSA key has.

    Raises:
        FormatError: not an RSA key, or one too short to mean anything.
    """
    return _rsa_key(key, where).key_size // 8


def ed25519_of_wei25519(certificate: bytes, *, where: str = "certificate") -> tuple[bytes, bytes]:
    """Return the two Ed25519 public keys that a WEI25519 ``certificate`` may stand for; they are each other's negative.

    With u = x - A/3 and v = y, modulo p: ed_y = (u - 1) / (u + 1) and ed_x = sqrt(-486664) * u / v. The root has two
    signs. Whoever knows the private key of one knows that of the other, so that accepting both adds nobody.

    Raises:
        FormatError: not such a certificate, or not a point of the curve.
    """
    curve, point = _pkg_container(certificate, where)
    if curve != b"WEI25519" or len(point) != _POINT:
        raise FormatError("is not an Ed25519 key of pkg", where=where)
    x = int.from_bytes(point[2 : 2 + _HALF], "big")
    v = int.from_bytes(point[2 + _HALF :], "big")
    u = (x - _A * pow(3, -1, _P)) % _P
    if max(x, v) >= _P or v == 0 or (u + 1) % _P == 0 or (v * v - u * (u * u + _A * u + 1)) % _P:
        raise FormatError("is not a point of the curve", where=where)
    ed_y = (u - 1) * pow(u + 1, -1, _P) % _P
    ed_x = _ROOT * u * pow(v, -1, _P) % _P
    if (ed_y * ed_y - ed_x * ed_x - 1 - _D * ed_x * ed_x * ed_y * ed_y) % _P:
        raise FormatError("is not a point of the curve", where=where)
    keys = [ed_y | (sign << 255) for sign in (ed_x & 1, 1 - (ed_x & 1))]
    return keys[0].to_bytes(_HALF, "little"), keys[1].to_bytes(_HALF, "little")


def _check_rsa(key: bytes, signature: bytes, message: bytes, where: str) -> None:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    try:
        _rsa_key(key, where).verify(signature, message, PKCS1v15(), SHA256())
    except InvalidSignature as error:
        raise BadSignatureError("the signature does not fit", where=where) from error


def _rsa_key(key: bytes, where: str) -> "RSAPublicKey":
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415

    loaded = _spki(key, where)
    if not isinstance(loaded, RSAPublicKey):
        raise FormatError("is not an RSA key", where=where)
    if not MIN_RSA_BITS <= loaded.key_size <= MAX_RSA_BITS:
        raise FormatError(f"is an RSA key of {loaded.key_size} bits, not {MIN_RSA_BITS} or more", where=where)
    return loaded


def _check_ecdsa(key: bytes, signature: bytes, message: bytes, where: str) -> None:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    loaded = _container_ec_key(key, where) if b"\x0c\x03pkg" in key[:8] else _spki(key, where)
    if not isinstance(loaded, EllipticCurvePublicKey):
        raise FormatError("is not an ECDSA key", where=where)
    try:
        loaded.verify(signature, message, ECDSA(SHA256()))
    except InvalidSignature as error:
        raise BadSignatureError("the signature does not fit", where=where) from error


def _container_ec_key(key: bytes, where: str) -> "EllipticCurvePublicKey":
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    name, point = _pkg_container(key, where)
    if name not in _CURVES:
        raise FormatError(f"is a key on the curve {name[:20]!a}, which we do not know", where=where)
    curve: EllipticCurve = getattr(ec, _CURVES[name])()
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, point[1:])
    except ValueError as error:
        raise FormatError("is not a point of its curve", where=where) from error


def _check_eddsa(key: bytes, signature: bytes, message: bytes, where: str) -> None:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    halves = [unsigned(element, where=where) for element in sequence(signature, where=where)]
    if len(halves) != 2 or any(half >> (8 * _HALF) for half in halves):  # noqa: PLR2004 - R and S
        raise FormatError("is not an Ed25519 signature of pkg", where=where)
    raw = b"".join(half.to_bytes(_HALF, "big") for half in halves)
    for public in ed25519_of_wei25519(key, where=where):
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(raw, message)
        except (InvalidSignature, ValueError):
            continue
        return
    raise BadSignatureError("the signature does not fit", where=where)


def _pkg_container(key: bytes, where: str) -> tuple[bytes, bytes]:
    """Return curve and point (with the two bytes before it) of a public key in pkg's own form."""
    found = sequence(key, where=where)
    if [tag for tag, _ in found] != [UTF8, 0x02, UTF8, UTF8, BOOLEAN, BIT_STRING]:
        raise FormatError("is not a key that pkg writes", where=where)
    application, version, signer, curve, public, point = (content for _, content in found)
    if (application, version, signer) != (b"pkg", b"\x01", b"ecc") or public != b"\xff":
        raise FormatError("is not a public key that pkg writes", where=where)
    if not point.startswith(b"\x00\x04"):
        raise FormatError("is not an uncompressed point", where=where)
    return curve, point


def _spki(key: bytes, where: str) -> object:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key  # noqa: PLC0415

    load = load_pem_public_key if key.startswith(b"-----BEGIN ") else load_der_public_key
    try:
        return load(key)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise FormatError("is not a public key", where=where) from error


def _root_of_minus_486664() -> int:
    square = -(_A + 2) % _P
    root = pow(square, (_P + 3) // 8, _P)
    return root if root * root % _P == square else root * pow(2, (_P - 1) // 4, _P) % _P


_ROOT: Final = _root_of_minus_486664()
