"""The list of withdrawals: made longer by one curator, published like everything else.

    read_list(…)            the list as it stands: published, or signed and about to be
    draft_withdrawal(…)     one more entry, and what it covers; nothing is kept
    keep_list(…)            a list that continues the present one, as a blob; its subject is ``revocations:SHA256``
    plan_list, give_list    the proposal that publishes it, checked, and signed
    check_list(…)           once more, when it is published

A proposal that nobody could publish never stands in the way: the role has a threshold of one, so what is
unsigned, or no continuation, is dropped. The way back is in `repo_server.publishing.reinstatements`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from securesystemslib.signer import Signer
from sqlalchemy.orm import Session
from tuf.api.metadata import TargetFile, Targets

from repo_server.db import log
from repo_server.db.models import ProposalRow
from repo_server.publishing.following import check_follows
from repo_server.publishing.origins import Published, published_profiles, published_releases
from repo_server.publishing.proposals import (
    Change,
    check_roles,
    drop_proposals,
    open_proposals,
    proposal_standing,
    propose_roles,
    sign_proposal,
)
from repo_server.publishing.vouched import vouched_targets
from repo_server.repository import Repository
from signing.errors import ConflictError, FormatError, NotFoundError, RejectedError, WrongSubjectError
from signing.format.digest import Sha256, parse_sha256
from signing.format.names import REVOCATIONS_PATH, HolderName
from signing.format.reinstatement import Reinstatement
from signing.format.revocations import Revocations
from signing.format.scope import Scope
from signing.format.withdrawal import Harm, Withdrawal, Withdrawn
from signing.keys import holder_of
from signing.metadata import build_target, parse
from signing.roles import REVOCATIONS, TARGETS
from signing.withdrawals import Curators

KIND: Final = "revocations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A list that one more curator is asked to sign: ``entry`` is what is new in it."""

    entry: Withdrawal
    revocations: Revocations
    covered: tuple[Published, ...] = ()


def curators_of(repository: Repository, session: Session) -> Curators:
    """Return the curators whom the published metadata names, under the anchor.

    Raises:
        VerificationError: it is not what its holders signed.
    """
    return Curators.of(vouched_targets(session, TARGETS, anchor=repository.anchor))


def published_list(repository: Repository, session: Session) -> Revocations:
    """Return the list that clients are given now.

    Raises:
        VerificationError, FormatError, NotFoundError: it is not what a curator signed, or is not there.
    """
    return _list_of(repository, vouched_targets(session, REVOCATIONS, anchor=repository.anchor))


def in_force(repository: Repository, session: Session) -> list[Withdrawal]:
    """Return the published withdrawals that were not lifted, oldest first.

    Raises:
        VerificationError, FormatError, NotFoundError: as for `published_list`.
    """
    curators = curators_of(repository, session)
    return [e for e in published_list(repository, session).entries if not curators.have_lifted(e)]


def read_list(repository: Repository, session: Session, *, now: datetime) -> Revocations:
    """Return the list that the next entry continues: the published one with what is signed on top of it.

    Raises:
        VerificationError, FormatError, NotFoundError: as for `published_list`.
    """
    found = published_list(repository, session)
    for row in _in_the_way(session):
        try:
            found = _acceptable(repository, session, row, found, now=now)
        except (RejectedError, ConflictError, NotFoundError):
            break
    return found


def unpublished_of(repository: Repository, session: Session, known: Revocations) -> list[Withdrawal]:
    """Return which entries of ``known`` clients are not given yet: new ones, those with a new reinstatement.

    Raises:
        VerificationError, FormatError, NotFoundError: as for `published_list`.
    """
    published = set(published_list(repository, session).entries)
    return [entry for entry in known.entries if entry not in published]


