"""Copying the published tree while it is published to (edge): `skillrepo replicate`, and what rsync has to do instead.

Files that promise their bytes never change and appear before what names them. So whoever copies

    1. reads what changes (the timestamp, the indexes for ordinary agents, the links of package repositories), and the roots
       that vouch for that timestamp, and keeps it aside,
    2. copies all other files, in whatever order and however long that takes,
    3. writes what it kept aside and removes what was withdrawn, then the roots, the timestamp last,

has copied a whole state: the one of moment 1. The other way round, the timestamp of moment 3 would name files that came after 2.
A root that came after the timestamp waits for the next run: clients look for it by its name, and with one that appoints
another online key they refuse the timestamp of before.

A copy is a cache of signed files. It is not verified here: clients do that, and a copy that goes back is refused, here already.
"""

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tuf.api.metadata import Metadata, Root, Timestamp

from repo_server.pkgrepo.places import link_text, serial_of_link
from repo_server.publishing.behind import served_version
from repo_server.publishing.siblings import (
    SUFFIX,
    is_sibling,
    is_whole,
    replace_with_sibling,
    write_once_with_sibling,
)
from repo_server.storage.durable import NEW, make_folder_durably, sync_folder
from signing.errors import ConflictError, CouldNotVerifyError, HostError, NotFoundError, RollbackError
from signing.format.pkg.names import PackageRepo
from signing.metadata import parse
from signing.roles import ROOT, TIMESTAMP

_SKILLS: Final = "skills/"
_TIMESTAMP: Final = "skills/metadata/timestamp.json"
_ROOT: Final = re.compile(r"skills/metadata/([1-9][0-9]{0,15})\.root\.json(\.gz)?", re.ASCII)
_WELL_KNOWN: Final = "skills/.well-known/"
_FINGERPRINTS: Final = "pkg/fingerprints/"
_CHANGING: Final = (_WELL_KNOWN, "pkg/vuln.xml", _FINGERPRINTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicated:
    """How many files were copied, and which timestamp the copy has now."""

    files: int
    timestamp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Aside:
    """What changes, as it was before anything was copied."""

    timestamp: bytes
    roots: list[tuple[str, bytes]]
    files: dict[str, bytes]
    links: dict[str, str]


def replicate(public: Path, copy: Path) -> Replicated:
    """Bring the folder ``copy`` to the state that the published tree ``public`` has now.

    Raises:
        NotFoundError: nothing is published there.
        RollbackError: the copy has a newer state.
        CouldNotVerifyError, FormatError: no root that is published vouches for the timestamp.
        ConflictError: another run copies there.
        HostError: it cannot be written; what it served before is still whole.
    """
    try:
        if not (public / _TIMESTAMP).is_file():
            raise NotFoundError(
                f"nothing is published in {public}", hint="skillrepo refresh writes the files"
            )
        with _locked(copy):
            aside = _put_aside(public)
            _check_not_back(copy, aside)
            copied = _copy_missing(public, copy)
            os.sync()  # one for all: before anything names them
            _check_not_back(copy, aside)
            written = _write_aside(copy, aside)
            return Replicated(files=copied + written, timestamp=served_version(copy / _SKILLS))
    except OSError as error:
        raise HostError(f"cannot copy to {copy}: {error.strerror}") from error


@contextmanager
def _locked(copy: Path) -> Iterator[None]:
    """Let one run at a time write to ``copy``: of two, the one that began earlier could end later."""
    make_folder_durably(copy)
    with (copy / ".lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(f"another run copies to {copy}", hint="wait for it") from error
        yield


def _check_not_back(copy: Path, aside: _Aside) -> None:
    there, version = served_version(copy / _SKILLS), _parsed(aside.timestamp).signed.version
    if there > version:
        raise RollbackError(
            f"the copy has timestamp {there}, and timestamp {version} is published",
            hint="an older database was restored: skillrepo resume (docs/restore.md)",
        )


def _put_aside(public: Path) -> _Aside:
    timestamp = (public / _TIMESTAMP).read_bytes()
    files, links, roots = {}, {}, {}
    for path in _walk(public):
        name = path.relative_to(public).as_posix()
        if path.is_symlink():
            links[name] = os.fsdecode(path.readlink())
        elif match := _ROOT.fullmatch(name):
            if not match[2]:
                roots[int(match[1])] = path.read_bytes()
        elif _changes(name) and name != _TIMESTAMP and not is_sibling(name.removeprefix(_SKILLS)):
            with suppress(FileNotFoundError):
                files[name] = path.read_bytes()
    return _Aside(timestamp=timestamp, roots=_vouching(roots, timestamp), files=files, links=links)


def _vouching(roots: dict[int, bytes], timestamp: bytes) -> list[tuple[str, bytes]]:
    """Return the roots up to the newest that vouches for ``timestamp``, which was read before they were listed."""
    about = _parsed(timestamp)
    for newest in sorted(roots, reverse=True):
        root = parse(roots[newest], Root, where=ROOT).signed
        if root.get_verification_result(TIMESTAMP, about.signed_bytes, about.signatures).verified:
            return [
                (f"metadata/{version}.root.json", roots[version])
                for version in sorted(roots)
                if version <= newest
            ]
    raise CouldNotVerifyError(
        "no published root vouches for the published timestamp", hint="skillrepo doctor looks at the tree"
    )


def _parsed(timestamp: bytes) -> Metadata[Timestamp]:
    return parse(timestamp, Timestamp, where=TIMESTAMP)


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
    # Files before the indexes that list them.
    for name, data in sorted(aside.files.items(), key=lambda item: (item[0].endswith("/index.json"), item)):
        written += _write(copy, name, data)
    for folder in (_WELL_KNOWN, _FINGERPRINTS):
        _remove_withdrawn(copy, folder, aside)
    for name, text in sorted(aside.links.items()):
        written += _switch(copy / name, name, text)
    for path, data in aside.roots:
        if not is_whole(copy / _SKILLS, path, data):
            write_once_with_sibling(copy / _SKILLS, path, data)
            written += 1
    return written + _write(copy, _TIMESTAMP, aside.timestamp)


def _remove_withdrawn(copy: Path, folder: str, aside: _Aside) -> None:
    """Remove what stands in ``folder`` of the copy and was not published any more; nothing behind a link is touched."""
    place = copy / folder
    if any(part.is_symlink() for part in (place, place.parent)):
        return
    for path in sorted(_walk(place), reverse=True):
        name = path.relative_to(copy).as_posix()
        kept = name.removesuffix(SUFFIX) if is_sibling(name.removeprefix(_SKILLS)) else name
        if kept not in aside.files:
            path.unlink()
            with suppress(OSError):  # others are in it
                path.parent.rmdir()


def _write(copy: Path, name: str, data: bytes) -> int:
    """Write a file, and the sibling that belongs to it: no other one stands beside it at any moment."""
    root, path = (copy / _SKILLS, name.removeprefix(_SKILLS)) if name.startswith(_SKILLS) else (copy, name)
    if is_whole(root, path, data):
        return 0
    replace_with_sibling(root, path, data)
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
    return name == _TIMESTAMP or name.startswith(_CHANGING) or _ROOT.fullmatch(name) is not None


def _walk(folder: Path) -> Iterator[Path]:
    """Yield files and links below ``folder``, those that somebody is just writing left out; no link is followed."""
    for path, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(path) / name).is_symlink()]
        folders[:] = sorted(name for name in folders if not name.startswith((NEW, ".old-")))
        for name in sorted([*names, *links]):
            if not name.startswith((NEW, ".old-")):
                yield Path(path) / name
