"""What the kernel said of kept files when they were last compared with their digest (edge).

    <folder>/5d…    0400; {"item":"5d…","kept":"1795…","schema":…,"stamps":{"SKILL.md":"64512 131 10486 1795… 33060",…}}

A stamp is device, inode, size, change time and mode. Nobody sets a change time: every write, rename, link, chmod and utime
makes it the clock's, and a replaced file has another inode. A folder's stamp changes when a name in it does. So while all
stamps of an item stand, its bytes are those that were compared; who could alter them all the same has the kernel, the
disk, or the clock, and could alter this program too (docs/decisions/0025).

What may be wrong is no stamp: a record that somebody else owns or may write, that is damaged, that is about another item,
whose change times lie in the future (the clock moved back), or that was kept so soon after a change that a second one
could have the same time. All of that is the same as no record: the item is read and compared again.
"""

import contextlib
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from repo_client.entries import UnsafePathError, os_errors
from repo_client.handles import Directory
from signing.errors import FormatError, HostError, SkillRepoError
from signing.format.canonical import canonical, parse_canonical
from signing.format.digest import Sha256

SCHEMA: Final = "https://skills.clawdie.si/schema/stamps/v1"
# The coarsest change times that are in use (2 s, as on FAT). A file that was changed within this time before its record
# was kept could be changed once more without a trace, so it has no record yet.
SETTLED_NS: Final = 2_000_000_000
_MAX_BYTES: Final = 8 << 20
_MODE: Final = 0o400
_OTHERS: Final = 0o077
_FIELDS: Final = 5


class Stamp(NamedTuple):
    """What the kernel says of a file or folder that it would not say after a change."""

    device: int
    inode: int
    size: int
    changed_ns: int
    mode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """Return the stamp of what was asked about."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns, status.st_mode)

    @classmethod
    def parse(cls, text: object) -> Self:
        """Return the stamp written as ``text``.

        Raises:
            FormatError: it is none.
        """
        words = text.split(" ") if isinstance(text, str) else []
        if len(words) != _FIELDS or not all(word.isascii() and word.isdigit() for word in words):
            raise FormatError("not a stamp", where="stamps")
        return cls(*(int(word) for word in words))

    def __str__(self) -> str:
        return " ".join(str(number) for number in self)


Stamps = Mapping[str, Stamp]


def stamps_of(folder: Directory, paths: Iterable[str]) -> dict[str, Stamp]:
    """Return the stamps of ``paths`` below ``folder``, and that of the folder itself as ``""``; links are not followed.

    A folder on the way is to be one of ``paths`` too: its stamp says that it is no link.

    Raises:
        HostError: cannot be asked; MissingPathError when one is not there.
    """
    found, at = {"": Stamp.of(folder.status())}, folder.fileno()
    for path in paths:
        with os_errors("look", f"{folder.label}/{path!a}"):
            found[path] = Stamp.of(os.stat(path, dir_fd=at, follow_symlinks=False))
    return found


class StampBook:
    """A folder with one record for each item that is kept elsewhere; it is made when it is first written to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, item: Sha256) -> Stamps | None:
        """Return the stamps of ``item``; None when there are none that count, whatever the reason."""
        try:
            with Directory.open(self._folder) as folder:
                _check_ours(folder.status().st_uid, folder.status().st_mode & 0o022)
                found = folder.load_file(item, max_bytes=_MAX_BYTES, single_link=True)
            _check_ours(found.owner[0], found.mode & _OTHERS)
            return _parse(found.content, item)
        except SkillRepoError:
            return None

    def keep(self, item: Sha256, stamps: Stamps) -> bool:
        """Write the stamps of ``item`` down, whose bytes are durable and were compared; return whether that could be.

        Not durable itself: a record that a power cut takes is a comparison more, and one that it damages counts for nothing.
        """
        now = time.time_ns()
        if not _are_settled(stamps, now):
            return False
        record = canonical(
            {
                "schema": SCHEMA,
                "item": item,
                "kept": str(now),
                "stamps": {path: str(stamp) for path, stamp in stamps.items()},
            }
        )
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with Directory.open(self._folder) as folder:
                _check_ours(folder.status().st_uid, folder.status().st_mode & 0o022)
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


def _are_settled(stamps: Stamps, at: int) -> bool:
    return all(stamp.changed_ns <= at - SETTLED_NS for stamp in stamps.values())


def _parse(content: bytes, item: Sha256) -> Stamps:
    value: Any = parse_canonical(content, where="stamps", max_bytes=_MAX_BYTES)
    try:
        if (value["schema"], value["item"]) != (SCHEMA, item):
            raise FormatError("about another item", where="stamps")
        kept = int(value["kept"])
        stamps = {str(path): Stamp.parse(text) for path, text in value["stamps"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError("not a record of stamps", where="stamps") from error
    if not _are_settled(stamps, kept):
        raise FormatError("kept too soon after a change", where="stamps")
    if kept > time.time_ns():
        # What is changed now would get a time that may have been given before.
        raise HostError("the clock was moved back", where="stamps")
    return stamps
