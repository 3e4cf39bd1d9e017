"""What a CI attests: that it built the reviewed bundle again from the candidate, byte for byte.

    {"_type":"https://in-toto.io/Statement/v1",
     "predicate":{"policy_sha256":null,"review_sha256":"0c2a…"},
     "predicateType":"https://skills.clawdie.si/attestations/ci/v1",
     "subject":[…the subjects of the review: the bundle's path and sha256, tree:NAME==VERSION…]}

``review_sha256`` is the digest of the review's statement, not of its envelope: a second curator's signature
changes the envelope, and must not undo the attestation. The statement follows from the review alone, so a
verifier writes it again and compares bytes; there is nothing in it to interpret.
"""

from dataclasses import InitVar, dataclass
from datetime import datetime
from typing import Final, final

from repo_server.attesting.identity import Anybody, ExpectedSigner
from repo_server.attesting.verifying import VerifiedIdentity, verify_statement
from signing.errors import WrongSubjectError
from signing.format.digest import Sha256, sha256_of
from signing.format.review import Review
from signing.format.statement import Statement
from signing.sealed import unchangeable

PREDICATE_TYPE: Final = "https://skills.clawdie.si/attestations/ci/v1"


class _Seal:
    """The one instance of this class is what makes evidence; it does not leave this module."""


_SEAL: Final = _Seal()


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedAttestation:
    """A CI's identity stands behind exactly the bundle of one review."""

    signer: VerifiedIdentity
    review_sha256: Sha256
    seal: InitVar[_Seal]

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not _SEAL:
            raise TypeError("VerifiedAttestation comes from verify_attestation()")


def review_digest(review: Review) -> Sha256:
    """Return the digest of what the curators of ``review`` sign."""
    return sha256_of(review.to_statement().render())


def ci_statement(review: Review) -> Statement:
    """Return what a CI signs about the bundle of ``review``."""
    return Statement(
        subjects=review.to_statement().subjects,
        predicate_type=PREDICATE_TYPE,
        predicate={"review_sha256": review_digest(review), "policy_sha256": review.policy_sha256},
    )


def verify_attestation(
    evidence: bytes,
    *,
    review: Review,
    signer: ExpectedSigner | Anybody,
    trusted_root: bytes,
    now: datetime,
) -> VerifiedAttestation:
    """Return the attestation in ``evidence`` about exactly ``review``.

    Raises:
        WrongSubjectError: about another bundle, or another review of it.
        FormatError, VerificationError, CouldNotVerifyError: see `repo_server.attesting.verifying`.
    """
    wanted = ci_statement(review)
    verified = verify_statement(
        evidence,
        predicate_type=PREDICATE_TYPE,
        digests={subject.sha256 for subject in wanted.subjects},
        signer=signer,
        trusted_root=trusted_root,
        now=now,
    )
    if verified.payload != wanted.render():
        raise WrongSubjectError(
            f"attests another review of {review.pin}",
            where="evidence",
            hint="the candidate was reviewed again since; let the CI attest it again",
        )
    return VerifiedAttestation(signer=verified, review_sha256=review_digest(review), seal=_SEAL)
