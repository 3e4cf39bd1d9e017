"""The published tree in a bucket (edge): the third form beside our own service and plain files.

    skills/metadata/7.snapshot.json …, skills/targets/…                  never change once written
    pkg/by-sha256/5d….pkg                                                the same; where packages are for everybody
    skills/metadata/1.root.json … 2.root.json                            never change; directly before the timestamp
    skills/metadata/timestamp.json                                       after all that it vouches for
    skills/.well-known/…                                                 the indexes for ordinary agents
    skills/.listed                                                       digests of what stands below .well-known
    skills/.complete                                                     digest of timestamp and indexes: all of it is there

A bucket has neither renaming nor a lock, and its conditional puts are not relied on (decision 0022): what never changes is sent by
whoever comes, as often as they come; what changes is sent by whoever has the turn (`spreading_turn`), as the
database said it since. A process killed in between leaves the old timestamp, which names an older whole state, and no
marker, so the next run goes through everything again. Nothing that a client could still ask for is removed.

Clients look for the next root by its name, whatever the timestamp says, and one that appoints another online key makes them
refuse the old timestamp. So a root is sent when nothing is left to send but the timestamp that belongs to it.

The writers' lock of the database is held for what this machine does alone; while the bucket is asked, others publish.

pkg's own repositories are switched by one link, which a bucket does not have: they stay plain files.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
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
from repo_server.publishing.projection import project, project_new
from repo_server.publishing.siblings import is_sibling
from repo_server.publishing.spreading_turn import spreading_turn
from repo_server.publishing.state import current, current_root
from repo_server.repository import Repository
from signing.errors import ConflictError, DigestMismatchError, FormatError, RollbackError
from signing.format.digest import Sha256, sha256_of
from signing.format.names import TargetPath
from signing.format.pkg.index import RepoIndex
from signing.metadata import parse
from signing.roles import ROOT, TIMESTAMP, hashed_path

_METADATA: Final = "skills/metadata/"
_WELL_KNOWN: Final = "skills/.well-known/"
_TIMESTAMP: Final = f"{_METADATA}timestamp.json"
_COMPLETE: Final = "skills/.complete"
_LISTED: Final = "skills/.listed"
_FOLDERS: Final = (_METADATA, "skills/targets/", f"pkg/{BY_SHA256}/")
_CHUNK: Final = 1 << 20

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """One state of the database and of the tree, taken while nobody published: what is missing of it, and what may change."""

    timestamp: MetadataRow
    lasting: list[_Item]
    roots: list[_Item]
    indexes: dict[str, bytes]
    marker: bytes


def spread(repository: Repository, shelf: Shelf, *, again: bool = False) -> Spread:
    """Make the bucket what the database says now; with ``again``, also send what is there by its name and size.

    Raises:
        RollbackError: the bucket, or the tree on this machine, is newer than the database; nothing was changed.
        HostError: bucket, database or a blob cannot be used; what is served from the bucket is still one whole state.
        ConflictError: another process sends to the bucket, or others publish, for too long.
        DigestMismatchError: a blob is damaged; nothing of it was sent.
    """
    with snapshot(repository.engine) as session:
        newest = current(session, TIMESTAMP)
        if not again and is_current(repository, session, shelf):
            return Spread(sent=0, removed=0, timestamp=newest.version)
        _check_not_behind(session, shelf, newest)
    with transaction(repository.engine) as session:
        project(repository, session)  # the indexes are taken from the tree
    known = {} if again else {path: size for folder in _FOLDERS for path, size in shelf.sizes(folder).items()}
    with snapshot(repository.engine) as session:
        missing = _missing(_lasting(repository, session), known)
    sent = _send(shelf, missing, known)  # most of the work, whoever else does it too
    with spreading_turn(repository) as check_turn:
        with transaction(repository.engine) as session:
            project_new(repository, session)
            state = _state(repository, session, known)
        with snapshot(repository.engine) as session:
            _check_not_behind(session, shelf, state.timestamp)
        sent += _send(shelf, state.lasting, known)
        check_turn()
        sent += _send(shelf, state.roots, known)
        if shelf.read(_TIMESTAMP) != state.timestamp.content:
            shelf.put(_TIMESTAMP, state.timestamp.content)
            sent += 1
        sent_more, removed = _renew_indexes(state.indexes, shelf, again=again)
        shelf.put(_COMPLETE, state.marker)
    return Spread(sent=sent + sent_more, removed=removed, timestamp=state.timestamp.version)


def is_current(repository: Repository, session: Session, shelf: Shelf) -> bool:
    """Return whether a whole run has made the bucket what the database says now."""
    return shelf.read(_COMPLETE) == _marker(repository, current(session, TIMESTAMP).content)


def _check_not_behind(session: Session, shelf: Shelf, newest: MetadataRow) -> None:
    """Raise RollbackError when the bucket is ahead of us: clients that saw it would refuse ours as a rollback.

    Only a timestamp that our online key signed says so; what anybody else put there is replaced, and stops nobody.
    """
    published = shelf.read(_TIMESTAMP)
    try:
        found = parse(published, Timestamp, where="the bucket's timestamp") if published is not None else None
    except FormatError:
        found = None
    if found is None or found.signed.version <= newest.version:
        return
    root = current_root(session)
    if root.get_verification_result(TIMESTAMP, found.signed_bytes, found.signatures).verified:
        raise RollbackError(
            f"the bucket holds timestamp {found.signed.version}, and the newest in the database is {newest.version}",
            hint="another copy of this repository wrote it, or an older database was restored (docs/restore.md)",
        )


def _state(repository: Repository, session: Session, known: dict[str, int]) -> _State:
    """Return what the database says, with the indexes of the tree, in a transaction that keeps publishers out."""
    tree, timestamp = repository.skills_root, current(session, TIMESTAMP)
    names = (path.relative_to(tree).as_posix() for path in _files_below(tree / ".well-known"))
    roots = sorted(row for row in _metadata_rows(session) if row[0] == ROOT)
    return _State(
        timestamp=timestamp,
        lasting=_missing(_lasting(repository, session), known),
        roots=_missing((_metadata_item(repository, *row) for row in roots), known),
        indexes={f"skills/{name}": (tree / name).read_bytes() for name in names if not is_sibling(name)},
        marker=_marker(repository, timestamp.content),
    )


def _missing(items: Iterable[_Item], known: dict[str, int]) -> list[_Item]:
    return [item for item in items if known.get(item.path) != item.size]


def _send(shelf: Shelf, items: list[_Item], known: dict[str, int]) -> int:
    """Send ``items``, one after the other, and know them then; return how many they are."""
    for item in items:
        content = item.content()
        try:
            shelf.put(item.path, content)
        finally:
            if not isinstance(content, bytes):
                content.close()
        known[item.path] = item.size
    return len(items)


def _lasting(repository: Repository, session: Session) -> Iterator[_Item]:
    """Yield all that is vouched for, and then the newest metadata of each role; roots and timestamp have their own moment."""
    for row in session.scalars(select(TargetRow)):
        digest = Sha256(row.sha256)
        path = f"skills/targets/{hashed_path(TargetPath(row.path), digest)}"
        yield _Item(path=path, size=row.length, content=partial(repository.blobs.load, digest))
    if repository.config.pkg_access is Access.OPEN:
        yield from _packages(repository, session)
    rows = _metadata_rows(session)
    newest: dict[str, int] = {}
    for role, version, _ in rows:
        newest[role] = max(version, newest.get(role, 0))
    for role, version, size in rows:
        if role not in {ROOT, TIMESTAMP} and version == newest[role]:
            yield _metadata_item(repository, role, version, size)


def _metadata_rows(session: Session) -> list[tuple[str, int, int]]:
    length = func.length(MetadataRow.content)
    return [
        (role, version, size)
        for role, version, size in session.execute(select(MetadataRow.role, MetadataRow.version, length))
    ]


def _metadata_item(repository: Repository, role: str, version: int, size: int) -> _Item:
    path = f"{_METADATA}{version}.{role}.json"
    return _Item(path=path, size=size, content=partial(_metadata, repository, role, version))


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
    found = hashlib.sha256()
    with repository.package_blobs.open(digest) as stream:
        while piece := stream.read(_CHUNK):
            found.update(piece)
    if found.hexdigest() != digest:
        raise DigestMismatchError(f"blob {digest[:16]}… is damaged", hint="restore it from a backup")
    return repository.package_blobs.open(digest)


def _metadata(repository: Repository, role: str, version: int) -> bytes:
    with snapshot(repository.engine) as session:
        row = session.get(MetadataRow, (role, version))
    if row is None:
        raise ConflictError(f"version {version} of {role} went away meanwhile", hint="try again")
    return row.content


def _renew_indexes(files: dict[str, bytes], shelf: Shelf, *, again: bool) -> tuple[int, int]:
    """Send the indexes and what they list where that has changed, and remove what was withdrawn.

    Other hosts wait for us meanwhile, so a file is not fetched to be compared: the last whole run has left the digests. Before
    anything is changed they are taken away: who comes after one that was killed sends all.
    """
    wanted = {path: sha256_of(data) for path, data in files.items()}
    known, there = {} if again else _known_digests(shelf), shelf.sizes(_WELL_KNOWN)
    changed = [path for path, digest in wanted.items() if known.get(path) != digest or path not in there]
    gone = sorted(there.keys() - wanted.keys())
    if not changed and not gone:
        return 0, 0
    shelf.remove(_LISTED)
    # Files before the indexes that list them.
    for path in sorted(changed, key=lambda path: (path.endswith("/index.json"), path)):
        shelf.put(path, files[path])
    for path in gone:
        shelf.remove(path)
    shelf.put(_LISTED, json.dumps(wanted).encode())
    return len(changed), len(gone)


def _known_digests(shelf: Shelf) -> dict[str, str]:
    try:
        listed = json.loads(shelf.read(_LISTED) or b"{}")
    except (ValueError, RecursionError):
        return {}
    return listed if isinstance(listed, dict) else {}


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the regular files below ``folder``; a link that somebody planted is not followed."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and not path.is_symlink() and path.is_file():
            yield path


def _marker(repository: Repository, timestamp: bytes) -> bytes:
    found = hashlib.sha256(timestamp)
    for standard in ("agent-skills", "skills"):
        index = repository.skills_root / ".well-known" / standard / "index.json"
        found.update(sha256_of(index.read_bytes()).encode() if index.is_file() else b"-")
    return found.hexdigest().encode()
