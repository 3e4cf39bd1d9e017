"""Opening files below a folder that is held open (edge): by handles, one name after the other, and never through a link.

Poudriere removes and renames whole trees while others read them. What was opened once stays the same folder.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from signing.errors import FormatError, HostError, NotFoundError

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_beneath(folder: int, path: str) -> int:
    """Return a descriptor of the regular file ``path`` below ``folder``; the caller closes it.

    Raises:
        NotFoundError: there is none. FormatError: a link, a device, or a way out of the folder. HostError: unreadable.
    """
    *above, name = _names(path)
    handle = _descended(folder, above, path)
    try:
        descriptor = _open(name, _FILE, handle, path)
    finally:
        os.close(handle)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FormatError("is not a file", where=path)
    return descriptor


def stat_beneath(folder: int, paths: Iterable[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Yield each of ``paths`` below ``folder`` with what the kernel says of it; none of the files is opened.

    Each folder is opened once, so sorted paths are the quickest.

    Raises:
        NotFoundError, FormatError, HostError: see `open_beneath`.
    """
    current, handle = "", os.dup(folder)
    try:
        for path in paths:
            names = _names(path)
            above = path.removesuffix(names[-1])
            if above != current:
                following = _descended(folder, names[:-1], path)
                os.close(handle)
                current, handle = above, following
            try:
                status = os.stat(names[-1], dir_fd=handle, follow_symlinks=False)
            except FileNotFoundError as error:
                raise NotFoundError(f"there is no file {path}") from error
            except OSError as error:
                raise HostError(f"cannot look at {path}: {error.strerror}") from error
            if not stat.S_ISREG(status.st_mode):
                raise FormatError("is not a file", where=path)
            yield path, status
    finally:
        os.close(handle)


def read_beneath(folder: int, path: str, *, max_bytes: int) -> bytes:
    """Return what the file ``path`` below ``folder`` holds.

    Raises:
        FormatError: larger than ``max_bytes``. NotFoundError, HostError: see `open_beneath`.
    """
    with os.fdopen(open_beneath(folder, path), "rb") as stream:
        try:
            data = stream.read(max_bytes + 1)
        except OSError as error:
            raise HostError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > max_bytes:
        raise FormatError(f"larger than {max_bytes} bytes", where=path)
    return data


def open_folder(path: Path) -> int:
    """Return a handle of the folder ``path``, whichever it is at this moment.

    Raises:
        NotFoundError: there is none. HostError: it cannot be opened.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"there is no folder {path}") from error
    except OSError as error:
        raise HostError(f"cannot open {path}: {error.strerror}") from error


def _names(path: str) -> list[str]:
    names = path.split("/")
    if not {"", ".", ".."}.isdisjoint(names) or "\0" in path:
        raise FormatError("not a plain path", where=ascii(path[:80]))
    return names


def _descended(folder: int, names: Sequence[str], path: str) -> int:
    """Return a handle of the folder that ``names`` lead to."""
    handle = os.dup(folder)
    try:
        for name in names:
            following = _open(name, _FOLDER, handle, path)
            os.close(handle)
            handle = following
    except BaseException:
        os.close(handle)
        raise
    return handle


def _open(name: str, flags: int, folder: int, path: str) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error
    except OSError as error:
        if stat.S_ISLNK(_mode(name, folder)):
            raise FormatError("lies behind a link", where=path) from error
        raise HostError(f"cannot open {path}: {error.strerror}") from error


def _mode(name: str, folder: int) -> int:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except OSError:
        return 0
