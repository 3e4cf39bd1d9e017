"""Who a Sigstore signing certificate was issued to.

Extensions of Fulcio (docs/oid-info.md of that project), all below 1.3.6.1.4.1.57264.1: ``.1`` the issuer as raw
bytes, ``.8`` the issuer as a DER string, ``.12`` the address of the source repository, ``.7`` the type of a name
that is neither an e-mail address nor an address.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from signing.errors import FormatError, VerificationError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

# Public instances give ten minutes. A certificate that lives for a year is a key that can be stolen for a year.
MAX_LIFE: Final = timedelta(days=1)
MAX_LENGTH: Final = 1_000
_FULCIO: Final = "1.3.6.1.4.1.57264.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedSigner:
    """The one identity, as the one issuer knows it. An identity without issuer is anybody's: both are needed."""

    identity: str
    issuer: str

    def __post_init__(self) -> None:
        if not self.identity or not self.issuer:
            raise FormatError("needs an identity and an issuer", where="expected signer")


class Anybody:
    """Whomever the authority vouches for: to record who that was, never to decide by."""


ANYBODY: Final = Anybody()


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedIdentity:
    """What a certificate says of its holder; ``source_repository`` is empty when it does not say."""

    identity: str
    issuer: str
    source_repository: str


def read_identity(certificate: "Certificate") -> CertifiedIdentity:
    """Return who ``certificate`` was issued to, when that is exactly one name of one issuer.

    Raises:
        VerificationError: it is not, or the certificate lives for longer than `MAX_LIFE`.
    """
    if certificate.not_valid_after_utc - certificate.not_valid_before_utc > MAX_LIFE:
        raise VerificationError("the signing certificate is valid for longer than a day", where="evidence")
    names = _names(certificate)
    issuers = {text for text in (_raw(certificate, "1"), _der(certificate, "8")) if text is not None}
    if len(names) != 1 or len(issuers) != 1:
        raise VerificationError(
            f"the signing certificate names {len(names)} identities and {len(issuers)} issuers, not one of each",
            where="evidence",
        )
    found = CertifiedIdentity(
        identity=names[0], issuer=issuers.pop(), source_repository=_der(certificate, "12") or ""
    )
    if not all(0 < len(text) <= MAX_LENGTH for text in (found.identity, found.issuer)):
        raise VerificationError(
            "the signing certificate names an empty or endless identity", where="evidence"
        )
    return found


def _names(certificate: "Certificate") -> list[str]:
    from cryptography import x509  # noqa: PLC0415 - sigstore and what it stands on are loaded by those who ask
    from cryptography.hazmat import asn1  # noqa: PLC0415

    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    names = []
    for name in san:
        if isinstance(name, x509.RFC822Name | x509.UniformResourceIdentifier):
            names.append(name.value)
        elif isinstance(name, x509.OtherName) and name.type_id.dotted_string == f"{_FULCIO}.7":
            names.append(asn1.decode_der(str, name.value))
        else:
            raise VerificationError(
                "the signing certificate names something else than an identity", where="evidence"
            )
    return names


def _extension(certificate: "Certificate", number: str) -> bytes | None:
    from cryptography import x509  # noqa: PLC0415

    wanted = x509.ObjectIdentifier(f"{_FULCIO}.{number}")
    try:
        value = certificate.extensions.get_extension_for_oid(wanted).value
    except x509.ExtensionNotFound:
        return None
    return value.value if isinstance(value, x509.UnrecognizedExtension) else None


def _raw(certificate: "Certificate", number: str) -> str | None:
    data = _extension(certificate, number)
    return data.decode("utf-8") if data is not None else None


def _der(certificate: "Certificate", number: str) -> str | None:
    from cryptography.hazmat import asn1  # noqa: PLC0415

    data = _extension(certificate, number)
    return asn1.decode_der(str, data) if data is not None else None
