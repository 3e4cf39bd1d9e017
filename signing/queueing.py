"""The line in which the writers of one SQLite file wait (edge).

SQLite lets one write at a time, and keeps no line: whoever comes second sleeps, for up to a tenth of a second, and tries
again. Of eight writers that never paused, one write in a hundred so waited for 0.6 s and more. So a writer first takes a
lock on the file ``NAME-writers``: the system lets those go first who came first, and knows who was killed.

It is about the waiting only. What is decided, BEGIN IMMEDIATE decides; whoever cannot open that file writes without it.
"""

import contextlib
import fcntl
import os
import threading
from pathlib import Path
from typing import Final

_SUFFIX: Final = "-writers"


class Turn:
    """The right to write next, until `end`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def end(self) -> None:
        """Let the next one write."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    __del__ = end


def wait_for_turn(database: Path, seconds: float) -> Turn | None:
    """Return when nobody else writes to ``database``; None where there is no line to stand in.

    Raises:
        TimeoutError: it took longer than ``seconds``.
    """
    try:
        descriptor = _open(database)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _Waiting(descriptor).wait(seconds)
    except OSError:  # a file system without locks
        os.close(descriptor)
        return None
    return Turn(descriptor)


class _Waiting:
    """A thread that waits in the system's own line, which knows no end of patience; so it can be left behind."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._deciding = threading.Lock()
        self._come = threading.Event()
        self._left = False
        threading.Thread(target=self._wait, name="waits to write", daemon=True).start()

    def wait(self, seconds: float) -> None:
        come = False
        try:
            come = self._come.wait(seconds)
        finally:  # also when we are interrupted
            if not come:
                self._leave()
        if not come:
            raise TimeoutError

    def _leave(self) -> None:
        with self._deciding:
            self._left = True
            if self._come.is_set():  # at the last moment
                os.close(self._descriptor)

    def _wait(self) -> None:
        with contextlib.suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        with self._deciding:
            self._come.set()
            if self._left:
                os.close(self._descriptor)


def _open(database: Path) -> int:
    """Open the lock's file; a new one is readable by whoever may read the database, and belongs to its owner."""
    path = f"{database}{_SUFFIX}"
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, flags)
    facts = database.stat()
    descriptor = os.open(path, flags | os.O_CREAT, facts.st_mode & 0o666)
    if os.geteuid() == 0:
        os.fchown(descriptor, facts.st_uid, facts.st_gid)
    return descriptor
