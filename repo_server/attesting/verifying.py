"""The only place that asks sigstore whether evidence holds (edge).

    verify_statement(evidence, …)      somebody signed a statement of this type about these digests
    verify_envelope(evidence, …)       somebody signed some statement; what it claims is the caller's to compare
    verify_artifact(evidence, …)       somebody signed these bytes

Each returns `VerifiedIdentity`, which nothing else can make, or raises. sigstore raises many kinds of exception
over hostile input (TypeError over an Ed25519 certificate, ExtensionNotFound, ValueError, …); all of them mean
"not verified". What it lets through is closed here:

1. size and spelling of the evidence (`repo_server.attesting.material`)
2. a time of signing that is not in the future, and a trusted root as it was valid then (`roots`)
3. sigstore: certificate chain, certificate log, inclusion in the log, signature
4. exactly one identity of exactly one issuer, both as expected; a short-lived certificate (`identity`)
5. payload type, statement type, predicate type, subjects

Nothing is taken from a checkpoint's origin or size, from a log index, or from an envelope's hash: sigstore does
not verify those.
"""

import contextlib
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import InitVar, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from repo_server.attesting.identity import Anybody, CertifiedIdentity, ExpectedSigner, read_identity
from repo_server.attesting.material import Claim, Material
from repo_server.attesting.roots import root_at
from repo_server.curation.textsafe import excerpt
from signing.errors import (
    CouldNotVerifyError,
    FormatError,
    SkillRepoError,
    VerificationError,
    WrongSubjectError,
)
from signing.format.digest import Sha256, sha256_of
from signing.format.moment import render_moment
from signing.format.statement import PAYLOAD_TYPE
from signing.sealed import unchangeable

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.verify import Verifier

SKEW: Final = timedelta(minutes=5)
_NOT_VERIFIED: Final = ("sigstore.errors", "VerificationError")


class _Seal:
    """The one instance of this class is what makes evidence; it does not leave this module."""


_SEAL: Final = _Seal()


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedIdentity:
    """Who signed, as a trusted root vouches for it, when, and what.

    ``payload`` is the signed statement, or None when a file was signed (``artifact_sha256``).
    """

    identity: str
    issuer: str
    source_repository: str
    signed_at: datetime
    evidence_sha256: Sha256
    payload: bytes | None
    artifact_sha256: Sha256 | None
    seal: InitVar[_Seal]

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not _SEAL:
            raise TypeError("VerifiedIdentity comes from repo_server.attesting.verifying")

    @property
    def claim(self) -> Claim:
        """The signed statement.

        Raises:
            FormatError: a file was signed, or the payload is no statement.
        """
        if self.payload is None:
            raise FormatError("is a signature over a file", where="evidence")
        return Claim.parse(self.payload)


def verify_statement(
    evidence: bytes,
    *,
    predicate_type: str,
    digests: Collection[Sha256],
    signer: ExpectedSigner | Anybody,
    trusted_root: bytes,
    now: datetime,
) -> VerifiedIdentity:
    """Return who signed a statement of ``predicate_type`` whose subjects have exactly ``digests``.

    Raises:
        FormatError: this is not a Sigstore bundle, or its payload is no statement.
        WrongSubjectError: rightly signed, but another claim, or about something else.
        VerificationError: not verified; CouldNotVerifyError: it cannot be.
    """
    verified = verify_envelope(evidence, signer=signer, trusted_root=trusted_root, now=now)
    claim = verified.claim
    if claim.predicate_type != predicate_type:
        raise WrongSubjectError(f"claims {excerpt(claim.predicate_type)!r}", where="evidence")
    if not digests or {digest for _, digest in claim.subjects} != set(digests):
        raise WrongSubjectError("is about something else", where="evidence")
    return verified


def verify_envelope(
    evidence: bytes, *, signer: ExpectedSigner | Anybody, trusted_root: bytes, now: datetime
) -> VerifiedIdentity:
    """Return who signed the statement in ``evidence``; its `claim` is still to be compared with something.

    Raises:
        FormatError, WrongSubjectError, VerificationError, CouldNotVerifyError: as for `verify_statement`.
    """
    material = Material.parse(evidence)
    if material.envelope is None:
        raise WrongSubjectError("is a signature over a file, not over a statement", where="evidence")
    checked = _Check(evidence, material, signer, trusted_root, now)
    with refusals():
        payload_type, payload = checked.verifier.verify_dsse(checked.bundle, checked.policy)
    if payload_type != PAYLOAD_TYPE:
        raise WrongSubjectError(f"carries {excerpt(payload_type)!r}", where="evidence")
    verified = checked.evidence(payload=payload)
    _ = verified.claim  # what is no statement is refused here, not by whoever looks first
    return verified


