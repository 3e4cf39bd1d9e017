"""What is published now, read from the database."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session
from tuf.api.metadata import Root, Targets

from repo_server.db.models import MetadataRow, ProposalRow, ProposalState
from signing.errors import NotFoundError
from signing.metadata import parse
from signing.roles import ROOT, SNAPSHOT, TIMESTAMP

# One step in the index for each role, however many versions of it were published: GROUP BY would read them all.
_NEWEST: Final = text("""
    WITH RECURSIVE roles(role) AS (
        SELECT min(role) FROM metadata
        UNION ALL
        SELECT (SELECT min(later.role) FROM metadata AS later WHERE later.role > roles.role)
        FROM roles WHERE roles.role IS NOT NULL
    )
    SELECT roles.role, (SELECT max(one.version) FROM metadata AS one WHERE one.role = roles.role)
    FROM roles WHERE roles.role IS NOT NULL
""")


def current(session: Session, role: str) -> MetadataRow:
    """Return the published metadata of ``role``.

    Raises:
        NotFoundError: there is none.
    """
    statement = (
        select(MetadataRow).where(MetadataRow.role == role).order_by(MetadataRow.version.desc()).limit(1)
    )
    row = session.scalars(statement).first()
    if row is None:
        raise NotFoundError(f"role {role!r} has no published metadata")
    return row


def current_targets(session: Session, role: str) -> Targets:
    """Return what ``role`` names now."""
    return parse(current(session, role).content, Targets, where=role).signed


def current_root(session: Session) -> Root:
    """Return the current root."""
    return parse(current(session, ROOT).content, Root, where=ROOT).signed


def current_files(session: Session) -> dict[str, bytes]:
    """Return the current metadata of every role that a snapshot names."""
    newest = (
        select(MetadataRow.role, func.max(MetadataRow.version).label("version"))
        .where(MetadataRow.role.not_in([ROOT, SNAPSHOT, TIMESTAMP]))
        .group_by(MetadataRow.role)
        .subquery()
    )
    rows = session.execute(
        select(MetadataRow.role, MetadataRow.content).join(
            newest, (MetadataRow.role == newest.c.role) & (MetadataRow.version == newest.c.version)
        )
    )
    return {role: content for role, content in rows}  # noqa: C416 - rows are not pairs for the type checker


def newest_versions(session: Session) -> dict[str, int]:
    """Return the published version of every role that a snapshot names; the cost is that of the roles, not of their history."""
    rows = session.execute(_NEWEST)
    return {role: version for role, version in rows if role not in {ROOT, SNAPSHOT, TIMESTAMP}}


def published_content(session: Session, role: str, version: int) -> bytes:
    """Return the metadata of ``role`` that was published as ``version``.

    Raises:
        NotFoundError: there is none.
    """
    row = session.get(MetadataRow, (role, version))
    if row is None:
        raise NotFoundError(f"role {role!r} has no published version {version}")
    return row.content


def tip(session: Session, role: str) -> bytes:
    """Return the newest metadata of ``role``, proposed or published: what the next proposal continues."""
    statement = (
        select(ProposalRow.content)
        .where(ProposalRow.role == role, ProposalRow.state == ProposalState.OPEN)
        .order_by(ProposalRow.version.desc())
        .limit(1)
    )
    proposed = session.scalars(statement).first()
    return proposed if proposed is not None else current(session, role).content


def add_versions(session: Session, documents: Iterable[tuple[str, int, bytes]], *, now: datetime) -> None:
    """Record newly published metadata; a version that exists already is an integrity error."""
    session.add_all(
        MetadataRow(role=role, version=version, content=content, published_at=now)
        for role, version, content in documents
    )
    session.flush()
