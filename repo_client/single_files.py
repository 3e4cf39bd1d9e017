"""Single files in a folder's handle (edge): their kinds, links, second names, and files too large to be read whole.

What `repo_client.handles` promises holds here too: one plain component, opened relative to the handle, nothing
followed; and what goes wrong comes out in the words of `repo_client.entries`.
"""

import errno
import hashlib
import itertools
import os
import stat
from typing import Final, NamedTuple

from repo_client.entries import EntryKind, UnsafePathError, check_component, os_errors
from repo_client.handles import Directory

_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_PIECE: Final = 1 << 20
_IN_THE_WAY: Final = frozenset({errno.ELOOP, errno.EMLINK, errno.ENOTDIR, errno.ENXIO, errno.EOPNOTSUPP})


def kinds_in(folder: Directory, *, limit: int) -> dict[str, EntryKind]:
    """Return what kind of thing stands under each name in ``folder``; `Directory.entries` asks the system for each.

    Raises:
        UnsafePathError: more than ``limit`` names. HostError: cannot be read.
    """
    found: dict[str, EntryKind] = {}
    with os_errors("list the folder", folder.label), os.scandir(folder.fileno()) as names:
        for entry in itertools.islice(names, limit + 1):
            is_file = entry.is_file(follow_symlinks=False)
            is_folder = not is_file and entry.is_dir(follow_symlinks=False)
            found[entry.name] = "file" if is_file else "folder" if is_folder else "other"
    if len(found) > limit:
        raise UnsafePathError(f"more than {limit} names in one folder", where=folder.label)
    return found


def open_file(folder: Directory, name: str) -> int:
    """Return a descriptor of the regular file ``name``, for reading; the caller closes it.

    Raises:
        UnsafePathError: a link, FIFO, socket, device or folder.
        HostError: cannot be opened; MissingPathError when it is not there.
    """
    place = _place(folder, name)
    found = folder.find(name)
    if found is not None and found.kind != "file":  # opening a device can already do something
        raise UnsafePathError(f"{name!a} is not a regular file", where=place, component=name)
    with os_errors("open the file", place, unsafe=_IN_THE_WAY):
        descriptor = os.open(name, _FLAGS, dir_fd=folder.fileno())
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnsafePathError(f"{name!a} is not a regular file", where=place, component=name)
    return descriptor


class FileDigest(NamedTuple):
    """What one open file is: its twelve permission bits and the SHA-256 of its bytes, in hexadecimal."""

    mode: int
    sha256: str


def digest_file(folder: Directory, name: str, *, size: int) -> FileDigest:
    """Return what the regular file ``name`` is, which should be of ``size`` bytes.

    Of a longer one no more is read than tells it apart: whoever owns the folder could make one without an end.

    Raises:
        UnsafePathError, HostError, MissingPathError: as for `open_file`.
    """
    digest, left = hashlib.sha256(), size + 1
    descriptor = open_file(folder, name)
    try:
        with os_errors("read the file", _place(folder, name)):
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            while left and (piece := os.read(descriptor, min(left, _PIECE))):
                digest.update(piece)
                left -= len(piece)
    finally:
        os.close(descriptor)
    return FileDigest(mode, digest.hexdigest())


def make_link(folder: Directory, name: str, target: str) -> None:
    """Make the symbolic link ``name``; where it leads is not looked at. The folder is not synced.

    Raises:
        UnsafePathError: not a plain name. ConflictError: the name is taken. HostError: cannot be made.
    """
    check_component(name, where=folder.label)
    with os_errors("make the link", _place(folder, name)):
        os.symlink(target, name, dir_fd=folder.fileno())


def read_link(folder: Directory, name: str) -> str:
    """Return where the symbolic link ``name`` leads.

    Raises:
        UnsafePathError: not a link. HostError: cannot be read; MissingPathError when it is not there.
    """
    check_component(name, where=folder.label)
    with os_errors("read the link", _place(folder, name), unsafe=frozenset({errno.EINVAL})):
        return os.readlink(name, dir_fd=folder.fileno())


def name_again(folder: Directory, name: str, other: Directory, new: str) -> None:
    """Give the file ``name`` the name ``new`` in ``other`` too; it replaces nothing. Nothing is synced.

    Raises:
        UnsafePathError: not plain names. ConflictError: ``new`` is taken. HostError: cannot be made.
    """
    check_component(name, where=folder.label)
    check_component(new, where=other.label)
    with os_errors("give the file its name", _place(other, new)):
        os.link(name, new, src_dir_fd=folder.fileno(), dst_dir_fd=other.fileno(), follow_symlinks=False)


def _place(folder: Directory, name: str) -> str:
    return f"{folder.label.rstrip('/')}/{ascii(name)[1:-1]}"
