"""Folders as handles (edge): what is reached is what was opened, whoever renames things meanwhile.

A path that was checked is not the path that is opened (reference/containment-and-admission §1.1, §2: checking
paths lost the race within ten tries). So nothing here returns or compares a path: a `Directory` owns one
descriptor, and every name below it is one component, opened relative to that descriptor with O_NOFOLLOW.
This is plain POSIX, the same on Linux and FreeBSD; openat2 would be Linux only.

Promises: no symbolic link is ever followed below an opened folder; a file appears complete or not at all;
after an error no temporary is left. What goes wrong comes out in the words of `repo_client.entries`.
"""

import contextlib
import errno
import fcntl
import itertools
import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self, final

from repo_client.entries import (
    Entry,
    EntryKind,
    FileState,
    MissingPathError,
    UnsafePathError,
    check_component,
    os_errors,
    read_up_to,
    temporary_name,
)
from repo_client.mounts import mount_of
from signing.errors import ConflictError, FormatError, HostError

MAX_ENTRIES: Final = 100_000
LOCK_SECONDS: Final = 60.0

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# O_NONBLOCK: a FIFO without a writer would hold us for ever. O_NOCTTY: nothing here becomes our terminal.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# What open() answers when a link or something else stands in the way: ELOOP or ENOTDIR on Linux, EMLINK or
# ENOTDIR on FreeBSD; a socket that got there after we looked is ENXIO or EOPNOTSUPP.
_IN_THE_WAY: Final = frozenset({errno.ELOOP, errno.EMLINK, errno.ENOTDIR, errno.ENXIO, errno.EOPNOTSUPP})

# Removal holds one descriptor per level. What is nested deeper is moved up and removed from there, so that
# nobody can build a tree that cannot be removed.
_REMOVE_DEPTH: Final = 48
_REMOVE_BATCH: Final = 10_000
_REMOVE_PASSES: Final = 100_000


