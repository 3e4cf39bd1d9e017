"""Going on after a restore from a backup (edge): `skillrepo resume`.

Every copy of the published tree (a replica, a mirror, an archive, the tree itself) holds what was signed since the backup, and
signatures do not age: so what the restored database lacks is taken up from there, role by role, after it was verified from the
anchor. That brings back releases, profiles and, above all, withdrawals, for clients; and each role goes on from the version that clients
have seen. Then snapshot and timestamp are signed anew, one version beyond.

What is not signed (who imported what, reviews in progress, tokens, the log) is lost with the database. A record says so.

Without any copy, snapshot and timestamp are signed beyond a version that nobody can have seen, and the roles that people sign
have to be signed again by them until they are past what clients saw (docs/restore.md).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from securesystemslib.signer import Signer
from sqlalchemy.orm import Session
from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from repo_server.db import log
from repo_server.db.models import MetadataRow, PackageSerialRow, TargetRow
from repo_server.db.session import transaction
from repo_server.publishing.online import OnlineState, sign_state
from repo_server.publishing.projection import project
from repo_server.publishing.standing import mark_releases
from repo_server.publishing.state import (
    add_versions,
    current,
    current_files,
    newest_versions,
    published_content,
)
from repo_server.publishing.vouched import vouched_content
from repo_server.repository import Repository
from repo_server.storage.blobs import LargeBlobs
from repo_server.web.tree import open_below, opened_root, parse_tree_path
from signing.errors import (
    ConflictError,
    CouldNotVerifyError,
    DigestMismatchError,
    FormatError,
    NotFoundError,
    RollbackError,
)
from signing.format.digest import Sha256, sha256_of
from signing.format.names import REVOCATIONS_PATH, TargetPath
from signing.format.pkg.index import RepoIndex
from signing.format.pkg.names import ADVISORIES_PATH, PackageRepo
from signing.format.revocations import Revocations
from signing.metadata import build_snapshot, build_timestamp, lint_meta, parse, render, sign, target_sha256
from signing.roles import ADVISORIES, REVOCATIONS, ROOT, SNAPSHOT, TIMESTAMP, hashed_path, is_pkg
from signing.trusted import TrustedMetadata, verify_metadata

_MAX_METADATA: Final = 64 << 20
_MAX_TARGET: Final = 64 << 20
_MAX_VERSION: Final = 2**31 - 1
_MAX_ROOT: Final = 512_000  # what a client reads of one
_MOST_ROOTS: Final = 1_000
_PIECE: Final = 1 << 20
# They, and builders, publish one file again and again; what the others published stays.
_REPLACED: Final = frozenset({REVOCATIONS, ADVISORIES})


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """What was taken up, role by role, and what was signed after it."""

    roles: dict[str, int]
    online: OnlineState


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    """The verified state in a copy of the published tree."""

    folder: int
    roots: dict[int, bytes]
    files: dict[str, bytes]
    trusted: TrustedMetadata

    def versions(self) -> Iterable[tuple[str, int, bytes]]:
        """Yield every role's metadata: of root the whole chain, of the others what the timestamp leads to."""
        for number, data in sorted(self.roots.items()):
            yield ROOT, number, data
        for name, meta in self.trusted.snapshot.meta.items():
            yield name.removesuffix(".json"), meta.version, self.files[name.removesuffix(".json")]
        for role in (SNAPSHOT, TIMESTAMP):
            yield role, self.trusted.versions[role], self.files[role]


