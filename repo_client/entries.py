"""Names in folders, and what goes wrong with them: the words that `repo_client.handles` speaks in (edge).

Every OSError of a folder's handle comes out as one of

    UnsafePathError    12  a link, a bad component, or not the kind of thing that was asked for
    MissingPathError    6  a HostError: nothing has this name
    ConflictError       4  the name is taken, and replacing was not asked for
    HostError           6  everything else: full, read-only, not permitted
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from signing.errors import ConflictError, HostError, RejectedError

TEMPORARY_PREFIX: Final = ".new-"
_READ_BYTES: Final = 1 << 20
_NO_LINKS: Final = "configure a home without symbolic links, such as /usr/home/agent"

EntryKind = Literal["file", "folder", "other"]


class UnsafePathError(RejectedError):
    """A link stands in the way, a component is not a plain name, or the kind of thing is wrong."""

    code = "unsafe-path"
    exit_status = 12


class MissingPathError(HostError):
    """Nothing has this name."""

    code = "path-missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A name in a folder, as lstat sees it; ``mode`` is the twelve permission bits."""

    name: str
    kind: EntryKind
    mode: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """A regular file: its bytes, and what fstat says of the descriptor they were read from."""

    content: bytes
    mode: int
    owner: tuple[int, int]
    links: int


def check_component(name: str, *, where: str = "path") -> None:
    """Return None when ``name`` is one plain component.

    Raises:
        UnsafePathError: empty, ``.``, ``..``, with a slash or NUL, or not encodable as a file name.
    """
    try:
        encodable = bool(os.fsencode(name))
    except UnicodeEncodeError:
        encodable = False
    if not encodable or name in {".", ".."} or "/" in name or "\0" in name:
        raise UnsafePathError(f"{name!a} is not a plain name", where=where, component=name)


def temporary_name() -> str:
    """Return a name that nobody can guess; leftovers of a killed process are known by its prefix."""
    return f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"


def read_up_to(descriptor: int, count: int) -> bytes:
    """Return at most ``count`` bytes of an open file, from where it stands; fewer only at its end.

    Raises:
        OSError: it cannot be read.
    """
    content = bytearray()
    while len(content) < count and (piece := os.read(descriptor, min(count - len(content), _READ_BYTES))):
        content += piece
    return bytes(content)


@contextlib.contextmanager
def os_errors(doing: str, where: str, *, unsafe: frozenset[int] = frozenset()) -> Iterator[None]:
    """Turn what the system refuses into our errors; an errno in ``unsafe`` means a link or another kind."""
    try:
        yield
    except FileNotFoundError as error:
        raise MissingPathError(f"cannot {doing}: nothing is there", where=where) from error
    except FileExistsError as error:
        raise ConflictError(f"cannot {doing}: the name is taken", where=where) from error
    except OSError as error:
        if error.errno in unsafe:
            component = where.rpartition("/")[2]
            raise UnsafePathError(
                f"cannot {doing}: {component!r} is a symbolic link, or not of the kind that was asked for",
                hint=_NO_LINKS,
                where=where,
                component=component,
            ) from error
        raise HostError(f"cannot {doing}: {error.strerror}", where=where, errno=error.errno) from error
