"""Comparing a jail with what was let into it: by handles, to the byte, following nothing (edge).

Used at the end of a birth, when nothing else may stand beside it, and by sweeps, when the tenant has lived there: its home
is its own then, but the folder of skills and the host's records are not.

What is shown from the shelf cannot be changed in the jail. But root there can rename a folder above it, mount and all, and
make another one of that name: so a sweep looks too whether it is still seen where it was (`hidden`). And a mount shows the
file or folder that was there when it was made, whatever has its name by now: so a sweep looks whether it is that.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hive.jails.contained import JailRoot
from hive.jails.materialise import LOCK_PATH, RECORDS, SHOWN, SKILLS, is_shown, noted_ready
from hive.jails.mounts import check_same_mount, is_mounted, mount_of
from repo_client.entries import MissingPathError, UnsafePathError, os_errors
from repo_client.handles import Directory
from repo_client.ready import ReadySet
from repo_client.trees import tree_problem
from signing.errors import FormatError
from signing.format.digest import Sha256, sha256_of
from signing.format.manifest import MAX_FILE_BYTES

_HOST_FOLDER: Final = LOCK_PATH.rpartition("/")[0]
_MAX_NAMES: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What has to stand in a jail: digests of trees by skill, and of files by path; names of package records.

    ``others`` are files of ours that are compared elsewhere: secrets.
    """

    skills: Mapping[str, Sha256]
    files: Mapping[str, Sha256]
    records: frozenset[str] = field(default_factory=frozenset)
    others: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Difference:
    """One thing in a jail that is not as it was let in."""

    path: str
    what: str


def differences(
    root: JailRoot, shelf: JailRoot, expected: Expected, *, ready: ReadySet | None = None
) -> tuple[Difference, ...]:
    """Return every difference; none means that all of it stands there, and nothing beside it.

    ``shelf`` is where skills, identity and lock stand (`JailHost.open_shelf`): the root itself, where nothing can be
    mounted. Skills that are shown from a ready set are read there; with ``ready``, which was taken just now, it is enough
    that it is the one that is noted, and holds what is expected.

    Raises:
        HostError: the jail cannot be read.
    """
    noted = noted_ready(root, shelf)
    if ready is not None:
        found = _ready_differs(noted, ready, expected)
    elif noted is not None:
        found = _read_ready(noted, expected)
    else:
        found = [
            Difference(path=f"{SKILLS}/{name}", what=what)
            for name, digest in expected.skills.items()
            if (what := _tree_differs(shelf, SKILLS, name, digest))
        ]
    found += [
        Difference(path=path, what=what)
        for path, digest in expected.files.items()
        if (what := _file_differs(shelf if is_shown(path) else root, path, digest))
    ]
    found += _beside(shelf, SKILLS, frozenset(expected.skills) if noted is None else frozenset())
    inside = {path.removeprefix(f"{_HOST_FOLDER}/").partition("/")[0] for path in _ours(expected)}
    found += _beside(root, _HOST_FOLDER, frozenset(inside))
    if expected.records:
        found += _beside(root, RECORDS, frozenset(f"{name}.json" for name in expected.records))
    return tuple(sorted(found))


def hidden(root: JailRoot, shelf: JailRoot, *, running: bool) -> tuple[Difference, ...]:
    """Return every place of a jail that has been started at which something else stands than what the shelf shows there.

    A jail that stands still has empty folders and files at these places; one that is ``running`` has the mounts, each of
    what stands on the shelf, or of the ready set that is noted there.

    Raises:
        UnsafePathError, FormatError: the note of the ready set is none. HostError: the jail cannot be read.
    """
    if shelf.same_as(root):
        return ()
    noted = noted_ready(root, shelf)
    found = {
        place: _in_its_place(root, shelf, place, noted if place == SKILLS else None, running=running)
        for place in SHOWN
    }
    return tuple(Difference(path=place, what=what) for place, what in sorted(found.items()) if what)


