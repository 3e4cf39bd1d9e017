"""Metadata of roles that one holder signs alone: the packages of a builder, the list of vulnerabilities (pure).

Nothing waits here for a second signature. The holder makes the next metadata of the role and signs it, on an own
machine; the repository checks it, from the anchor, against what is published, and publishes it in the same breath.

    metadata = next_metadata(published, role, target, now=…)       the holder's side
    sign(metadata, signer)
    check_next(repository, session, role, render(metadata), now=…) the repository's side
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session
from tuf.api.metadata import Metadata, Root, TargetFile, Targets

from repo_server.db.models import MetadataRow
from repo_server.publishing.behind import check_not_behind
from repo_server.publishing.state import current
from repo_server.publishing.vouched import vouched_roots, vouched_targets
from repo_server.repository import Repository
from signing.errors import (
    BadSignatureError,
    ConflictError,
    FormatError,
    NotFoundError,
    ThresholdError,
    WrongSubjectError,
)
from signing.keys import holder_of
from signing.metadata import build_first, lint_targets, parse, with_targets
from signing.roles import ROOT, TARGETS, life_of, paths_of

_CLOCK_SLACK: Final = timedelta(minutes=10)


def next_metadata(
    published: Targets | None, role: str, target: TargetFile, *, now: datetime
) -> Metadata[Targets]:
    """Return the unsigned metadata that names ``target`` alone and follows what is published."""
    if published is None:
        return build_first(role, target, now=now)
    return with_targets(published, {target.path: target}, role=role, now=now, replace=True)


def published_alone(repository: Repository, session: Session, role: str) -> Targets | None:
    """Return what is published for ``role``, checked from the anchor; None when its present holder published nothing.

    What an earlier holder left, whose key was replaced since, is vouched for by nobody: clients refuse it too.

    Raises:
        BadSignatureError, FormatError: it is not what its holder signed.
    """
    try:
        return vouched_targets(session, role, anchor=repository.anchor)
    except NotFoundError:
        return None
    except BadSignatureError:
        if left_behind(session, role, anchor=repository.anchor) is None:
            raise
        return None


def continued_alone(repository: Repository, session: Session, role: str) -> Targets | None:
    """Return what the next metadata of ``role`` follows, its version above all; None before the first.

    That is what is published, also when its holder was replaced since: clients remember versions, not holders.

    Raises:
        BadSignatureError, FormatError: it is not what a holder signed, of now or of then.
    """
    published = published_alone(repository, session, role)
    return published if published is not None else left_behind(session, role, anchor=repository.anchor)


def left_behind(session: Session, role: str, *, anchor: bytes) -> Targets | None:
    """Return the newest metadata of ``role`` when an earlier ``targets`` appointed those who signed it.

    None when there is none, or nobody who signed it was ever appointed.

    Raises:
        BadSignatureError, FormatError: what names its holders is not what its own holders signed.
    """
    try:
        left = parse(current(session, role).content, Targets, where=role)
    except NotFoundError:
        return None
    roots = [parse(root, Root, where=ROOT).signed for root in vouched_roots(session, anchor=anchor)]
    statement = select(MetadataRow.content).where(MetadataRow.role == TARGETS)
    for content in session.scalars(statement.order_by(MetadataRow.version.desc()).offset(1)):
        earlier = parse(content, Targets, where=TARGETS)
        if not any(_verified(root, TARGETS, earlier) for root in roots):
            return None
        if _verified(earlier.signed, role, left):
            lint_targets(left.signed, where=role)
            return left.signed
    return None


def check_next(
    repository: Repository, session: Session, role: str, content: bytes, *, now: datetime
) -> tuple[Targets, TargetFile, tuple[str, ...]]:
    """Return the metadata ``content``, its one target and who signed it, after checking that it may be published.

    Raises:
        NotFoundError: nobody is appointed to sign for ``role``.
        ThresholdError: its holder has not signed.
        ConflictError: something else was published meanwhile.
        WrongSubjectError: it names other paths, delegates, or plays with its end.
        FormatError, BadSignatureError: it, or what is published, is not metadata of ours.
    """
    check_not_behind(repository, session)
    proposed = parse(content, Targets, where=role)
    signers = _signers(repository, session, role, proposed)
    targets = proposed.signed
    lint_targets(targets, where=role)
    if list(targets.targets) != paths_of(role) or targets.delegations is not None:
        raise WrongSubjectError(f"must name {paths_of(role)[0]} and nothing else", where=role)
    published = continued_alone(repository, session, role)
    following = 1 if published is None else published.version + 1
    if targets.version != following:
        raise ConflictError(
            f"{role} is at version {following - 1}; version {targets.version} does not follow it",
            hint="somebody published meanwhile: run the same command again",
        )
    if not now < targets.expires <= now + life_of(role).expiry + _CLOCK_SLACK:
        raise WrongSubjectError(f"expires at {targets.expires}, which is not our rule", where=role)
    return targets, next(iter(targets.targets.values())), signers


def _signers(
    repository: Repository, session: Session, role: str, proposed: Metadata[Targets]
) -> tuple[str, ...]:
    delegator = vouched_targets(session, TARGETS, anchor=repository.anchor)
    try:
        result = delegator.get_verification_result(role, proposed.signed_bytes, proposed.signatures)
    except ValueError as error:
        raise NotFoundError(
            f"nobody is appointed to sign for {role}", hint="appoint a builder: skillrepo pkg builder"
        ) from error
    if not result.verified:
        missing = tuple(sorted(holder_of(key) for key in result.unsigned.values()))
        raise ThresholdError(role, signed=len(result.signed), threshold=result.threshold, missing=missing)
    if not result.signed:
        raise FormatError("is signed by nobody", where=role)
    return tuple(sorted(holder_of(key) for key in result.signed.values()))


def _verified(delegator: Root | Targets, role: str, metadata: Metadata[Targets]) -> bool:
    try:
        return delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures).verified
    except ValueError:  # nobody is appointed
        return False
