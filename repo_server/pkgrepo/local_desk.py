"""Handing builds in where the repository is on this machine (edge); see `repo_server.pkgrepo.submitting.PackageDesk`."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from securesystemslib.signer import Signer
from sqlalchemy.orm import Session

from repo_server.db.models import PackageDigestRow
from repo_server.db.session import snapshot, transaction
from repo_server.pkgrepo.accepting import accept_build
from repo_server.pkgrepo.advisories import published_advisories
from repo_server.pkgrepo.indexes import continued_index, published_index
from repo_server.pkgrepo.intake import digest_row, hashed, record_digests
from repo_server.pkgrepo.serials import earlier, serial_index
from repo_server.pkgrepo.served import ServedSite, check_served
from repo_server.pkgrepo.submitting import Blob, Standing, Tell, appointed_in
from repo_server.publishing.alone import continued_alone, published_alone
from repo_server.publishing.projection import project
from repo_server.publishing.vouched import vouched_targets
from repo_server.repository import Repository
from signing.errors import ConflictError, NotFoundError
from signing.format.digest import Sha256
from signing.format.pkg.index import RepoIndex
from signing.format.pkg.names import PackageRepo
from signing.format.pkg.sums import Hasher
from signing.roles import TARGETS

_AT_ONCE: Final = 4
_SHOWN: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPackageDesk:
    """The repository in a folder. ``online`` opens the online key, when something is published."""

    repository: Repository
    online: Callable[[], Signer]

    def complete(self) -> None:
        """See `PackageDesk`."""
        with transaction(self.repository.engine) as session:
            project(self.repository, session)

    def standing(self, repo: PackageRepo, *, since: datetime, now: datetime) -> Standing:
        """See `PackageDesk`."""
        with snapshot(self.repository.engine) as session:
            top = vouched_targets(session, TARGETS, anchor=self.repository.anchor)
            targets = published_alone(self.repository, session, repo.role)
            history = tuple(earlier(self.repository, session, repo, since=since))
            index = published_index(self.repository, session, repo)
            left = continued_alone(self.repository, session, repo.role) if targets is None else None
            if left is not None:
                targets, index = left, continued_index(self.repository, session, repo)
            advisories = None
            with suppress(NotFoundError):
                advisories = published_advisories(self.repository, session, holding_at=now)
        known = history or ((index,) if index is not None and left is None else ())
        return Standing(
            appointed=appointed_in(top, repo),
            targets=targets,
            index=index,
            history=known,
            advisories=advisories,
            replaced=left is not None,
        )

    def serial(self, repo: PackageRepo, number: int, *, now: datetime) -> RepoIndex:
        """See `PackageDesk`."""
        del now
        with snapshot(self.repository.engine) as session:
            return serial_index(self.repository, session, repo, number)

    def missing(self, repo: PackageRepo, wanted: Mapping[Sha256, int]) -> frozenset[Sha256]:
        """See `PackageDesk`."""
        del repo
        blobs = self.repository.package_blobs
        return frozenset(digest for digest, size in wanted.items() if blobs.size_of(digest) != size)

    def send(self, repo: PackageRepo, blobs: Sequence[Blob], *, tell: Tell) -> None:
        """See `PackageDesk`; copied, never linked: others can write to a build's folder."""
        del repo
        rows: list[PackageDigestRow] = []
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            try:
                for row in pool.map(self._take, blobs):
                    rows += [row] if row is not None else []
                    if len(rows) % _SHOWN == 0:
                        tell(f"{len(rows)} of {len(blobs)} files kept")
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        with transaction(self.repository.engine) as session:
            record_digests(session, rows)

    def hand_in(self, repo: PackageRepo, metadata: bytes, *, now: datetime) -> dict[str, Any]:
        """See `PackageDesk`."""
        return take_build(self.repository, repo, metadata, self.online(), now=now)

    def check_served(self, repo: PackageRepo, index: RepoIndex, metadata: bytes, *, now: datetime) -> bool:
        """See `PackageDesk`; the published tree is read, not the database."""
        site = ServedSite(
            skills=self.repository.skills_root,
            packages=self.repository.pkg_root,
            anchor=self.repository.anchor,
        )
        return check_served(site, repo, index, metadata, now=now)

    def _take(self, blob: Blob) -> PackageDigestRow | None:
        store = self.repository.package_blobs
        if store.size_of(blob.digest) == blob.size:
            return None
        hasher = Hasher()
        with blob.open() as stream:
            store.receive(hashed(stream, hasher), digest=blob.digest, size=blob.size)
        return digest_row(blob.digest, blob.size, hasher)


def take_build(
    repository: Repository,
    repo: PackageRepo,
    metadata: bytes,
    online: Signer,
    *,
    now: datetime,
    note: Callable[[Session], None] = lambda _: None,
) -> dict[str, Any]:
    """Accept a build and write the published tree; ``note`` is called in the transaction that accepts.

    Killed in between, the decision stands, and whatever writes the tree next completes it: a publication, also one that
    comes too late, ``skillrepo refresh``, the start of the service.

    Raises:
        SkillRepoError: see `repo_server.pkgrepo.accepting.accept_build`. HostError: the tree cannot be written.
    """
    try:
        with transaction(repository.engine) as session:
            accepted = accept_build(repository, session, repo, metadata, online, now=now)
            note(session)
    except ConflictError:
        # Perhaps it is this very build, decided before something was killed: then its maker will see that.
        with transaction(repository.engine) as session:
            project(repository, session)
        raise
    with transaction(repository.engine) as session:
        project(repository, session)
    return accepted.to_json()
