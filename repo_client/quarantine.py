"""Putting aside what stands in a store and is not what it is named for (edge).

    <folder>/5d…-01795412345000000000-3f9a01c2      which item it was to be, when it was put aside, and a number

It is never read again by us; it stays for whoever asks how it came to be so. Of what nobody shows any more the oldest goes
when there are too many (`set_aside`); of what jails may still be shown, nothing (`put_aside`).
"""

import contextlib
import errno
import logging
import os
import secrets
import time
from pathlib import Path
from typing import Final

from repo_client.entries import MissingPathError, UnsafePathError, os_errors
from repo_client.handles import Directory
from signing import log_lines
from signing.errors import DigestMismatchError, FormatError, HostError, SkillRepoError
from signing.format.digest import Sha256

_MOST: Final = 16
# By name, as no system has all of them; on FreeBSD a bad checksum is EINTEGRITY, which Python has no name for.
_BAD_DISK: Final = frozenset(
    number
    for name, other in (("EIO", None), ("EBADMSG", None), ("EUCLEAN", None), ("EINTEGRITY", 97))
    if (number := getattr(errno, name, other)) is not None
)
# A name on the way that is no folder any more, or a link.
_OTHER_KIND: Final = frozenset({errno.ENOTDIR, errno.ELOOP, errno.EMLINK})
_MOMENT_DIGITS: Final = 20
_log: Final = logging.getLogger("repo_client.store")


def is_damage(error: SkillRepoError) -> bool:
    """Return whether ``error`` tells of what stands there; False when this process could not look, for whatever reason.

    Too many open files, or a permission, is no reason to put aside what is intact.
    """
    if isinstance(error, HostError) and not isinstance(error, MissingPathError):
        cause = error.__cause__
        number = error.facts.get("errno", cause.errno if isinstance(cause, OSError) else None)
        return number in _BAD_DISK | _OTHER_KIND
    return isinstance(error, (DigestMismatchError, FormatError, UnsafePathError, MissingPathError))


def set_aside(store: Directory, name: str, item: Sha256, folder: Path) -> None:
    """Move ``name`` of ``store``, which is not ``item``, into ``folder``; where that fails, remove it.

    Raises:
        HostError: neither is possible.
    """
    tell_changed(item, intact=False)
    try:
        _move(store, name, item, folder, most=_MOST)
    except SkillRepoError:
        store.remove_tree(name)


def put_aside(store: Directory, name: str, item: Sha256, folder: Path) -> None:
    """Move ``name`` of ``store``, which is not ``item``, into ``folder``, and remove nothing: jails may be shown it.

    Raises:
        HostError, ConflictError, UnsafePathError: it cannot be moved, and stands where it stood.
    """
    tell_changed(item, intact=False)
    _move(store, name, item, folder, most=None)


def tell_changed(item: Sha256, *, intact: bool) -> None:
    """Log that something in a store is not as it was kept; ``intact`` when its bytes were compared and are the same."""
    log_lines.note(_log, "store.changed", level=logging.WARNING, item=item, intact=intact)


def _move(store: Directory, name: str, item: Sha256, folder: Path, *, most: int | None) -> None:
    with os_errors("put it aside", str(folder)):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Directory.open(folder) as aside:
        if most is not None:
            _make_room(aside, most)
        kept = f"{item}-{time.time_ns():0{_MOMENT_DIGITS}d}-{secrets.token_hex(4)}"
        with os_errors("put it aside", f"{store.label}/{name}"):
            os.rename(name, kept, src_dir_fd=store.fileno(), dst_dir_fd=aside.fileno())


def _make_room(aside: Directory, most: int) -> None:
    with contextlib.suppress(SkillRepoError):
        names = sorted((entry.name for entry in aside.entries()), key=_moment)
        for name in names[: max(0, len(names) - most + 1)]:
            aside.remove_tree(name)


def _moment(name: str) -> int:
    """Return when ``name`` was put aside; whoever moved it there by hand said nothing of that, and it counts as oldest.

    What the kernel says of a folder is of its last change, which may be years before it was put aside.
    """
    moment = name.partition("-")[2].partition("-")[0]
    return int(moment) if len(moment) == _MOMENT_DIGITS and moment.isdigit() else 0
