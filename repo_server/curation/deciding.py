"""Writing a decision down: drafted where the curator sits, signed there, and accepted by the repository.

    review   = draft_review(examination, verdict, reviewer=…, now=…)    what would be signed
    envelope = sign_review(repository, session, review, examination, signer)
    accept_review(repository, session, row, envelope.render(), …)       what the repository takes, from anybody

`accept_review` believes nothing that it can check: whatever machine made the statement, it must be about the
files that are kept here, come from where they came from, and carry a curator's signature.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from securesystemslib.signer import Key
from sqlalchemy.orm import Session

from repo_server.curation.agreement import check_agrees, check_waivers
from repo_server.curation.candidates import load_tree, pin_of, provenance_of
from repo_server.curation.examination import Examination, examine, load_review
from repo_server.curation.seconding import Differing, Seconding
from repo_server.curation.waiving import WAIVER_LIFE, is_waivable, needs_waiver
from repo_server.db import log
from repo_server.db.models import CandidateRow, CandidateState
from repo_server.policy import check_engines
from repo_server.publishing.proposals import drop_proposals
from repo_server.publishing.vouched import vouched_targets
from repo_server.repository import Repository
from signing.errors import (
    BlockedError,
    ConflictError,
    FormatError,
    NotEntitledError,
    NotFoundError,
    WrongSubjectError,
)
from signing.evidence import check_approval
from signing.format.archive import render_bundle
from signing.format.digest import Sha256, parse_sha256, sha256_of
from signing.format.envelope import Envelope, EnvelopeSignature
from signing.format.manifest import Kind
from signing.format.names import HolderName, Pin
from signing.format.review import Decision, Review, Waiver
from signing.format.statement import PAYLOAD_TYPE, Statement
from signing.keys import envelope_signers, holder_of
from signing.keystore import SealedKeySigner
from signing.roles import SKILLS, TARGETS

REVIEWED: Final = "candidate.reviewed"  # in the log
_CLOCK_SLACK: Final = timedelta(minutes=10)
_PERSONAL: Final = frozenset({"reason", "reviewer", "reviewed_at", "waivers"})
_STATES: Final = {
    Decision.APPROVE: CandidateState.REVIEWED,
    Decision.REJECT: CandidateState.REJECTED,
    Decision.NEEDS_WORK: CandidateState.NEEDS_WORK,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a curator says about an examination.

    Attributes:
        decision, reason: the decision, and why; both are signed.
        waive: blocking findings, by id, and why each is acceptable.
        waive_until: when the waivers end; at most `WAIVER_LIFE` from now, which is also the default.
        acknowledged: the digest of the changes of the surface that the curator has seen.
    """

    decision: Decision
    reason: str
    waive: Mapping[str, str] = field(default_factory=dict)
    waive_until: datetime | None = None
    acknowledged: Sha256 | None = None


def draft_review(
    examination: Examination,
    verdict: Verdict,
    *,
    reviewer: HolderName,
    now: datetime,
    policy_sha256: Sha256 | None = None,
) -> Review:
    """Return the review that says ``verdict``.

    Raises:
        BlockedError: it would approve what may not be approved.
        NotFoundError: a waiver names no blocking finding. FormatError: a waiver lasts too long, or not at all.
    """
    row = examination.row
    bundle = examination.tree.to_bundle(pin_of(row), Kind(row.kind))
    published = examination.previous is not None
    review = Review(
        pin=pin_of(row),
        bundle_sha256=sha256_of(render_bundle(bundle)),
        tree_sha256=bundle.manifest.tree_digest,
        candidate=provenance_of(row),
        engines=examination.engines,
        surface=examination.surface,
        previous=examination.previous,
        surface_changes=examination.surface_changes if published else (),
        acknowledged=examination.acknowledgement is not None
        and verdict.acknowledged == examination.acknowledgement,
        policy_sha256=policy_sha256,
        waivers=_waivers(examination, verdict, reviewer, now),
        decision=verdict.decision,
        reason=verdict.reason,
        reviewer=reviewer,
        reviewed_at=now.replace(microsecond=0),
    )
    if verdict.decision is Decision.APPROVE:
        _check_publishable(review)
        check_approval(review, now=now)
    return review


