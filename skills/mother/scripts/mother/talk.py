"""Answers on stdout, one JSON object a line; conversation on stderr."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any


def say(message: str, *, by: str = "mother: ") -> None:
    """Write one line of conversation; nobody listening is no reason to end."""
    pass_on(f"{by}{message}\n".encode("utf-8", "backslashreplace"))


def pass_on(chunk: bytes) -> None:
    """Write what a command says, as it is."""
    # None when we were started with stderr closed.
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            sys.stderr.buffer.write(chunk)
            sys.stderr.buffer.flush()


def answer(**facts: Any) -> None:
    """Write one answer.

    Raises:
        BrokenPipeError: nobody reads any more.
    """
    print(json.dumps(facts, sort_keys=True, allow_nan=False), flush=True)
