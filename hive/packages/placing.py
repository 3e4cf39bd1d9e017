"""Giving staged files their names in the jail (edge): nothing is replaced, and everything can be taken back.

A file gets its name by a second link. What stands there already stays, and the whole package is refused; a configuration
file that is nobody's is kept, and ours put beside it as ``.pkgnew``, as pkg does. Every step begins at the root's handle
and follows nothing, so what the tenant renames meanwhile makes an error and no detour.
"""

import contextlib
from collections.abc import Iterator
from typing import Final

from hive.jails.contained import JailRoot
from hive.packages.records import InstalledFile, InstalledLink, load_records
from hive.packages.staging import PackageConflictError, Staged
from repo_client.entries import UnsafePathError
from repo_client.handles import Directory
from repo_client.single_files import make_link, name_again
from signing.errors import SkillRepoError

_NEW_SUFFIX: Final = ".pkgnew"


class Placing:
    """One package on its way from the staging folder to its names."""

    def __init__(self, root: JailRoot, staging: Directory) -> None:
        self._root, self._staging = root, staging
        with root.enter("") as top:
            self._device = top.status().st_dev
        self._names: list[str] = []
        self._there: set[str] = {""}
        self._kept: dict[str, str] = {}

    def place(self, staged: Staged) -> None:
        """Make folders, then files and links; modes of folders last, since one may forbid to write.

        Raises:
            PackageConflictError: it would write over a configuration file of another package.
            ConflictError: something has the name of one of its files or links.
            UnsafePathError: a link, or another file system, is in the way. HostError: the disk refused.
        """
        for path in sorted(staged.folders):
            self._make_folder(path)
        config = {path[1:] for path in staged.manifest.config}
        for path, file in sorted(staged.files.items()):
            with self._place_of(path) as (folder, base):
                name = base
                if path in config and folder.find(base) is not None:
                    self._check_nobodys(path)
                    self._kept[path] = path + _NEW_SUFFIX
                    name = base + _NEW_SUFFIX
                name_again(self._staging, file.place, folder, name)
                self._names.append(self._kept.get(path, path))
        for path, target in sorted(staged.links.items()):
            with self._place_of(path) as (folder, base):
                make_link(folder, base, target)
                self._names.append(path)
        made = set(self._names)
        for path, mode in sorted(staged.folders.items(), reverse=True):
            if path in made:
                with self._enter(path) as folder:
                    folder.set_mode(mode)

    def files(self, staged: Staged) -> tuple[InstalledFile, ...]:
        """Return which file stands where now."""
        return tuple(
            InstalledFile(path=self._kept.get(path, path), size=file.size, sha256=file.sha256, mode=file.mode)
            for path, file in sorted(staged.files.items())
        )

    def links(self, staged: Staged) -> tuple[InstalledLink, ...]:
        """Return which link stands where now."""
        return tuple(InstalledLink(path=path, target=target) for path, target in sorted(staged.links.items()))

    def take_back(self) -> None:
        """Remove what was placed, newest first; what resists is removed with the jail."""
        for path in reversed(self._names):
            with contextlib.suppress(SkillRepoError):
                self._root.remove_tree(path)

    def _make_folder(self, path: str) -> None:
        """Make ``path`` and remember which of its components were not there."""
        if path in self._there:
            return
        parent, _, name = path.rpartition("/")
        self._make_folder(parent)
        with self._enter(parent) as folder:
            if folder.find(name) is None:
                folder.make_folder(name, 0o755, sync=False)
                self._names.append(path)
        with self._enter(path):  # what was there may be something else than a folder, or a mount point
            self._there.add(path)

    @contextlib.contextmanager
    def _place_of(self, path: str) -> Iterator[tuple[Directory, str]]:
        parent, _, base = path.rpartition("/")
        self._make_folder(parent)
        with self._enter(parent) as folder:
            yield folder, base

    @contextlib.contextmanager
    def _enter(self, path: str) -> Iterator[Directory]:
        """Yield a folder of the jail's own file system: what is mounted into a jail is the host's, or another's."""
        with self._root.enter(path) as folder:
            if folder.status().st_dev != self._device:
                raise UnsafePathError(
                    "a file system is mounted here",
                    where=folder.label,
                    component=path.rpartition("/")[2],
                    hint="packages go into the jail's own file system only",
                )
            yield folder

    def _check_nobodys(self, path: str) -> None:
        for record in load_records(self._root):
            if any(path == file.path for file in record.files):
                raise PackageConflictError(f"{path!a} belongs to {record.pin} too", where=path)
