"""The published tree of packages: plain files by serial, and one link that is switched (edge).

    public/pkg/by-sha256/5d….pkg                          every package whose bytes are vouched for, for births
    public/pkg/serials/FreeBSD:14:amd64/latest/7/…        one whole repository: meta.conf, data.pkg, …, All/…
    public/pkg/FreeBSD:14:amd64/latest -> ../serials/…/7  what pkg asks for; switched by one rename
    public/pkg/fingerprints/FreeBSD:14:amd64/latest/trusted/3b…
    public/pkg/vuln.xml                                   the advisories, where curators published some

A serial gets its name when it is complete, and the link is switched last, so a killed process leaves the old serial
served. Package files are hard links to the blobs: a serial costs names, not bytes. Packages of earlier serials keep
their places for the grace period, unless something new stands there: whoever read the old catalogue a moment ago
still gets what it names (reference/freebsd-pkg §8, "race while publishing").

pkg asks "newer than …?" in whole seconds and believes a 304. So the files of a catalogue carry the time of the build,
and packagesite.pkg one second more: a client whose check of data.pkg failed must not be told that all is well
(reference/freebsd-pkg §1.3).
"""

import contextlib
import os
import secrets
import shutil
from pathlib import Path
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from repo_server.db.models import PackageSerialRow
from repo_server.pkgrepo.fingerprints import FingerprintAnchors, load_anchors, write_anchors
from repo_server.pkgrepo.places import (
    BY_SHA256,
    OLD,
    VULNERABILITIES,
    fingerprints_folder,
    link_text,
    serial_folder,
    served_serial,
)
from repo_server.publishing.state import current_targets
from repo_server.repository import Repository
from repo_server.storage.durable import (
    NEW,
    make_folder_durably,
    sync_folder,
    write_durably,
)
from signing.errors import HostError, NotFoundError
from signing.format.digest import Sha256, sha256_of
from signing.format.pkg.index import IndexedPackage, RepoIndex
from signing.format.pkg.names import ADVISORIES_PATH, INDEX_NAME, PackageRepo
from signing.roles import ADVISORIES

_LATER: Final = frozenset({"packagesite.pkg", "files.pkg", "filesite.pkg"})
_CHUNK: Final = 1 << 20


def project_packages(repository: Repository, session: Session, *, repair: bool = False) -> int:
    """Complete the trees of all package repositories; return how many were not complete.

    What is served already is recognised without reading its list. With ``repair``, every published file is looked at.

    Raises:
        HostError: something cannot be written; what was served before is still whole.
    """
    written = 0
    for row in newest_serials(session):
        repo, digest = PackageRepo.parse(row.repo), Sha256(row.index_sha256)
        if repair or not _is_served(repository.pkg_root, repo, row.serial, digest):
            index = RepoIndex.parse(repository.blobs.load(digest))
            written += project_serial(repository, index, digest, repair=repair)
    return written + _project_advisories(repository, session)


def project_serial(repository: Repository, index: RepoIndex, digest: Sha256, *, repair: bool = False) -> int:
    """Write what is missing of one serial and switch to it; return 1 when something was missing, else 0.

    Raises:
        HostError: something cannot be written; what was served before is still whole.
    """
    root, folder = repository.pkg_root, serial_folder(repository.pkg_root, index.repo, index.serial)
    try:
        _remove_leftovers(folder.parent)
        written = _link_by_digest(repository, index, root / BY_SHA256)
        # Another list under this number: the database was restored from before that serial, and went on.
        if not _names_index(folder, digest) or (repair and not _is_whole(index, folder)):
            _build(repository, index, digest, folder)
            written = True
        set_times(index, folder)
        _write_fingerprints(index, fingerprints_folder(root, index.repo))
        return int(_switch(root, index.repo, index.serial) or written)
    except OSError as error:
        raise HostError(f"cannot write the tree of {index.repo}: {error.strerror}") from error


def newest_serials(session: Session) -> list[PackageSerialRow]:
    """Return the newest serial of every package repository: what is served."""
    newest = (
        select(PackageSerialRow.repo, func.max(PackageSerialRow.serial).label("serial"))
        .group_by(PackageSerialRow.repo)
        .subquery()
    )
    statement = select(PackageSerialRow).join(
        newest, (PackageSerialRow.repo == newest.c.repo) & (PackageSerialRow.serial == newest.c.serial)
    )
    return list(session.scalars(statement.order_by(PackageSerialRow.repo)))


def _is_served(root: Path, repo: PackageRepo, serial: int, digest: Sha256) -> bool:
    """Return whether ``serial`` is served: the link is switched last, so all of it is there."""
    return served_serial(root, repo) == serial and _names_index(serial_folder(root, repo, serial), digest)


def _names_index(folder: Path, digest: Sha256) -> bool:
    try:
        return sha256_of((folder / INDEX_NAME).read_bytes()) == digest
    except OSError:
        return False


def _is_whole(index: RepoIndex, folder: Path) -> bool:
    if any(not _has(folder / item.path, item.sha256) for item in index.packages):
        return False
    return all(_has(folder / file.name, file.sha256) for file in index.catalogue)