def draft_withdrawal(
    repository: Repository,
    session: Session,
    scope: Scope,
    *,
    state: Withdrawn,
    severity: Harm | None,
    reason: str,
    by: HolderName,
    now: datetime,
) -> Draft:
    """Return the list with one more entry, and which published releases that covers.

    What is yanked goes on where it is: the published profiles that pin it are named in the entry.

    Raises:
        ConflictError: an entry in force says the same, or more, of the same scope.
        VerificationError, FormatError: what is published is not what was signed; or the list is full, or there is no
            reason, or an endless one.
    """
    if not reason.strip():
        raise FormatError("a withdrawal has a reason: everybody who is refused reads it", where="reason")
    known = read_list(repository, session, now=now)
    curators = curators_of(repository, session)
    for entry in known.entries:
        if entry.scope == scope and entry.state.gravity >= state.gravity and not curators.have_lifted(entry):
            if entry in unpublished_of(repository, session, known):
                raise ConflictError(
                    f"{entry.by} signed already that {scope} is {entry.state.value}, and that is NOT PUBLISHED",
                    hint="nobody is refused anything before: skillrepo publish",
                )
            raise ConflictError(
                f"{scope} is {entry.state.value} already, by {entry.by}: {entry.reason}",
                hint=f"skillrepo status; to lift it: skillrepo reinstate {entry.id[:12]}",
            )
    yanked = state is Withdrawn.YANKED
    entry = Withdrawal(
        state=state,
        scope=scope,
        severity=severity,
        reason=reason,
        by=by,
        at=now.replace(microsecond=0),
        kept_by=tuple(published_profiles(repository, session, scope)) if yanked else (),
    )
    covered = tuple(
        item
        for item in published_releases(repository, session)
        if scope.covers(
            item.release.pin, bundle_sha256=item.release.bundle_sha256, tree_sha256=item.release.tree_sha256
        )
    )
    return Draft(entry=entry, revocations=known.with_entry(entry), covered=covered)


def keep_list(repository: Repository, session: Session, data: bytes, *, now: datetime) -> str:
    """Keep the list ``data`` so that it can be proposed, and return its subject.

    Raises:
        FormatError: not a list. RollbackError: it does not continue the present one.
        WrongSubjectError: a reinstatement that no curator signed. PolicyError: one curator would fill the list.
    """
    before = read_list(repository, session, now=now)
    check_follows(Revocations.parse(data), before, curators_of(repository, session))
    return f"{KIND}:{repository.blobs.store(data)}"


def plan_list(repository: Repository, session: Session, name: str, *, now: datetime) -> list[Change]:
    """Return exactly what publishing the kept list ``name`` (its sha256) would change.

    Raises:
        NotFoundError: it is not kept here. RollbackError: it does not continue the present list.
        WrongSubjectError, BadSignatureError: what is proposed or published is not what it should be.
    """
    data = repository.blobs.load(parse_sha256(name, where="list"))
    subject = f"{KIND}:{name}"
    try:
        return _planned(repository, session, subject, data, now=now)
    except ConflictError:  # something was published meanwhile: what was proposed continues nothing
        drop_proposals(session, subject)
        return _planned(repository, session, subject, data, now=now)


def give_list(
    repository: Repository, session: Session, name: str, signer: Signer, *, entry: Withdrawal, now: datetime
) -> list[Change]:
    """Check once more and add the signature of ``signer``; ``entry`` is what is new in the list, for the log.

    Raises:
        NotEntitledError: the key is not a curator's.
        NotFoundError, RollbackError, WrongSubjectError, BadSignatureError: see `plan_list`.
    """
    holder = holder_of(signer.public_key)
    if entry.lifted is None and entry.by != holder:
        raise WrongSubjectError(f"the entry says {entry.by}, the key is {holder}'s", where="by")
    plan_list(repository, session, name, now=now)
    for row in open_proposals(session, f"{KIND}:{name}"):
        sign_proposal(session, row, signer, anchor=repository.anchor)
    curators = curators_of(repository, session)
    lifting = sorted(holder_of(key) for key in curators.lifting(entry))
    facts: dict[str, object] = {
        "withdrawal": entry.id,
        "state": entry.state.value,
        "scope": str(entry.scope),
        "reason": entry.reason,
        "by": holder,
        "list": name,
    }
    if lifting and entry.lifted is not None:
        why = Reinstatement.parse(entry.lifted, withdrawal=entry.id).reason
        facts |= {"lifting_reason": why, "signed_by": lifting, "lifted": curators.have_lifted(entry)}
    event = "withdrawal.lifting-signed" if lifting else "withdrawal.signed"
    log.append(session, event=event, facts=facts, now=now)
    return plan_list(repository, session, name, now=now)


