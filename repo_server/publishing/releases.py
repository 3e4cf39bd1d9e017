"""Signing a reviewed candidate into the metadata that publishes it.

A curator's key signs only after this module, on the curator's side, has read the archive and the review from
their bytes, compared both with each other, and compared the proposed metadata with the published one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from securesystemslib.signer import Signer
from sqlalchemy.orm import Session
from tuf.api.metadata import TargetFile

from repo_server.attesting.ci import VerifiedAttestation
from repo_server.attesting.kept import verified_attestations
from repo_server.curation.agreement import check_agrees, check_waivers
from repo_server.curation.candidates import check_new_version, pin_of
from repo_server.curation.deciding import curators
from repo_server.curation.examination import examine, load_review
from repo_server.db import log
from repo_server.db.models import CandidateRow, CandidateState
from repo_server.policy import check_policy
from repo_server.publishing.origins import history_for
from repo_server.publishing.proposals import Change, check_proposals, drop_proposals, propose, sign_proposal
from repo_server.repository import Repository
from signing.errors import ConflictError, ThresholdError, WrongSubjectError
from signing.evidence import check_approval
from signing.format.archive import read_bundle
from signing.format.digest import Sha256
from signing.format.names import Pin
from signing.format.review import Review
from signing.keys import envelope_signers, holder_of
from signing.metadata import build_target


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewedRelease:
    """A candidate whose archive and review were read and agree."""

    review: Review
    reviewers: tuple[str, ...]
    additions: Mapping[str, TargetFile]
    anchor: bytes

    def to_json(self) -> dict[str, Any]:
        """Return what a signer is shown."""
        return {
            "pin": str(self.review.pin),
            "bundle_sha256": self.review.bundle_sha256,
            "tree_sha256": self.review.tree_sha256,
            "reviewed_by": list(self.reviewers),
            "reason": self.review.reason,
        }


def subject_of(row: CandidateRow) -> str:
    """Return the name under which proposals for a candidate are kept."""
    return f"candidate:{row.id}"


def load_reviewed(
    repository: Repository,
    session: Session,
    row: CandidateRow,
    *,
    now: datetime,
    beside: Collection[Pin] | None = None,
) -> ReviewedRelease:
    """Read archive and review of a candidate, check them against each other, and say what would be published.

    A signer goes by everything that is published. A publisher, who says what was published ``beside`` this in the same run,
    goes by what came since it was signed (`repo_server.publishing.origins.history_for`).

    Raises:
        NotFoundError: not reviewed. ConflictError: rejected, or this version is published;
            or the review is not of this state any more (`repo_server.curation.agreement`).
        ThresholdError: no curator's signature on the review, or fewer than the policy demands.
        BlockedError: it does not approve. PolicyError: it does not meet the policy.
        NotEntitledError: a finding is waived in the name of somebody who did not sign.
        WrongSubjectError, DigestMismatchError, FormatError: archive, review and what is found here do not agree.
    """
    if row.state in {CandidateState.REJECTED, CandidateState.PUBLISHED}:
        raise ConflictError(
            f"candidate {row.id} is {row.state}", hint="skillrepo status shows what can be signed"
        )
    envelope, review = load_review(repository, row)
    signers = envelope_signers(envelope, curators(repository, session))
    if not signers:
        raise ThresholdError("review", signed=0, threshold=1)
    check_new_version(session, pin_of(row))
    check_approval(review, now=now)
    check_waivers(review, signers={holder_of(key) for key in signers})
    history = history_for(repository, session, review, beside=beside) if beside is not None else None
    check_agrees(review, examine(repository, session, row, history=history))
    _check_policy(repository, session, row, review, [holder_of(key) for key in signers], now=now)
    archive = repository.blobs.load(review.bundle_sha256)
    bundle = read_bundle(archive)
    pin = pin_of(row)
    if (bundle.manifest.pin, bundle.manifest.tree_digest) != (pin, review.tree_sha256):
        raise WrongSubjectError(f"the archive is {bundle.manifest.pin}, the review is about {pin}")
    review_bytes = repository.blobs.load(Sha256(row.review_sha256 or ""))
    review_target = build_target(pin.review_path, review_bytes)
    custom = {
        "name": pin.name,
        "version": pin.version,
        "kind": bundle.manifest.kind.value,
        "tree_sha256": review.tree_sha256,
        "review_sha256": review_target.hashes["sha256"],
    }
    return ReviewedRelease(
        review=review,
        reviewers=tuple(sorted(holder_of(key) for key in signers)),
        additions={
            pin.bundle_path: build_target(pin.bundle_path, archive, custom),
            pin.review_path: review_target,
        },
        anchor=repository.anchor,
    )


def _check_policy(
    repository: Repository,
    session: Session,
    row: CandidateRow,
    review: Review,
    reviewers: Sequence[str],
    *,
    now: datetime,
) -> None:
    policy = repository.policy
    demand = policy.ci if policy is not None and policy.ci is not None and policy.ci.required else None
    identities: Sequence[VerifiedAttestation] = ()
    if demand is not None:
        identities = verified_attestations(repository, session, row, review=review, demand=demand, now=now)
    check_policy(policy, review=review, reviewers=reviewers, identities=identities, now=now)


def plan_signature(
    session: Session, row: CandidateRow, release: ReviewedRelease, *, now: datetime
) -> list[Change]:
    """Return exactly what signing would change in the signed metadata, proposed anew when its base is gone.

    Raises:
        WrongSubjectError, BadSignatureError: an existing proposal is not what was reviewed, or it continues
            what the anchor does not vouch for.
    """
    subject = subject_of(row)
    try:
        return _checked(session, subject, release, now=now)
    except ConflictError:
        drop_proposals(session, subject)
        return _checked(session, subject, release, now=now)


def give_signature(
    session: Session, row: CandidateRow, release: ReviewedRelease, signer: Signer, *, now: datetime
) -> list[Change]:
    """Check once more and add the signature of ``signer``; return how far the proposals have come.

    Raises:
        NotEntitledError: the key is not a curator's.
        WrongSubjectError, BadSignatureError: see `plan_signature`.
        ConflictError: it continues a proposal that ``signer`` has to sign first.
    """
    plan_signature(session, row, release, now=now)
    for proposal in propose(session, subject_of(row), release.additions, now=now):
        sign_proposal(session, proposal, signer, anchor=release.anchor)
    changes = _checked(session, subject_of(row), release, now=now)
    if all(change.standing.complete for change in changes):
        row.state = CandidateState.SIGNED
    facts = {
        "candidate": row.id,
        "pin": str(release.review.pin),
        "by": holder_of(signer.public_key),
        "roles": {change.role: change.new_version for change in changes},
    }
    log.append(session, event="candidate.signed", facts=facts, now=now)
    return changes


def _checked(session: Session, subject: str, release: ReviewedRelease, *, now: datetime) -> list[Change]:
    rows = propose(session, subject, release.additions, now=now)
    return check_proposals(session, rows, release.additions, anchor=release.anchor, now=now)
