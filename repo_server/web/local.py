"""The web service over a repository on this machine (edge)."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from flask import Flask
from packaging.version import Version
from securesystemslib.signer import Signer
from sqlalchemy import select

from repo_server.db.models import ProfileRow, ReleaseRow
from repo_server.db.session import snapshot
from repo_server.pkgrepo.access import Access
from repo_server.pkgrepo.uploads import QUOTA
from repo_server.publishing.overview import problems, releases_of, role_facts
from repo_server.publishing.profiles import PUBLISHED
from repo_server.repository import Repository
from repo_server.web.app import create_app
from repo_server.web.catalogue import ProfileFacts, ReleaseFacts, RepositoryStatus, RoleStatus, SkillSummary
from repo_server.web.config import WebConfig
from repo_server.web.desk_guard import DeskService
from repo_server.web.pkg_guard import PullGuard
from signing.errors import NotFoundError
from signing.format.digest import Sha256
from signing.format.manifest import Kind
from signing.format.moment import parse_moment
from signing.format.names import Pin, ReleaseVersion, SkillName, version_key
from signing.roles import is_bin


class DatabaseCatalogue:
    """The published facts of a repository, read from its database."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def skills(self) -> list[SkillSummary]:
        """Return every skill and soul that has a release, sorted by name."""
        with snapshot(self._repository.engine) as session:
            newest: dict[str, ReleaseRow] = {}
            for row in session.scalars(select(ReleaseRow)):
                known = newest.get(row.name)
                if known is None or _on_offer(row) > _on_offer(known):
                    newest[row.name] = row
        return [
            SkillSummary(
                name=SkillName(name),
                kind=Kind(row.kind),
                latest=ReleaseVersion(row.version),
                description=row.description,
            )
            for name, row in sorted(newest.items())
        ]

    def releases(self, name: SkillName) -> list[ReleaseFacts]:
        """Return the releases of one skill, newest first.

        Raises:
            NotFoundError: no release has this name.
        """
        with snapshot(self._repository.engine) as session:
            rows = releases_of(session, name)
        if not rows:
            raise NotFoundError(f"{name} is not published")
        return [_facts(row) for row in rows]

    def release(self, pin: Pin) -> ReleaseFacts:
        """Return one release.

        Raises:
            NotFoundError: there is no such release.
        """
        with snapshot(self._repository.engine) as session:
            row = session.get(ReleaseRow, (pin.name, pin.version))
        if row is None:
            raise NotFoundError(f"{pin} is not published")
        return _facts(row)

    def profiles(self) -> list[ProfileFacts]:
        """Return every published profile, sorted by name and version."""
        with snapshot(self._repository.engine) as session:
            rows = list(session.scalars(select(ProfileRow).where(ProfileRow.state == PUBLISHED)))
        rows.sort(key=lambda row: (row.name, version_key(ReleaseVersion(row.version))))
        return [
            ProfileFacts(
                name=SkillName(row.name), version=ReleaseVersion(row.version), sha256=Sha256(row.sha256)
            )
            for row in rows
        ]

    def status(self) -> RepositoryStatus:
        """Return how the repository stands."""
        with snapshot(self._repository.engine) as session:
            facts = role_facts(session)
            found = problems(session, now=datetime.now(UTC))
        roles = {
            role: RoleStatus(version=item["version"], expires=parse_moment(item["expires"]))
            for role, item in facts.items()
            if not is_bin(role)
        }
        return RepositoryStatus(dev=self._repository.config.dev, roles=roles, problems=tuple(found))


def create_local_app(
    folder: Path,
    *,
    database: str | None = None,
    online: Callable[[], Signer] | None = None,
    upload_quota: int = QUOTA,
) -> Flask:
    """Return the web service over the repository in ``folder``; with ``online``, it serves the desk too.

    ``online`` returns the online key when something is published, or raises KeyAccessError. ``upload_quota``: how many
    bytes one token may have sent that no published build names.

    Raises:
        NotFoundError, FormatError, HostError: see `Repository.open`.
    """
    repository = Repository.open(folder, database=database)
    config = WebConfig(
        skills_root=repository.skills_root,
        pkg_root=repository.pkg_root,
        skills_hosts=repository.config.skills_hosts,
        pkg_hosts=repository.config.pkg_hosts,
    )
    desk = None
    if online is not None:
        desk = DeskService(repository=repository, online=online, clock=_now, upload_quota=upload_quota)
    closed = repository.config.pkg_access is not Access.OPEN
    guard = PullGuard(engine=repository.engine, clock=_now) if closed else None
    return create_app(config, catalogue=DatabaseCatalogue(repository), clock=_now, desk=desk, guard=guard)


def app_from_environment() -> Flask:
    """Return the web service over the repository named by ``SKILLREPO_REPO``; for WSGI servers."""
    return create_local_app(Path(os.environ["SKILLREPO_REPO"]), database=os.environ.get("SKILLREPO_DB"))


def _now() -> datetime:
    return datetime.now(UTC)


def _facts(row: ReleaseRow) -> ReleaseFacts:
    pin = Pin(SkillName(row.name), ReleaseVersion(row.version))
    return ReleaseFacts(
        name=pin.name,
        version=pin.version,
        kind=Kind(row.kind),
        state=row.state,
        bundle_path=pin.bundle_path,
        bundle_sha256=Sha256(row.bundle_sha256),
        bundle_bytes=row.bundle_bytes,
        tree_sha256=Sha256(row.tree_sha256),
        review_path=pin.review_path,
        review_sha256=Sha256(row.review_sha256),
        published_at=row.published_at,
        reviewers=tuple(row.reviewers.split(",")),
    )


def _on_offer(row: ReleaseRow) -> tuple[bool, Version]:
    """Return a key that puts what is withdrawn before what is not, and within each the older first."""
    return row.state == PUBLISHED, _age(row)


def _age(row: ReleaseRow) -> Version:
    return version_key(ReleaseVersion(row.version))
