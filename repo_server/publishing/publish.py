"""Publishing what is completely signed.

Blobs are durable already (they were stored at review). Then one transaction decides: the new metadata of each
role, what it releases, a new snapshot and timestamp, the log record. Then the published tree is brought up to
the database, timestamp last. Killed before the commit, nothing happened; killed after it, the next `publish`,
`refresh` or `serve` completes the files.

What is signed is checked once more, before anything of it is applied. What fails (a waiver that ended, for one)
is blocked, by name and with its reason, and so is what continues it; the rest is published. A withdrawal must not
wait for somebody else's mistake.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from securesystemslib.signer import Signer
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from tuf.api.metadata import Targets

from repo_server.curation.candidates import pin_of
from repo_server.curation.examination import load_review
from repo_server.curation.frontmatter import read_front_matter
from repo_server.db import log
from repo_server.db.models import (
    CandidateRow,
    CandidateState,
    ProfileRow,
    ProposalRow,
    ProposalState,
    ReleaseRow,
    TargetRow,
)
from repo_server.db.session import transaction
from repo_server.publishing import builders, withdrawals
from repo_server.publishing.behind import check_not_behind
from repo_server.publishing.online import OnlineState, sign_state
from repo_server.publishing.profile_packages import check_pinned_packages, check_vulnerabilities
from repo_server.publishing.profiles import PUBLISHED, additions_of, load_profile
from repo_server.publishing.projection import project, project_new
from repo_server.publishing.proposals import (
    check_proposals,
    check_roles,
    continues_published,
    open_proposals,
    proposal_standing,
)
from repo_server.publishing.releases import load_reviewed
from repo_server.publishing.standing import check_takes_up, mark_releases
from repo_server.publishing.state import add_versions, current_targets
from repo_server.repository import Repository
from signing.errors import (
    ConflictError,
    FormatError,
    NotFoundError,
    RejectedError,
    SkillRepoError,
    ThresholdError,
)
from signing.format.archive import read_bundle
from signing.format.digest import Sha256
from signing.format.manifest import SKILL_NAME, MemberPath
from signing.format.names import Pin
from signing.format.pkg.names import PackageRepo
from signing.format.withdrawal import Withdrawal
from signing.metadata import parse
from signing.roles import REVOCATIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a run of `publish` did."""

    releases: tuple[Pin, ...]
    profiles: tuple[Pin, ...]
    renewed: tuple[str, ...]
    pending: tuple[tuple[str, tuple[str, ...]], ...]
    online: OnlineState | None
    builders: tuple[PackageRepo, ...] = ()
    withdrawals: tuple[Withdrawal, ...] = ()
    lifted: frozenset[Sha256] = frozenset()
    blocked: tuple[tuple[str, SkillRepoError], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the result as ``--json`` answers it."""
        return {
            "published": [
                {"kind": kind, "name": pin.name, "version": pin.version}
                for kind, pins in (("release", self.releases), ("profile", self.profiles))
                for pin in pins
            ],
            "renewed": list(self.renewed),
            "builders": [str(repo) for repo in self.builders],
            "withdrawals": [
                {"id": entry.id, "state": news_of(entry, self.lifted), "scope": str(entry.scope)}
                for entry in self.withdrawals
            ],
            "pending": [{"subject": subject, "missing": list(missing)} for subject, missing in self.pending],
            "blocked": [{"subject": subject, **error.to_document()} for subject, error in self.blocked],
            "snapshot_version": self.online.snapshot if self.online is not None else None,
            "timestamp_version": self.online.timestamp if self.online is not None else None,
        }


def news_of(entry: Withdrawal, lifted: Collection[Sha256]) -> str:
    """Return what became of an entry: its state; ``lifting`` while curators are still needed, then ``lifted``."""
    if entry.lifted is None:
        return entry.state.value
    return "lifted" if entry.id in lifted else "lifting"


def publish(repository: Repository, online: Signer, *, now: datetime) -> Published:
    """Publish every completely signed proposal: withdrawals first, else in the order in which they were made.

    Raises:
        ThresholdError: something waits, and none of it has enough signatures.
        RejectedError, ConflictError, NotFoundError: nothing could be published; this is the first reason: what is
            signed is not what was reviewed, is not approved any more, or pins what was withdrawn.
        RollbackError: the published tree is newer than the database; nothing is signed.
        HostError: the published tree cannot be written; what was served before is whole.
    """
    with transaction(repository.engine) as session:
        check_not_behind(repository, session)
        result = _decide(repository, session, online, now=now)
    with transaction(repository.engine) as session:
        if result.online is not None:
            project_new(repository, session)
        else:
            project(
                repository, session
            )  # who publishes, and there is nothing new, may miss something in the tree
    if result.online is None and result.blocked:
        raise result.blocked[0][1]
    if result.online is None and result.pending:
        _raise_pending(repository)
    return result


def _decide(repository: Repository, session: Session, online: Signer, *, now: datetime) -> Published:
    by_subject: dict[str, list[ProposalRow]] = {}
    # The list of withdrawals first: what it is about must not be published by the very run that withdraws it.
    for row in sorted(open_proposals(session), key=lambda row: row.role != REVOCATIONS):
        by_subject.setdefault(row.subject, []).append(row)
    done = _Done()
    for subject, rows in by_subject.items():
        try:
            if missing := _missing(session, rows):
                done.pending.append((subject, missing))
                continue
            with session.begin_nested():  # what fails half-way leaves nothing of itself
                _publish_one(repository, session, subject, rows, done, now=now)
        except (RejectedError, ConflictError, NotFoundError) as error:
            done.blocked.append((subject, error))
        except IntegrityError:
            message = "the database holds something of it already that nobody published"
            hint = "compare with skillrepo log; restore the database from a backup"
            done.blocked.append((subject, ConflictError(message, hint=hint)))
    state, lifted = None, _lifted(repository, session, done.withdrawals)
    if done.releases or done.profiles or done.renewed or done.withdrawals or done.builders:
        mark_releases(repository, session, None if done.withdrawals else done.releases)
        state = sign_state(session, online, now=now)
        facts = {
            "releases": [str(pin) for pin in done.releases],
            "profiles": [str(pin) for pin in done.profiles],
            "renewed": done.renewed,
            "builders": [str(repo) for repo in done.builders],
            "withdrawals": [f"{news_of(entry, lifted)} {entry.scope}" for entry in done.withdrawals],
            "snapshot": state.snapshot,
            "timestamp": state.timestamp,
        }
        log.append(session, event="published", facts=facts, now=now)
    return Published(
        releases=tuple(done.releases),
        profiles=tuple(done.profiles),
        renewed=tuple(done.renewed),
        builders=tuple(done.builders),
        withdrawals=tuple(done.withdrawals),
        lifted=lifted,
        pending=tuple(done.pending),
        blocked=tuple(done.blocked),
        online=state,
    )


def _lifted(repository: Repository, session: Session, entries: Sequence[Withdrawal]) -> frozenset[Sha256]:
    if not entries:
        return frozenset()
    curators = withdrawals.curators_of(repository, session)
    return frozenset(entry.id for entry in entries if curators.have_lifted(entry))


@dataclass(frozen=True, slots=True)
class _Done:
    releases: list[Pin] = field(default_factory=list)
    profiles: list[Pin] = field(default_factory=list)
    renewed: list[str] = field(default_factory=list)
    builders: list[PackageRepo] = field(default_factory=list)
    withdrawals: list[Withdrawal] = field(default_factory=list)
    pending: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    blocked: list[tuple[str, SkillRepoError]] = field(default_factory=list)


def _publish_one(
    repository: Repository,
    session: Session,
    subject: str,
    rows: list[ProposalRow],
    done: _Done,
    *,
    now: datetime,
) -> None:
    """Apply the proposals of one subject; what it did before something raises is the caller's to undo."""
    kind, _, name = subject.partition(":")
    if kind == "candidate":
        done.releases.append(_release(repository, session, name, rows, beside=done.releases, now=now))
    elif kind == "renewal":
        check_roles(session, rows, {row.role: {} for row in rows}, anchor=repository.anchor, now=now)
        _apply(session, rows, now=now)
        done.renewed.append(name)
    elif kind == withdrawals.KIND:
        entries = withdrawals.check_list(repository, session, name, rows, now=now)
        _apply(session, rows, now=now)
        done.withdrawals.extend(entries)
    elif kind == builders.KIND:
        builders.check_builder(repository, session, PackageRepo.parse(name), rows, now=now)
        _apply(session, rows, now=now)
        done.builders.append(PackageRepo.parse(name))
    elif kind == "profile":
        done.profiles.append(_profile(repository, session, Pin.parse(name), rows, now=now))
    else:
        raise FormatError(f"{subject[:80]!a} is not something that is published", where="proposal")


def _missing(session: Session, rows: list[ProposalRow]) -> tuple[str, ...]:
    """Return whose signatures are missing, or why else these proposals must wait; empty when they need not."""
    for row in rows:
        standing = proposal_standing(session, row)
        if not standing.complete:
            return standing.missing
        if not continues_published(session, row):
            return (f"{row.role}: an earlier proposal is not published",)
    return ()


def _apply(session: Session, rows: list[ProposalRow], *, now: datetime) -> None:
    for row in rows:
        old = current_targets(session, row.role).targets
        new = parse(row.content, Targets, where=row.role).signed.targets
        add_versions(session, [(row.role, row.version, row.content)], now=now)
        for path, target in new.items():
            if old.get(path) != target:
                # A list of withdrawals may come back to bytes that it had before: a signature was taken away.
                session.merge(TargetRow(path=path, sha256=target.hashes["sha256"], length=target.length))
        row.state = ProposalState.PUBLISHED
    session.flush()


def _release(
    repository: Repository,
    session: Session,
    candidate_id: str,
    rows: list[ProposalRow],
    *,
    beside: Collection[Pin],
    now: datetime,
) -> Pin:
    row = session.get(CandidateRow, candidate_id)
    if row is None:
        raise NotFoundError(f"no candidate {candidate_id[:40]!a}", hint="somebody altered the database")
    reviewed = load_reviewed(repository, session, row, now=now, beside=beside)
    # What was signed must be what the row says now: clients believe the metadata, people believe `show`.
    check_proposals(session, rows, reviewed.additions, anchor=repository.anchor, now=now)
    _, review = load_review(repository, row)
    archive = repository.blobs.load(review.bundle_sha256)
    front, _ = read_front_matter(read_bundle(archive).contents[MemberPath(SKILL_NAME)])
    _apply(session, rows, now=now)
    session.add(
        ReleaseRow(
            name=row.name,
            version=row.version,
            kind=row.kind,
            state=PUBLISHED,
            description=front.description,
            bundle_sha256=review.bundle_sha256,
            bundle_bytes=len(archive),
            tree_sha256=review.tree_sha256,
            review_sha256=Sha256(row.review_sha256 or ""),
            reviewers=",".join(reviewed.reviewers),
            candidate_id=row.id,
            published_at=now,
        )
    )
    row.state = CandidateState.PUBLISHED
    session.flush()
    return pin_of(row)


def _profile(
    repository: Repository, session: Session, pin: Pin, rows: list[ProposalRow], *, now: datetime
) -> Pin:
    profile = load_profile(repository, session, pin)
    check_takes_up(repository, session, profile)
    check_pinned_packages(repository, session, profile)
    check_vulnerabilities(repository, session, profile, now=now)
    additions = additions_of(profile)
    check_proposals(session, rows, additions, anchor=repository.anchor, now=now)
    _apply(session, rows, now=now)
    session.get_one(ProfileRow, (pin.name, pin.version)).state = PUBLISHED
    return pin


def _raise_pending(repository: Repository) -> None:
    with transaction(repository.engine) as session:
        for row in open_proposals(session):
            standing = proposal_standing(session, row)
            if not standing.complete:
                raise ThresholdError(
                    standing.role,
                    signed=len(standing.signed),
                    threshold=standing.threshold,
                    missing=standing.missing,
                )