def verify_artifact(
    evidence: bytes, *, artifact: bytes, signer: ExpectedSigner | Anybody, trusted_root: bytes, now: datetime
) -> VerifiedIdentity:
    """Return who signed the bytes ``artifact``.

    Raises:
        FormatError, WrongSubjectError, VerificationError, CouldNotVerifyError: as for `verify_statement`.
    """
    material = Material.parse(evidence)
    if material.envelope is not None:
        raise WrongSubjectError("is a statement, not a signature over a file", where="evidence")
    checked = _Check(evidence, material, signer, trusted_root, now)
    with refusals():
        checked.verifier.verify_artifact(artifact, checked.bundle, checked.policy)
    return checked.evidence(artifact=artifact)


class _Check:
    """One verification: what sigstore needs for it, and the identity that it came across."""

    def __init__(
        self,
        evidence: bytes,
        material: Material,
        signer: ExpectedSigner | Anybody,
        trusted_root: bytes,
        now: datetime,
    ) -> None:
        with refusals():
            from sigstore.models import Bundle  # noqa: PLC0415 - half a second, and only for those who verify

            moments = _claimed_times(material, now)
            self.bundle: Any = Bundle.from_json(evidence)
            self.verifier = _verifier(root_at(trusted_root, moments))
        self.policy = _Policy(signer)
        self._evidence, self._signed_at = evidence, moments[0]

    def evidence(self, *, payload: bytes | None = None, artifact: bytes | None = None) -> VerifiedIdentity:
        """Return what was verified; called after sigstore has agreed."""
        found = self.policy.found
        if found is None:
            raise CouldNotVerifyError("no identity was looked at")
        return VerifiedIdentity(
            identity=found.identity,
            issuer=found.issuer,
            source_repository=found.source_repository,
            signed_at=self._signed_at,
            evidence_sha256=sha256_of(self._evidence),
            payload=payload,
            artifact_sha256=sha256_of(artifact) if artifact is not None else None,
            seal=_SEAL,
        )


class _Policy:
    """What sigstore calls with the certificate once it has verified its chain."""

    def __init__(self, signer: ExpectedSigner | Anybody) -> None:
        self._signer = signer
        self.found: CertifiedIdentity | None = None

    def verify(self, cert: "Certificate") -> None:
        found = read_identity(cert)
        if isinstance(self._signer, ExpectedSigner):
            for what, wanted, got in (
                ("identity", self._signer.identity, found.identity),
                ("issuer", self._signer.issuer, found.issuer),
            ):
                if wanted != got:
                    raise VerificationError(
                        f"was signed by another {what}: {excerpt(got)!a}", where="evidence"
                    )
        self.found = found


def _claimed_times(material: Material, now: datetime) -> list[datetime]:
    """Return when it is said to have been signed, the log's word first; sigstore verifies these times next."""
    from rfc3161_client import decode_timestamp_response  # noqa: PLC0415

    moments = [material.integrated_at] if material.integrated_at is not None else []
    moments += [
        decode_timestamp_response(token).tst_info.gen_time.replace(microsecond=0)
        for token in material.timestamp_tokens
    ]
    if not moments:
        raise VerificationError("nothing says when it was signed", where="evidence")
    if late := [moment for moment in moments if moment > now + SKEW]:
        raise VerificationError(
            f"was signed in the future, at {render_moment(late[0])}",
            where="evidence",
            hint="check the clock of this machine",
        )
    return moments


def _verifier(trusted_root: bytes) -> "Verifier":
    from sigstore.models import TrustedRoot  # noqa: PLC0415
    from sigstore.verify import Verifier  # noqa: PLC0415

    # The constructor from a file is the public one; the folder is readable by us alone.
    with tempfile.TemporaryDirectory(prefix="skillrepo-") as folder:
        path = Path(folder, "trusted_root.json")
        path.write_bytes(trusted_root)
        return Verifier(trusted_root=TrustedRoot.from_file(str(path)))


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Turn whatever a library raises over untrusted bytes into a refusal of ours."""
    try:
        yield
    except SkillRepoError:
        raise
    except Exception as error:  # many kinds come out of it, and each means: not verified
        raise refusal(error) from error


def refusal(error: Exception) -> VerificationError:
    """Return the refusal for an exception of a verifying library; its class name is kept as a fact."""
    raised = type(error).__name__
    message = excerpt(str(error)) or raised
    # By name: what is to be explained may be that sigstore cannot be imported.
    if any((kind.__module__, kind.__name__) == _NOT_VERIFIED for kind in type(error).__mro__):
        return VerificationError(f"sigstore refuses it: {message}", where="evidence", raised=raised)
    return CouldNotVerifyError(
        f"it could not be verified: {message}",
        where="evidence",
        hint="do not rely on this evidence; ask its maker for another",
        raised=raised,
    )
