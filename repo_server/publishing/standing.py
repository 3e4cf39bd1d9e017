"""How releases stand to the list of withdrawals: published, yanked, quarantined or revoked.

The state in the database is what indexes and pages show. What may be used is decided by the list itself, by those
who use it; here it keeps new profiles from taking up what is withdrawn.
"""

from collections.abc import Collection, Iterable
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from repo_server.db.models import ReleaseRow
from repo_server.publishing.withdrawals import curators_of, published_list
from repo_server.repository import Repository
from signing.format.digest import Sha256, sha256_of
from signing.format.names import Pin, ReleaseVersion, SkillName
from signing.format.profile import Profile
from signing.format.scope import Scope
from signing.format.withdrawal import Withdrawal
from signing.withdrawals import refusal

_PUBLISHED: Final = "published"


def withdrawals_of(repository: Repository, session: Session, row: ReleaseRow) -> tuple[Withdrawal, ...]:
    """Return the published withdrawals in force that cover a release, the gravest first.

    Raises:
        VerificationError, FormatError, NotFoundError: the list is not what a curator signed.
    """
    return curators_of(repository, session).covering(
        published_list(repository, session),
        Pin(SkillName(row.name), ReleaseVersion(row.version)),
        bundle_sha256=Sha256(row.bundle_sha256),
        tree_sha256=Sha256(row.tree_sha256),
    )


def mark_releases(repository: Repository, session: Session, pins: Collection[Pin] | None = None) -> None:
    """Bring the state of every release, or of ``pins`` only, up to the published list.

    All of them have to be looked at where the list changed, and only there.

    Raises:
        VerificationError, FormatError, NotFoundError: as for `withdrawals_of`.
    """
    curators, revocations = curators_of(repository, session), published_list(repository, session)
    spoken_of = _spoken_of(entry.scope for entry in revocations.entries)
    rows: Iterable[ReleaseRow] = (
        session.scalars(select(ReleaseRow))
        if pins is None
        else [session.get_one(ReleaseRow, (pin.name, pin.version)) for pin in pins]
    )
    for row in rows:
        found = (
            curators.covering(
                revocations,
                Pin(SkillName(row.name), ReleaseVersion(row.version)),
                bundle_sha256=Sha256(row.bundle_sha256),
                tree_sha256=Sha256(row.tree_sha256),
            )
            if not spoken_of.isdisjoint((row.name, row.bundle_sha256, row.tree_sha256))
            else ()
        )
        row.state = found[0].state.value if found else _PUBLISHED
    session.flush()


def _spoken_of(scopes: Iterable[Scope]) -> set[str]:
    """Return the names and digests in ``scopes``: what none of them is about need not be compared with each."""
    found: set[str] = set()
    for scope in scopes:
        found |= {part for part in (scope.name, scope.sha256) if part is not None}
        for item in scope.releases:
            found |= {item.pin.name, item.bundle_sha256, item.tree_sha256}
    return found


def check_takes_up(repository: Repository, session: Session, profile: Profile) -> None:
    """Return None when ``profile`` pins nothing that is withdrawn from new use.

    Raises:
        RevokedError, QuarantinedError, YankedError: it does.
    """
    curators, revocations = curators_of(repository, session), published_list(repository, session)
    digest = sha256_of(profile.render())
    for item in (*profile.skills, *profile.souls):
        for entry in curators.covering(
            revocations, item.pin, bundle_sha256=item.bundle_sha256, tree_sha256=item.tree_sha256
        ):
            if not entry.keeps(digest):
                raise refusal(entry, item.pin)
    for package in (item for pins in profile.packages for item in pins.items):
        for entry in curators.covering_package(revocations, package.pin, sha256=package.sha256):
            if not entry.keeps(digest):
                raise refusal(entry, package.pin)
