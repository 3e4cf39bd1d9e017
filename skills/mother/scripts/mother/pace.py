"""Pauses: after failures, and between claims."""

from __future__ import annotations

import random
import threading
import time

from mother.errors import MotherError
from mother.talk import say

BACKOFF_FIRST, BACKOFF_MOST = 1.0, 60.0  # seconds
LEAST_BETWEEN = 0.2  # seconds between two claims that brought no work


class Backoff:
    """Waits that double up to a minute, each shortened by chance so that agents do not return together."""

    def __init__(self, stop: threading.Event, *, first: float) -> None:
        self._stop, self._first, self._tries = stop, first, 0
        self._chance = random.SystemRandom()

    def wait(self, problem: MotherError) -> None:
        """Say what is wrong and wait, unless asked to stop."""
        if self._stop.is_set():
            say(f"{problem}; stopping")
            return
        most = min(BACKOFF_MOST, self._first * 2 ** min(self._tries, 10))
        self._tries += 1
        pause = self._chance.uniform(most / 2, most)
        say(f"{problem}; trying again in {pause:.1f} s")
        self._stop.wait(pause)

    def reset(self) -> None:
        """Forget earlier failures after a success."""
        self._tries = 0


def breathe(stop: threading.Event, *, since: float) -> None:
    """Wait until a claim that was made at ``since`` and brought no work may be followed by the next.

    A hive that answers at once, every time, would have this agent ask as fast as it can.
    """
    stop.wait(max(0.0, since + LEAST_BETWEEN - time.monotonic()))
