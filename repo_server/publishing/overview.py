"""What a repository holds and what it needs, for `status`, `show` and the read API."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from tuf.api.metadata import Metadata, Signed

from repo_server.curation.examination import describe
from repo_server.db.models import CandidateRow, CandidateState, ProfileRow, ReleaseRow
from repo_server.publishing.proposals import open_proposals, proposal_standing
from repo_server.publishing.state import current, current_files
from signing.format.moment import render_moment
from signing.format.names import ReleaseVersion, version_key
from signing.roles import ROOT, SNAPSHOT, TIMESTAMP, is_bin, life_of


def overview(session: Session, *, dev: bool, now: datetime) -> dict[str, Any]:
    """Return candidates, profiles, roles and problems."""
    missing: dict[str, set[str]] = {}
    for proposal in open_proposals(session):
        standing = proposal_standing(session, proposal)
        if not standing.complete:
            missing.setdefault(proposal.subject, set()).update(standing.missing)
    candidates = [
        {**describe(row), "missing": sorted(missing.get(f"candidate:{row.id}", ()))}
        for row in session.scalars(select(CandidateRow).order_by(CandidateRow.imported_at))
    ]
    profiles = [
        {"name": row.name, "version": row.version, "state": row.state, "sha256": row.sha256}
        for row in session.scalars(select(ProfileRow).order_by(ProfileRow.name, ProfileRow.created_at))
    ]
    roles = role_facts(session)
    return {
        "dev": dev,
        "candidates": candidates,
        "published": sum(row["state"] == CandidateState.PUBLISHED for row in candidates),
        "profiles": profiles,
        "roles": {role: facts for role, facts in roles.items() if not is_bin(role)},
        "problems": problems(session, now=now),
    }


def role_facts(session: Session) -> dict[str, dict[str, Any]]:
    """Return version and expiry of every role."""
    return {
        role: {"version": signed.version, "expires": render_moment(signed.expires)}
        for role, signed in _all_roles(session)
    }


def problems(session: Session, *, now: datetime) -> list[str]:
    """Return which roles are expired or within their renewal window, in words."""
    found = []
    for role, signed in _all_roles(session):
        expires = signed.expires
        if expires <= now:
            found.append(f"{role} expired at {render_moment(expires)}: clients refuse this repository")
        elif expires - now < life_of(role).renew and role != TIMESTAMP:
            found.append(f"{role} expires at {render_moment(expires)}: time to renew it")
    return found


def releases_of(session: Session, name: str) -> list[ReleaseRow]:
    """Return the releases of ``name``, the newest first."""
    rows = session.scalars(select(ReleaseRow).where(ReleaseRow.name == name))
    return sorted(rows, key=lambda row: version_key(ReleaseVersion(row.version)), reverse=True)


def _all_roles(session: Session) -> list[tuple[str, Signed]]:
    files = current_files(session)
    files |= {role: current(session, role).content for role in (ROOT, SNAPSHOT, TIMESTAMP)}
    return [(role, Metadata.from_bytes(data).signed) for role, data in sorted(files.items())]
