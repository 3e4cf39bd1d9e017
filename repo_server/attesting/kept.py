"""Attestations of a candidate: which review may be attested, what is kept, and what still holds.

The database says which evidence belongs to which candidate, and nothing more: whoever asks verifies the stored
bytes again, against the review at hand.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from repo_server.attesting.ci import VerifiedAttestation, verify_attestation
from repo_server.attesting.identity import Anybody, ExpectedSigner
from repo_server.curation.candidates import load_tree, pin_of
from repo_server.curation.deciding import curators
from repo_server.curation.examination import load_review
from repo_server.db import log
from repo_server.db.models import AttestationRow, CandidateRow, CandidateState
from repo_server.repository import Repository
from signing.errors import ConflictError, DigestMismatchError, NotFoundError, RejectedError, ThresholdError
from signing.evidence import check_approval
from signing.format.archive import render_bundle
from signing.format.digest import Sha256, check_sha256
from signing.format.manifest import Kind
from signing.format.moment import render_moment
from signing.format.review import Review
from signing.keys import envelope_signers

# Newest first; a repository with more for one candidate has a CI that runs in circles.
_MAX_TRIED: Final = 32


class CiDemand(Protocol):
    """Whose attestations count, and by which trusted root: a policy's words on CI."""

    @property
    def signer(self) -> ExpectedSigner:
        """The identity that has to stand behind a bundle."""

    @property
    def trusted_root(self) -> bytes:
        """What vouches for identities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestable:
    """An approved review whose bundle was built again from the candidate's files."""

    candidate: str
    review: Review


def attestable(repository: Repository, session: Session, row: CandidateRow, *, now: datetime) -> Attestable:
    """Return what a CI may attest about a candidate.

    Raises:
        ConflictError: it was rejected. NotFoundError: not reviewed.
        ThresholdError: no curator signed the review. BlockedError: it does not approve.
        DigestMismatchError: the candidate's files do not make the bundle that was reviewed.
    """
    if row.state == CandidateState.REJECTED:
        raise ConflictError(
            f"candidate {row.id} is {row.state}", hint="skillrepo status shows what can be signed"
        )
    envelope, review = load_review(repository, row)
    if not envelope_signers(envelope, curators(repository, session)):
        raise ThresholdError("review", signed=0, threshold=1)
    check_approval(review, now=now)
    bundle = load_tree(repository, row).to_bundle(pin_of(row), Kind(row.kind))
    if bundle.manifest.tree_digest != review.tree_sha256:
        raise DigestMismatchError(f"the files of candidate {row.id} are not those that were reviewed")
    check_sha256(render_bundle(bundle), review.bundle_sha256, where=review.pin.bundle_path)
    return Attestable(candidate=row.id, review=review)


def accept_attestation(
    repository: Repository,
    session: Session,
    row: CandidateRow,
    evidence: bytes,
    *,
    signer: ExpectedSigner | Anybody,
    trusted_root: bytes,
    now: datetime,
) -> tuple[AttestationRow, VerifiedAttestation]:
    """Verify ``evidence`` against the review of a candidate and keep it; the same again changes nothing.

    Raises:
        NotFoundError: the candidate is not reviewed.
        WrongSubjectError, VerificationError, FormatError: see `verify_attestation`; nothing was kept.
    """
    _, review = load_review(repository, row)
    verified = verify_attestation(evidence, review=review, signer=signer, trusted_root=trusted_root, now=now)
    digest = repository.blobs.store(evidence)
    known = session.get(AttestationRow, (row.id, digest))
    if known is not None:
        return known, verified
    kept = AttestationRow(
        candidate_id=row.id,
        evidence_sha256=digest,
        bundle_sha256=review.bundle_sha256,
        identity=verified.signer.identity,
        issuer=verified.signer.issuer,
        created_at=now,
    )
    session.add(kept)
    facts = {"candidate": row.id, "pin": str(review.pin), "bundle_sha256": review.bundle_sha256}
    facts |= {"identity": kept.identity, "issuer": kept.issuer, "evidence_sha256": digest}
    log.append(session, event="candidate.attested", facts=facts, now=now)
    return kept, verified


def verified_attestations(
    repository: Repository,
    session: Session,
    row: CandidateRow,
    *,
    review: Review,
    demand: CiDemand,
    now: datetime,
) -> tuple[VerifiedAttestation, ...]:
    """Return the stored attestations of ``review`` by the demanded identity.

    Evidence about another review, or of somebody else, does not count and does no harm beside one that does.

    Raises:
        VerificationError, FormatError, NotFoundError: there is evidence, and none of it holds; the error is
            that of the newest.
    """
    found: list[VerifiedAttestation] = []
    first: RejectedError | NotFoundError | None = None
    for kept in _rows(session, row):
        try:
            found.append(
                verify_attestation(
                    repository.blobs.load(Sha256(kept.evidence_sha256)),
                    review=review,
                    signer=demand.signer,
                    trusted_root=demand.trusted_root,
                    now=now,
                )
            )
        except (RejectedError, NotFoundError) as error:
            first = first or error
    if first is not None and not found:
        raise first
    return tuple(found)


def attestations_of(session: Session, row: CandidateRow) -> list[dict[str, Any]]:
    """Return what is kept for a candidate, for ``--json`` answers; it was verified when it was stored."""
    return [
        {
            "identity": kept.identity,
            "issuer": kept.issuer,
            "bundle_sha256": kept.bundle_sha256,
            "evidence_sha256": kept.evidence_sha256,
            "created_at": render_moment(kept.created_at),
        }
        for kept in _rows(session, row)
    ]


def _rows(session: Session, row: CandidateRow) -> list[AttestationRow]:
    statement = (
        select(AttestationRow)
        .where(AttestationRow.candidate_id == row.id)
        .order_by(AttestationRow.created_at.desc(), AttestationRow.evidence_sha256)
        .limit(_MAX_TRIED)
    )
    return list(session.scalars(statement))