@final
class Directory:
    """One open folder. A context manager; it owns its descriptor and closes it.

    ``label`` says where the folder was found; it is for messages only and is never opened.
    """

    def __init__(self, descriptor: int, label: str) -> None:
        self._descriptor = descriptor
        self.label = label

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open ``path``, which the operator chose: its ancestors are trusted, itself may not be a link.

        Raises:
            UnsafePathError: a symbolic link, or not a folder.
            HostError: cannot be opened; MissingPathError when it is not there.
        """
        with os_errors("open the folder", str(path), unsafe=_IN_THE_WAY):
            return cls(os.open(path, _FOLDER), str(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor; closing twice is harmless."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def fileno(self) -> int:
        """Return the descriptor; it stays ours."""
        return self._descriptor

    def duplicate(self) -> "Directory":
        """Return a second handle of the same folder."""
        with os_errors("duplicate the handle", self.label):
            return Directory(os.dup(self._descriptor), self.label)

    def status(self) -> os.stat_result:
        """Return fstat of the folder itself.

        Raises:
            HostError: the descriptor cannot be asked.
        """
        with os_errors("look at the folder", self.label):
            return os.fstat(self._descriptor)

    def same_as(self, other: "Directory") -> bool:
        """Return whether both handles hold one and the same folder, whatever names lead to it."""
        return os.path.samestat(self.status(), other.status())

    def set_mode(self, mode: int) -> None:
        """Set the folder's own mode.

        Raises:
            HostError: not permitted.
        """
        with os_errors("set the mode", self.label):
            os.fchmod(self._descriptor, mode)

    def sync(self) -> None:
        """Make the folder's names durable.

        Raises:
            HostError: the disk refused.
        """
        with os_errors("sync the folder", self.label):
            os.fsync(self._descriptor)

    def sync_file(self, name: str) -> None:
        """Make the content of the file ``name`` durable.

        Raises:
            UnsafePathError: it is not a regular file any more.
            HostError: the disk refused.
        """
        with os_errors("sync the file", self._place(name), unsafe=_IN_THE_WAY):
            descriptor = os.open(name, _FILE, dir_fd=self._descriptor)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def lock(self, *, seconds: float = LOCK_SECONDS) -> None:
        """Wait until no other handle holds the folder's lock; it is held until this handle is closed.

        Raises:
            ConflictError: another process held it for ``seconds``.
            HostError: the file system has no locks.
        """
        end, pause = time.monotonic() + seconds, 0.001
        with os_errors("lock the folder", self.label):
            while True:
                try:
                    fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    if time.monotonic() >= end:
                        raise ConflictError(
                            f"{self.label} is in use by another process",
                            hint="wait for it to end, then try again",
                        ) from error
                    time.sleep(pause)
                    pause = min(2 * pause, 0.02)
                else:
                    return

    def descend(
        self, path: str, *, create: bool = False, mode: int = 0o755, sync: bool = True
    ) -> "Directory":
        """Return the folder ``path``, one component after the other, none of them a link.

        Args:
            path: relative, with single slashes.
            create: make what is missing, with ``mode`` whatever the umask is.
            mode: of the folders that are made; those that exist keep theirs.
            sync: make new names durable at once; False when one `sync_tree` follows.

        Raises:
            UnsafePathError: a bad component (nothing was touched then), a link, or not a folder; it names
                the component.
            HostError: cannot be opened or made; MissingPathError when it is not there.
        """
        components = path.split("/")
        for component in components:
            check_component(component, where=self._place(path))
        current = self.duplicate()
        for component in components:
            with current as folder:
                current = folder._enter(component, mode=mode if create else None, sync=sync)  # noqa: SLF001
        return current

    def _enter(self, name: str, *, mode: int | None, sync: bool) -> "Directory":
        try:
            return self._open_folder(name)
        except MissingPathError:
            if mode is None:
                raise
        with contextlib.suppress(ConflictError):  # somebody else made it: then it is opened like any other
            self.make_folder(name, mode, sync=sync)
        return self._open_folder(name)

    def _open_folder(self, name: str) -> "Directory":
        place = self._place(name)
        with os_errors("enter the folder", place, unsafe=_IN_THE_WAY):
            return Directory(os.open(name, _FOLDER, dir_fd=self._descriptor), place)

    def make_folder(self, name: str, mode: int, *, sync: bool = True) -> None:
        """Make the folder ``name`` with exactly ``mode``, whatever the umask is.

        Raises:
            UnsafePathError: not a plain name.
            ConflictError: the name is taken.
            HostError: cannot be made.
        """
        check_component(name, where=self.label)
        with os_errors("make the folder", self._place(name)):
            os.mkdir(name, 0o700, dir_fd=self._descriptor)
        with self._open_folder(name) as folder:
            folder.set_mode(mode)
        if sync:
            self.sync()

    def find(self, name: str) -> Entry | None:
        """Return what stands under ``name``, a link as itself, or None.

        Raises:
            UnsafePathError: not a plain name.
            HostError: cannot be asked.
        """
        check_component(name, where=self.label)
        try:
            with os_errors("look", self._place(name)):
                status = os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
        except MissingPathError:
            return None
        kind: EntryKind = "other"
        if stat.S_ISREG(status.st_mode):
            kind = "file"
        elif stat.S_ISDIR(status.st_mode):
            kind = "folder"
        return Entry(name=name, kind=kind, mode=stat.S_IMODE(status.st_mode), size=status.st_size)

    def entries(self, *, limit: int = MAX_ENTRIES) -> tuple[Entry, ...]:
        """Return what stands in the folder, sorted by name.

        Raises:
            UnsafePathError: more than ``limit`` names; whoever owns the folder may have filled it.
            HostError: cannot be read.
        """
        names = self._names(limit + 1)
        if len(names) > limit:
            raise UnsafePathError(f"more than {limit} names in one folder", where=self.label)
        return tuple(entry for name in sorted(names) if (entry := self.find(name)) is not None)

    def _names(self, limit: int) -> list[str]:
        with os_errors("list the folder", self.label), os.scandir(self._descriptor) as found:
            return [entry.name for entry in itertools.islice(found, limit)]

    def read_file(self, name: str, *, max_bytes: int, single_link: bool = False) -> bytes:
        """Return the bytes of the regular file ``name``; raises what `load_file` raises."""
        return self.load_file(name, max_bytes=max_bytes, single_link=single_link).content

    def load_file(
        self, name: str, *, max_bytes: int, single_link: bool = False, looked: bool = False
    ) -> FileState:
        """Return the regular file ``name``: bytes, mode and owner of one and the same open file.

        Args:
            name: one plain component.
            max_bytes: the most that is read.
            single_link: refuse a file that has other names too; through those it can be changed.
            looked: `kinds_in` has just said that it is a file.

        Raises:
            UnsafePathError: a link, FIFO, socket, device or folder; or more than one link.
            FormatError: larger than ``max_bytes``.
            HostError: cannot be read; MissingPathError when it is not there.
        """
        place = self._place(name)
        # Looked at before it is opened because opening a device can already do something; and looked at
        # again by descriptor because the name may mean another file by then.
        found = self.find(name) if not looked else None
        if found is not None and found.kind != "file":
            raise UnsafePathError(f"{name!a} is not a regular file", where=place, component=name)
        with os_errors("read the file", place, unsafe=_IN_THE_WAY):
            descriptor = os.open(name, _FILE, dir_fd=self._descriptor)
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise UnsafePathError(f"{name!a} is not a regular file", where=place, component=name)
                if single_link and status.st_nlink != 1:
                    raise UnsafePathError(f"{name!a} is a hard link", where=place, component=name)
                content = read_up_to(descriptor, max_bytes + 1)
            finally:
                os.close(descriptor)
        if len(content) > max_bytes:
            raise FormatError(f"larger than {max_bytes} bytes", where=place)
        return FileState(
            content=content,
            mode=stat.S_IMODE(status.st_mode),
            owner=(status.st_uid, status.st_gid),
            links=status.st_nlink,
        )

    def write_file(
        self, name: str, content: bytes, *, mode: int, owner: tuple[int, int] | None = None, sync: bool = True
    ) -> None:
        """Put ``content`` under ``name`` at once: readers see the old file or the whole new one.

        Whatever stood there is replaced and, being only a name, its target or twin stays as it was: a
        symbolic link, a hard link to another file, a FIFO. A folder is not replaced.

        Args:
            name: one plain component.
            content: the bytes.
            mode: set by descriptor after the last byte; until then it is 0600.
            owner: uid and gid; None leaves both as the system sets them.
            sync: durable on return; False when the caller syncs once for many (25 to 70 times cheaper).

        Raises:
            UnsafePathError: not a plain name, or a folder stands there.
            HostError: cannot be written; the temporary is gone.
        """
        found = self.find(name)
        if found is not None and found.kind == "folder":
            raise UnsafePathError(f"a folder stands at {name!a}", where=self._place(name), component=name)
        temporary = temporary_name()
        self.create_file(temporary, content, mode, owner=owner, sync=sync)
        try:
            with os_errors("put the file in place", self._place(name), unsafe=frozenset({errno.EISDIR})):
                os.rename(temporary, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except BaseException:
            self._forget(temporary)
            raise
        if sync:
            self.sync()

    def create_file(
        self,
        name: str,
        content: bytes | Iterable[bytes],
        mode: int,
        *,
        owner: tuple[int, int] | None = None,
        sync: bool = True,
    ) -> None:
        """Make the new file ``name``, of pieces too; for trees that nobody reads yet. The folder is not synced.

        Raises:
            UnsafePathError: not a plain name.
            ConflictError: the name is taken, if only by a dangling link.
            HostError: cannot be written; the unfinished file is gone.
        """
        pieces = [content] if isinstance(content, bytes) else content
        check_component(name, where=self.label)
        with os_errors("write the file", self._place(name)):
            descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=self._descriptor)
            try:
                for piece in pieces:
                    rest = memoryview(piece)
                    while rest:
                        rest = rest[os.write(descriptor, rest) :]
                if owner is not None:
                    os.fchown(descriptor, *owner)
                os.fchmod(descriptor, mode)  # after fchown, which clears bits
                if sync:
                    os.fsync(descriptor)
            except BaseException:
                self._forget(name)
                raise
            finally:
                os.close(descriptor)

    def _forget(self, name: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self._descriptor)

    def rename(self, old: str, new: str, *, replace: bool = False) -> None:
        """Rename ``old`` to ``new`` in this folder. The folder is not synced.

        Without ``replace`` the name is looked at first. There is no portable rename that refuses to
        replace, so somebody who works in the folder at the same moment can lose an own file to it.

        Raises:
            UnsafePathError: not plain names.
            ConflictError: ``new`` is taken and ``replace`` is False.
            HostError: cannot be renamed.
        """
        check_component(old, where=self.label)
        if self.find(new) is not None and not replace:
            raise ConflictError("cannot rename: the name is taken", where=self._place(new))
        with os_errors(f"rename {old!a}", self._place(new)):
            os.rename(old, new, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def remove_tree(self, name: str) -> None:
        """Remove ``name`` and all below it; links go, what they point to stays. Absent is fine.

        Raises:
            UnsafePathError: not a plain name, or a folder became a link meanwhile.
            HostError: cannot be removed, or a file system is mounted inside.
        """
        self._remove(name, None, _REMOVE_DEPTH)

    def _remove(self, name: str, top: "Directory | None", depth: int) -> None:
        found = self.find(name)
        if found is None:
            return
        if found.kind != "folder":
            with os_errors("remove the file", self._place(name)):
                os.unlink(name, dir_fd=self._descriptor)
            return
        with self._enter(name, mode=None, sync=False) as folder:
            folder._open_up(self)  # noqa: SLF001
            if depth == 0 and top is not None:
                with os_errors("move the folder up", folder.label):
                    os.rename(name, temporary_name(), src_dir_fd=self._descriptor, dst_dir_fd=top.fileno())
                return
            folder._empty(top or folder, depth - 1)  # noqa: SLF001
        with os_errors("remove the folder", self._place(name)):
            os.rmdir(name, dir_fd=self._descriptor)

    def _open_up(self, parent: "Directory") -> None:
        status = self.status()
        # Jails have host folders mounted inside (nullfs, bind); what is below them is not the jail's to lose.
        with os_errors("look at the folder", self.label):
            mounted = mount_of(self._descriptor) != mount_of(parent.fileno())
        if mounted:
            raise HostError("a file system is mounted here", hint="unmount it first", where=self.label)
        if status.st_mode & stat.S_IRWXU != stat.S_IRWXU:
            self.set_mode(stat.S_IRWXU)

    def _empty(self, top: "Directory", depth: int) -> None:
        for _ in range(_REMOVE_PASSES):
            names = self._names(_REMOVE_BATCH)
            if not names:
                return
            for name in names:
                self._remove(name, top, depth)
        raise HostError("somebody keeps filling the folder", hint="stop the jail first", where=self.label)

    def _place(self, name: str) -> str:
        # ascii(): names come from hostile folders and end up on terminals.
        return f"{self.label.rstrip('/')}/{ascii(name)[1:-1]}"