def resume_from(repository: Repository, copy: Path, online: Signer, *, now: datetime) -> Resumed:
    """Take up what ``copy`` has and the database lacks, and sign a state that follows both.

    Args:
        repository: whose database was restored.
        copy: a folder with ``skills/`` and ``pkg/``: a copy of the published tree, however old.
        online: the online key.
        now: dates what is signed. The copy is judged for the last moment in which it was valid.

    Raises:
        RollbackError: the copy is older than the database.
        ConflictError: the database went on by itself after the restore, and the copy is without something that it published.
        NotFoundError, VerificationError, FormatError: the copy is not whole, or not what the anchor vouches for; nothing is taken up.
        KeyAccessError: root appoints another online key.
    """
    with opened_root(copy) as folder:
        found = _verified(folder, repository.anchor)
        with transaction(repository.engine) as session:
            taken = _take_up(repository, session, found, now=now)
            _check_signed(repository, session)
            # Else the indexes for ordinary agents would offer again what was withdrawn since the backup.
            mark_releases(repository, session)
            state = sign_state(session, online, now=now, force_snapshot=True)
            _record(session, taken, state, source="copy", now=now)
    with transaction(repository.engine) as session:
        project(repository, session)
    return Resumed(roles=taken, online=state)


def resume_beyond(repository: Repository, version: int, online: Signer, *, now: datetime) -> Resumed:
    """Sign snapshot and timestamp beyond ``version``, which nobody can have seen.

    Raises:
        FormatError: not above what the database has, or so high that little is left.
        KeyAccessError, ExpiredError: see `repo_server.publishing.online.sign_state`.
    """
    with transaction(repository.engine) as session:
        known = max(current(session, role).version for role in (SNAPSHOT, TIMESTAMP))
        if not known < version < _MAX_VERSION // 2:
            raise FormatError(f"not between {known} and {_MAX_VERSION // 2}", where="--beyond")
        snapshot = build_snapshot(current_files(session), version=version, now=now)
        sign(snapshot, online)
        timestamp = build_timestamp(render(snapshot), version=version, now=now)
        sign(timestamp, online)
        documents = [(SNAPSHOT, version, render(snapshot)), (TIMESTAMP, version, render(timestamp))]
        add_versions(session, documents, now=now)
        state = sign_state(
            session, online, now=now, force_snapshot=True
        )  # refuses a key that root does not name
        _record(session, {}, state, source="beyond", now=now)
    with transaction(repository.engine) as session:
        project(repository, session)
    return Resumed(roles={}, online=state)


def _record(
    session: Session, taken: dict[str, int], state: OnlineState, *, source: str, now: datetime
) -> None:
    facts = {"roles": taken, "source": source, "snapshot": state.snapshot, "timestamp": state.timestamp}
    log.append(session, event="restored.resumed", facts=facts, now=now)


def _verified(folder: int, anchor: bytes) -> _Copy:
    roots = _roots(folder, anchor)
    files = {TIMESTAMP: _read(folder, f"skills/metadata/{TIMESTAMP}.json")}
    timestamp = parse(files[TIMESTAMP], Timestamp, where=TIMESTAMP).signed
    files[SNAPSHOT] = _read(folder, f"skills/metadata/{timestamp.snapshot_meta.version}.{SNAPSHOT}.json")
    for name, meta in parse(files[SNAPSHOT], Snapshot, where=SNAPSHOT).signed.meta.items():
        files[name.removesuffix(".json")] = _read(folder, f"skills/metadata/{meta.version}.{name}")
    # A day-old copy has ended, and its signatures are as good as they were: what is asked here is what was signed, not what is fresh.
    moment = timestamp.expires - timedelta(seconds=1)
    trusted = verify_metadata(anchor, roots=list(roots.values()), files=files, now=moment)
    for name, meta in trusted.snapshot.meta.items():
        size, digest = lint_meta(meta, where=name)
        data = files[name.removesuffix(".json")]
        if (len(data), sha256_of(data)) != (size, digest):
            raise DigestMismatchError("is not what the snapshot names", where=name)
    return _Copy(folder=folder, roots=roots, files=files, trusted=trusted)


