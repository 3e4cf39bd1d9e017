"""Other curators or operators, at the database: what is published now, and what takes its place.

draft_handover(repository, session, curators=…, operators=…, distrusted=…, now=…)   what `root next` writes
accept_people(session, people, now=…)          in the transaction that publishes the next root
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session
from tuf.api.metadata import Targets

from repo_server.db.models import ReleaseRow
from repo_server.publishing.next_people import (
    Appointed,
    People,
    appointed_by,
    draft_people,
    targets_of,
)
from repo_server.publishing.proposals import drop_proposals, open_proposals, proposal_standing
from repo_server.publishing.state import add_versions, current_files
from repo_server.publishing.vouched import vouched_content
from repo_server.repository import Repository
from signing.errors import ConflictError
from signing.format.digest import Sha256
from signing.format.envelope import Envelope
from signing.format.names import REVOCATIONS_PATH
from signing.keys import envelope_signers
from signing.metadata import Signatories, parse, target_sha256
from signing.roles import ADVISORIES, REVOCATIONS, SKILLS, is_bin, is_pkg


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """Who comes and who leaves, what is signed anew then, and which releases nobody vouches for any more."""

    people: People | None
    appointed: Appointed
    unreviewed: tuple[str, ...]


def draft_handover(
    repository: Repository,
    session: Session,
    *,
    curators: Signatories | None,
    operators: Signatories | None,
    distrusted: Collection[str],
    now: datetime,
) -> Handover:
    """Return what other curators or operators would sign; who is not given stays.

    Raises:
        BadSignatureError: what is published is not what its holders signed.
        NotFoundError: see `appointed_by`. ConflictError: see `accept_people`.
    """
    published = {
        role: vouched_content(session, role, anchor=repository.anchor)
        for role in current_files(session)
        if not is_pkg(role)
    }
    target = targets_of(published, REVOCATIONS).targets[REVOCATIONS_PATH]
    withdrawals = repository.blobs.load(target_sha256(target, where=REVOCATIONS))
    appointed = appointed_by(
        published, withdrawals, curators=curators, operators=operators, distrusted=distrusted
    )
    people = draft_people(published, withdrawals, appointed, now=now)
    if people is not None:
        _check_no_withdrawal_waits(session, people)
    return Handover(
        people=people,
        appointed=appointed,
        unreviewed=tuple(_unreviewed(repository, session, appointed)) if distrusted else (),
    )


def accept_people(session: Session, people: People, *, now: datetime) -> None:
    """Publish what other people signed; open proposals of these roles are dropped, for they continue what was.

    Raises:
        ConflictError: something was published since it was drafted; or a withdrawal waits to be published, which
            would be lost.
    """
    _check_no_withdrawal_waits(session, people)
    published = current_files(session)
    for role, before in people.before.items():
        if _signed(published.get(role), role) != _signed(before, role):
            raise _meanwhile(role)
    # Whoever left a role out of the folder would leave it without signatures that count.
    if SKILLS in people.after:
        for role in published:
            if role not in people.after and _is_curated(role):
                raise _meanwhile(role)
    for row in open_proposals(session):
        if row.role in people.after:
            drop_proposals(session, row.subject)
    add_versions(
        session,
        [
            (role, parse(data, Targets, where=role).signed.version, data)
            for role, data in people.after.items()
        ],
        now=now,
    )


def _check_no_withdrawal_waits(session: Session, people: People) -> None:
    waiting = [row for row in open_proposals(session) if row.role == REVOCATIONS]
    # One that nobody signed is lost for nobody: it takes a token to leave it there, and no key.
    if REVOCATIONS in people.after and any(proposal_standing(session, row).signed for row in waiting):
        raise ConflictError(
            "a withdrawal is signed and not published: other curators' list would be without it",
            hint="skillrepo publish, or let it be signed to its end; then draft anew: skillrepo root next",
        )


def _unreviewed(repository: Repository, session: Session, appointed: Appointed) -> list[str]:
    """Return the releases whose review nobody signed who is trusted still; clients refuse them from then on."""
    keys = (*appointed.curators.keys, *appointed.former.keys)
    found = []
    for row in session.scalars(select(ReleaseRow).order_by(ReleaseRow.name, ReleaseRow.version)):
        envelope = Envelope.parse(repository.blobs.load(Sha256(row.review_sha256)), where="review")
        if not envelope_signers(envelope, keys):
            found.append(f"{row.name}=={row.version}")
    return found


def _is_curated(role: str) -> bool:
    return is_bin(role) or role in {SKILLS, REVOCATIONS, ADVISORIES}


def _signed(data: bytes | None, role: str) -> bytes | None:
    return parse(data, Targets, where=role).signed_bytes if data is not None else None


def _meanwhile(role: str) -> ConflictError:
    return ConflictError(
        f"something was published under {role} since this was drafted",
        hint="draft it anew (skillrepo root next) and have it signed again; publish nothing in between",
    )
