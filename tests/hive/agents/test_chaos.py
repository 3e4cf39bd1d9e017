"""Workers are killed while they hold a job, and stall past their lease: every job is done once, by a capable agent."""

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import text

from hive.db.session import snapshot
from tests.hive.agents.chaos_worker import LEASE
from tests.hive.agents.hall import Hall

NEEDS = (("bsd",), ("linux",), ("linux", "render"), ("bsd", "build"))
# The last has one half of each pair: it may only ever get what needs "linux" alone.
WORKERS = (("bsd", "build"), ("linux", "render"), ("linux", "render"), ("bsd", "build"), ("linux", "build"))
JOBS = 150

INCAPABLE = """
SELECT count(*) FROM jobs JOIN job_needs ON job_needs.number = jobs.number
WHERE jobs.state = 'done' AND NOT EXISTS (
    SELECT 1 FROM agent_capabilities a WHERE a.agent_id = jobs.owner AND a.capability = job_needs.capability)
"""


@pytest.mark.slow
def test_killed_and_stalled_workers_lose_nothing_and_do_nothing_twice(
    hall: Hall, url: str, tmp_path: Path
) -> None:
    for number in range(3):
        hall.tenant(f"t{number}")
    for number, offered in enumerate(WORKERS):
        hall.lane(f"w{number}", *offered)
    for number in range(JOBS):
        hall.submit(
            *NEEDS[number % len(NEEDS)], tenant=f"t{number % 3}", max_attempts=20, lease_seconds=LEASE
        )

    def start(number: int, fate: str = "") -> "subprocess.Popen[bytes]":
        words = [url, f"w{number}", ",".join(WORKERS[number]), str(tmp_path), fate]
        return subprocess.Popen([sys.executable, "-m", "tests.hive.agents.chaos_worker", *words])

    processes = [start(number, fate) for number, fate in enumerate(("die", "stall", "", "stall", "die"))]
    killed, until = 0, time.monotonic() + 400
    try:
        while any(process.poll() != 0 for process in processes):
            assert time.monotonic() < until
            for number, process in enumerate(processes):
                if process.poll() == -9:
                    killed += 1
                    processes[number] = start(number)
                else:
                    assert process.returncode in {None, 0}
            time.sleep(0.05)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    done = [line.split() for path in tmp_path.glob("done-*") for line in path.read_text().splitlines()]
    late = [line.split() for path in tmp_path.glob("late-*") for line in path.read_text().splitlines()]
    with snapshot(hall.engine) as session:
        states = Counter(session.scalars(text("SELECT state FROM jobs")))
        assert session.scalars(text(INCAPABLE)).one() == 0
        completions = Counter(
            session.scalars(text("SELECT number FROM job_attempts WHERE outcome = 'completed'"))
        )
    assert states == {"done": JOBS}
    assert set(completions.values()) == {1}
    assert len(completions) == JOBS
    # A worker may have been told "done" and killed before it wrote that down; never told so twice.
    assert max(Counter(name for name, _ in done).values()) == 1
    assert killed > 0
    assert late, "nobody stalled: the run proved nothing"
    assert {agent for _, agent in done} <= {f"w{number}" for number in range(len(WORKERS))}