def _roots(folder: int, anchor: bytes) -> dict[int, bytes]:
    """Return the chain of roots in the copy, from the anchor on, by version; nothing about its signatures is verified.

    A root is published under the number of its file. `verify_metadata` passes over one of a version that is known already: an old
    root under the next number would be published unseen, and end the chain for every client, for ever.

    Raises:
        CouldNotVerifyError: a file has another version than its name, or the first is not the anchor.
        NotFoundError: the copy lacks the anchor's version. FormatError: a file is no root, or too large for clients.
    """
    first = parse(anchor, Root, where="trust anchor").signed.version
    roots = {first: _read(folder, _root_path(first), most=_MAX_ROOT)}
    if roots[first] != anchor:
        raise CouldNotVerifyError("is not the trust anchor", where=_root_path(first))
    for number in range(first + 1, first + _MOST_ROOTS):
        try:
            data = _read(folder, _root_path(number), most=_MAX_ROOT)
        except NotFoundError:
            break
        version = parse(data, Root, where=_root_path(number)).signed.version
        if version != number:
            raise CouldNotVerifyError(f"is root {version}", where=_root_path(number))
        roots[number] = data
    return roots


def _root_path(number: int) -> str:
    return f"skills/metadata/{number}.{ROOT}.json"


def _take_up(repository: Repository, session: Session, found: _Copy, *, now: datetime) -> dict[str, int]:
    _check_follows(repository, session, found)
    taken: dict[str, int] = {}
    for role, version, data in found.versions():
        if session.get(MetadataRow, (role, version)) is None:
            add_versions(session, [(role, version, data)], now=now)
            taken[role] = version
    for role in sorted(set(taken) - {ROOT, SNAPSHOT, TIMESTAMP}):
        for path in parse(found.files[role], Targets, where=role).signed.targets:
            _take_target(repository, session, found, TargetPath(path), now=now)
    session.flush()
    return taken


def _check_signed(repository: Repository, session: Session) -> None:
    """Return None when every role, as it would be published now, is signed by those whom the others name.

    The snapshot vouches for what the online key saw, not for who signed it: whoever stole that key can name metadata that nobody
    signed. And who signs a role may be another in the database than in the copy.

    Raises:
        BadSignatureError: one is not.
    """
    for role in newest_versions(session):
        vouched_content(session, role, anchor=repository.anchor)


def _check_follows(repository: Repository, session: Session, found: _Copy) -> None:
    """Return None when the database is an earlier moment of what the copy holds."""
    for role, version, data in found.versions():
        row = session.get(MetadataRow, (role, version))
        if row is not None and row.content != data:
            raise _went_on(f"{role} version {version} is another one in the copy")
    if current(session, TIMESTAMP).version > found.trusted.versions[TIMESTAMP]:
        raise RollbackError(
            "the copy is older than the database", hint="name the newest copy that there is", where="copy"
        )
    if current(session, ROOT).version > found.trusted.root.version:
        raise _went_on(f"the copy lacks root version {current(session, ROOT).version}")
    for role, version in newest_versions(session).items():
        if role not in found.files:
            raise _went_on(f"the copy lacks {role}")
        if version < parse(found.files[role], Targets, where=role).signed.version:
            _check_continued(repository, found, role, published_content(session, role, version))


def _check_continued(repository: Repository, found: _Copy, role: str, content: bytes) -> None:
    """Return None when the copy's metadata of ``role`` continues ``content``, the newest in the database.

    Two versions that were published on one side, and one on the other, have no number in common that shows it. A copy of the
    tree still has the older version; an archive, or a mirror that cleans up, has the newest only: then what it says has to be a
    continuation.
    """
    before, after = (parse(data, Targets, where=role).signed for data in (content, found.files[role]))
    try:
        same = _read(found.folder, f"skills/metadata/{before.version}.{role}.json") == content
    except NotFoundError:
        same = True
    if not same:
        raise _went_on(f"{role} version {before.version} is another one in the copy")
    if role in _REPLACED or is_pkg(role):
        continued = before.targets.keys() <= after.targets.keys() and all(
            _continues(repository, found, TargetPath(path), target_sha256(target, where=role))
            for path, target in before.targets.items()
        )
    else:
        continued = before.targets.items() <= after.targets.items()
    if not continued:
        raise _went_on(
            f"{role} version {after.version} in the copy lacks something of version {before.version}"
        )


