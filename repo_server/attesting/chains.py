"""Signatures by a certificate whose chain ends at a root that we were given, without any transparency log.

Weaker than Sigstore's way: nobody outside sees such a signature being made, and nothing proves when it was. So
the certificates must be valid *now*; one that has expired can no longer be told from one whose key leaked since.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from repo_server.attesting.identity import MAX_LENGTH, CertifiedIdentity
from repo_server.attesting.material import Material
from repo_server.attesting.verifying import refusals
from signing.errors import CouldNotVerifyError, ExpiredError, VerificationError, WrongSubjectError
from signing.format.moment import render_moment
from signing.format.statement import PAYLOAD_TYPE

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_MAX_DEPTH: Final = 4


def verify_chain(material: Material, *, roots: bytes, now: datetime) -> CertifiedIdentity:
    """Return the holder of the certificate that signed the statement in ``material``.

    Args:
        material: evidence with certificates and a DSSE envelope.
        roots: the certificates of the authorities that we trust with this, as PEM.
        now: the present moment.

    Raises:
        ExpiredError: a certificate of the chain has ended.
        WrongSubjectError: not a statement.
        VerificationError: not verified; CouldNotVerifyError: it cannot be.
    """
    envelope = material.envelope
    if envelope is None or envelope.payload_type != PAYLOAD_TYPE:
        raise WrongSubjectError("is not a signed statement", where="evidence")
    with refusals():
        chain = _chain(material.certificates, roots, now)
        _check_signature(chain[0], envelope.signature, envelope.signed_bytes)
        identity, issuer = chain[0].subject.rfc4514_string(), chain[-1].subject.rfc4514_string()
    if not 0 < len(identity) <= MAX_LENGTH or not 0 < len(issuer) <= MAX_LENGTH:
        raise VerificationError("the certificate has no subject, or an endless one", where="evidence")
    return CertifiedIdentity(identity=identity, issuer=issuer, source_repository="")


def _chain(certificates: tuple[bytes, ...], roots: bytes, now: datetime) -> list["Certificate"]:
    """Return the chain from the signer's certificate to one of ``roots``."""
    from cryptography import x509  # noqa: PLC0415 - loaded for those who verify
    from cryptography.x509 import verification  # noqa: PLC0415

    given = [x509.load_der_x509_certificate(data) for data in certificates]
    if not given:
        raise CouldNotVerifyError("a bare key signed it, and nobody says whose that is", where="evidence")
    for certificate in given:
        if now > certificate.not_valid_after_utc:
            raise ExpiredError(
                f"a certificate ended at {render_moment(certificate.not_valid_after_utc)}, and nothing proves "
                "that the signature is older",
                where="evidence",
            )
    anywhere = verification.Criticality.AGNOSTIC
    authority = (
        verification.ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, anywhere, _check_authority)
        .require_present(x509.KeyUsage, anywhere, _check_certifies)
    )
    signer = (
        verification.ExtensionPolicy.permit_all()
        .require_present(x509.KeyUsage, anywhere, _check_signs)
        .may_be_present(x509.ExtendedKeyUsage, anywhere, _check_signs_code)
    )
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store(x509.load_pem_x509_certificates(roots)))
        .time(now)
        .max_chain_depth(_MAX_DEPTH)
        .extension_policies(ca_policy=authority, ee_policy=signer)
        .build_client_verifier()
    )
    try:
        return list(verifier.verify(given[0], given[1:]).chain)
    except verification.VerificationError as error:
        raise VerificationError(
            f"no configured root vouches for its certificate: {str(error)[:200]}", where="evidence"
        ) from error


def _check_signature(certificate: "Certificate", signature: bytes, data: bytes) -> None:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = certificate.public_key()
    digests: dict[int, hashes.HashAlgorithm] = {
        256: hashes.SHA256(),
        384: hashes.SHA384(),
        521: hashes.SHA512(),
    }
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.key_size not in digests:
        raise CouldNotVerifyError("its key is not ECDSA over P-256, P-384 or P-521", where="evidence")
    try:
        key.verify(signature, data, ec.ECDSA(digests[key.key_size]))
    except InvalidSignature as error:
        raise VerificationError("the signature does not fit", where="evidence") from error


def _check_authority(_policy: Any, _certificate: "Certificate", extension: Any) -> None:
    if not extension.ca:
        raise ValueError("an issuer that is no authority")


def _check_certifies(_policy: Any, _certificate: "Certificate", extension: Any) -> None:
    if not extension.key_cert_sign:
        raise ValueError("an issuer that may not issue")


def _check_signs(_policy: Any, _certificate: "Certificate", extension: Any) -> None:
    if not extension.digital_signature:
        raise ValueError("a certificate that may not sign")


def _check_signs_code(_policy: Any, _certificate: "Certificate", extension: Any) -> None:
    from cryptography.x509.oid import ExtendedKeyUsageOID  # noqa: PLC0415

    if extension is not None and ExtendedKeyUsageOID.CODE_SIGNING not in extension:
        raise ValueError("a certificate that is not for signing code")
