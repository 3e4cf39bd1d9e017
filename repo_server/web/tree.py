"""Opens files of a published tree, and nothing outside it (edge).

The tree is written by the publisher, but served to everybody, so a mistake in it must not become a hole: whoever
manages to plant a link inside the tree (a hostile archive, a careless administrator) must not get ``/etc/passwd``
or an online key served. So each component is opened relative to the handle of the folder before it and never
through a symbolic link; there is no path that is checked first and opened later.

Clean paths are relative, separated by single slashes, without ``.`` and ``..``, without backslashes and control
characters, and without hidden names except ``.well-known`` in the first place.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from signing.errors import NotFoundError

# One message for all reasons: an answer that tells "refused" from "absent" maps the disk for its reader.
NOTHING_HERE: Final = "nothing is published at this address"

_WELL_KNOWN: Final = ".well-known"
_MAX_PATH: Final = 1024
_FIRST_PRINTABLE: Final = " "
_DELETE: Final = "\x7f"
_CLOSED: Final = -1
_NOT_UNICODE: Final = "\ufffd"  # where the framework found bytes that are not UTF-8

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO must not wait for its writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# EMLINK is what FreeBSD answers to O_NOFOLLOW on a link, where Linux says ELOOP; ENXIO is a socket.
_ABSENT: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.ENAMETOOLONG, errno.EISDIR}
)


@dataclass(slots=True, kw_only=True)
class PublishedFile:
    """An open regular file of the tree. Its bytes do not change: the publisher replaces files by renaming.

    Not frozen, because closing forgets the descriptor: a second close would hit whatever file has it by then.
    """

    descriptor: int
    size: int
    modified_ns: int
    inode: int
    changed_ns: int
    device: int

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, offset: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``offset``; fewer only at the end of the file."""
        pieces = []
        while length > 0 and (piece := os.pread(self.descriptor, length, offset)):
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Close the file. May be called again."""
        descriptor, self.descriptor = self.descriptor, _CLOSED
        if descriptor != _CLOSED:
            os.close(descriptor)


def parse_tree_path(path: str) -> tuple[str, ...]:
    """Return the components of a clean path.

    Raises:
        NotFoundError: the path is not clean, so nothing is published under it.
    """
    if len(path) > _MAX_PATH:
        raise _not_found()
    parts = tuple(path.split("/"))
    for index, part in enumerate(parts):
        hidden = part.startswith(".") and not (index == 0 and part == _WELL_KNOWN)
        if not part or hidden or any(_is_refused(character) for character in part):
            raise _not_found()
    return parts


def open_published(root: Path, path: str) -> PublishedFile:
    """Open the file at ``path`` of the tree ``root``. The caller closes it.

    Raises:
        NotFoundError: the path is not clean, or there is no regular file, or a link is in the way.
        OSError: this host cannot read its own tree.
    """
    parts = parse_tree_path(path)
    with opened_root(root) as folder:
        return open_below(folder, parts)


@contextlib.contextmanager
def opened_root(root: Path) -> Iterator[int]:
    """Yield a handle of the tree ``root``, for several looks at one and the same tree.

    Raises:
        NotFoundError: there is no such folder.
    """
    with _absent_is_not_found():
        # The root itself may be a link: switching it is how a whole tree is replaced at once.
        descriptor = os.open(root, _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_below(folder: int, parts: tuple[str, ...]) -> PublishedFile:
    """Open the file at clean ``parts`` below the handle ``folder``, as `open_published` does.

    Raises:
        NotFoundError: there is no regular file, or a link is in the way.
    """
    with _absent_is_not_found(), _walked(folder, parts[:-1]) as inner:
        descriptor = os.open(parts[-1].encode(), _FILE, dir_fd=inner)
    return _regular(descriptor)


def link_below(folder: int, parts: tuple[str, ...]) -> str:
    """Return what the link at clean ``parts`` below the handle ``folder`` holds; it is not followed.

    Raises:
        NotFoundError: there is no link.
    """
    with _absent_is_not_found(), _walked(folder, parts[:-1]) as inner:
        try:
            return os.fsdecode(os.readlink(parts[-1].encode(), dir_fd=inner))
        except OSError as error:
            if error.errno == errno.EINVAL:  # a file, or a folder
                raise _not_found() from error
            raise


@contextlib.contextmanager
def _walked(folder: int, parts: tuple[str, ...]) -> Iterator[int]:
    descriptor = os.dup(folder)
    try:
        for part in parts:
            inner = os.open(part.encode(), _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _absent_is_not_found() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _ABSENT:
            raise _not_found() from error
        raise


def read_published(root: Path, path: str, *, limit: int) -> bytes:
    """Return the bytes of a small published file.

    Raises:
        NotFoundError: there is none, or it is larger than ``limit`` bytes.
    """
    with open_published(root, path) as file:
        if file.size > limit:
            raise NotFoundError(f"{path} is larger than {limit} bytes")
        return file.read(0, file.size)


def _regular(descriptor: int) -> PublishedFile:
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        raise _not_found()
    return PublishedFile(
        descriptor=descriptor,
        size=facts.st_size,
        modified_ns=facts.st_mtime_ns,
        inode=facts.st_ino,
        changed_ns=facts.st_ctime_ns,
        device=facts.st_dev,
    )


def _is_refused(character: str) -> bool:
    return (
        character < _FIRST_PRINTABLE
        or character in {"\\", _DELETE, _NOT_UNICODE}
        # Half a surrogate pair has no spelling on disk.
        or "\ud800" <= character <= "\udfff"
    )


def _not_found() -> NotFoundError:
    return NotFoundError(NOTHING_HERE)
