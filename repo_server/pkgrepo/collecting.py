"""Removing what nobody needs any more: old serials of package repositories, and what was sent and never published (edge).

`skillrepo pkg gc`. Retained are the serial that is served, the newest ones, and all that are younger than some weeks; what a retained
serial lists or keeps stays, with its bytes. Everything else of packages goes: folders of old serials, names by digest,
and the blobs that old lists name and nothing else does. Blobs are shared with skills, candidates, reviews and profiles,
so a blob goes only when no row of any other table holds its digest, in whatever column, nor any list that those name.

Abandoned is a blob that nobody names at all and that was not stored again for a week: of an upload whose build never
came, of an import that ended half-way. A publication that counts on such a blob, because the server said "it is here",
waits for the transaction that removes it, does not find it, and is refused with what to do: run it again.

Order: folders and names first, blobs, the old list itself, its row last. Killed in the middle, the rows still say what
is garbage, and the next run ends it. Nothing that is served is touched, and whoever is just reading a removed file
reads it to its end.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from repo_server.db import log
from repo_server.db.models import MetadataRow, PackageDigestRow, PackageSerialRow, TargetRow
from repo_server.db.session import snapshot, transaction
from repo_server.pkgrepo.places import BY_SHA256, OLD, SERIALS, served_serial
from repo_server.pkgrepo.serials import rows_of
from repo_server.repository import Repository
from repo_server.storage.durable import NEW
from repo_server.storage.references import References, digests_in, digests_in_rows
from signing.errors import HostError, NotFoundError
from signing.format.digest import Sha256
from signing.format.names import TargetPath
from signing.format.pkg.index import RepoIndex
from signing.format.pkg.names import PackageRepo
from signing.roles import SNAPSHOT, TIMESTAMP, hashed_path, is_pkg

RETAIN: Final = timedelta(days=30)
RETAIN_AT_LEAST: Final = 5
ABANDONED: Final = timedelta(days=7)  # uploads are continued for two days, and an import takes minutes
# What tells of packages by themselves (their rows are judged here), and what only tells what happened once.
_OWN_TABLES: Final = frozenset({"package_serials", "package_digests", "log", "tokens", "metadata", "targets"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """What goes. ``serials`` are rows; folders may be there without one. ``abandoned`` nobody names, nor ever did.

    ``unfinished`` are files that killed processes left half written.
    """

    serials: tuple[tuple[PackageRepo, int], ...]
    folders: tuple[Path, ...]
    names: tuple[Path, ...]
    blobs: tuple[tuple[Sha256, int], ...]
    indexes: tuple[tuple[Sha256, int], ...]
    targets: tuple[tuple[TargetPath, Sha256], ...]
    abandoned: tuple[tuple[Sha256, int], ...] = ()
    unfinished: tuple[Path, ...] = ()

    @property
    def all_blobs(self) -> tuple[tuple[Sha256, int], ...]:
        """Every blob that goes, and its size."""
        return (*self.blobs, *self.indexes, *self.abandoned)

    @property
    def bytes(self) -> int:
        """How many bytes the blobs take. Folders and names are links to them; copies, where blobs are elsewhere."""
        return sum(size for _, size in self.all_blobs)

    def to_json(self) -> dict[str, Any]:
        """Return what goes, as ``--json`` answers it and the log keeps it."""
        return {
            "serials": [{"repository": str(repo), "serial": serial} for repo, serial in self.serials],
            "folders": len(self.folders),
            "names": len(self.names),
            "blobs": len(self.all_blobs),
            "abandoned": len(self.abandoned),
            "bytes": self.bytes,
        }


NOTHING: Final = Garbage(serials=(), folders=(), names=(), blobs=(), indexes=(), targets=())


def plan_collection(
    repository: Repository,
    session: Session,
    *,
    retain: timedelta = RETAIN,
    at_least: int = RETAIN_AT_LEAST,
    now: datetime,
) -> Garbage:
    """Return what nobody needs any more.

    Raises:
        NotFoundError, FormatError, DigestMismatchError: the list of a retained serial cannot be read, so nobody knows
            what it needs.
    """
    rows = rows_of(session)
    dropped = _dropped(rows, retain=retain, at_least=at_least, now=now)
    kept_rows = [row for row in rows if row not in dropped]
    by_name, needed = _needed(repository, session, kept_rows)
    listed = _listed(repository, dropped) - needed
    lists = {Sha256(row.index_sha256) for row in dropped} - needed
    blobs, since = repository.package_blobs, now - ABANDONED
    sizes = {digest: size for digest in listed | lists if (size := blobs.size_of(digest)) is not None}
    abandoned = [item for item in blobs.untouched(since=since) if item[0] not in needed | sizes.keys()]
    return Garbage(
        serials=tuple((PackageRepo.parse(row.repo), row.serial) for row in dropped),
        folders=tuple(_folders(repository.pkg_root, kept_rows)),
        names=tuple(_names(repository.pkg_root / BY_SHA256, by_name)),
        blobs=tuple((digest, size) for digest, size in sorted(sizes.items()) if digest not in lists),
        indexes=tuple((digest, size) for digest, size in sorted(sizes.items()) if digest in lists),
        targets=tuple(
            (PackageRepo.parse(row.repo).index_path, Sha256(row.index_sha256))
            for row in dropped
            if row.index_sha256 in lists
        ),
        abandoned=tuple(sorted(abandoned)),
        unfinished=tuple(blobs.unfinished(since=since)),
    )


def collect(
    repository: Repository,
    *,
    retain: timedelta = RETAIN,
    at_least: int = RETAIN_AT_LEAST,
    now: datetime,
    dry_run: bool = False,
) -> Garbage:
    """Remove what nobody needs any more, and return what went; with ``dry_run``, what would go.

    Raises:
        NotFoundError, FormatError, DigestMismatchError: see `plan_collection`; nothing was removed.
        HostError: something cannot be removed; run it again.
    """
    options: dict[str, Any] = {"retain": retain, "at_least": at_least, "now": now}
    if dry_run:
        with snapshot(repository.engine) as session:
            return plan_collection(repository, session, **options)
    with transaction(repository.engine) as session:
        begun = plan_collection(repository, session, **options)
        if begun.serials or begun.abandoned:
            log.append(session, event="packages.collecting", facts=begun.to_json(), now=now)
    # Planned again in the transaction that does it: what was published in between is needed. Publishers wait.
    with transaction(repository.engine) as session:
        garbage = plan_collection(repository, session, **options)
        try:
            garbage = _remove_files(repository, garbage, since=now - ABANDONED)
            _remove_rows(session, garbage)
        except OSError as error:
            raise HostError(
                f"cannot remove {error.filename}: {error.strerror}", hint="run it again"
            ) from error
        if garbage != NOTHING:
            log.append(session, event="packages.collected", facts=garbage.to_json(), now=now)
    return garbage


def _dropped(
    rows: list[PackageSerialRow], *, retain: timedelta, at_least: int, now: datetime
) -> list[PackageSerialRow]:
    """Return the rows that are not retained; ``rows`` of one repository stand together, the newest first."""
    dropped, rank, repo = [], 0, ""
    for row in rows:
        rank, repo = (rank + 1 if row.repo == repo else 0), row.repo
        if rank >= max(1, at_least) and now - row.published_at > retain:
            dropped.append(row)
    return dropped


def _needed(
    repository: Repository, session: Session, rows: Iterable[PackageSerialRow]
) -> tuple[set[Sha256], set[Sha256]]:
    """Return the packages that the serials of ``rows`` vouch for, and every blob that anybody needs."""
    by_name, needed = set[Sha256](), _elsewhere(repository, session)
    for row in rows:
        index = RepoIndex.parse(repository.blobs.load(Sha256(row.index_sha256)))
        by_name.update(package.sha256 for package in index.all_packages())
        needed.update(_digests_of(index), [Sha256(row.index_sha256)])
    return by_name, needed


def _listed(repository: Repository, rows: Iterable[PackageSerialRow]) -> set[Sha256]:
    """Return what the serials of ``rows`` list; the list of each goes last: where it is gone, so is what only it names."""
    found = set[Sha256]()
    for row in rows:
        with suppress(NotFoundError):
            found.update(_digests_of(RepoIndex.parse(repository.blobs.load(Sha256(row.index_sha256)))))
    return found


def _digests_of(index: RepoIndex) -> Iterator[Sha256]:
    yield from (package.sha256 for package in index.all_packages())
    yield from (file.sha256 for file in index.catalogue)


def _elsewhere(repository: Repository, session: Session) -> set[Sha256]:
    """Return whatever looks like a digest in any row that is not about packages, and in the lists that those name."""
    return References(repository.package_blobs).all_from(_in_rows(session))


def _in_rows(session: Session) -> Iterator[Sha256]:
    yield from digests_in_rows(session, except_for=_OWN_TABLES)
    for path, digest in session.execute(select(TargetRow.path, TargetRow.sha256)):
        if not _is_index_path(path):
            yield Sha256(digest)
    metadata = select(MetadataRow.role, MetadataRow.content).where(
        MetadataRow.role.not_in([SNAPSHOT, TIMESTAMP])
    )
    for role, content in session.execute(metadata):
        if not is_pkg(role):
            yield from digests_in([content])


def _is_index_path(path: str) -> bool:
    return path.startswith("pkg/") and path.endswith("/repo.json")


def _folders(root: Path, rows: list[PackageSerialRow]) -> Iterator[Path]:
    """Yield folders of serials that are neither retained nor served, leftovers of killed processes among them."""
    retained = {(row.repo, str(row.serial)) for row in rows}
    for channel in sorted((root / SERIALS).glob("*/*")):
        repo = PackageRepo.parse(f"{channel.parent.name}/{channel.name}")
        served = served_serial(root, repo)
        for folder in sorted(channel.iterdir()):
            if folder.name.startswith(NEW):
                continue  # perhaps somebody is writing it; the next publication removes it
            if (str(repo), folder.name) not in retained and folder.name != str(served):
                yield folder


def _names(folder: Path, needed: set[Sha256]) -> Iterator[Path]:
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.suffix == ".pkg" and path.stem not in needed:
                yield path


def _remove_files(repository: Repository, garbage: Garbage, *, since: datetime) -> Garbage:
    """Remove the files, and return ``garbage`` without what somebody stored again just now."""
    for folder in garbage.folders:
        gone = folder if folder.name.startswith(OLD) else folder.with_name(f"{OLD}{folder.name}")
        if gone != folder:
            shutil.rmtree(gone, ignore_errors=True)  # of a run that was killed
            folder.rename(gone)  # at once: nobody finds half of it
        shutil.rmtree(gone)
    for name in (*garbage.names, *garbage.unfinished):
        name.unlink(missing_ok=True)
    blobs = repository.package_blobs
    for digest, _ in garbage.blobs:
        blobs.remove(digest)
    abandoned = [item for item in garbage.abandoned if blobs.remove_untouched(item[0], since=since)]
    for path, digest in garbage.targets:
        (repository.skills_root / "targets" / hashed_path(path, digest)).unlink(missing_ok=True)
    os.sync()  # the lists are what tells what is garbage: they go when the rest is gone for good
    for digest, _ in garbage.indexes:
        blobs.remove(digest)
    return replace(garbage, abandoned=tuple(abandoned))


def _remove_rows(session: Session, garbage: Garbage) -> None:
    for digest, _ in (*garbage.blobs, *garbage.abandoned):
        session.execute(delete(PackageDigestRow).where(PackageDigestRow.sha256 == digest))
    for path, digest in garbage.targets:
        session.execute(delete(TargetRow).where(TargetRow.path == path, TargetRow.sha256 == digest))
    for repo, serial in garbage.serials:
        session.execute(
            delete(PackageSerialRow).where(
                PackageSerialRow.repo == str(repo), PackageSerialRow.serial == serial
            )
        )
