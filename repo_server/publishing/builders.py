"""Appointing builders: whose key says what a package repository holds. Decided by curators, in ``targets``.

    plan_builder(…, repo, key)            what would change, checked
    give_builder(…, repo, key, signer)    one curator's signature; every curator brings the builder's public key along
    plan_proposed(…, repo)                the same where the proposal is made already, by whoever brought the key
    check_builder(…, rows)                that a proposal appoints one builder and does nothing else

Appointing another key for a repository that has one replaces it: so a builder's key is rotated, or taken away.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from securesystemslib.signer import Key, Signer
from sqlalchemy.orm import Session
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Root, Targets

from repo_server.db import log
from repo_server.db.models import ProposalRow, ProposalState
from repo_server.publishing.ceremony import Standing
from repo_server.publishing.proposals import (
    Change,
    continues_published,
    drop_proposals,
    open_proposals,
    proposal_standing,
    sign_proposal,
)
from repo_server.publishing.vouched import vouched_content, vouched_delegator, vouched_targets
from repo_server.repository import Repository
from signing.errors import ConflictError, FormatError, NotFoundError, WrongSubjectError
from signing.format.digest import sha256_of
from signing.format.pkg.names import PackageRepo
from signing.keys import HeldKey, holder_of
from signing.metadata import lint_targets, parse, render, renewed
from signing.roles import ADVISORIES, REVOCATIONS, TARGETS, is_pkg, life_of, paths_of

KIND: Final = "builder"
_CLOCK_SLACK: Final = timedelta(minutes=10)
_OWN_KEY: Final = (
    "a build host has a key of its own: whoever takes it over must not get more than its packages"
)


def plan_builder(
    repository: Repository, session: Session, repo: PackageRepo, key: HeldKey, *, now: datetime
) -> Standing:
    """Return how far the appointment of ``key`` as the builder of ``repo`` has come, proposing it when nobody did.

    Raises:
        ConflictError: the key does something else already, or another change of ``targets`` waits.
        WrongSubjectError: another key is proposed.
        BadSignatureError: what is published is not what curators signed.
    """
    _check_not_of_root(repository, session, key.keyid)
    row = _proposed(repository, session, repo, key, now=now)
    wanted = _appointed(_published(repository, session), repo, key.to_tuf(), now=now).signed
    proposed = parse(row.content, Targets, where=TARGETS).signed
    if proposed.delegations != wanted.delegations:
        raise WrongSubjectError(
            f"another key is proposed as the builder of {repo}",
            hint="do not sign; ask the curator who proposed it, or drop it: skillrepo pkg builder --drop",
        )
    check_builder(repository, session, repo, [row], now=now)
    return proposal_standing(session, row)


def give_builder(
    repository: Repository,
    session: Session,
    repo: PackageRepo,
    key: HeldKey,
    signer: Signer,
    *,
    now: datetime,
) -> Standing:
    """Check once more and add the signature of ``signer``.

    Raises:
        NotEntitledError: the key is not a curator's.
        ConflictError, WrongSubjectError, BadSignatureError: see `plan_builder`.
    """
    plan_builder(repository, session, repo, key, now=now)
    standing = sign_proposal(
        session, _proposed(repository, session, repo, key, now=now), signer, anchor=repository.anchor
    )
    facts = {**facts_of(repo, key.to_tuf()), "by": holder_of(signer.public_key)}
    log.append(session, event="builder.signed", facts=facts, now=now)
    return standing


def plan_proposed(
    repository: Repository, session: Session, repo: PackageRepo, *, now: datetime
) -> tuple[Change, Key]:
    """Return what the proposed appointment for ``repo`` changes, and the key of who is to build, after checking it.

    Raises:
        NotFoundError: nobody proposed one. ConflictError: ``targets`` was changed since.
        WrongSubjectError, BadSignatureError: see `check_builder`.
    """
    rows = open_proposals(session, subject_of(repo))
    if not rows:
        raise NotFoundError(
            f"nobody proposed a builder for {repo}", hint=f"skillrepo pkg builder {repo} --key FILE"
        )
    if not all(continues_published(session, row) for row in rows):
        raise ConflictError("something was published meanwhile", hint="run the same command again")
    check_builder(repository, session, repo, rows, now=now)
    published = _published(repository, session)
    change = Change(
        role=TARGETS,
        old_version=published.version,
        new_version=rows[0].version,
        added=(),
        standing=proposal_standing(session, rows[0]),
    )
    proposed = parse(rows[0].content, Targets, where=TARGETS).signed
    return change, proposed.get_key(_roles(proposed)[repo.role].keyids[0])


def builder_of(repository: Repository, session: Session, repo: PackageRepo) -> Key | None:
    """Return the key of who builds ``repo`` now; None when nobody is appointed.

    Raises:
        BadSignatureError, FormatError: what is published is not what curators signed.
    """
    published = _published(repository, session)
    role = _roles(published).get(repo.role)
    return published.get_key(role.keyids[0]) if role is not None else None


def facts_of(repo: PackageRepo, key: Key) -> dict[str, str]:
    """Return what the log says of an appointment."""
    return {"repository": str(repo), "builder": holder_of(key), "keyid": key.keyid}


def drop_builder(session: Session, repo: PackageRepo) -> None:
    """Give up the proposed appointment for ``repo`` and its signatures; none is fine."""
    drop_proposals(session, subject_of(repo))


def check_builder(
    repository: Repository,
    session: Session,
    repo: PackageRepo,
    rows: Sequence[ProposalRow],
    *,
    now: datetime,
) -> None:
    """Return None when ``rows`` appoint one builder for ``repo`` and do nothing else, whoever wrote them.

    Raises:
        WrongSubjectError: they do anything else.
        BadSignatureError: what is published is not what curators signed.
    """
    published = _published(repository, session)
    for row in rows:
        proposed = parse(row.content, Targets, where=TARGETS).signed
        lint_targets(proposed, where=TARGETS)
        if row.role != TARGETS or not now < proposed.expires <= now + life_of(TARGETS).expiry + _CLOCK_SLACK:
            raise WrongSubjectError("does more than appoint a builder", where=TARGETS)
        role = _roles(proposed).get(repo.role)
        if role is None or proposed.delegations is None or len(role.keyids) != 1:
            raise WrongSubjectError("appoints no builder, or several", where=TARGETS)
        try:
            _check_not_of_root(repository, session, role.keyids[0])
            wanted = _appointed(published, repo, proposed.delegations.keys[role.keyids[0]], now=now).signed
        except ConflictError as error:
            raise WrongSubjectError(
                f"appoints a key with another task: {error.message}", where=TARGETS
            ) from error
        # All of it is compared, in its order: what is not looked at here would be signed unseen.
        wanted.expires = proposed.expires
        if proposed.to_dict() != wanted.to_dict():
            raise WrongSubjectError("does more than appoint a builder", where=TARGETS)


def subject_of(repo: PackageRepo) -> str:
    """Return the name under which the appointment for ``repo`` is proposed."""
    return f"{KIND}:{repo}"


def _proposed(
    repository: Repository, session: Session, repo: PackageRepo, key: HeldKey, *, now: datetime
) -> ProposalRow:
    content = vouched_content(session, TARGETS, anchor=repository.anchor)
    base = sha256_of(parse(content, Targets, where=TARGETS).signed_bytes)
    for row in open_proposals(session):
        if row.role != TARGETS:
            continue
        if row.subject != subject_of(repo):
            raise ConflictError(
                f"{row.subject} waits for signatures, and changes the same metadata",
                hint="skillrepo publish it first",
            )
        if row.base_sha256 == base:
            return row
        drop_proposals(session, row.subject)  # something was published meanwhile
    metadata = _appointed(_published(repository, session), repo, key.to_tuf(), now=now)
    row = ProposalRow(
        subject=subject_of(repo),
        role=TARGETS,
        version=metadata.signed.version,
        base_sha256=base,
        content=render(metadata),
        state=ProposalState.OPEN,
        created_at=now,
    )
    session.add(row)
    session.flush()
    return row


def _published(repository: Repository, session: Session) -> Targets:
    return vouched_targets(session, TARGETS, anchor=repository.anchor)


def _appointed(published: Targets, repo: PackageRepo, key: Key, *, now: datetime) -> Metadata[Targets]:
    successor = renewed(published, role=TARGETS, now=now)
    roles = _roles(successor.signed)
    for name, role in roles.items():
        if name == repo.role or key.keyid not in role.keyids:
            continue
        if is_pkg(name):
            raise ConflictError(
                f"{holder_of(key)} builds {PackageRepo.of_role(name)} already",
                hint="one key a repository: else one could be replayed as the other",
            )
        raise ConflictError(f"{holder_of(key)} signs {name} with this key", hint=_OWN_KEY)
    roles.setdefault(ADVISORIES, _advisories(published))
    roles[repo.role] = _role(repo, [key.keyid])
    known = published.delegations.keys if published.delegations is not None else {}
    named = {keyid for role in roles.values() for keyid in role.keyids}
    keys = {keyid: item for keyid, item in {**known, key.keyid: key}.items() if keyid in named}
    successor.signed.delegations = Delegations(keys, roles)
    lint_targets(successor.signed, where=TARGETS)
    return successor


def _check_not_of_root(repository: Repository, session: Session, keyid: str) -> None:
    root = vouched_delegator(session, TARGETS, anchor=repository.anchor)
    for name, role in root.roles.items() if isinstance(root, Root) else ():
        if keyid in role.keyids:
            raise ConflictError(f"this key signs {name}", hint=_OWN_KEY)


def _roles(targets: Targets) -> dict[str, DelegatedRole]:
    if targets.delegations is None or targets.delegations.roles is None:
        raise FormatError("delegates nothing", where=TARGETS)
    return dict(targets.delegations.roles)


def _role(repo: PackageRepo, keyids: list[str]) -> DelegatedRole:
    return DelegatedRole(repo.role, list(keyids), 1, terminating=True, paths=paths_of(repo.role))


def _advisories(targets: Targets) -> DelegatedRole:
    keyids = _roles(targets)[REVOCATIONS].keyids
    return DelegatedRole(ADVISORIES, list(keyids), 1, terminating=True, paths=paths_of(ADVISORIES))
