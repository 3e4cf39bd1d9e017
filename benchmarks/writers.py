"""Processes that work on one database at the same time, on SQLite and on PostgreSQL, beside the disk that they wait for."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import postgres

BLOCK = bytes(8192)
BLOCKS = 512
FLOOR_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class Done:
    """What some writers did together: how long each piece of work took, sorted, and all of it."""

    seconds: float
    each: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Pieces of work in a second."""
        return len(self.each) / self.seconds

    def percentile(self, part: float) -> float:
        """The time, in seconds, that ``part`` of all pieces did not exceed."""
        return self.each[min(int(len(self.each) * part), len(self.each) - 1)]


class Writers:
    """Processes that were started once and work when they are told; ``command`` is given a number."""

    def __init__(self, command: list[str], most: int) -> None:
        self._processes = [
            subprocess.Popen(
                [*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for number in range(most)
        ]
        for process in self._processes:
            self._answer(process)

    def work(self, count: int, seconds: float) -> Done:
        """Let ``count`` of them work for so long, at the same time."""
        chosen = self._processes[:count]
        begun = time.perf_counter()
        for process in chosen:
            assert process.stdin is not None
            process.stdin.write(f"{seconds}\n")
            process.stdin.flush()
        each = [took for process in chosen for took in self._answer(process)]
        return Done(time.perf_counter() - begun, tuple(sorted(each)))

    def end(self) -> None:
        """Let them go."""
        for process in self._processes:
            process.communicate(timeout=60)

    @staticmethod
    def _answer(process: "subprocess.Popen[str]") -> list[float]:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "a writer ended"
        found: list[float] = json.loads(line)
        return found


def obey(work: Callable[[], None]) -> None:
    """Be one of the `Writers`: ``work`` for as long as each line of standard input says."""
    print("[]", flush=True)
    for line in sys.stdin:
        end, each = time.perf_counter() + float(line), []
        while (begun := time.perf_counter()) < end:
            work()
            each.append(time.perf_counter() - begun)
        print(json.dumps(each), flush=True)


def synced(folder: Path) -> float:
    """How many blocks of 8 KiB can be written over and synced one after another, in a second."""
    path = folder / "floor"
    if not path.exists():
        path.write_bytes(BLOCK * BLOCKS)
    descriptor, count = os.open(path, os.O_RDWR), 0
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


@contextlib.contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the addresses of an empty database of either kind on one disk, by its name; of those that are to be had."""
    found = {"SQLite": f"sqlite:///{folder / 'measured.db'}"}
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(pytest.skip.Exception):
            found["PostgreSQL"] = stack.enter_context(_postgresql())
        yield found


def _postgresql() -> AbstractContextManager[str]:
    return postgres.running(durable=True)
