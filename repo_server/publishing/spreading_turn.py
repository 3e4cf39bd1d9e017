"""Who may change what changes in the bucket: one at a time, and publishing waits for none of them (edge).

A bucket that hangs holds whoever sends to it for minutes. With the writers' lock of the database in hand that would be minutes
in which nobody publishes, and no withdrawal either. So those who send have a lock of their own: in a PostgreSQL database, where several
hosts meet, an advisory one; beside SQLite, where there is one host, a lock on the repository's folder. Whoever is killed,
loses it.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import text

from repo_server.db.session import snapshot
from repo_server.repository import Repository
from signing.errors import ConflictError, HostError

# Its name in a PostgreSQL database: any number that nobody else there uses.
_SPREADERS: Final = 0x737072656164
_SECONDS: Final = 60.0
_POLL: Final = 0.1


@contextmanager
def spreading_turn(repository: Repository, *, seconds: float | None = None) -> Iterator[Callable[[], None]]:
    """Hold the lock, and yield what asks whether it is held still.

    Raises:
        ConflictError: another process sends to the bucket for longer than ``seconds``.
        HostError: the lock cannot be taken, or was lost.
    """
    end = time.monotonic() + (_SECONDS if seconds is None else seconds)
    if repository.engine.dialect.name == "postgresql":
        with snapshot(repository.engine) as session:
            question = text("SELECT pg_try_advisory_xact_lock(:name)").bindparams(name=_SPREADERS)
            _wait(lambda: bool(session.scalar(question)), end)
            # A transaction that stands still is ended by the server after an hour, and the lock with it.
            yield lambda: session.scalar(text("SELECT 1"))
        return
    try:
        descriptor = os.open(repository.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise HostError(f"cannot lock {repository.folder}: {error.strerror}") from error
    try:
        _wait(lambda: _taken(descriptor), end)
        yield lambda: None
    finally:
        os.close(descriptor)


def _wait(take: Callable[[], bool], end: float) -> None:
    while not take():
        if time.monotonic() >= end:
            raise ConflictError(
                "another process sends to the bucket", hint="wait for it to end, then try again"
            )
        time.sleep(_POLL)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise HostError(f"cannot lock the repository's folder: {error.strerror}") from error
    return True