def sign_review(
    repository: Repository,
    session: Session,
    row: CandidateRow,
    mine: Review,
    signer: SealedKeySigner,
    *,
    seconds: bool = False,
) -> Envelope:
    """Return ``mine``, signed; or another curator's review that says the same, with a signature more.

    ``seconds``: nothing but the latter; ``mine`` was made of what another curator's engines reported.

    Raises:
        NotEntitledError: the key is not a curator's.
        ConflictError: ``seconds``, and the review that stands does not say the same, or has no curator's signature.
        FormatError: our own reader refuses what would be signed.
    """
    if signer.public_key.keyid not in {key.keyid for key in curators(repository, session)}:
        raise NotEntitledError(
            f"{signer.held.holder} is not a curator of this repository", hint="review as a curator"
        )
    envelope = _seconded(repository, session, row, mine)
    if envelope is None and seconds:
        raise ConflictError(
            f"the review of {mine.pin} that you meant to sign does not stand any more, or says something else",
            hint="review it again",
        )
    if envelope is None:
        envelope = Envelope(payload_type=PAYLOAD_TYPE, payload=mine.to_statement().render())
    # Read back before it is signed: what our own reader refuses must never carry a signature.
    _read(envelope, mine.pin, mine.bundle_sha256, mine.tree_sha256)
    return signer.sign_envelope(envelope)


def decide(
    repository: Repository,
    session: Session,
    examination: Examination,
    verdict: Verdict,
    *,
    signer: SealedKeySigner,
    now: datetime,
    policy_sha256: Sha256 | None = None,
    seconding: Seconding | None = None,
    engines_differ: str = "",
) -> Review:
    """Draft, sign and accept in one go, where the repository and the key are on one machine.

    A second curator who approves adds a signature to the first one's review. With ``seconding``, that is done with
    the engines' reports of that review, for the reason ``engines_differ`` where they differ, or nothing is.

    Raises:
        NotEntitledError, BlockedError, NotFoundError, FormatError: see above.
        BlockedError: engines differ, and no reason is given or would be enough.
        PolicyError: with ``seconding``, the review lacks an engine that the policy demands.
        ConflictError: the candidate is published already. (A rejected one may be decided about again.)
    """
    row = examination.row
    differing = None
    if seconding is not None:
        differing = seconding.check(engines_differ)
        check_engines(repository.policy, seconding.standing)
        examination = seconding.examination
    mine = draft_review(
        examination, verdict, reviewer=signer.held.holder, now=now, policy_sha256=policy_sha256
    )
    envelope = sign_review(repository, session, row, mine, signer, seconds=seconding is not None)
    replaces = Sha256(row.review_sha256) if row.review_sha256 is not None else None
    return accept_review(
        repository, session, row, envelope.render(), replaces=replaces, now=now, differing=differing
    )


