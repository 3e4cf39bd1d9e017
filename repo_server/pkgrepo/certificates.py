"""Certificates for pkg: the public half of a key as clients see it, and its fingerprint (reference/freebsd-pkg §3).

    rsa     PEM, "-----BEGIN PUBLIC KEY-----", newline at the end included
    ecdsa   $PKGSIGN:ecdsa$ and the DER SubjectPublicKeyInfo
    eddsa   $PKGSIGN:eddsa$ and pkg's own DER, see `repo_server.pkgrepo.wei25519`

The fingerprint, which a client finds in its ``trusted/``, is the sha256 of the certificate without that header.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias, final

from signing.errors import FormatError, KeyAccessError
from signing.format.digest import Sha256, sha256_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192
MAX_CERTIFICATE: Final = 32 << 10


class KeyKind(StrEnum):
    """The kinds of signature that pkg knows, by the names that it uses."""

    RSA = "rsa"
    ECDSA = "ecdsa"
    EDDSA = "eddsa"

    @property
    def header(self) -> bytes:
        """What stands before signatures and certificates of this kind in a catalogue."""
        return b"" if self is KeyKind.RSA else f"$PKGSIGN:{self.value}$".encode()


@final
class Certificate:
    """The public half of a key, and how its signatures are checked."""

    def __init__(self, public: "PublicKey") -> None:
        self.public: Final = public
        self.kind, self.data = _certificate_of(public)

    @property
    def fingerprint(self) -> Sha256:
        """The sha256 of the certificate."""
        return sha256_of(self.data)

    @property
    def member(self) -> bytes:
        """The certificate as a member ``X.pub`` of a catalogue, and as a file."""
        return self.kind.header + self.data

    @classmethod
    def parse(cls, data: bytes, *, where: str = "certificate") -> "Certificate":
        """Return the certificate in a file: RSA and ECDSA only, for these alone are kept outside our key files.

        Raises:
            FormatError: something else, or RSA of fewer than 2048 or more than 8192 bits.
        """
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - curators need no cryptography
        from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
            load_der_public_key,
            load_pem_public_key,
        )

        if len(data) > MAX_CERTIFICATE:
            raise FormatError("larger than a certificate is", where=where)
        try:
            if data.startswith(KeyKind.ECDSA.header):
                public = load_der_public_key(data.removeprefix(KeyKind.ECDSA.header))
            else:
                public = load_pem_public_key(data)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise FormatError(
                "not a certificate for pkg (PEM, or $PKGSIGN:ecdsa$ and DER)", where=where
            ) from error
        if not isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            raise FormatError("not an RSA or ECDSA key", where=where)
        certificate = cls(public)
        if isinstance(public, rsa.RSAPublicKey) and certificate.member != data:
            # Another spelling of the key is another fingerprint; the one that clients see is written by pkg.
            raise FormatError("not the PEM of the key as pkg writes it", where=where)
        return certificate

    def check(self, signature: bytes, digest: Sha256) -> None:
        """Return None when ``signature`` is one over ``digest`` by this key.

        Raises:
            KeyAccessError: it is not; what signed it is broken, or holds another key.
        """
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415

        try:
            _verify(self.public, signature, digest.encode())
        except (InvalidSignature, ValueError) as error:
            raise KeyAccessError(
                f"the {self.kind} key {self.fingerprint[:16]}… made a signature that does not verify; it is not used",
                hint="whoever signs holds another key than the certificate names, or is damaged",
            ) from error


def split_certificate(member: bytes) -> tuple[KeyKind, bytes]:
    """Return the kind of a certificate member and the bytes that its fingerprint is made of.

    Raises:
        FormatError: not a certificate in one of the three forms.
    """
    for kind in (KeyKind.ECDSA, KeyKind.EDDSA):
        if member.startswith(kind.header):
            return kind, member.removeprefix(kind.header)
    if not member.startswith(b"-----BEGIN PUBLIC KEY-----\n"):
        raise FormatError("not a certificate for pkg", where="certificate")
    return KeyKind.RSA, member


def _certificate_of(public: "PublicKey") -> tuple[KeyKind, bytes]:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    from repo_server.pkgrepo.wei25519 import wei25519_certificate  # noqa: PLC0415

    if isinstance(public, rsa.RSAPublicKey):
        if not MIN_RSA_BITS <= public.key_size <= MAX_RSA_BITS:
            raise FormatError(
                f"RSA of {public.key_size} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are used", where="key"
            )
        return KeyKind.RSA, public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if isinstance(public, ec.EllipticCurvePublicKey):
        return KeyKind.ECDSA, public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return KeyKind.EDDSA, wei25519_certificate(public.public_bytes(Encoding.Raw, PublicFormat.Raw))


def _verify(public: "PublicKey", signature: bytes, message: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    if isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, message, padding.PKCS1v15(), SHA256())
    elif isinstance(public, ec.EllipticCurvePublicKey):
        public.verify(signature, message, ec.ECDSA(SHA256()))
    else:
        first, second = utils.decode_dss_signature(signature)
        public.verify(first.to_bytes(32, "big") + second.to_bytes(32, "big"), message)
