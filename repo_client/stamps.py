"""What the kernel said of kept files when they were last compared with their digest (edge).

    <folder>/5d…    0400; a line with the item's digest and the moment, then a line for each name:

    stamps/v1 5d… 1795412345000000000
    64512 131 10486 1795400000000000000 33060 SKILL.md

A stamp is device, inode, size, change time and mode. Nobody sets a change time: every write, rename, link, chmod and utime
makes it the clock's, and a replaced file has another inode. A folder's stamp changes when a name in it does. So while all
stamps of an item stand, its bytes are those that were compared; who could alter them all the same has the kernel, the
disk, or the clock, and could alter this program too (docs/decisions/0025).

What may be wrong is no record: one that somebody else owns or may write, that is damaged, that is about another item, that
lies in the future (the clock moved back), or that was kept so soon after a change that a second one could have the same
time. All of that is the same as none: the item is read and compared again.
"""

import contextlib
import enum
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from repo_client.entries import UnsafePathError, os_errors
from repo_client.handles import Directory
from signing.errors import FormatError, SkillRepoError
from signing.format.digest import Sha256

SCHEMA: Final = "stamps/v1"
# The coarsest change times that are in use (2 s, as on FAT). A file that was changed within this time before its record
# was kept could be changed once more without a trace, so it has no record yet.
SETTLED_NS: Final = 2_000_000_000
_MAX_BYTES: Final = 16 << 20
_MODE: Final = 0o400
_OTHERS: Final = 0o077
_WRITABLE_BY_OTHERS: Final = 0o022


@dataclass(frozen=True, slots=True)
class Stamps:
    """What the kernel says of some names, as text to compare; and when the last of them was changed."""

    text: str
    changed_ns: int


def stamps_of(folder: Directory, paths: Iterable[str]) -> Stamps:
    """Return the stamps of ``folder`` and of ``paths`` below it, in their order; links are not followed.

    Every folder on the way has to be one of ``paths`` too: its stamp says that it is no link.

    Raises:
        HostError: cannot be asked; MissingPathError when one is not there.
    """
    at = folder.fileno()
    with os_errors("look at what is kept", folder.label):
        found = [(path, os.stat(path, dir_fd=at, follow_symlinks=False)) for path in paths]
        return _stamps([("", os.fstat(at)), *found])


def stamp_of(descriptor: int) -> Stamps:
    """Return the stamp of one open file.

    Raises:
        OSError: it cannot be asked.
    """
    return _stamps([("", os.fstat(descriptor))])


def _stamps(found: Iterable[tuple[str, os.stat_result]]) -> Stamps:
    lines, newest = [], 0
    for path, status in found:
        changed = status.st_ctime_ns
        newest = max(newest, changed)
        lines.append(
            f"{status.st_dev} {status.st_ino} {status.st_size} {changed} {status.st_mode} {ascii(path)[1:-1]}\n"
        )
    return Stamps("".join(lines), newest)


class Kept(enum.Enum):
    """What the record of an item says about its stamps of now."""

    NOTHING = enum.auto()
    SAME = enum.auto()
    OTHER = enum.auto()


class StampBook:
    """A folder with one record for each item that is kept elsewhere; it is made when it is first written to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def compare(self, item: Sha256, stamps: Stamps) -> Kept:
        """Return whether ``stamps`` are those that were kept; `Kept.NOTHING` when none were kept that count."""
        try:
            with Directory.open(self._folder) as folder:
                status = folder.status()
                _check_ours(status.st_uid, status.st_mode & _WRITABLE_BY_OTHERS)
                found = folder.load_file(item, max_bytes=_MAX_BYTES, single_link=True, looked=True)
            _check_ours(found.owner[0], found.mode & _OTHERS)
            kept, text = _parse(found.content, item)
        except SkillRepoError:
            return Kept.NOTHING
        if kept > time.time_ns():
            return (
                Kept.NOTHING
            )  # the clock was moved back: a change of now would get a time that was given before
        if text != stamps.text:
            return Kept.OTHER
        return Kept.SAME if stamps.changed_ns <= kept - SETTLED_NS else Kept.NOTHING

    def keep(self, item: Sha256, stamps: Stamps) -> bool:
        """Write the stamps of ``item`` down, whose bytes are durable and were compared; return whether that could be.

        Not durable itself: a record that a power cut takes is a comparison more, and one that it damages counts for nothing.
        """
        now = time.time_ns()
        if stamps.changed_ns > now - SETTLED_NS:
            return False
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with Directory.open(self._folder) as folder:
                status = folder.status()
                _check_ours(status.st_uid, status.st_mode & _WRITABLE_BY_OTHERS)
                record = f"{SCHEMA} {item} {now}\n{stamps.text}".encode("ascii")
                folder.write_file(item, record, mode=_MODE, sync=False)
        except (OSError, SkillRepoError):
            return False  # the next one compares again
        return True

    def forget(self, item: Sha256) -> None:
        """Drop the stamps of ``item``: it is compared again before it is used."""
        with contextlib.suppress(SkillRepoError), Directory.open(self._folder) as folder:
            folder.remove_tree(item)

    def note_use(self, item: Sha256) -> None:
        """Remember that ``item`` was used now; on the record, because it would change the item's own stamp."""
        with contextlib.suppress(OSError):
            os.utime(self._folder / item, follow_symlinks=False)

    def used_ns(self, item: str) -> int:
        """Return when ``item`` was last used, as far as is known here; 0 when it is not."""
        try:
            return (self._folder / item).lstat().st_mtime_ns
        except OSError:
            return 0


def _check_ours(owner: int, writable: int) -> None:
    if owner not in {0, os.geteuid()} or writable:
        raise UnsafePathError("others than the host can write here", where="stamps")


def _parse(content: bytes, item: Sha256) -> tuple[int, str]:
    """Return when a record was kept, and its stamps.

    Raises:
        FormatError: it is none, or about another item.
    """
    try:
        head, _, text = content.decode("ascii").partition("\n")
    except UnicodeDecodeError as error:
        raise FormatError("not a record of stamps", where="stamps") from error
    words = head.split(" ")
    if words[:-1] != [SCHEMA, item] or not words[-1].isdigit() or not text.endswith("\n"):
        raise FormatError("not a record of stamps, or of another item", where="stamps")
    return int(words[-1]), text
