"""Small published files, kept in memory for as long as they are the files on disk (edge).

Opening a file through handles costs a dozen calls of the system. A file that was opened so once is found again by one
look at its path: device, inode, size and both times are those of the bytes that are held, so they are those bytes,
whatever links have been planted on the way since. A file that has changed a moment ago is not held (git calls that racily
clean): a newer one could get its inode within the same tick of the clock, and be taken for it.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from repo_server.web.tree import PublishedFile, open_published

LARGEST: Final = 256 << 10
_MOST: Final = 32 << 20
_MOST_FILES: Final = 4096
_SETTLED_NS: Final = 2 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFile:
    """A file in memory, to be used as a `PublishedFile` is."""

    size: int
    modified_ns: int
    inode: int
    changed_ns: int
    device: int
    content: bytes

    def read(self, offset: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``offset``."""
        if offset == 0 and length >= self.size:
            return self.content
        return self.content[offset : offset + length]

    def close(self) -> None:
        """Nothing is open."""

    def is_still(self, found: os.stat_result) -> bool:
        """Return whether ``found`` is the file that was read."""
        return (
            found.st_ino == self.inode
            and found.st_mtime_ns == self.modified_ns
            and found.st_ctime_ns == self.changed_ns
            and found.st_size == self.size
            and found.st_dev == self.device
        )


class HotFiles:
    """The files of one published tree. Called from several threads at once."""

    def __init__(self, root: Path, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._root, self._prefix, self._clock_ns = root, f"{root}/", clock_ns
        self._held: dict[str, HeldFile] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def open(self, path: str) -> PublishedFile | HeldFile:
        """Return the file at ``path``, as `open_published` does. The caller closes it.

        Raises:
            NotFoundError: the path is not clean, or there is no regular file, or a link is in the way.
            OSError: this host cannot read its own tree.
        """
        held = self._held.get(path)  # held is only what was opened as a clean path
        if held is not None:
            try:
                if held.is_still(os.stat(self._prefix + path, follow_symlinks=False)):  # noqa: PTH116 - Path costs more
                    return held
            except OSError:
                pass  # it is gone, or will be found to be on the longer way
            self._forget(path)
        file = open_published(self._root, path)
        return self._kept(path, file) if file.size <= LARGEST else file

    def _kept(self, path: str, file: PublishedFile) -> PublishedFile | HeldFile:
        if file.changed_ns + _SETTLED_NS > self._clock_ns():
            return file
        content = file.read(0, file.size)
        if len(content) != file.size:  # somebody writes into it
            return file
        file.close()
        held = HeldFile(
            size=file.size,
            modified_ns=file.modified_ns,
            inode=file.inode,
            changed_ns=file.changed_ns,
            device=file.device,
            content=content,
        )
        with self._lock:
            while self._held and (self._bytes + file.size > _MOST or len(self._held) >= _MOST_FILES):
                self._drop(next(iter(self._held)))
            self._drop(path)
            self._held[path] = held
            self._bytes += held.size
        return held

    def _forget(self, path: str) -> None:
        with self._lock:
            self._drop(path)

    def _drop(self, path: str) -> None:
        gone = self._held.pop(path, None)
        self._bytes -= gone.size if gone is not None else 0
