"""Appointing builders: whose key says what a package repository holds. Decided by curators, in ``targets``.

    plan_builder(…, repo, key)            what would change, checked
    give_builder(…, repo, key, signer)    one curator's signature; every curator brings the builder's public key along
    check_builder(…, rows)                that a proposal appoints one builder and does nothing else

Appointing another key for a repository that has one replaces it: so a builder's key is rotated, or taken away.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from securesystemslib.signer import Key, Signer
from sqlalchemy.orm import Session
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Targets

from repo_server.db import log
from repo_server.db.models import ProposalRow, ProposalState
from repo_server.publishing.ceremony import Standing
from repo_server.publishing.proposals import drop_proposals, open_proposals, proposal_standing, sign_proposal
from repo_server.publishing.vouched import vouched_content, vouched_targets
from repo_server.repository import Repository
from signing.errors import ConflictError, FormatError, WrongSubjectError
from signing.format.digest import sha256_of
from signing.format.pkg.names import PackageRepo
from signing.keys import HeldKey, holder_of
from signing.metadata import lint_targets, parse, render, renewed
from signing.roles import ADVISORIES, REVOCATIONS, TARGETS, is_pkg, life_of, paths_of

KIND: Final = "builder"
_CLOCK_SLACK: Final = timedelta(minutes=10)


def plan_builder(
    repository: Repository, session: Session, repo: PackageRepo, key: HeldKey, *, now: datetime
) -> Standing:
    """Return how far the appointment of ``key`` as the builder of ``repo`` has come, proposing it when nobody did.

    Raises:
        ConflictError: the key builds another repository, or another change of ``targets`` waits.
        WrongSubjectError: another key is proposed.
        BadSignatureError: what is published is not what curators signed.
    """
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
    facts = {
        "repository": str(repo),
        "builder": key.holder,
        "keyid": key.keyid,
        "by": holder_of(signer.public_key),
    }
    log.append(session, event="builder.signed", facts=facts, now=now)
    return standing


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
            wanted = _appointed(published, repo, proposed.delegations.keys[role.keyids[0]], now=now).signed
        except ConflictError as error:
            raise WrongSubjectError("appoints the builder of another repository", where=TARGETS) from error
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
        if name != repo.role and is_pkg(name) and key.keyid in role.keyids:
            raise ConflictError(
                f"{holder_of(key)} builds {PackageRepo.of_role(name)} already",
                hint="one key a repository: else one could be replayed as the other",
            )
    roles.setdefault(ADVISORIES, _advisories(published))
    roles[repo.role] = _role(repo, [key.keyid])
    known = published.delegations.keys if published.delegations is not None else {}
    named = {keyid for role in roles.values() for keyid in role.keyids}
    keys = {keyid: item for keyid, item in {**known, key.keyid: key}.items() if keyid in named}
    successor.signed.delegations = Delegations(keys, roles)
    lint_targets(successor.signed, where=TARGETS)
    return successor


def _roles(targets: Targets) -> dict[str, DelegatedRole]:
    if targets.delegations is None or targets.delegations.roles is None:
        raise FormatError("delegates nothing", where=TARGETS)
    return dict(targets.delegations.roles)


def _role(repo: PackageRepo, keyids: list[str]) -> DelegatedRole:
    return DelegatedRole(repo.role, list(keyids), 1, terminating=True, paths=paths_of(repo.role))


def _advisories(targets: Targets) -> DelegatedRole:
    keyids = _roles(targets)[REVOCATIONS].keyids
    return DelegatedRole(ADVISORIES, list(keyids), 1, terminating=True, paths=paths_of(ADVISORIES))
