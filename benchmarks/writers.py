"""Processes that work on one database at the same time, on SQLite and on PostgreSQL, beside the disk that they wait for."""

import contextlib
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

import pytest
from table import Row

from tests.support import postgres

# What one of the writers does over and over; False when there was nothing to do.
Make = Callable[[int], Callable[[], bool]]
BLOCK = bytes(8192)
BLOCKS = 512
FLOOR_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class Done:
    """What some writers did together: how long each piece of work took, in seconds, and all of it."""

    seconds: float
    each: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Pieces of work in a second."""
        return len(self.each) / self.seconds


def slowest(work: str, rounds: list[Done]) -> Row:
    """How long the slowest of a hundred pieces takes, beside the median: who waits in a line waits as long as all others."""
    each = sorted(took * 1e3 for done in rounds for took in done.each)
    return Row(
        work=f"p99 of {work}",
        figure=each[int(len(each) * 0.99)],
        unit="ms",
        against="their median",
        floor=statistics.median(each),
    )


class Writers:
    """Processes that work when they are told, and end with the block; ``make`` gives each its work, by its number.

    They are forks, so that sixteen of them begin in a moment. No database may be open then: a fork that inherits an open
    SQLite lets go of its locks, and the file is damaged.
    """

    def __init__(self, make: Make, most: int) -> None:
        context = multiprocessing.get_context("fork")
        self._lines: list[Connection] = []
        self._processes = []
        for number in range(most):
            mine, theirs = context.Pipe()
            process = context.Process(target=_obey, args=(theirs, make, number), daemon=True)
            process.start()
            theirs.close()
            self._lines.append(mine)
            self._processes.append(process)
        for line in self._lines:
            line.recv()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for line in self._lines:  # closing would not do: each fork has the lines of those before it
            with contextlib.suppress(BrokenPipeError):  # it failed, and has said why
                line.send(None)
        for process in self._processes:
            process.join(60)

    def work(self, count: int, seconds: float) -> Done:
        """Let ``count`` of them work for so long, at the same time."""
        begun = time.perf_counter()
        for line in self._lines[:count]:
            line.send(seconds)
        each = tuple(took for line in self._lines[:count] for took in line.recv())
        return Done(time.perf_counter() - begun, each)


def _obey(line: Connection, make: Make, number: int) -> None:
    work = make(number)
    line.send("ready")
    while (seconds := line.recv()) is not None:
        end, each = time.perf_counter() + seconds, []
        while (begun := time.perf_counter()) < end:
            if work():
                each.append(time.perf_counter() - begun)
            else:
                time.sleep(0.001)
        line.send(each)


class Disk:
    """The disk below ``folder``: how many blocks of 8 KiB it writes over and syncs, one after another, in a second."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "floor"
        self._path.write_bytes(BLOCK * BLOCKS)

    def rate(self) -> float:
        """Measure for a moment."""
        descriptor, count = os.open(self._path, os.O_RDWR), 0
        try:
            os.fsync(descriptor)
            begun = time.perf_counter()
            while time.perf_counter() - begun < FLOOR_SECONDS:
                os.pwrite(descriptor, BLOCK, count % BLOCKS * len(BLOCK))
                os.fdatasync(descriptor)
                count += 1
            return count / (time.perf_counter() - begun)
        finally:
            os.close(descriptor)

    def beside(self, work: Callable[[], Done]) -> tuple[Done, float]:
        """Return what was done, and the disk's rate right before and after it."""
        before = self.rate()
        done = work()
        return done, statistics.mean((before, self.rate()))


@contextlib.contextmanager
def databases(folder: Path) -> Iterator[dict[str, str | None]]:
    """Yield the address of an empty database of either kind, both on one disk; None of a kind that is not to be had."""
    found: dict[str, str | None] = {"SQLite": f"sqlite:///{folder / 'measured.db'}", "PostgreSQL": None}
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(pytest.skip.Exception):
            found["PostgreSQL"] = stack.enter_context(postgres.running(durable=True))
        yield found
