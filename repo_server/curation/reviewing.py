"""Examining a candidate and writing the decision down, signed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from repo_server.curation.candidates import load_tree, observations_of, pin_of, provenance_of
from repo_server.curation.checks import run_checks, surface_of
from repo_server.curation.diff import diff_trees, surface_diff
from repo_server.curation.history import HistoryFacts, history_findings
from repo_server.curation.tree import SourceTree
from repo_server.db import log
from repo_server.db.models import CandidateRow, CandidateState, ReleaseRow
from repo_server.publishing.ceremony import succinct
from repo_server.publishing.proposals import drop_proposals
from repo_server.publishing.state import current_targets
from repo_server.publishing.vouched import vouched_targets
from repo_server.repository import Repository
from signing.errors import BlockedError, ConflictError, NotEntitledError, NotFoundError, WrongSubjectError
from signing.evidence import check_approval
from signing.format.archive import read_bundle, render_bundle
from signing.format.digest import Sha256, sha256_of
from signing.format.envelope import Envelope
from signing.format.manifest import Kind, Mode
from signing.format.names import HolderName, ReleaseVersion, version_key
from signing.format.review import Decision, EngineReport, Finding, Review, Severity, Surface, Waiver
from signing.format.statement import PAYLOAD_TYPE, Statement
from signing.keys import envelope_signers
from signing.keystore import SealedKeySigner
from signing.roles import SKILLS, TARGETS

WAIVER_LIFE: Final = timedelta(days=180)
# What the publish profile demands of the front matter is not a matter of judgement.
_NOT_WAIVABLE: Final = "frontmatter."


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """Everything that a curator looks at before deciding."""

    row: CandidateRow
    tree: SourceTree
    engines: tuple[EngineReport, ...]
    surface: Surface
    previous: ReleaseVersion | None
    text_diff: str
    surface_diff: tuple[str, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, the gravest first."""
        order = list(Severity)
        found = [finding for engine in self.engines for finding in engine.findings]
        return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))

    def to_json(self) -> dict[str, Any]:
        """Return the examination as ``skillrepo review --json`` answers it."""
        return {
            "candidate": self.row.id,
            "name": self.row.name,
            "version": self.row.version,
            "kind": self.row.kind,
            "state": self.row.state,
            "provenance": provenance_of(self.row).to_json(),
            "findings": [finding.to_json() for finding in self.findings],
            "surface": self.surface.to_json(),
            "previous": self.previous,
            "surface_diff": list(self.surface_diff),
            "diff": self.text_diff,
        }


def examine(repository: Repository, session: Session, row: CandidateRow) -> Examination:
    """Run the checks on a candidate and compare it with what was published last."""
    tree = load_tree(repository, row)
    pin = pin_of(row)
    release = last_release(session, row.name)
    old_tree = published_tree(repository, session, release) if release is not None else None
    surface = surface_of(tree)
    said = (*observations_of(row), *_history(session, row, release))
    source = EngineReport(
        name=f"source-{row.source}", version="1", policy_sha256=sha256_of(b""), findings=said
    )
    return Examination(
        row=row,
        tree=tree,
        engines=(run_checks(tree, name=pin.name, strict=True), source),
        surface=surface,
        previous=ReleaseVersion(release.version) if release is not None else None,
        text_diff=diff_trees(old_tree, tree),
        surface_diff=tuple(surface_diff(surface_of(old_tree) if old_tree is not None else None, surface)),
    )


def _history(session: Session, row: CandidateRow, release: ReleaseRow | None) -> tuple[Finding, ...]:
    """Return what differs from the last published version apart from the files: version, source, licence."""
    new = _history_facts(row)
    published = session.get(CandidateRow, release.candidate_id) if release is not None else None
    return history_findings(new=new, old=_history_facts(published) if published is not None else None)


def _history_facts(row: CandidateRow) -> HistoryFacts:
    return HistoryFacts(
        version=ReleaseVersion(row.version), source=row.source, publisher=row.publisher, licence=row.licence
    )


