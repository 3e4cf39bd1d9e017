"""Signatures over a catalogue, as pkg makes and checks them (reference/freebsd-pkg §3).

    H              the SHA-256 of the payload, as 64 lower-case hexadecimal digits: what is signed
    fingerprints   X.sig and X.pub beside the payload; the certificate X.pub is known by its fingerprint
    pubkey         one member ``signature``; the client has the key. ECDSA and EdDSA sign the raw BLAKE2b-512 instead of H,
                   and an RSA signature is followed by one zero byte

The client's rule for fingerprints is ours: a revoked certificate anywhere refuses everything, whatever else is signed;
a kind that nobody knows refuses everything; and at least one certificate that is trusted must have made its signature.
Beyond that, one certificate signs once: of two signatures by one, clients look at either.
None of this says which repository, ABI or serial was signed: that is what our own index is for.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from repo_server.pkgrepo.fingerprints import FingerprintAnchors, fingerprint_of
from repo_server.pkgrepo.public_keys import (
    KeyKind,
    check_signature_by,
    load_public_key,
    signature_bytes,
    split_header,
    without_header,
)
from signing.errors import (
    BadSignatureError,
    CouldNotVerifyError,
    RevokedError,
    SkillRepoError,
    VerificationError,
)
from signing.format.digest import Sha256, sha256_of

MAX_SIGNATURES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature beside a payload. Without ``certificate`` it is the one of a pubkey repository."""

    name: str
    value: bytes
    certificate: bytes | None = None

    @property
    def fingerprint(self) -> Sha256 | None:
        """By what the certificate is known, when there is one."""
        return fingerprint_of(self.certificate) if self.certificate is not None else None

    def kind(self) -> KeyKind:
        """Return of which kind it is.

        Raises:
            BadSignatureError: of a kind that nobody knows, or signature and certificate are of two.
        """
        kind, _ = split_header(self.value, where=self.name)
        if self.certificate is not None and split_header(self.certificate, where=self.name)[0] is not kind:
            raise BadSignatureError("signature and certificate are of two kinds", where=self.name)
        return kind


def signed_text(payload: bytes) -> bytes:
    """Return H, what a signature over ``payload`` is about."""
    return sha256_of(payload).encode()


def check_fingerprints(
    payload: bytes, signatures: Sequence[Signature], anchors: FingerprintAnchors, *, where: str = "catalogue"
) -> tuple[Sha256, ...]:
    """Return the trusted fingerprints whose signatures over ``payload`` are good; there is at least one.

    Raises:
        RevokedError: a certificate is revoked.
        BadSignatureError: no signature, of an unknown kind, two by one certificate, or none of a trusted one fits.
        VerificationError: nobody who signed is trusted.
        CouldNotVerifyError: nobody is trusted at all.
    """
    if not anchors.trusted:
        raise CouldNotVerifyError(
            "no fingerprint is trusted", where=where, hint="name a folder with trusted/"
        )
    by_certificate = [item for item in signatures if item.certificate is not None]
    if not by_certificate:
        raise BadSignatureError("is not signed by fingerprint", where=where, hint=_UNSIGNED)
    if len(by_certificate) > MAX_SIGNATURES:
        raise BadSignatureError(f"has more than {MAX_SIGNATURES} signatures", where=where)
    signers = [(item, fingerprint_of(item.certificate or b"")) for item in by_certificate]
    fingerprints = {fingerprint for _, fingerprint in signers}
    # First of all: who holds a revoked key may add a good signature of somebody else, and pkg refuses that too.
    if revoked := sorted(fingerprints & anchors.revoked):
        raise RevokedError(f"is signed by the revoked {revoked[0]}", where=where, hint="drop that signature")
    for item in by_certificate:
        item.kind()
    if len(fingerprints) != len(signers):
        raise BadSignatureError("has two signatures by one certificate", where=where)
    trusted = [(item, fingerprint) for item, fingerprint in signers if fingerprint in anchors.trusted]
    if not trusted:
        strangers = ", ".join(sorted(fingerprint[:16] + "…" for fingerprint in fingerprints))
        raise VerificationError(
            f"nobody who is trusted signed it, but {strangers}", where=where, hint=_STRANGERS
        )
    return _verified(payload, trusted, where)


def check_signature(payload: bytes, signature: Signature) -> None:
    """Return None when ``signature`` was made by its own certificate, whoever that is.

    Raises:
        BadSignatureError: it was not, or it has none.
        FormatError: it is not in the form of its kind.
    """
    if signature.certificate is None:
        raise BadSignatureError("has no certificate", where=signature.name)
    key = load_public_key(signature.kind(), without_header(signature.certificate), where=signature.name)
    check_signature_by(key, without_header(signature.value), signed_text(payload), where=signature.name)


def check_pubkey(
    payload: bytes, signatures: Sequence[Signature], key: bytes, *, where: str = "catalogue"
) -> KeyKind:
    """Return the kind of the one signature over ``payload``, when ``key`` made it.

    ``key`` is PEM or DER, as the file that a client names ``pubkey`` for.

    Raises:
        BadSignatureError: no signature, another one's, of an unknown kind, or of another kind than the key.
        FormatError: the key or the signature is not in its form.
    """
    found = [item for item in signatures if item.certificate is None]
    if len(found) != 1:
        raise BadSignatureError("is not signed for a public key", where=where, hint=_UNSIGNED)
    kind, value = split_header(found[0].value, where=where)
    public = load_public_key(kind, without_header(key), where="pubkey")
    if kind is KeyKind.RSA:
        # pkg counts the zero that ends a text in C. Exactly one: what else is there was never signed.
        if len(value) - 1 == signature_bytes(public) and value.endswith(b"\0"):
            value = value[:-1]
        message = signed_text(payload)
    else:
        message = hashlib.blake2b(payload).digest()
    check_signature_by(public, value, message, where=where)
    return kind


def _verified(payload: bytes, trusted: Sequence[tuple[Signature, Sha256]], where: str) -> tuple[Sha256, ...]:
    found, refusals = set(), []
    for item, fingerprint in trusted:
        try:
            check_signature(payload, item)
        except SkillRepoError as error:
            refusals.append(error)
        else:
            found.add(fingerprint)
    if not found:
        raise BadSignatureError(
            "was changed after it was signed, or its signature is somebody else's",
            where=where,
            hint="do not use it; if it repeats, treat the server as compromised",
        ) from refusals[0]
    return tuple(sorted(found))


_UNSIGNED: Final = "sign the catalogue before it is published; pkg itself would say that it is up to date"
_STRANGERS: Final = "fetch the fingerprints from where you trust, never from the repository itself"
