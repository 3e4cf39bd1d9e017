"""The published tree of packages: plain files by serial, and one link that is switched (edge).

    public/pkg/by-sha256/5d….pkg                          every package whose bytes are vouched for, for births
    public/pkg/serials/FreeBSD:14:amd64/latest/7/…        one whole repository: meta.conf, data.pkg, …, All/…
    public/pkg/FreeBSD:14:amd64/latest -> ../serials/…/7  what pkg asks for; switched by one rename
    public/pkg/fingerprints/FreeBSD:14:amd64/latest/trusted/3b…

A serial gets its name when it is complete, and the link is switched last, so a killed process leaves the old serial
served. Package files are hard links to the blobs: a serial costs names, not bytes. Packages of earlier serials keep
their places for the grace period, unless a new package stands there: whoever read the old catalogue a moment ago
still gets what it names (reference/freebsd-pkg §8, "race while publishing").

pkg asks "newer than …?" in whole seconds and believes a 304. So the files of a catalogue carry the time of the build,
and packagesite.pkg one second more: a client whose check of data.pkg failed must not be told that all is well
(reference/freebsd-pkg §1.3).
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Final

from repo_server.pkgrepo.fingerprints import FingerprintAnchors, write_anchors
from repo_server.repository import Repository
from repo_server.storage.durable import make_folder_durably, sync_folder, write_durably
from signing.errors import HostError
from signing.format.pkg.index import CatalogueFile, RepoIndex
from signing.format.pkg.names import INDEX_NAME, PackageRepo

SERIALS: Final = "serials"
BY_SHA256: Final = "by-sha256"
FINGERPRINTS: Final = "fingerprints"
_LATER: Final = frozenset({"packagesite.pkg", "files.pkg", "filesite.pkg"})
_ONE_SECOND: Final = timedelta(seconds=1)


def project_packages(repository: Repository, indexes: Iterable[RepoIndex]) -> None:
    """Write what is missing of these repositories' published trees, and switch to their serials.

    Raises:
        HostError: something cannot be written; what was served before is still whole.
    """
    for index in indexes:
        try:
            _project(repository, index)
        except OSError as error:
            raise HostError(f"cannot write the tree of {index.repo}: {error.strerror}") from error


def serial_folder(pkg_root: Path, repo: PackageRepo, serial: int) -> Path:
    """Return where a serial of ``repo`` is published."""
    return pkg_root / SERIALS / repo.abi / repo.channel / str(serial)


def served_serial(pkg_root: Path, repo: PackageRepo) -> int | None:
    """Return the serial to which the link of ``repo`` points; None when there is none."""
    try:
        name = (pkg_root / repo.abi / repo.channel).readlink().name
    except OSError:
        return None
    return int(name) if name.isascii() and name.isdecimal() else None


def _project(repository: Repository, index: RepoIndex) -> None:
    root = repository.pkg_root
    _link_by_digest(repository, index, root / BY_SHA256)
    folder = serial_folder(root, index.repo, index.serial)
    if not folder.exists():
        _build(repository, index, folder)
    anchors = FingerprintAnchors(trusted=frozenset(index.fingerprints), revoked=frozenset())
    write_anchors(root / FINGERPRINTS / index.repo.abi / index.repo.channel, anchors)
    _switch(root, index.repo, index.serial)


def _link_by_digest(repository: Repository, index: RepoIndex, folder: Path) -> None:
    make_folder_durably(folder)
    known = {path.name for path in folder.iterdir()}  # one look instead of one question a package
    added = False
    for package in index.all_packages():
        if (name := f"{package.sha256}.pkg") not in known:
            repository.package_blobs.put_at(package.sha256, folder / name)
            added = True
    if added:
        sync_folder(folder)


def _build(repository: Repository, index: RepoIndex, folder: Path) -> None:
    make_folder_durably(folder.parent)
    for leftover in folder.parent.glob(
        ".new-*"
    ):  # of a process that was killed; the publisher's lock is held
        shutil.rmtree(leftover)
    temporary = folder.with_name(f".new-{secrets.token_hex(8)}")
    temporary.mkdir(mode=0o755)
    taken: set[str] = set()
    for package in index.all_packages():  # what is listed goes first: it keeps its place
        if package.path not in taken:
            taken.add(package.path)
            repository.package_blobs.put_at(package.sha256, _place(temporary, package.path))
    for file in index.catalogue:
        _write_catalogue(repository, index, file, _place(temporary, file.name))
    write_durably(temporary / INDEX_NAME, index.render())
    for path, _, _ in os.walk(temporary, topdown=False):
        sync_folder(Path(path))
    temporary.rename(folder)
    sync_folder(folder.parent)


def _write_catalogue(repository: Repository, index: RepoIndex, file: CatalogueFile, path: Path) -> None:
    write_durably(path, repository.blobs.load(file.sha256))
    moment = index.created + (_ONE_SECOND if file.name in _LATER else timedelta())
    os.utime(path, (moment.timestamp(), moment.timestamp()))


def _place(folder: Path, path: str) -> Path:
    """Return where ``path`` goes; the index holds clean relative paths only (`signing.format.pkg.index`)."""
    place = folder / path
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    return place


def _switch(root: Path, repo: PackageRepo, serial: int) -> None:
    if served_serial(root, repo) == serial:
        return
    link = root / repo.abi / repo.channel
    make_folder_durably(link.parent)
    temporary = link.with_name(f".new-{secrets.token_hex(8)}")
    temporary.symlink_to(Path("..") / SERIALS / repo.abi / repo.channel / str(serial))
    try:
        temporary.replace(link)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(link.parent)