def _in_its_place(root: JailRoot, shelf: JailRoot, place: str, noted: Path | None, *, running: bool) -> str:
    above, _, name = place.rpartition("/")
    try:
        with root.enter(above) as folder:
            if is_mounted(folder, name):
                return _other_shown(_number_of(folder, name), shelf, place, noted)
            found = folder.find(name)
            if found is None:
                return "is gone"
            if found.kind == "file":
                empty = found.size == 0
            else:
                with folder.descend(name) as inner:
                    empty = not inner.entries()
    except MissingPathError:
        return "is gone"
    except UnsafePathError as error:
        return f"cannot be trusted: {error.message}"
    if not empty:
        return "is hidden: something else stands in its place"
    return "is not shown: nothing is mounted there" if running else ""


def _other_shown(number: int, shelf: JailRoot, place: str, noted: Path | None) -> str:
    """Return what is wrong with a mount that shows the inode ``number``, which is to be that of its source.

    Only the number tells: nullfs passes the lower file's on, as a bind mount does, but has a device number of its own. What
    was put aside is kept, and what is mounted is held by the kernel, so its number is not given to another one meanwhile.
    """
    above, _, name = place.rpartition("/")
    try:
        if noted is not None:
            with JailRoot.open(noted) as ready, ready.enter("") as source:
                wanted = source.status().st_ino
        else:
            with shelf.enter(above) as source:
                wanted = _number_of(source, name)
    except MissingPathError:
        wanted = None
    return "" if number == wanted else "shows what was put aside or replaced: restart the jail"


def _number_of(folder: Directory, name: str) -> int:
    with os_errors("look", f"{folder.label}/{name}"):
        return os.stat(name, dir_fd=folder.fileno(), follow_symlinks=False).st_ino


def _ours(expected: Expected) -> list[str]:
    paths = [path for path in expected.files if path.startswith(f"{_HOST_FOLDER}/")]
    return [*paths, *([RECORDS] if expected.records else [])]


def _ready_differs(noted: Path | None, ready: ReadySet, expected: Expected) -> list[Difference]:
    if noted == ready.path and dict(ready.trees) == dict(expected.skills):
        return []
    return [Difference(path=SKILLS, what="is not the set of skills that was let in")]


def _read_ready(noted: Path, expected: Expected) -> list[Difference]:
    """Return how the ready set at ``noted`` differs, to the byte: a sweep has the time to read it."""
    try:
        with JailRoot.open(noted) as ready:
            found = [
                Difference(path=f"{SKILLS}/{name}", what=what)
                for name, digest in expected.skills.items()
                if (what := _tree_differs(ready, "", name, digest))
            ]
            odd = _beside(ready, "", frozenset(expected.skills))
    except MissingPathError:
        return [Difference(path=SKILLS, what="is gone")]
    except UnsafePathError as error:
        return [Difference(path=SKILLS, what=f"cannot be trusted: {error.message}")]
    return found + [Difference(path=f"{SKILLS}{item.path}", what=item.what) for item in odd]


def _tree_differs(root: JailRoot, folder: str, name: str, digest: Sha256) -> str:
    try:
        with root.enter(folder) as skills:
            # The same bytes, shown from elsewhere, may be others a moment later: no mount on the way, and none inside.
            mount = mount_of(skills)
            return tree_problem(
                skills, name, digest, check_folder=lambda folder: check_same_mount(folder, mount)
            )
    except MissingPathError:
        return "is gone"
    except UnsafePathError as error:
        return f"cannot be trusted: {error.message}"


def _file_differs(root: JailRoot, path: str, digest: Sha256) -> str:
    try:
        found = root.read_file(path, MAX_FILE_BYTES)
    except MissingPathError:
        return "is gone"
    except (UnsafePathError, FormatError) as error:
        return f"is not the file that was written ({error.message})"
    return "" if sha256_of(found) == digest else "was changed"


def _beside(root: JailRoot, folder: str, names: frozenset[str]) -> list[Difference]:
    """Return what stands in ``folder`` and is not one of ``names``."""
    try:
        with root.enter(folder) as place:
            odd = sorted({entry.name for entry in place.entries()} - names)
    except MissingPathError:
        return []  # that something is missing is said by what should stand there
    except UnsafePathError as error:
        return [Difference(path=folder, what=f"cannot be trusted: {error.message}")]
    return [Difference(path=f"{folder}/{name}", what="was not let in") for name in odd[:_MAX_NAMES]]
