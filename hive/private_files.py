"""Files that are this user's alone: keys, tokens, credentials (edge).

They are read only when they are regular, belong to this user, and nobody else may read them.
"""

import os
import secrets
import stat
from pathlib import Path
from typing import Final

from signing.errors import ConflictError, HostError, KeyAccessError

_MAX_FILE: Final = 4096
_OTHERS: Final = 0o077


def write_secret(path: Path, data: bytes) -> None:
    """Make ``path`` with mode 0600 and this content, durable and whole, or not at all.

    Raises:
        ConflictError: the file exists. HostError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.link(beside, path, follow_symlinks=False)
        finally:
            beside.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError as error:
        raise ConflictError(f"{path} exists", hint="choose another file, or remove it first") from error
    except OSError as error:
        raise HostError(f"cannot write {path}: {error.strerror}") from error


def read_secret(path: Path) -> bytes:
    """Return the content of a file that only its owner, this user, may read.

    Raises:
        KeyAccessError: it is missing, a link, not a file, somebody else's, open to others, or too long.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise KeyAccessError(f"cannot read {path}: {error.strerror}", hint="a link is refused too") from error
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_mode & _OTHERS or facts.st_uid != os.geteuid():
            raise KeyAccessError(
                f"{path} is not a file of this user alone (mode 0600)",
                hint="treat what it holds as seen by others, and rotate it",
            )
        data = os.read(descriptor, _MAX_FILE + 1)
    finally:
        os.close(descriptor)
    if len(data) > _MAX_FILE:
        raise KeyAccessError(f"{path} is too long to be one")
    return data
