"""Reading a local file: a regular one, within a limit, and with the facts of the very handle that was read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from mother.errors import MotherError

_ASK = "ask the operator"


def read_regular(path: Path, *, limit: int, error: type[MotherError]) -> tuple[bytes, os.stat_result]:
    """Return the bytes of a regular file and the facts of the very handle they were read from.

    A link is not followed and a FIFO is not waited for.

    Raises:
        MotherError: of class ``error``, for anything but a readable regular file within ``limit`` bytes.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as problem:
        why = os.strerror(problem.errno or 0) if isinstance(problem, OSError) else "not a path"
        message = f"{path.name!a} cannot be opened in {str(path.parent)!a}: {why}"
        raise error(message, hint=f"{_ASK}; a link is refused too") from None
    with open(handle, "rb") as file:  # noqa: PTH123 - the handle that was opened, not the path again
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise error(f"{path.name!a} is not a regular file", hint=_ASK)
        try:
            data = file.read(limit + 1)
        except OSError as problem:
            raise error(
                f"{path.name!a} cannot be read: {os.strerror(problem.errno or 0)}", hint=_ASK
            ) from None
    if len(data) > limit:
        raise error(f"{path.name!a} is longer than {limit} bytes", hint=_ASK)
    return data, facts