def last_release(session: Session, name: str) -> ReleaseRow | None:
    """Return the published release of ``name`` with the highest version."""
    rows = list(session.scalars(select(ReleaseRow).where(ReleaseRow.name == name)))
    return max(rows, key=lambda row: version_key(ReleaseVersion(row.version)), default=None)


def published_tree(repository: Repository, session: Session, release: ReleaseRow) -> SourceTree:
    """Return the files of a published release, by the signed metadata.

    The diff that a curator reads rests on this, so the database's word is not enough: whoever could change it
    would choose what the diff does not show.

    Raises:
        VerificationError, FormatError: what is published is not what was signed.
    """
    pin = pin_of(release)
    skills = vouched_targets(session, SKILLS, anchor=repository.anchor)
    role = succinct(skills).get_role_for_target(pin.bundle_path)
    target = vouched_targets(session, role, anchor=repository.anchor).targets.get(pin.bundle_path)
    if target is None:
        raise WrongSubjectError(f"{pin} is in the database and not in the signed metadata", where="releases")
    bundle = read_bundle(repository.blobs.load(Sha256(target.hashes["sha256"])))
    return SourceTree.of(
        (entry.path, bundle.contents[entry.path], entry.mode is Mode.EXECUTABLE)
        for entry in bundle.manifest.files
    )


def decide(
    repository: Repository,
    session: Session,
    examination: Examination,
    *,
    decision: Decision,
    reason: str,
    waive: Mapping[str, str],
    signer: SealedKeySigner,
    now: datetime,
) -> Review:
    """Write the decision down as a signed review and return it.

    A second curator who approves adds a signature to the first one's review.

    Raises:
        NotEntitledError: the key is not a curator's.
        BlockedError: approval in spite of blocking findings that are not waived.
        ConflictError: the candidate is published already. (A rejected one may be decided about again.)
        NotFoundError: a waiver names no blocking finding.
    """
    row = examination.row
    curator = signer.held.holder
    if signer.public_key.keyid not in curator_keyids(session):
        raise NotEntitledError(f"{curator} is not a curator of this repository", hint="review as a curator")
    if row.state == CandidateState.PUBLISHED:
        raise ConflictError(
            f"candidate {row.id} is published already",
            hint="a published version is not decided about again; import a new one",
        )
    bundle = examination.tree.to_bundle(pin_of(row), Kind(row.kind))
    archive = render_bundle(bundle)
    review = Review(
        pin=pin_of(row),
        bundle_sha256=sha256_of(archive),
        tree_sha256=bundle.manifest.tree_digest,
        candidate=provenance_of(row),
        engines=examination.engines,
        surface=examination.surface,
        previous=examination.previous,
        waivers=_waivers(examination.findings, waive, curator, now),
        decision=decision,
        reason=reason,
        reviewer=curator,
        reviewed_at=now.replace(microsecond=0),
    )
    if decision is Decision.APPROVE:
        _check_publishable(review)
        check_approval(review, now=now)
    review, envelope = (
        _seconded(repository, session, row, review) if decision is Decision.APPROVE else (review, None)
    )
    if envelope is None:
        envelope = Envelope(payload_type=PAYLOAD_TYPE, payload=review.to_statement().render())
    # Read back before it is signed: what our own reader refuses must never carry a signature.
    Review.from_statement(
        Statement.parse(envelope.payload),
        pin=review.pin,
        bundle_sha256=review.bundle_sha256,
        tree_sha256=review.tree_sha256,
    )
    repository.blobs.store(archive)
    row.review_sha256 = repository.blobs.store(signer.sign_envelope(envelope).render())
    row.bundle_sha256, row.bundle_tree_sha256 = review.bundle_sha256, review.tree_sha256
    row.state = CandidateState.REVIEWED if decision is Decision.APPROVE else CandidateState.REJECTED
    drop_proposals(session, f"candidate:{row.id}")
    facts = {
        "candidate": row.id,
        "pin": str(review.pin),
        "decision": decision.value,
        "reason": reason,
        "by": curator,
        "review_sha256": row.review_sha256,
        "waived": sorted(waive),
    }
    log.append(session, event="candidate.reviewed", facts=facts, now=now)
    return review


