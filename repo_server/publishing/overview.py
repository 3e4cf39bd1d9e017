"""What a repository holds and what it needs, for `status`, `show` and the read API."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session
from tuf.api.metadata import Metadata, Signed

from repo_server.curation.examination import describe, load_review
from repo_server.curation.textsafe import visible
from repo_server.db.models import CandidateRow, CandidateState, ProfileRow, ReleaseRow
from repo_server.pkgrepo.published import newest_serials
from repo_server.publishing.profiles import PUBLISHED
from repo_server.publishing.proposals import open_proposals, proposal_standing
from repo_server.publishing.state import current, current_files, current_targets
from repo_server.publishing.withdrawals import curators_of, in_force, read_list, unpublished_of
from repo_server.repository import Repository
from signing.errors import NotFoundError, RejectedError
from signing.format.digest import parse_sha256
from signing.format.envelope import Envelope
from signing.format.moment import render_moment
from signing.format.names import ReleaseVersion, version_key
from signing.format.pkg.names import PackageRepo
from signing.format.withdrawal import Withdrawn
from signing.keys import holder_of
from signing.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, is_bin, is_pkg, life_of

WAIVERS_END_SOON: Final = timedelta(days=30)


def overview(repository: Repository, session: Session, *, now: datetime) -> dict[str, Any]:
    """Return candidates, profiles, roles, what waits for whom, what is withdrawn, and problems.

    A row that cannot be read is one of the problems, not the end of all the rest.
    """
    waiting = open_subjects(session)
    missing = {item["subject"]: item["missing"] for item in waiting}
    candidates, damaged = _candidates(session, missing)
    profiles = [
        {"name": row.name, "version": row.version, "state": row.state, "sha256": row.sha256}
        for row in session.scalars(select(ProfileRow).order_by(ProfileRow.name, ProfileRow.created_at))
    ]
    roles = role_facts(session)
    waivers, unread = ending_waivers(repository, session, now=now)
    return {
        "dev": repository.config.dev,
        "candidates": candidates,
        "published": sum(row["state"] == CandidateState.PUBLISHED for row in candidates),
        "profiles": profiles,
        "waiting": waiting,
        "withdrawals": withdrawals(repository, session),
        "waivers": waivers,
        "packages": package_repositories(session, roles),
        "roles": {role: facts for role, facts in roles.items() if not is_bin(role)},
        "problems": [
            *problems(session, now=now),
            *_ended(waivers, now=now),
            *unread,
            *damaged,
            *unreadable_proposals(session),
            *_unpublished(repository, session, now=now),
        ],
    }


def package_repositories(session: Session, roles: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return every package repository that has a builder: who that is, what is published, and until when.

    ``roles`` are those of `role_facts`. One that nothing was published for yet has serial 0; a mirror does not know.
    """
    newest = {row.repo: row for row in newest_serials(session)}
    targets = current_targets(session, TARGETS)
    delegations = targets.delegations
    found = []
    for name, role in sorted((delegations.roles or {}).items() if delegations is not None else ()):
        if not is_pkg(name) or delegations is None:
            continue
        repo = str(PackageRepo.of_role(name))
        row = newest.get(repo)
        found.append(
            {
                "repository": repo,
                "builders": sorted(holder_of(delegations.keys[keyid]) for keyid in role.keyids),
                "serial": row.serial if row is not None else None if name in roles else 0,
                "packages": row.packages if row is not None else None if name in roles else 0,
                "expires": roles[name]["expires"] if name in roles else None,
            }
        )
    return found


def _candidates(session: Session, missing: Mapping[str, list[str]]) -> tuple[list[dict[str, Any]], list[str]]:
    found, damaged = [], []
    released = select(ReleaseRow.candidate_id, ReleaseRow.state).where(ReleaseRow.state != PUBLISHED)
    withdrawn = {candidate: state for candidate, state in session.execute(released)}  # noqa: C416 - rows, no pairs
    for row in session.scalars(select(CandidateRow).order_by(CandidateRow.imported_at)):
        try:
            found.append(
                {
                    **describe(row),
                    "missing": missing.get(f"candidate:{row.id}", []),
                    "withdrawn": withdrawn.get(row.id),
                }
            )
        except RejectedError as error:
            damaged.append(f"candidate {row.id} cannot be read: {error}")
    return found, damaged


def open_subjects(session: Session) -> list[dict[str, Any]]:
    """Return every subject that has open proposals, oldest first: its roles, and who has to sign still.

    What cannot be read is left out; see `unreadable_proposals`.
    """
    found: dict[str, dict[str, Any]] = {}
    for proposal in open_proposals(session):
        try:
            standing = proposal_standing(session, proposal)
        except RejectedError:
            continue
        item = found.setdefault(
            proposal.subject, {"subject": proposal.subject, "roles": [], "signed": [], "missing": []}
        )
        item["roles"].append(proposal.role)
        item["signed"] = sorted({*item["signed"], *standing.signed})
        if not standing.complete:
            item["missing"] = sorted({*item["missing"], *standing.missing})
    return list(found.values())


