"""The published tree in a bucket: the third form beside our own service and plain files.

    skills/metadata/1.root.json … 7.snapshot.json …, skills/targets/…    never change once written
    pkg/by-sha256/5d….pkg                                                the same; where packages are for everybody
    skills/metadata/timestamp.json                                       after all that it vouches for
    skills/.well-known/…                                                 the indexes for ordinary agents
    skills/.complete                                                     digest of the timestamp that all of this belongs to

A bucket has neither renaming nor a lock, and its conditional puts are not relied on (decision 0022): what never changes is sent by
whoever comes, as often as they come; what changes is sent by whoever holds the writers' lock of the database, from what the
database says then. A process killed in between leaves the old timestamp, which names an older whole state, and no
marker, so the next run goes through everything again. Nothing that a client could still ask for is removed.

pkg's own repositories are switched by one link, which a bucket does not have: they stay plain files.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from tuf.api.metadata import Timestamp

from repo_server.db.models import MetadataRow, TargetRow
from repo_server.db.session import snapshot, transaction
from repo_server.pkgrepo.access import Access
from repo_server.pkgrepo.places import BY_SHA256
from repo_server.pkgrepo.published import newest_serials
from repo_server.publishing.projection import project
from repo_server.publishing.siblings import is_sibling
from repo_server.publishing.state import current
from repo_server.repository import Repository
from signing.errors import ConflictError, DigestMismatchError
from signing.format.digest import Sha256, sha256_of
from signing.format.names import TargetPath
from signing.format.pkg.index import RepoIndex
from signing.metadata import parse
from signing.roles import ROOT, TIMESTAMP, hashed_path

_METADATA: Final = "skills/metadata/"
_WELL_KNOWN: Final = "skills/.well-known/"
_TIMESTAMP: Final = f"{_METADATA}timestamp.json"
_COMPLETE: Final = "skills/.complete"
_FOLDERS: Final = (_METADATA, "skills/targets/", f"pkg/{BY_SHA256}/")

Content = bytes | BinaryIO


class Shelf(Protocol):
    """What a bucket has to offer. Every method may raise HostError: it cannot be reached, or refuses."""

    def sizes(self, folder: str) -> dict[str, int]:
        """Return size by path of everything below ``folder``, which ends with a slash."""
        ...

    def read(self, path: str) -> bytes | None:
        """Return a small object; None when it is not there."""
        ...

    def put(self, path: str, content: Content) -> None:
        """Write an object, whole or not at all."""
        ...

    def remove(self, path: str) -> None:
        """Remove an object, if it is there."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What one run did: how many objects it sent and removed, and which timestamp stands in the bucket now."""

    sent: int
    removed: int
    timestamp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """Something that never changes: where it goes, its size, and how it is opened."""

    path: str
    size: int
    content: Callable[[], Content]


def spread(repository: Repository, shelf: Shelf, *, again: bool = False) -> Spread:
    """Make the bucket what the database says now; with ``again``, also send what is there by its name and size.

    Raises:
        ConflictError: the bucket holds a newer timestamp than the database: it is another repository's, or newer than our backup.
        HostError: bucket, database or a blob cannot be used; what is served from the bucket is still one whole state.
        DigestMismatchError: a blob is damaged; nothing of it was sent.
    """
    with snapshot(repository.engine) as session:
        newest = current(session, TIMESTAMP)
        if not again and shelf.read(_COMPLETE) == _marker(newest.content):
            return Spread(sent=0, removed=0, timestamp=newest.version)
        _check_not_behind(shelf, newest)
    with transaction(repository.engine) as session:
        project(repository, session)  # the indexes are taken from the tree
    known = {} if again else {path: size for folder in _FOLDERS for path, size in shelf.sizes(folder).items()}
    sent = _send_missing(repository, shelf, known)  # most of the work, while others may publish
    # The lock of this transaction keeps other hosts out of what changes.
    with transaction(repository.engine) as session:
        project(repository, session)
        sent += _send_missing(repository, shelf, known)
        newest = current(session, TIMESTAMP)
        _check_not_behind(shelf, newest)
        if shelf.read(_TIMESTAMP) != newest.content:
            shelf.put(_TIMESTAMP, newest.content)
            sent += 1
        sent_more, removed = _renew_indexes(repository, shelf)
        shelf.put(_COMPLETE, _marker(newest.content))
    return Spread(sent=sent + sent_more, removed=removed, timestamp=newest.version)


