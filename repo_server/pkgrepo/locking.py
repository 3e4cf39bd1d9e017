"""One publication of a repository at a time from one host (edge).

Two builds that end together would each make the next serial, and the server takes only one of them. On one host the
second simply waits for the first, and then publishes on top of it. Between hosts, the server decides.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from signing.errors import ConflictError, HostError
from signing.format.pkg.names import PackageRepo

SECONDS: Final = 3600.0
_POLL: Final = 0.2


@contextmanager
def publishing(
    folder: Path,
    repo: PackageRepo,
    *,
    seconds: float = SECONDS,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[None]:
    """Hold the lock of ``repo`` in ``folder``; the kernel lets go of it however this process ends.

    Raises:
        ConflictError: another process publishes for longer than ``seconds``.
        HostError: the lock cannot be made.
    """
    path = folder / f"{repo.role}.lock"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise HostError(f"cannot lock {path}: {error.strerror}") from error
    try:
        _wait(descriptor, repo, seconds, tell)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, repo: PackageRepo, seconds: float, tell: Callable[[str], None]) -> None:
    end, told = time.monotonic() + seconds, False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= end:
                raise ConflictError(
                    f"another process publishes {repo} on this host",
                    hint="wait for it to end, then try again",
                ) from error
            if not told:
                tell(f"another process publishes {repo} on this host: waiting")
                told = True
            time.sleep(_POLL)
        else:
            return