def unreadable_proposals(session: Session) -> list[str]:
    """Return which open proposals nobody can sign or publish, because they are no metadata of ours, in words."""
    found = []
    for proposal in open_proposals(session):
        try:
            proposal_standing(session, proposal)
        except RejectedError as error:
            what = f"{visible(proposal.subject)} for {visible(proposal.role)}"
            found.append(f"the proposal of {what} cannot be read: {error}")
    return found


def withdrawals(repository: Repository, session: Session) -> list[dict[str, Any]]:
    """Return the published withdrawals in force, oldest first, and who asked to lift them.

    Raises:
        VerificationError, FormatError, NotFoundError: the list is not what a curator signed.
    """
    curators = curators_of(repository, session)
    return [
        {
            "id": entry.id,
            "state": entry.state.value,
            "scope": str(entry.scope),
            "severity": entry.severity.value if entry.severity is not None else None,
            "by": entry.by,
            "at": render_moment(entry.at),
            "reason": entry.reason,
            "lifting": sorted(holder_of(key) for key in curators.lifting(entry)),
            "threshold": curators.threshold,
        }
        for entry in in_force(repository, session)
    ]


def _unpublished(repository: Repository, session: Session, *, now: datetime) -> list[str]:
    known = read_list(repository, session, now=now)
    return [
        f"{entry.by} signed: {entry.state.value} {entry.scope}"
        f"{' (with a signature to lift it)' if entry.lifted is not None else ''}."
        " It is NOT PUBLISHED, and changes nothing before: skillrepo publish"
        for entry in unpublished_of(repository, session, known)
    ]


def ending_waivers(
    repository: Repository, session: Session, *, now: datetime
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the waivers of offered releases that end within 30 days or have ended, the first to end first.

    A release whose waiver has ended is refused by every client. Which reviews could not be read comes second, in
    words.
    """
    found, unread = [], []
    offered = (
        select(ReleaseRow, CandidateRow)
        .join(CandidateRow, CandidateRow.id == ReleaseRow.candidate_id)
        .where(ReleaseRow.state.in_([PUBLISHED, Withdrawn.YANKED]))
    )
    for row, candidate in session.execute(offered):
        try:
            if _waives_nothing(repository, candidate):
                continue
            _, review = load_review(repository, candidate)
        except (RejectedError, NotFoundError) as error:
            unread.append(f"the review of {row.name}=={row.version} cannot be read: {error}")
            continue
        found += [
            {
                "release": f"{row.name}=={row.version}",
                "finding": waiver.finding,
                "by": waiver.by,
                "reason": waiver.reason,
                "until": render_moment(waiver.until),
            }
            for waiver in review.waivers
            if waiver.until - now <= WAIVERS_END_SOON
        ]
    return sorted(found, key=lambda item: (item["until"], item["release"])), unread


def _waives_nothing(repository: Repository, candidate: CandidateRow) -> bool:
    """Return whether nobody has to read the review: thousands of releases have no waiver, and reading costs 1 ms."""
    data = repository.blobs.load(parse_sha256(candidate.review_sha256, where="review_sha256"))
    # Canonical JSON: within a string its quotes would be escaped, so this is the key.
    return b'"waivers":[]' in Envelope.parse(data, where="review").payload


def _ended(waivers: list[dict[str, Any]], *, now: datetime) -> list[str]:
    return [
        f"the waiver of {item['finding']} in {item['release']} by {item['by']} ended at {item['until']}:"
        " clients refuse this release"
        for item in waivers
        if item["until"] <= render_moment(now)
    ]


def role_facts(session: Session) -> dict[str, dict[str, Any]]:
    """Return version and expiry of every role."""
    return {
        role: {"version": signed.version, "expires": render_moment(signed.expires)}
        for role, signed in all_roles(session)
    }


def problems(session: Session, *, now: datetime) -> list[str]:
    """Return which roles are expired or within their renewal window, in words."""
    found = []
    for role, signed in all_roles(session):
        expires = signed.expires
        if expires <= now:
            found.append(f"{role} expired at {render_moment(expires)}: clients refuse this repository")
        elif expires - now < life_of(role).renew and role != TIMESTAMP:
            found.append(f"{role} expires at {render_moment(expires)}: time to renew it" + _how(role))
    return found


def _how(role: str) -> str:
    if is_pkg(role):
        return f" (skillrepo pkg renew {PackageRepo.of_role(role)}, or publish)"
    return " (skillrepo root next)" if role == ROOT else ""


def releases_of(session: Session, name: str) -> list[ReleaseRow]:
    """Return the releases of ``name``, the newest first."""
    rows = session.scalars(select(ReleaseRow).where(ReleaseRow.name == name))
    return sorted(rows, key=lambda row: version_key(ReleaseVersion(row.version)), reverse=True)


def all_roles(session: Session) -> list[tuple[str, Signed]]:
    """Return every role and what is published for it."""
    files = current_files(session)
    files |= {role: current(session, role).content for role in (ROOT, SNAPSHOT, TIMESTAMP)}
    return [(role, Metadata.from_bytes(data).signed) for role, data in sorted(files.items())]