def _has(place: Path, digest: Sha256) -> bool:
    """Return whether ``place`` is a file with these bytes; it is read."""
    try:
        return not place.is_symlink() and _digest_of(place) == digest
    except OSError:
        return False


def _digest_of(place: Path) -> str:
    import hashlib  # noqa: PLC0415 - only copies are read, and there are none where blobs lie beside the tree

    with place.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _link_by_digest(repository: Repository, index: RepoIndex, folder: Path) -> bool:
    make_folder_durably(folder)
    blobs = repository.package_blobs
    known = {path.name for path in folder.iterdir()}  # one look instead of one question a package
    added = False
    for package in index.all_packages():
        if (name := f"{package.sha256}.pkg") not in known:
            blobs.put_at(package.sha256, folder / name)
            known.add(name)
            added = True
    if added:
        sync_folder(folder)
    return added


def _write_fingerprints(index: RepoIndex, folder: Path) -> None:
    """Offer the fingerprints that the index names, beside what the operator put there: a next key, a revoked one."""
    for state in ("trusted", "revoked"):
        make_folder_durably(folder / state)
        _remove_leftovers(folder / state)
    before = load_anchors(folder)
    trusted = before.trusted | frozenset(index.fingerprints)
    if trusted - before.revoked != before.trusted:
        write_anchors(folder, FingerprintAnchors(trusted=trusted - before.revoked, revoked=before.revoked))


def _build(repository: Repository, index: RepoIndex, digest: Sha256, folder: Path) -> None:
    make_folder_durably(folder.parent)
    temporary = folder.with_name(f"{NEW}{secrets.token_hex(8)}")
    temporary.mkdir()
    for package in index.packages:
        repository.package_blobs.put_at(package.sha256, _place(temporary, package.path))
    for file in index.catalogue:
        write_durably(temporary / file.name, repository.blobs.load(file.sha256))
    write_durably(temporary / INDEX_NAME, repository.blobs.load(digest))
    for package in index.kept:
        _keep(repository, package, temporary)
    set_times(index, temporary)
    for path, _, _ in os.walk(temporary, topdown=False):
        sync_folder(Path(path))
    if folder.exists():
        folder.rename(folder.with_name(f"{OLD}{secrets.token_hex(8)}"))
    temporary.rename(folder)
    sync_folder(folder.parent)
    _remove_leftovers(folder.parent)


def _keep(repository: Repository, package: IndexedPackage, folder: Path) -> None:
    """Give a kept package its old place, where nothing of this serial stands in the way of it."""
    with contextlib.suppress(FileExistsError, NotADirectoryError):
        repository.package_blobs.put_at(package.sha256, _place(folder, package.path))


def _remove_leftovers(parent: Path) -> None:
    """Remove what a killed process was writing or removing; the transaction of the caller keeps others out."""
    for prefix in (NEW, OLD):
        for leftover in parent.glob(f"{prefix}*"):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()


def set_times(index: RepoIndex, folder: Path) -> None:
    """Date the catalogue by its build: also where a copy of the tree, or a power cut, lost the times."""
    for name in (*(file.name for file in index.catalogue), INDEX_NAME):
        wanted = int(index.created.timestamp()) + (name in _LATER)
        if (folder / name).stat().st_mtime_ns != wanted * 10**9:
            os.utime(folder / name, (wanted, wanted))


def _place(folder: Path, path: str) -> Path:
    """Return where ``path`` goes; the index holds clean relative paths only (`signing.format.pkg.index`)."""
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _switch(root: Path, repo: PackageRepo, serial: int) -> bool:
    if served_serial(root, repo) == serial:
        return False
    link = root / repo.abi / repo.channel
    make_folder_durably(link.parent)
    _remove_leftovers(link.parent)
    if link.is_dir() and not link.is_symlink():  # a copy of the tree that followed the link
        link.rename(link.with_name(f"{OLD}{secrets.token_hex(8)}"))
    temporary = link.with_name(f"{NEW}{secrets.token_hex(8)}")
    temporary.symlink_to(link_text(repo, serial))
    try:
        temporary.replace(link)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(link.parent)
    _remove_leftovers(link.parent)
    return True


def _project_advisories(repository: Repository, session: Session) -> int:
    """Write ``vuln.xml`` as `pkg audit` fetches it; whoever verifies takes it from the targets instead."""
    try:
        target = current_targets(session, ADVISORIES).targets.get(ADVISORIES_PATH)
    except NotFoundError:
        return 0
    if target is None:
        return 0
    place = repository.pkg_root / VULNERABILITIES
    digest = Sha256(target.hashes["sha256"])
    if _has(place, digest):
        return 0
    try:
        before = int(place.stat().st_mtime)
    except FileNotFoundError:
        before = 0
    write_durably(place, repository.blobs.load(digest))
    stamp = max(int(place.stat().st_mtime), before + 1)  # whole seconds are all that pkg compares
    os.utime(place, (stamp, stamp))
    return 1