def accept_review(
    repository: Repository,
    session: Session,
    row: CandidateRow,
    data: bytes,
    *,
    replaces: Sha256 | None,
    now: datetime,
    differing: Differing | None = None,
) -> Review:
    """Take a signed review of ``row``, and return it.

    Signatures on one statement are collected. Another statement takes the place of the one that its maker had
    seen (``replaces``), and of no other. ``differing`` is what its signer says about engines; it is kept in the log.

    Raises:
        FormatError, WrongSubjectError: not a review of these files.
        NotEntitledError: no curator signed it. BlockedError: it approves what may not be approved.
        WrongSubjectError, NotEntitledError: it does not say what is found here, or waives in another's name.
        ConflictError: published already, somebody else decided in between, or this was decided otherwise since; or it
            was examined with other checks, or compared with another release, than here and now.
    """
    if row.state == CandidateState.PUBLISHED:
        raise ConflictError(
            f"candidate {row.id} is published already",
            hint="a published version is not decided about again; import a new one",
        )
    bundle = load_tree(repository, row).to_bundle(pin_of(row), Kind(row.kind))
    archive = render_bundle(bundle)
    envelope = Envelope.parse(data, where="review")
    review = _read(envelope, pin_of(row), sha256_of(archive), bundle.manifest.tree_digest)
    if review.candidate.to_json() != provenance_of(row).to_json():
        raise WrongSubjectError(f"says that {review.pin} came from somewhere else", where="review")
    if review.reviewed_at > now + _CLOCK_SLACK:
        raise FormatError(
            f"was made at {review.reviewed_at}, which is to come", where="review", hint="set the clock right"
        )
    if not review.reason.strip():
        raise FormatError("a decision has a reason", where="review.reason", hint="--reason '…'")
    keys = curators(repository, session)
    known = _known_signatures(repository, row, envelope, keys)
    envelope, signers = _good_signatures(envelope, known, keys)
    brought = [key for key in signers if key.keyid not in {item.keyid for item in known}]
    if review.reviewer not in {holder_of(key) for key in signers}:
        raise NotEntitledError(
            f"{review.reviewer}, who is named as the reviewer, did not sign it as a curator",
            hint="review as a curator, with your own key",
        )
    if not known:
        _check_replaces(repository, session, row, envelope, replaces)
    if review.decision is Decision.APPROVE:
        _check_publishable(review)
        check_approval(review, now=now)
        check_waivers(review, signers={holder_of(key) for key in signers})
        check_agrees(review, examine(repository, session, row))
    if not brought:  # handed in twice
        return review
    repository.blobs.store(archive)
    row.review_sha256 = repository.blobs.store(envelope.render())
    row.bundle_sha256, row.bundle_tree_sha256 = review.bundle_sha256, review.tree_sha256
    row.state = _STATES[review.decision]
    drop_proposals(session, f"candidate:{row.id}")  # a new signature changes the file that a release names
    facts = {
        "candidate": row.id,
        "pin": str(review.pin),
        "decision": review.decision.value,
        "reason": review.reason,
        "by": ",".join(sorted(holder_of(key) for key in brought)),
        "review_sha256": row.review_sha256,
        "waived": sorted(waiver.finding for waiver in review.waivers),
        **(differing.to_facts() if differing is not None else {}),
    }
    log.append(session, event=REVIEWED, facts=facts, now=now)
    return review


def curators(repository: Repository, session: Session) -> tuple[Key, ...]:
    """Return the keys of the curators, as the trust anchor vouches for them."""
    targets = vouched_targets(session, TARGETS, anchor=repository.anchor)
    keys = targets.delegations.keys if targets.delegations is not None else {}
    return tuple(keys[keyid] for keyid in targets.get_delegated_role(SKILLS).keyids)


def _read(envelope: Envelope, pin: Pin, bundle_sha256: Sha256, tree_sha256: Sha256) -> Review:
    if envelope.payload_type != PAYLOAD_TYPE:
        raise WrongSubjectError(f"carries {envelope.payload_type!a}", where="review")
    return Review.from_statement(
        Statement.parse(envelope.payload), pin=pin, bundle_sha256=bundle_sha256, tree_sha256=tree_sha256
    )


def _known_signatures(
    repository: Repository, row: CandidateRow, envelope: Envelope, keys: tuple[Key, ...]
) -> tuple[EnvelopeSignature, ...]:
    """Return the good signatures that the same statement has here."""
    if row.review_sha256 is None:
        return ()
    here, _ = load_review(repository, row)
    good = {key.keyid for key in envelope_signers(here, keys)} if here.payload == envelope.payload else set()
    return tuple(item for item in here.signatures if item.keyid in good)


def _good_signatures(
    envelope: Envelope, known: tuple[EnvelopeSignature, ...], keys: tuple[Key, ...]
) -> tuple[Envelope, tuple[Key, ...]]:
    """Return the envelope with the curators' good signatures, brought and known, and whose these are.

    Whatever else is brought is left behind: a bad signature under a curator's key id would take the place of the
    good one that is here, and one by nobody would make an old statement look new.
    """
    brought = {key.keyid for key in envelope_signers(envelope, keys)}
    good = {item.keyid: item for item in envelope.signatures if item.keyid in brought}
    good |= {item.keyid: item for item in known}
    found = replace(envelope, signatures=tuple(good[keyid] for keyid in sorted(good)))
    return found, envelope_signers(found, keys)


