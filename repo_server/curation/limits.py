"""How much an import may take: bytes, files, seconds, redirects.

The defaults are the limits of the bundle format: what is larger could not be published anyway. They are far
above what skills are (95 of 100 have under 40 files and 500 kB), and far below what hurts a curator's machine.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from signing.errors import TransportError
from signing.format.archive import MAX_ARCHIVE_BYTES
from signing.format.manifest import MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one import."""

    max_files: int = MAX_FILES
    max_file_bytes: int = MAX_FILE_BYTES
    max_total_bytes: int = MAX_TOTAL_BYTES
    max_archive_bytes: int = MAX_ARCHIVE_BYTES
    seconds: float = 60
    redirects: int = 3
    max_hits: int = 50


class Deadline:
    """One end of patience for a whole import.

    A time-out per read is not enough: a server that sends one byte a second never exceeds it.
    """

    def __init__(self, ends: float, seconds: float, clock: Callable[[], float]) -> None:
        self._ends, self._seconds, self._clock = ends, seconds, clock

    @classmethod
    def after(cls, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> Self:
        """Return the deadline ``seconds`` from now."""
        return cls(clock() + seconds, seconds, clock)

    def remaining(self) -> float:
        """Return the seconds that are left.

        Raises:
            TransportError: none are.
        """
        left = self._ends - self._clock()
        if left <= 0:
            raise self.error()
        return left

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return self._clock() >= self._ends

    def error(self) -> TransportError:
        """Return the error that says so."""
        return TransportError(
            f"not finished after {self._seconds:g} seconds",
            hint="try again later; if it repeats, the other side may be stalling on purpose",
        )
