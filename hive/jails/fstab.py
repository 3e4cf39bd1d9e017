"""The list of what is mounted in a jail when it starts, fstab(5), with what is ours in it (pure).

    /usr/local/bastille/releases/14.3-RELEASE /usr/local/bastille/jails/acme/root/.bastille nullfs ro 0 0
    /usr/local/bastille/jails/acme/shelf/usr/home/agent/skills …/acme/root/usr/home/agent/skills nullfs ro,nosuid,nosymfollow 0 0

The file is the host's. It is written here and not by ``bastille mount``, which wants a running jail, makes what is missing
by following the tenant's links, and mounts at once.
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from repo_client.entries import UnsafePathError
from signing.errors import ConflictError, FormatError

MAX_FSTAB: Final = 1 << 16
# Anything else would need fstab's escapes, or means something to the shell that reads the file after us.
_PLAIN: Final = re.compile(r"/[A-Za-z0-9._/+@=,-]*", re.ASCII)
_FIELDS: Final = 6
_OURS: Final = "nullfs ro,nosuid,nosymfollow 0 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """One line: what is shown where; both as they are written."""

    source: str
    target: str


def parse_fstab(data: bytes, *, where: str) -> tuple[Mounted, ...]:
    """Return what ``data`` says is mounted, in its order.

    Raises:
        FormatError: not an fstab.
    """
    try:
        lines = data.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError("not ASCII", where=where) from error
    found = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != _FIELDS:
            raise FormatError("not a line of an fstab", where=f"{where}:{number}")
        found.append(Mounted(source=words[0], target=words[1]))
    return tuple(found)


def with_mount(data: bytes, source: Path, target: Path, *, where: str) -> bytes:
    """Return the fstab ``data`` with ``source`` shown read-only at ``target``; twice is once.

    Raises:
        ConflictError: something else is shown there, or above or below it.
        UnsafePathError: a path with characters that mean more than themselves.
        FormatError: ``data`` is no fstab.
    """
    for path in (source, target):
        if not _PLAIN.fullmatch(str(path)) or ".." in path.parts:
            raise UnsafePathError(f"{str(path)!a} cannot be written into an fstab", where=where)
    for line in parse_fstab(data, where=where):
        if (line.source, line.target) == (str(source), str(target)):
            return data
        other = PurePosixPath(line.target)
        if other.is_relative_to(target) or target.is_relative_to(other):
            raise ConflictError(f"{line.source} is shown at {other} already", where=where)
    gap = b"" if not data or data.endswith(b"\n") else b"\n"
    return data + gap + f"{source} {target} {_OURS}\n".encode()


def places(mounts: tuple[Mounted, ...], root: Path) -> tuple[str, ...]:
    """Return the places below ``root`` at which something is mounted, relative to it.

    Raises:
        FormatError: a place outside of the root, which a jail's own list has no business with.
    """
    found = []
    for line in mounts:
        target = PurePosixPath(line.target)
        if not target.is_relative_to(root) or ".." in target.parts:
            raise FormatError(f"{line.target} is not in the jail", where=str(root.parent / "fstab"))
        found.append(str(target.relative_to(root)))
    return tuple(found)