def _check_replaces(
    repository: Repository, session: Session, row: CandidateRow, envelope: Envelope, replaces: Sha256 | None
) -> None:
    """Return None when another statement may take the place of the one that is here, if there is one.

    Raises:
        ConflictError: its maker has not seen that one; or it stood here before. Whoever keeps an approval, and has
            no key, must not bring it back after a rejection.
    """
    if row.review_sha256 is not None and row.review_sha256 != replaces:
        raise ConflictError(
            f"somebody else decided about candidate {row.id} while you looked",
            hint="review it again: yours then adds a signature to theirs, or takes its place",
        )
    if envelope.payload in _statements_of_before(repository, session, row):
        raise ConflictError(
            f"this decision about candidate {row.id} does not stand any more",
            hint="somebody decided otherwise, or it was imported again; decide anew",
        )


def _statements_of_before(repository: Repository, session: Session, row: CandidateRow) -> Iterator[bytes]:
    for record in log.about(session, row.id):
        if record.event == REVIEWED and record.facts.get("candidate") == row.id:
            digest = parse_sha256(record.facts.get("review_sha256"), where="log")
            yield Envelope.parse(repository.blobs.load(digest), where="review").payload


def differences(one: Review, other: Review) -> tuple[str, ...]:
    """Return in which parts two reviews differ, apart from who made them, when and why.

    Without any, a second curator can sign the first one's review.
    """
    first, second = one.to_statement().predicate, other.to_statement().predicate
    parts = [key for key in first if key not in _PERSONAL and first[key] != second[key]]
    if {waiver.finding for waiver in one.waivers} != {waiver.finding for waiver in other.waivers}:
        parts.append("waivers")
    return tuple(parts)


def _seconded(repository: Repository, session: Session, row: CandidateRow, mine: Review) -> Envelope | None:
    """Return another curator's review when it says what mine would.

    The other's must carry a curator's signature, and may differ in who, when and why only: nobody signs a
    statement that somebody else's machine made up.
    """
    if mine.decision is not Decision.APPROVE or row.state not in {
        CandidateState.REVIEWED,
        CandidateState.SIGNED,
    }:
        return None
    envelope, review = load_review(repository, row)
    same = (
        review.reviewer != mine.reviewer
        and (review.pin, review.bundle_sha256, review.tree_sha256)
        == (mine.pin, mine.bundle_sha256, mine.tree_sha256)
        and not differences(review, mine)
        and bool(envelope_signers(envelope, curators(repository, session)))
    )
    return envelope if same else None


def _waivers(examination: Examination, verdict: Verdict, by: HolderName, now: datetime) -> tuple[Waiver, ...]:
    blocking = {finding.id for finding in examination.findings if needs_waiver(finding)}
    if unknown := sorted(set(verdict.waive) - blocking):
        raise NotFoundError(
            f"{unknown[0]!r} is not a blocking finding", hint="use the ids that review prints"
        )
    until = (verdict.waive_until or now + WAIVER_LIFE).replace(microsecond=0)
    if not now < until <= now + WAIVER_LIFE:
        raise FormatError(
            f"a waiver ends within {WAIVER_LIFE.days} days, and not before it begins", where="waive-until"
        )
    return tuple(
        Waiver(finding=finding, reason=why, by=by, until=until)
        for finding, why in sorted(verdict.waive.items())
    )


def _check_publishable(review: Review) -> None:
    for finding in review.findings:
        if needs_waiver(finding) and not is_waivable(finding):
            raise BlockedError(
                f"{finding.path}: {finding.message}",
                hint="front matter must follow the Agent Skills specification to be published; change it and import again",
                findings=[finding.id],
            )
