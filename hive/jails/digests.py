"""Reading what stands in a jail, file by file, as a sweep needs it (edge).

The tenant may have left a file of a petabyte full of holes, a million names, or one that grows while it is read: all
is bounded, and what is beyond the bounds is an answer, not an endless wait.
"""

import hashlib
import os
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from hive.jails.mounts import mount_of
from repo_client import mounts
from repo_client.entries import MissingPathError, UnsafePathError, os_errors
from repo_client.handles import MAX_ENTRIES, Directory
from repo_client.mounts import Mount
from repo_client.single_files import open_file, read_link
from signing.format.digest import Sha256, parse_sha256

_PIECE: Final = 1 << 20

ReadKind = Literal["file", "folder", "link", "mount", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBounds:
    """How much is read: entries in all, bytes of one file, bytes in all, folders in each other."""

    entries: int = MAX_ENTRIES
    file_bytes: int = 256 << 20
    total_bytes: int = 8 << 30
    depth: int = 100


class Read(NamedTuple):
    """One entry as it was read. ``sha256`` is None for what is no file, and for a file larger than is read.

    ``links`` counts the names of a file: through another one, outside of what is compared, it can be changed.
    """

    path: str
    kind: ReadKind
    mode: int
    owner: tuple[int, int]
    size: int
    links: int
    sha256: Sha256 | None
    target: str | None


class Reading:
    """Reads folder after folder of one jail within common bounds."""

    def __init__(self, mount: Mount, bounds: ReadBounds) -> None:
        self._mount, self._bounds = mount, bounds
        self._bytes = bounds.total_bytes
        self.found: list[Read] = []

    def folder(self, folder: Directory, path: str) -> None:
        """Read everything below ``folder``, which stands at ``path``.

        Raises:
            UnsafePathError: more than the bounds allow.
            HostError: cannot be read.
        """
        self._below(folder, f"{path}/" if path else "", self._bounds.depth)

    def _below(self, folder: Directory, prefix: str, depth: int) -> None:
        if depth == 0:
            raise UnsafePathError(f"nested deeper than {self._bounds.depth}", where=folder.label)
        for entry in folder.entries(limit=self._bounds.entries - len(self.found)):
            path = prefix + entry.name
            try:
                if entry.kind == "folder":
                    self._folder(folder, entry.name, path, depth)
                elif entry.kind == "file":
                    self.found.append(self._file(folder, entry.name, path))
                else:
                    self.found.append(_neither(folder, entry.name, path))
            except MissingPathError:
                continue  # removed since it was listed; jails live while we look

    def _folder(self, folder: Directory, name: str, path: str, depth: int) -> None:
        with folder.descend(name) as child:
            mounted = mount_of(child) != self._mount
            self.found.append(_read(path, "mount" if mounted else "folder", child.status()))
            if not mounted:
                self._below(child, f"{path}/", depth - 1)

    def _file(self, folder: Directory, name: str, path: str) -> Read:
        descriptor = open_file(folder, name)
        with os_errors("read the file", f"{folder.label}/{name!a}"):
            try:
                status = os.fstat(descriptor)
                if mounts.mount_of(descriptor) != self._mount:
                    return _read(path, "mount", status)
                digest = self._digest(descriptor, path) if status.st_size <= self._bounds.file_bytes else None
            finally:
                os.close(descriptor)
        return _read(path, "file", status, sha256=digest)

    def _digest(self, descriptor: int, path: str) -> Sha256 | None:
        """Return the digest; None when the file has grown beyond what is read since its size was asked for."""
        digest, left = hashlib.sha256(), self._bounds.file_bytes
        while piece := os.read(descriptor, _PIECE):
            left -= len(piece)
            self._bytes -= len(piece)
            if self._bytes < 0:
                raise UnsafePathError(f"more than {self._bounds.total_bytes} bytes in all", where=path)
            if left < 0:
                return None
            digest.update(piece)
        return parse_sha256(digest.hexdigest())


def _neither(folder: Directory, name: str, path: str) -> Read:
    """Return the entry of a link, FIFO, socket or device, which is not opened."""
    with os_errors("look", f"{folder.label}/{name!a}"):
        status = os.stat(name, dir_fd=folder.fileno(), follow_symlinks=False)
    try:
        return _read(path, "link", status, target=read_link(folder, name))
    except UnsafePathError:
        return _read(path, "other", status)


def _read(
    path: str,
    kind: ReadKind,
    status: os.stat_result,
    *,
    sha256: Sha256 | None = None,
    target: str | None = None,
) -> Read:
    return Read(
        path=path,
        kind=kind,
        mode=status.st_mode & 0o7777,
        owner=(status.st_uid, status.st_gid),
        size=status.st_size,
        links=status.st_nlink,
        sha256=sha256,
        target=target,
    )
