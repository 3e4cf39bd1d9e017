"""Certificates for pkg: the public half of a key of ours as clients see it, and its fingerprint (reference/freebsd-pkg §3).

    rsa     PEM, "-----BEGIN PUBLIC KEY-----", newline at the end included
    ecdsa   $PKGSIGN:ecdsa$ and the DER SubjectPublicKeyInfo
    eddsa   $PKGSIGN:eddsa$ and pkg's own DER, see `repo_server.pkgrepo.wei25519`

The fingerprint, which a client finds in its ``trusted/``, is the sha256 of the certificate without that header. What can
be a key at all, and what a signature of it is, stands in `repo_server.pkgrepo.public_keys`.
"""

from typing import TYPE_CHECKING, Final, final

from repo_server.pkgrepo.public_keys import (
    MAX_KEY_BYTES,
    KeyKind,
    check_signature_by,
    check_strength,
    load_public_key,
    split_header,
)
from signing.errors import BadSignatureError, FormatError, KeyAccessError
from signing.format.digest import Sha256, sha256_of

if TYPE_CHECKING:
    from repo_server.pkgrepo.public_keys import PublicKey

_PEM: Final = b"-----BEGIN PUBLIC KEY-----\n"


@final
class Certificate:
    """The public half of a key, and how its signatures are checked."""

    def __init__(self, public: "PublicKey") -> None:
        """Take ``public``.

        Raises:
            FormatError: it is so weak that it means nothing.
        """
        check_strength(public, where="key")
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
            FormatError: something else, another spelling than pkg's, or a key that means nothing.
        """
        from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415 - curators need no cryptography
        from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

        try:
            kind, rest = split_header(data, where=where)
            if kind is not KeyKind.RSA:
                public: object = load_public_key(kind, rest, where=where)
            else:
                public = load_pem_public_key(data) if len(data) <= MAX_KEY_BYTES else None
        except (BadSignatureError, FormatError, ValueError) as error:
            raise FormatError(
                "not a certificate for pkg (PEM, or $PKGSIGN:ecdsa$ and DER)", where=where
            ) from error
        if not isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            raise FormatError("not an RSA or ECDSA key", where=where)
        certificate = cls(public)
        if kind is certificate.kind and certificate.member != data:
            # Another spelling of the key is another fingerprint; the one that clients see is written by pkg.
            raise FormatError("not the key as pkg writes it", where=where)
        return certificate

    def check(self, signature: bytes, digest: Sha256) -> None:
        """Return None when ``signature`` is one over ``digest`` by this key.

        Raises:
            KeyAccessError: it is not; what signed it is broken, or holds another key.
        """
        try:
            check_signature_by(self.public, signature, digest.encode(), where="signature")
        except (BadSignatureError, FormatError) as error:
            raise KeyAccessError(
                f"the {self.kind} key {self.fingerprint[:16]}… made a signature that does not verify; it is not used",
                hint="whoever signs holds another key than the certificate names, or is damaged",
            ) from error


def split_certificate(member: bytes, *, where: str = "certificate") -> tuple[KeyKind, bytes]:
    """Return the kind of a certificate member and the bytes that its fingerprint is made of.

    Raises:
        FormatError: not a certificate in one of the three forms, or a key that means nothing.
    """
    try:
        kind, data = split_header(member, where=where)
    except BadSignatureError as error:
        raise FormatError("not a certificate for pkg", where=where) from error
    if kind is KeyKind.RSA and not data.startswith(_PEM):
        raise FormatError("not a certificate for pkg", where=where)
    load_public_key(kind, data, where=where)
    return kind, data


def _certificate_of(public: "PublicKey") -> tuple[KeyKind, bytes]:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    from repo_server.pkgrepo.wei25519 import wei25519_certificate  # noqa: PLC0415

    if isinstance(public, rsa.RSAPublicKey):
        return KeyKind.RSA, public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if isinstance(public, ec.EllipticCurvePublicKey):
        return KeyKind.ECDSA, public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return KeyKind.EDDSA, wei25519_certificate(public.public_bytes(Encoding.Raw, PublicFormat.Raw))
