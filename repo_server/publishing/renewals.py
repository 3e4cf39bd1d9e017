"""Renewing metadata before it expires: the same content, a new version, a new end.

    targets       delegations                       by curators
    skills        its delegation and all hash bins  by curators
    profiles                                        by operators
    revocations   the list of what is withdrawn     by any one curator; every 30 days, or births stop

Whoever renews says: what stands there still holds. `check_roles` makes sure that this is all they say.
"""

from datetime import datetime
from typing import Final

from securesystemslib.signer import Signer
from sqlalchemy.orm import Session
from tuf.api.metadata import Role, TargetFile

from repo_server.db import log
from repo_server.publishing.ceremony import bin_names
from repo_server.publishing.proposals import (
    Change,
    check_roles,
    drop_proposals,
    open_proposals,
    propose_roles,
    sign_proposal,
)
from repo_server.publishing.state import current_targets
from repo_server.publishing.withdrawals import clear_the_way
from repo_server.repository import Repository
from signing.errors import ConflictError, UsageError
from signing.keys import holder_of
from signing.roles import PROFILES, REVOCATIONS, SKILLS, TARGETS

_MAX_LINES: Final = 60
RENEWABLE: Final = (TARGETS, SKILLS, PROFILES, REVOCATIONS)


def plan_renewal(repository: Repository, session: Session, role: str, *, now: datetime) -> list[Change]:
    """Return what renewing ``role`` changes: versions and ends, and nothing else.

    Raises:
        UsageError: the role is not one that is renewed like this.
        WrongSubjectError, BadSignatureError: what is proposed or published is not what it should be.
    """
    try:
        return _checked(repository, session, role, now=now)
    except ConflictError:  # something was published meanwhile: what was proposed continues nothing
        drop_proposals(session, subject_of(role))
        return _checked(repository, session, role, now=now)


def renewed_content(session: Session, role: str) -> str:
    """Return what a renewal signs once more, for people: who may sign what, or which paths are named."""
    lines = []
    for name in _roles(session, role):
        targets = current_targets(session, name)
        lines += [f"    {path}" for path in targets.targets]
        if targets.delegations is None:
            continue
        keys = targets.delegations.keys
        delegated: list[Role] = list((targets.delegations.roles or {}).values())
        if targets.delegations.succinct_roles is not None:
            delegated.append(targets.delegations.succinct_roles)
        for item in delegated:
            label = getattr(item, "name", f"{SKILLS}-*")
            lines.append(f"  {label}: {item.threshold} of")
            lines += [f"    {holder_of(keys[keyid])}  key id {keyid}" for keyid in item.keyids]
    shown = lines[:_MAX_LINES]
    return "\n".join(
        [*shown, *([f"    … and {len(lines) - len(shown)} more"] if len(lines) > len(shown) else [])]
    )


def give_renewal(
    repository: Repository, session: Session, role: str, signer: Signer, *, now: datetime
) -> list[Change]:
    """Check once more and add the signature of ``signer``.

    Raises:
        NotEntitledError: the key is not one of the role's.
        UsageError, WrongSubjectError, BadSignatureError: see `plan_renewal`.
    """
    plan_renewal(repository, session, role, now=now)
    for row in propose_roles(session, subject_of(role), _roles(session, role), now=now):
        sign_proposal(session, row, signer, anchor=repository.anchor)
    facts = {"role": role, "by": holder_of(signer.public_key)}
    log.append(session, event="role.renewal-signed", facts=facts, now=now)
    return _checked(repository, session, role, now=now)


def _checked(repository: Repository, session: Session, role: str, *, now: datetime) -> list[Change]:
    by_role = _roles(session, role)
    if role == REVOCATIONS and not open_proposals(session, subject_of(role)):
        clear_the_way(repository, session, subject_of(role), now=now)
    rows = propose_roles(session, subject_of(role), by_role, now=now)
    return check_roles(session, rows, by_role, anchor=repository.anchor, now=now)


def _roles(session: Session, role: str) -> dict[str, dict[str, TargetFile]]:
    if role not in RENEWABLE:
        raise UsageError(f"{role!a} is not renewed like this", hint=f"one of: {', '.join(RENEWABLE)}")
    if role != SKILLS:
        return {role: {}}
    return {name: {} for name in (SKILLS, *bin_names(current_targets(session, SKILLS)))}


def subject_of(role: str) -> str:
    """Return the name under which proposals that renew ``role`` are kept."""
    return f"renewal:{role}"