def check_list(
    repository: Repository, session: Session, name: str, rows: Sequence[ProposalRow], *, now: datetime
) -> list[Withdrawal]:
    """Return the entries that publishing ``rows`` adds or changes, after checking that this is all they do.

    Raises:
        RollbackError: they take something from the list.
        WrongSubjectError, BadSignatureError, NotFoundError, FormatError: they are not the list ``name``.
    """
    data = repository.blobs.load(parse_sha256(name, where="list"))
    found, before = Revocations.parse(data), published_list(repository, session)
    check_follows(found, before, curators_of(repository, session))
    check_roles(session, rows, _additions(data), anchor=repository.anchor, now=now)
    known = {entry.id: entry for entry in before.entries}
    signed = {name for row in rows for name in proposal_standing(session, row).signed}
    for entry in found.entries:
        if entry.id not in known and entry.by not in signed:
            raise WrongSubjectError(f"an entry says that {entry.by} made it, who did not sign", where="list")
    return [entry for entry in found.entries if known.get(entry.id) != entry]


def clear_the_way(repository: Repository, session: Session, subject: str, *, now: datetime) -> None:
    """Drop the open proposals of this role that could not be published, before ``subject`` continues them."""
    found = published_list(repository, session)
    for row in _in_the_way(session):
        if row.subject == subject:
            return
        try:
            found = _acceptable(repository, session, row, found, now=now)
        except (RejectedError, ConflictError, NotFoundError):
            drop_proposals(session, row.subject)
            return


def _planned(
    repository: Repository, session: Session, subject: str, data: bytes, *, now: datetime
) -> list[Change]:
    additions = _additions(data)
    if not open_proposals(session, subject):
        clear_the_way(repository, session, subject, now=now)
        before = read_list(repository, session, now=now)
        check_follows(Revocations.parse(data), before, curators_of(repository, session))
    rows = propose_roles(session, subject, additions, now=now)
    return check_roles(session, rows, additions, anchor=repository.anchor, now=now)


def _additions(data: bytes) -> dict[str, dict[str, TargetFile]]:
    return {REVOCATIONS: {REVOCATIONS_PATH: build_target(REVOCATIONS_PATH, data)}}


def _in_the_way(session: Session) -> Iterator[ProposalRow]:
    rows = [row for row in open_proposals(session) if row.role == REVOCATIONS]
    yield from sorted(rows, key=lambda row: row.version)


def _acceptable(
    repository: Repository, session: Session, row: ProposalRow, before: Revocations, *, now: datetime
) -> Revocations:
    """Return the list that ``row`` publishes, if it can be published after ``before``."""
    targets = parse(row.content, Targets, where=row.role).signed
    target = targets.targets.get(REVOCATIONS_PATH)
    if target is None or not proposal_standing(session, row).complete:
        raise WrongSubjectError(f"the proposal for {row.role} is not one that can be published")
    check_roles(session, [row], {REVOCATIONS: {REVOCATIONS_PATH: target}}, anchor=repository.anchor, now=now)
    found = _list_of(repository, targets)
    check_follows(found, before, curators_of(repository, session))
    return found


def _list_of(repository: Repository, targets: Targets) -> Revocations:
    target = targets.targets.get(REVOCATIONS_PATH)
    if target is None:
        raise NotFoundError("there is no list of withdrawals", hint="restore the repository from a backup")
    return Revocations.parse(repository.blobs.load(Sha256(target.hashes["sha256"])))
