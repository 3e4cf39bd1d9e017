"""Copying the published tree while it is published to (edge): `skillrepo replicate`, and what rsync has to do instead.

Files that promise their bytes never change and appear before what names them. So whoever copies

    1. reads what changes (the timestamp, the indexes for ordinary agents, the links of package repositories), and keeps it aside,
    2. copies all other files, in whatever order and however long that takes,
    3. writes what it kept aside, the timestamp last,

has copied a whole state: the one of moment 1. The other way round, the timestamp of moment 3 would name files that came after 2.

A copy is a cache of signed files. It is not verified here: clients do that, and a copy that goes back is refused, here already.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from repo_server.pkgrepo.places import link_text, serial_of_link
from repo_server.publishing.behind import served_version
from repo_server.storage.durable import NEW, make_folder_durably, sync_folder, write_durably
from signing.errors import HostError, NotFoundError, RollbackError
from signing.format.pkg.names import PackageRepo

_TIMESTAMP: Final = "skills/metadata/timestamp.json"
_WELL_KNOWN: Final = "skills/.well-known/"
_CHANGING: Final = ("pkg/vuln.xml", "pkg/fingerprints/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicated:
    """How many files were copied, and which timestamp the copy has now."""

    files: int
    timestamp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Aside:
    """What changes, as it was before anything was copied."""

    timestamp: bytes
    files: dict[str, bytes]
    links: dict[str, str]


def replicate(public: Path, copy: Path) -> Replicated:
    """Bring the folder ``copy`` to the state that the published tree ``public`` has now.

    Raises:
        NotFoundError: nothing is published there.
        RollbackError: the copy has a newer state.
        HostError: it cannot be written; what it served before is still whole.
    """
    try:
        aside = _put_aside(public)
        there = served_version(copy / "skills")
        version = served_version(public / "skills")
        if there > version:
            raise RollbackError(
                f"the copy has timestamp {there}, and timestamp {version} is published",
                hint="an older database was restored: skillrepo resume (docs/restore.md)",
            )
        copied = _copy_missing(public, copy)
        os.sync()  # one for all: before anything names them
        return Replicated(files=copied + _write_aside(copy, aside), timestamp=served_version(copy / "skills"))
    except OSError as error:
        raise HostError(f"cannot copy to {copy}: {error.strerror}") from error


def _put_aside(public: Path) -> _Aside:
    try:
        timestamp = (public / _TIMESTAMP).read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(
            f"nothing is published in {public}", hint="skillrepo refresh writes the files"
        ) from error
    files, links = {}, {}
    for path in _walk(public):
        name = path.relative_to(public).as_posix()
        if path.is_symlink():
            links[name] = os.fsdecode(path.readlink())
        elif _changes(name) and name != _TIMESTAMP:
            with suppress(FileNotFoundError):
                files[name] = path.read_bytes()
    return _Aside(timestamp=timestamp, files=files, links=links)


def _copy_missing(public: Path, copy: Path) -> int:
    copied = 0
    for path in _walk(public):
        name = path.relative_to(public).as_posix()
        if path.is_symlink() or _changes(name):
            continue
        place = copy / name
        # Removed meanwhile by `skillrepo pkg gc`: then nothing that is served names it.
        with suppress(FileNotFoundError):
            status = path.stat()
            if place.exists() and place.stat().st_size == status.st_size:
                continue
            place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            temporary = place.with_name(f"{NEW}{secrets.token_hex(8)}")
            shutil.copyfile(path, temporary)
            os.utime(temporary, ns=(status.st_mtime_ns, status.st_mtime_ns))  # pkg compares dates
            temporary.chmod(0o444)
            temporary.replace(place)
            copied += 1
    return copied


def _write_aside(copy: Path, aside: _Aside) -> int:
    written = 0
    for name, data in sorted(aside.files.items()):
        written += _write(copy / name, data)
    for name, text in sorted(aside.links.items()):
        written += _switch(copy / name, name, text)
    return written + _write(copy / _TIMESTAMP, aside.timestamp)


def _write(place: Path, data: bytes) -> int:
    if place.is_file() and place.read_bytes() == data:
        return 0
    write_durably(place, data)
    return 1


def _switch(link: Path, name: str, text: str) -> int:
    """Write a link of a package repository; any other link is none of the tree's."""
    repo = PackageRepo.parse(name.removeprefix("pkg/"))
    serial = serial_of_link(repo, text)
    if serial is None or (link.is_symlink() and os.fsdecode(link.readlink()) == text):
        return 0
    make_folder_durably(link.parent)
    temporary = link.with_name(f"{NEW}{secrets.token_hex(8)}")
    temporary.symlink_to(link_text(repo, serial))
    temporary.replace(link)
    sync_folder(link.parent)
    return 1


def _changes(name: str) -> bool:
    return name == _TIMESTAMP or name.startswith((_WELL_KNOWN, *_CHANGING))


def _walk(folder: Path) -> Iterator[Path]:
    """Yield files and links below ``folder``, those that somebody is just writing left out; no link is followed."""
    for path, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(path) / name).is_symlink()]
        folders[:] = sorted(name for name in folders if not name.startswith((NEW, ".old-")))
        for name in sorted([*names, *links]):
            if not name.startswith((NEW, ".old-")):
                yield Path(path) / name
