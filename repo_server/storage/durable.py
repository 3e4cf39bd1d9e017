"""Writing files so that a power cut leaves the old or the new one, whole (edge).

Write beside, flush, fsync, rename, fsync the directory. Without the last step a power cut takes the last
acknowledged file (measured; reference/operations-and-faults §3).
"""

import contextlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from signing.errors import HostError

NEW: Final = ".new-"  # before the name of what is being written


def write_durably(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write ``data`` to ``path``, replacing what is there at once; parents are made.

    Raises:
        HostError: it cannot be written; what was there is still there.
    """
    write_pieces_durably(path, (data,), mode=mode)


def write_pieces_durably(path: Path, pieces: Iterable[bytes], *, mode: int = 0o644) -> None:
    """Write ``pieces`` one after another as `write_durably` does; an error among them leaves nothing behind.

    Raises:
        HostError: it cannot be written; what was there is still there.
    """
    temporary = path.with_name(f"{NEW}{secrets.token_hex(8)}")
    try:
        make_folder_durably(path.parent)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)  # whatever the umask is: nginx has to read what is published
            stream.writelines(pieces)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except BaseException as error:  # an interruption leaves nothing behind either
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise HostError(f"cannot write {path}: {error.strerror}") from error
        raise


def make_folder_durably(folder: Path) -> None:
    """Make ``folder`` and its parents; each new name is on disk before the next is made."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush the names in ``folder`` to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
