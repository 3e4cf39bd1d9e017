"""The only module that touches what stands inside a jail (edge).

The tenant may be root in its jail and rename, link and mount there at any moment. So (numbers are sections of
reference/containment-and-admission): one handle of the root per operation, opened by a way that only the host
can change (3.1); a walk from handle to handle that refuses every link (3.2); new files beside their place,
complete before they get their name (3.3); after that a second walk that notices a folder that was moved away
meanwhile (3.4). Nothing outside the root is ever opened, written, or changed in mode or owner; and what is mounted
inside counts as outside (`hive.jails.mounts`).
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self, final

from hive.jails.digests import Read, ReadBounds, Reading
from hive.jails.mounts import check_not_mounted, check_same_mount, mount_of
from repo_client.entries import EntryKind, MissingPathError, UnsafePathError, check_component
from repo_client.handles import MAX_ENTRIES, Directory
from repo_client.mounts import Mount
from repo_client.trees import tree_matches, write_tree
from signing.errors import ConflictError, FormatError, UsageError
from signing.format.archive import Bundle

# A walk holds one descriptor per level.
_MAX_DEPTH: Final = 100
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


class Listed(NamedTuple):
    """One entry of a jail: its path below the root, and what lstat says of it.

    A folder at which something is mounted is of kind ``other``; files are not opened for a list, so a mounted one is a file.
    """

    path: str
    kind: EntryKind
    mode: int
    size: int


@final
class JailRoot:
    """The root of one jail, as a handle. A context manager.

    Paths are relative to the root, with single slashes: ``usr/home/agent/.env``. The methods raise
    UnsafePathError for links, bad components and the wrong kind of thing, HostError when the host fails.
    """

    def __init__(self, root: Directory) -> None:
        self._root = root
        self._mount = mount_of(root)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the root at ``path``, the host's own canonical spelling.

        Raises:
            UnsafePathError: a component of ``path`` is a link, or somebody other than root and the user who
                runs this could put another folder in the place of one, or into the root.
            HostError: cannot be opened.
        """
        current = Directory.open(Path("/"))
        # Whoever owns / owns all below it (in a user namespace that is not uid 0).
        trusted = {0, os.geteuid(), current.status().st_uid}
        for component in path.absolute().parts[1:]:
            with current as ancestor:
                _check_ancestor(ancestor, trusted)
                current = ancestor.descend(component)
        if current.status().st_mode & _WRITABLE_BY_OTHERS:
            current.close()
            raise UnsafePathError(
                "the jail's root is writable by group or others", where=str(path), hint=f"chmod 0755 {path}"
            )
        return cls(current)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the handle."""
        self._root.close()

    def same_as(self, other: "JailRoot") -> bool:
        """Return whether both are one and the same folder."""
        return self._root.same_as(other._root)  # noqa: SLF001

    def install_tree(
        self, folder: str, name: str, bundle: Bundle, *, replace: bool = False, sync: bool = True
    ) -> None:
        """Write ``bundle`` read-only as ``folder``/``name``; an equal tree is left alone.

        Durable on return, unless ``sync`` is False: then the caller syncs once, for many.

        Raises:
            ConflictError: something else has the name, and ``replace`` is False.
            UnsafePathError: a link or a bad component in the way, or the folder was moved away meanwhile.
            HostError: cannot be written.
        """
        check_component(name, where=folder)
        with self._descend(folder, create=True, sync=sync) as place:
            if tree_matches(place, name, bundle):
                return
            if place.find(name) is not None:
                if not replace:
                    raise ConflictError(
                        f"something other than {bundle.manifest.pin} stands in its place",
                        where=f"{place.label}/{name}",
                        hint="look at what is there; replacing it has to be asked for",
                    )
                place.remove_tree(name)
            write_tree(place, name, bundle, read_only=True, sync=sync)
            self._check_not_moved(folder, place)

    def install_file(
        self, path: str, content: bytes, *, mode: int, owner: tuple[int, int] | None = None
    ) -> bool:
        """Put ``content`` at ``path`` with ``mode`` and ``owner``; a file that is already right is left alone.

        Returns whether it was written. A link, FIFO or other file in its place is replaced, and whatever it led
        to stays as it was. Missing folders are made, 0755.

        Args:
            path: below the root.
            content: the bytes.
            mode: the exact mode.
            owner: uid and gid from the operator's configuration, never from the jail's own passwd; None for
                the user who runs this.

        Raises:
            UsageError: the owner is uid 0, which no jail user is.
            UnsafePathError: a link or a bad component in the way, a folder in the file's place, or the folder
                was moved away meanwhile.
            HostError: cannot be written.
        """
        if owner is not None and owner[0] == 0:
            raise UsageError("the owner of a file in a jail cannot be uid 0", hint="configure the jail user")
        folder, name = _parted(path)
        with self._walk(folder, create=True) as place:
            check_not_mounted(place, name)
            if _is_right(place, name, content, mode=mode, owner=owner):
                return False
            place.write_file(name, content, mode=mode, owner=owner)
            self._check_not_moved(folder, place)
            return True

    def read_file(self, path: str, max_bytes: int) -> bytes:
        """Return the bytes of the regular file ``path``.

        Raises:
            UnsafePathError: a link, hard or symbolic, or not a regular file.
            FormatError: larger than ``max_bytes``.
            HostError: cannot be read; MissingPathError when it is not there.
        """
        folder, name = _parted(path)
        with self._walk(folder) as place:
            check_not_mounted(place, name)
            return place.read_file(name, max_bytes=max_bytes, single_link=True)

    def tree_matches(self, folder: str, name: str, bundle: Bundle) -> bool:
        """Return whether ``folder``/``name`` is exactly ``bundle``; a way that is not there is no match.

        Raises:
            UnsafePathError: a link or a bad component on the way to ``folder``.
            HostError: cannot be read.
        """
        try:
            with self._descend(folder) as place:
                return tree_matches(place, name, bundle)
        except MissingPathError:
            return False

    def listing(self, below: str = "") -> tuple[Listed, ...]:
        """Return everything below the root, or below a folder in it, sorted by path.

        Links and mount points are listed and not followed.

        Raises:
            UnsafePathError: more than MAX_ENTRIES entries, nested too deep, or a folder became a link.
            HostError: cannot be read; MissingPathError when ``below`` is not there.
        """
        found: list[Listed] = []
        with self._walk(below) as folder:
            _list(folder, f"{below}/" if below else "", self._mount, found)
        return tuple(sorted(found))

    def digests(self, folders: Sequence[str], *, bounds: ReadBounds | None = None) -> tuple[Read, ...]:
        """Return everything below ``folders``, sorted by path, with the digest of every file. Nothing is followed.

        Args:
            folders: below the root; an empty one is the root itself. One that is not there has nothing below it.
            bounds: how much is read of a jail that may be anything.

        Raises:
            UnsafePathError: more than ``bounds`` allow, or a link, a mount point or a bad component on the way to a
                folder.
            HostError: cannot be read.
        """
        reading = Reading(self._mount, bounds or ReadBounds())
        for path in folders:
            try:
                with self._walk(path) as folder:
                    reading.folder(folder, path)
            except MissingPathError:
                continue
        return tuple(sorted(reading.found))

    def remove_tree(self, path: str) -> None:
        """Remove ``path`` and all below it, following nothing; absent is fine.

        Raises:
            UnsafePathError: a link or a bad component on the way.
            HostError: cannot be removed.
        """
        folder, name = _parted(path)
        try:
            with self._walk(folder) as place:
                place.remove_tree(name)
                place.sync()
        except MissingPathError:
            return

    def enter(self, path: str, *, create: bool = False) -> Directory:
        """Return a handle of the folder ``path``, for work on many files; the caller closes it.

        Args:
            path: below the root; an empty one is the root itself.
            create: make what is missing, 0755. Nothing is synced.

        Raises:
            UnsafePathError: a link or a bad component on the way.
            HostError: cannot be opened; MissingPathError when it is not there.
        """
        return self._walk(path, create=create, sync=False)

    def _walk(self, path: str, *, create: bool = False, sync: bool = True) -> Directory:
        """Return a handle of the folder ``path``; an empty one is the root itself."""
        return self._descend(path, create=create, sync=sync) if path else self._root.duplicate()

    def _descend(self, path: str, *, create: bool = False, sync: bool = True) -> Directory:
        """Return a handle of the folder ``path``, one component after the other, none of them a link or a mount."""
        components = path.split("/")
        for component in components:
            check_component(component, where=f"{self._root.label}/{ascii(path)[1:-1]}")
        current = self._root.duplicate()
        for component in components:
            with current as folder:
                current = folder.descend(component, create=create, sync=sync)
            try:
                check_same_mount(current, self._mount)
            except BaseException:
                current.close()
                raise
        return current

    def _check_not_moved(self, path: str, place: Directory) -> None:
        # 3.4: the handle stays valid when the tenant renames the folder; what was written is inside the jail
        # then, but not where the agent and the next check will look.
        with self._walk(path) as again:
            if not again.same_as(place):
                raise UnsafePathError(
                    "the folder was moved away while it was written to",
                    where=place.label,
                    hint="stop the jail, look at it, then run this again",
                )


def _check_ancestor(folder: Directory, trusted: set[int]) -> None:
    """Refuse a folder in which a stranger could rename the next component (3.1)."""
    status = folder.status()
    # A sticky folder (/tmp) is fine: there only the owner of an entry renames it. An unprivileged run is for
    # development, where folders of the user's private group are usual; as root, group counts as strangers.
    writable = _WRITABLE_BY_OTHERS if os.geteuid() == 0 else stat.S_IWOTH
    if status.st_uid not in trusted or (status.st_mode & writable and not status.st_mode & stat.S_ISVTX):
        raise UnsafePathError(
            f"others than root can replace what stands in {folder.label}",
            where=folder.label,
            hint="keep jails below folders that belong to root with mode 0755",
        )


def _parted(path: str) -> tuple[str, str]:
    folder, slash, name = path.rpartition("/")
    if slash and not folder:
        raise UnsafePathError(f"{path!a} is absolute", where="path", component="")
    check_component(name, where=ascii(path)[1:-1])
    return folder, name


def _is_right(
    place: Directory, name: str, content: bytes, *, mode: int, owner: tuple[int, int] | None
) -> bool:
    """3.5: regular file, one link, right owner and mode; only then is the content compared."""
    try:
        found = place.load_file(name, max_bytes=len(content), single_link=True)
    except (MissingPathError, UnsafePathError, FormatError):
        return False  # absent, a link or FIFO, or longer: to be replaced
    # Without an owner the group is the system's choice (on FreeBSD the folder's), so only the user counts.
    owned = found.owner == owner if owner is not None else found.owner[0] == os.geteuid()
    return owned and found.mode == mode and found.content == content


def _list(folder: Directory, prefix: str, mount: Mount, found: list[Listed], depth: int = _MAX_DEPTH) -> None:
    if depth == 0:
        raise UnsafePathError(f"nested deeper than {_MAX_DEPTH}", where=folder.label)
    for entry in folder.entries(limit=MAX_ENTRIES - len(found)):
        path = prefix + entry.name
        if entry.kind != "folder":
            found.append(Listed(path, entry.kind, entry.mode, entry.size))
            continue
        try:
            child = folder.descend(entry.name)
        except MissingPathError:
            continue  # removed since it was listed; jails live while we look
        with child:
            mounted = mount_of(child) != mount
            found.append(Listed(path, "other" if mounted else "folder", entry.mode, entry.size))
            if not mounted:
                _list(child, f"{path}/", mount, found, depth - 1)