def curator_keyids(session: Session) -> set[str]:
    """Return the key ids of the curators."""
    return set(current_targets(session, TARGETS).get_delegated_role(SKILLS).keyids)


def load_review(repository: Repository, row: CandidateRow) -> tuple[Envelope, Review]:
    """Return the stored review of a candidate.

    Raises:
        NotFoundError: it was not reviewed yet.
        FormatError, WrongSubjectError: the stored review is not about this candidate.
    """
    if row.review_sha256 is None or row.bundle_sha256 is None or row.bundle_tree_sha256 is None:
        raise NotFoundError(f"candidate {row.id} was not reviewed yet", hint=f"skillrepo review {row.id}")
    envelope = Envelope.parse(repository.blobs.load(Sha256(row.review_sha256)), where="review")
    review = Review.from_statement(
        Statement.parse(envelope.payload),
        pin=pin_of(row),
        bundle_sha256=Sha256(row.bundle_sha256),
        tree_sha256=Sha256(row.bundle_tree_sha256),
    )
    return envelope, review


def _seconded(
    repository: Repository, session: Session, row: CandidateRow, mine: Review
) -> tuple[Review, Envelope | None]:
    """Return the review to sign: another curator's when it says what mine would, else mine.

    The other's must carry a curator's signature, and may differ in who, when and why only: nobody signs a
    statement that somebody else's machine made up.
    """
    if row.state in {CandidateState.STAGED, CandidateState.REJECTED}:
        return mine, None
    envelope, review = load_review(repository, row)
    targets = vouched_targets(session, TARGETS, anchor=repository.anchor)
    keys = targets.delegations.keys if targets.delegations is not None else {}
    curators = [keys[keyid] for keyid in targets.get_delegated_role(SKILLS).keyids]
    theirs = replace(
        review, reason=mine.reason, reviewer=mine.reviewer, reviewed_at=mine.reviewed_at, waivers=mine.waivers
    )
    same = (
        review.reviewer != mine.reviewer
        and theirs.to_statement() == mine.to_statement()  # as signed: what was read back has whole seconds
        and {waiver.finding for waiver in mine.waivers} == {waiver.finding for waiver in review.waivers}
        and bool(envelope_signers(envelope, curators))
    )
    return (review, envelope) if same else (mine, None)


def _waivers(
    findings: tuple[Finding, ...], waive: Mapping[str, str], by: HolderName, now: datetime
) -> tuple[Waiver, ...]:
    blocking = {finding.id for finding in findings if finding.severity is Severity.BLOCK}
    if unknown := sorted(set(waive) - blocking):
        raise NotFoundError(
            f"{unknown[0]!r} is not a blocking finding", hint="use the ids that review prints"
        )
    until = (now + WAIVER_LIFE).replace(microsecond=0)
    return tuple(
        Waiver(finding=finding, reason=why, by=by, until=until) for finding, why in sorted(waive.items())
    )


def _check_publishable(review: Review) -> None:
    for finding in review.findings:
        if finding.severity is Severity.BLOCK and finding.check.startswith(_NOT_WAIVABLE):
            raise BlockedError(
                f"{finding.path}: {finding.message}",
                hint="front matter must follow the Agent Skills specification to be published; change it and import again",
                findings=[finding.id],
            )


def describe(row: CandidateRow) -> dict[str, Any]:
    """Return a candidate as ``--json`` answers list it."""
    return {
        "candidate": row.id,
        "state": row.state,
        "name": row.name,
        "version": row.version,
        "kind": row.kind,
        "source": row.source,
        "address": row.address,
        "resolved": json.loads(row.resolved),
        "tree_sha256": row.tree_sha256,
    }