def _check_not_behind(shelf: Shelf, newest: MetadataRow) -> None:
    """Raise ConflictError when the bucket is ahead of us: clients that saw it would refuse ours as a rollback."""
    published = shelf.read(_TIMESTAMP)
    if published is None:
        return
    version = parse(published, Timestamp, where="the bucket's timestamp").signed.version
    if version > newest.version:
        raise ConflictError(
            f"the bucket holds timestamp {version}, the database {newest.version}",
            hint="another repository's bucket, or a database from an older backup (docs/operating.md)",
        )


def _send_missing(repository: Repository, shelf: Shelf, known: dict[str, int]) -> int:
    """Send what is not ``known`` to be there, and know it then; no transaction is held open meanwhile for it."""
    with snapshot(repository.engine) as session:
        missing = [item for item in _lasting(repository, session) if known.get(item.path) != item.size]
    for item in missing:
        content = item.content()
        try:
            shelf.put(item.path, content)
        finally:
            if not isinstance(content, bytes):
                content.close()
        known[item.path] = item.size
    return len(missing)


def _lasting(repository: Repository, session: Session) -> Iterator[_Item]:
    """Yield all that the newest timestamp vouches for, and the chain of roots; what is vouched for first comes last."""
    for row in session.scalars(select(TargetRow)):
        digest = Sha256(row.sha256)
        path = f"skills/targets/{hashed_path(TargetPath(row.path), digest)}"
        yield _Item(path=path, size=row.length, content=partial(repository.blobs.load, digest))
    if repository.config.pkg_access is Access.OPEN:
        yield from _packages(repository, session)
    length = func.length(MetadataRow.content)
    rows = session.execute(select(MetadataRow.role, MetadataRow.version, length)).all()
    newest: dict[str, int] = {}
    for role, version, _ in rows:
        newest[role] = max(version, newest.get(role, 0))
    for role, version, size in rows:
        if role == ROOT or (role != TIMESTAMP and version == newest[role]):
            path = f"{_METADATA}{version}.{role}.json"
            yield _Item(path=path, size=size, content=partial(_metadata, repository, role, version))


def _packages(repository: Repository, session: Session) -> Iterator[_Item]:
    for row in newest_serials(session):
        index = RepoIndex.parse(repository.blobs.load(Sha256(row.index_sha256)))
        for package in index.all_packages():
            yield _Item(
                path=f"pkg/{BY_SHA256}/{package.sha256}.pkg",
                size=package.size,
                content=partial(_opened_whole, repository, package.sha256),
            )


def _opened_whole(repository: Repository, digest: Sha256) -> BinaryIO:
    """Open a package that was read to its end and compared: what is sent under a digest for ever is not damaged here."""
    stream = repository.package_blobs.open(digest)
    try:
        if hashlib.file_digest(stream, "sha256").hexdigest() != digest:
            raise DigestMismatchError(f"blob {digest[:16]}… is damaged", hint="restore it from a backup")
    finally:
        stream.close()
    return repository.package_blobs.open(digest)


def _metadata(repository: Repository, role: str, version: int) -> bytes:
    with snapshot(repository.engine) as session:
        row = session.get(MetadataRow, (role, version))
    if row is None:
        raise ConflictError(f"version {version} of {role} went away meanwhile", hint="try again")
    return row.content


def _renew_indexes(repository: Repository, shelf: Shelf) -> tuple[int, int]:
    """Send the indexes and what they list, and remove what was withdrawn; they are small, so each is compared by its bytes."""
    tree = repository.skills_root
    wanted = {
        f"skills/{path.relative_to(tree).as_posix()}": path
        for path in _files_below(tree / ".well-known")
        if not is_sibling(path.relative_to(tree).as_posix())
    }
    known, sent, removed = shelf.sizes(_WELL_KNOWN), 0, 0
    # Files before the indexes that list them.
    for path, file in sorted(wanted.items(), key=lambda item: (item[0].endswith("/index.json"), item[0])):
        data = file.read_bytes()
        if known.get(path) != len(data) or shelf.read(path) != data:
            shelf.put(path, data)
            sent += 1
    for path in sorted(known.keys() - wanted.keys()):
        shelf.remove(path)
        removed += 1
    return sent, removed


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the regular files below ``folder``; a link that somebody planted is not followed."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and not path.is_symlink() and path.is_file():
            yield path


def _marker(timestamp: bytes) -> bytes:
    return sha256_of(timestamp).encode()
