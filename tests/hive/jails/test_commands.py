"""Commands whose purpose is to start something that stays."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from hive.packages.commands import CommandLimits, run_command
from signing.errors import HostError

LEAVING = """
import os, pathlib, sys, time
if os.fork() == 0:
    pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
    time.sleep(60)
while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)
if sys.argv[2] == "fails": sys.exit(1)
if sys.argv[2] == "hangs": time.sleep(60)
"""


def left(tmp_path: Path, how: str, *, stays: bool) -> bool:
    """Run a command that leaves a process behind; return whether that one lives afterwards."""
    pid = tmp_path / "pid"
    try:
        run_command(
            [sys.executable, "-S", "-c", LEAVING, str(pid), how], limits=CommandLimits(finish=2), stays=stays
        )
    except HostError:
        assert how != "ends"
    number, end = int(pid.read_text()), time.monotonic() + 5
    while lives(number) and time.monotonic() < end and not (stays and how != "hangs"):
        time.sleep(0.02)
    if lives(number):
        os.kill(number, signal.SIGKILL)
        return True
    return False


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for the process in /proc")


def test_what_a_command_starts_ends_with_it(tmp_path: Path) -> None:
    assert not left(tmp_path, "ends", stays=False)


@pytest.mark.parametrize("how", ["ends", "fails"])
def test_what_is_to_stay_stays(how: str, tmp_path: Path) -> None:
    assert left(tmp_path, how, stays=True)


def test_what_is_to_stay_is_killed_with_a_command_that_hangs(tmp_path: Path) -> None:
    assert not left(tmp_path, "hangs", stays=True)


def test_who_calls_is_told_the_process_group(tmp_path: Path) -> None:
    told: list[int] = []
    said = run_command([sys.executable, "-S", "-c", "import os; print(os.getpgrp())"], started=told.append)
    assert told == [int(said)]
