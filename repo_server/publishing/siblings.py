"""Compressed siblings of published files: ``7.snapshot.json.gz`` beside ``7.snapshot.json`` (edge).

Whoever serves the tree gives them to clients that take gzip, without compressing anything themselves: nginx by
``gzip_static``, our service by `repo_server.web.files`. Only files that we write have one, never those of a skill, where an
author could put two different contents beside each other. A sibling has no address of its own.

A name that promises its bytes gets its sibling first: when the name is there, the sibling is, and a process killed in between
leaves one that nobody asks for yet. A file that is replaced loses its sibling first and gets the new one last: at no moment
does an old sibling stand beside a newer file.
"""

import contextlib
import gzip
import os
import re
from pathlib import Path
from typing import Final

from repo_server.storage.durable import sync_folder, write_durably
from signing.errors import HostError

SUFFIX: Final = ".gz"
_SMALLEST: Final = 1024  # below that it is one packet either way
_WORTH_IT: Final = 0.9
_LEVEL: Final = 9
_PLACES: Final = re.compile(
    r"metadata/[1-9][0-9]{0,9}\.[A-Za-z0-9_-]+\.json"
    r"|targets/(?:[^/]+/)*[0-9a-f]{64}\.[^/]+\.json"
    r"|\.well-known/(?:agent-skills|skills)/index\.json",
    re.ASCII,
)


def may_have_sibling(path: str) -> bool:
    """Return whether the file at ``path`` of the skills site could have one."""
    return _PLACES.fullmatch(path) is not None


def is_sibling(path: str) -> bool:
    """Return whether ``path`` is the place of a sibling, which is no address."""
    return path.endswith(SUFFIX) and may_have_sibling(path.removesuffix(SUFFIX))


def compressed(data: bytes) -> bytes | None:
    """Return ``data`` compressed, the same for the same data; None where that is not worth it."""
    if len(data) < _SMALLEST:
        return None
    packed = gzip.compress(data, _LEVEL, mtime=0)
    return packed if len(packed) < _WORTH_IT * len(data) else None


def write_once_with_sibling(root: Path, path: str, data: bytes) -> None:
    """Write ``data`` to ``path`` of the tree ``root``, which promises these bytes; first its sibling, where it has one.

    Raises:
        HostError: it cannot be written.
    """
    packed = compressed(data) if may_have_sibling(path) else None
    if packed is not None:
        write_durably(root / f"{path}{SUFFIX}", packed)
    elif may_have_sibling(path):
        remove_sibling(root / path)
    write_durably(root / path, data)


def is_whole(root: Path, path: str, data: bytes) -> bool:
    """Return whether the file at ``path`` holds ``data``, and its sibling the same where it has to have one.

    Raises:
        HostError: they cannot be read.
    """
    packed = compressed(data) if may_have_sibling(path) else None
    sibling = root / f"{path}{SUFFIX}"
    try:
        if (root / path).read_bytes() != data:
            return False
        return sibling.read_bytes() == packed if packed is not None else not os.path.lexists(sibling)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise HostError(f"cannot read {path} of the published tree: {error.strerror}") from error


def replace_with_sibling(root: Path, path: str, data: bytes) -> None:
    """Replace the file at ``path`` of the tree ``root`` by ``data``; its sibling goes before it and comes after it.

    Both have one time, later by a second than that of the file before, because nginx tells two files apart by
    whole seconds and sizes.

    Raises:
        HostError: it cannot be written; then there is no sibling, or the old one with the old file.
    """
    place = root / path
    try:
        before = int(place.stat().st_mtime)
    except FileNotFoundError:
        before = 0
    remove_sibling(place)
    write_durably(place, data)
    packed = compressed(data) if may_have_sibling(path) else None
    try:
        stamp = max(int(place.stat().st_mtime), before + 1)
        os.utime(place, (stamp, stamp))
        if packed is not None:
            sibling = Path(f"{place}{SUFFIX}")
            write_durably(sibling, packed)
            os.utime(sibling, (stamp, stamp))
    except OSError as error:
        raise HostError(f"cannot write {place}: {error.strerror}") from error


def remove_sibling(place: Path) -> None:
    """Remove the sibling of ``place``, if it has one; it is gone from the disk before anything else is done.

    Raises:
        HostError: it cannot be removed.
    """
    sibling = Path(f"{place}{SUFFIX}")
    try:
        with contextlib.suppress(FileNotFoundError):
            sibling.unlink()
            sync_folder(place.parent)
    except OSError as error:
        raise HostError(f"cannot remove {sibling}: {error.strerror}") from error