def _continues(repository: Repository, found: _Copy, path: TargetPath, known: Sha256) -> bool:
    """Return whether the file at ``path``, of which there is one at a time, continues the one with the digest ``known``."""
    if path == ADVISORIES_PATH or found.trusted.vouch(path).sha256 == known:
        return True  # what scanners found anew takes the place of all that they found before
    before, after = repository.blobs.load(known), _target(found, path)
    if path == REVOCATIONS_PATH:
        ours = Revocations.parse(before)
        return Revocations.parse(after).continues(count=len(ours.entries), head=ours.head())
    return RepoIndex.parse(before).serial < RepoIndex.parse(after).serial


def _went_on(message: str) -> ConflictError:
    return ConflictError(
        f"{message}: the database went on by itself after the restore",
        hint="restore the backup once more, and resume before anything else (docs/restore.md)",
    )


def _take_target(
    repository: Repository, session: Session, found: _Copy, path: TargetPath, *, now: datetime
) -> None:
    target = found.trusted.vouch(path)
    if session.get(TargetRow, (path, target.sha256)) is None:
        repository.blobs.store(_target(found, path))
        session.merge(TargetRow(path=path, sha256=target.sha256, length=target.length))
    if is_pkg(target.role):
        _take_serial(repository, session, found, PackageRepo.of_index_path(path), now=now)


def _target(found: _Copy, path: TargetPath) -> bytes:
    """Return the bytes in the copy that the anchor vouches for under ``path``."""
    target = found.trusted.vouch(path)
    if target.length > _MAX_TARGET:
        raise FormatError(f"larger than {_MAX_TARGET} bytes", where=path)
    data = _read(found.folder, f"skills/targets/{hashed_path(path, target.sha256)}")
    if len(data) != target.length or sha256_of(data) != target.sha256:
        raise DigestMismatchError("is not what is signed", where=path)
    return data


def _take_serial(
    repository: Repository, session: Session, found: _Copy, repo: PackageRepo, *, now: datetime
) -> None:
    """Take up the newest serial of a package repository, with the bytes that it names."""
    target = found.trusted.vouch(repo.index_path)
    index = RepoIndex.parse(repository.blobs.load(target.sha256))
    if session.get(PackageSerialRow, (str(repo), index.serial)) is not None:
        return
    blobs = repository.package_blobs
    for package in index.all_packages():
        _take_blob(blobs, found.folder, f"pkg/by-sha256/{package.sha256}.pkg", package.sha256, package.size)
    for file in index.catalogue:
        place = f"pkg/serials/{repo}/{index.serial}/{file.name}"
        _take_blob(blobs, found.folder, place, file.sha256, file.size)
    session.add(
        PackageSerialRow(
            repo=str(repo),
            serial=index.serial,
            index_sha256=target.sha256,
            role_version=target.role_version,
            packages=len(index.packages),
            signed_by=",".join(target.signers),
            created_at=index.created,
            published_at=now,
        )
    )


def _take_blob(blobs: LargeBlobs, folder: int, path: str, digest: Sha256, size: int) -> None:
    if blobs.size_of(digest) == size:
        return
    with open_below(folder, parse_tree_path(path)) as file:
        offsets = range(0, max(file.size, 1), _PIECE)
        blobs.receive((file.read(at, _PIECE) for at in offsets), digest=digest, size=size)


def _read(folder: int, path: str, *, most: int = _MAX_METADATA) -> bytes:
    try:
        with open_below(folder, parse_tree_path(path)) as file:
            if file.size > most:
                raise FormatError(f"larger than {most} bytes", where=path)
            return file.read(0, file.size)
    except NotFoundError as error:
        raise NotFoundError(
            f"the copy lacks {path}", hint="name a whole copy: a folder with skills/ and pkg/"
        ) from error
