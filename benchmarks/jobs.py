"""Jobs that are claimed and completed in a second, by 1, 4 and 16 workers, beside the barest queue on the same database.

    python benchmarks/jobs.py [--json FILE]          about a minute

A worker is a process that does what `hive serve` does for one lane: it looks for work, claims it in one transaction, and
completes it in another. There are always some hundred jobs waiting. The floor is what any queue has to do, at the same
number of workers in the same round: UPDATE … RETURNING on one small table by the driver alone, once to claim and once to complete,
with nobody's capabilities, turns, fences, attempts or leases. Both commit twice for each job, durably.

Afterwards every job is looked at: done once, by one attempt under one fence.
"""

import contextlib
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlalchemy import func, insert, make_url, select, text
from table import Row, main, skipped
from writers import Done, Writers, databases, slowest

from hive.agents import leases, routing
from hive.agents.names import AgentId, Capability, JobId
from hive.agents.rules import Rules
from hive.agents.states import JobState, Outcome
from hive.db.agent_tables import AttemptRow, JobRow, NeedRow
from hive.db.session import open_engine, snapshot, transaction
from tests.hive.agents.hall import Hall

ROUNDS = 3
SECONDS = 0.8
WORKERS = (1, 4, 16)
WAITING = 400
RENDER = Capability("render")
RULES = Rules.every(600)  # no worker of ours is silent for that long
BARE = """
CREATE TABLE bare_jobs (number INTEGER PRIMARY KEY, state VARCHAR(10) NOT NULL);
CREATE INDEX ix_bare_jobs ON bare_jobs (state, number);
"""
CLAIM = """
UPDATE bare_jobs SET state = 'leased'
 WHERE number = (SELECT number FROM bare_jobs WHERE state = 'ready' ORDER BY number LIMIT 1 {skip}) RETURNING number
"""
COMPLETE = "UPDATE bare_jobs SET state = 'done' WHERE number = {place}"


def worker(url: str, number: int) -> Callable[[], bool]:
    """Return what does one job as the lane of that number."""
    engine = open_engine(url)
    agent, offered = AgentId(f"w{number}"), frozenset({RENDER})

    def work() -> bool:
        with snapshot(engine) as session:
            if not routing.has_work(session, agent, offered, RULES):
                return False
        with transaction(engine) as session:
            claimed = routing.claim(session, agent, offered, RULES)
        if claimed is None:
            return False
        with transaction(engine) as session:
            leases.complete(session, agent, JobId(claimed.job_id), claimed.fence, "{}")
        return True

    return work


def bare_worker(url: str, _number: int) -> Callable[[], bool]:
    """Return what does one job of the barest queue."""
    connection = connect(url)
    sqlite_url = url.startswith("sqlite")
    claim = CLAIM.format(skip="" if sqlite_url else "FOR UPDATE SKIP LOCKED")
    complete = COMPLETE.format(place="?" if sqlite_url else "%s")

    def work() -> bool:
        found = connection.execute(claim).fetchone()
        if found is None:
            return False
        connection.execute(complete, found)
        return True

    return work


def connect(url: str) -> Any:
    """Return the driver's own connection, on which every statement is a transaction."""
    address = make_url(url)
    if url.startswith("sqlite"):
        # A file of its own: what writes without our line of writers stays away from the hive's.
        connection = sqlite3.connect(f"{address.database}-bare", isolation_level=None, timeout=60)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        return connection
    import psycopg

    return psycopg.connect(
        host=str(address.query["host"]), user=address.username, dbname=address.database, autocommit=True
    )


def prepare(url: str) -> None:
    """Make a host with as many lanes as there are workers, and the barest queue beside it."""
    engine = open_engine(url)
    hall = Hall(engine)
    for number in range(max(WORKERS)):
        hall.lane(f"w{number}", RENDER)
    engine.dispose()
    # Closed, and not left to the collector of garbage: a fork that inherits an open SQLite damages the file.
    with contextlib.closing(connect(url)) as connection:
        for statement in filter(str.strip, BARE.split(";")):
            connection.execute(statement)


def fill(url: str) -> None:
    """Let there be as many jobs waiting as always, in both queues."""
    engine = open_engine(url)
    with transaction(engine) as session:
        ready = select(func.count()).where(JobRow.state == JobState.READY)
        newest = session.scalar(select(func.max(JobRow.number))) or 0
        numbers = range(newest + 1, newest + 1 + WAITING - session.scalars(ready).one())
        if numbers:
            session.execute(insert(JobRow), [_job(number) for number in numbers])
            session.execute(insert(NeedRow), [{"number": number, "capability": RENDER} for number in numbers])
    engine.dispose()
    with contextlib.closing(connect(url)) as connection:
        connection.execute("DELETE FROM bare_jobs WHERE state = 'done'")
        counted = connection.execute("SELECT coalesce(max(number), 0), count(*) FROM bare_jobs")
        newest, waiting = counted.fetchone()
        for number in range(newest + 1, newest + 1 + WAITING - waiting):
            connection.execute(f"INSERT INTO bare_jobs VALUES ({number}, 'ready')")


def _job(number: int) -> dict[str, Any]:
    zero = dict.fromkeys(("priority", "attempts", "refusals", "fence"), 0)
    return {
        **zero,
        "number": number,
        "job_id": f"{number:032x}",
        "kind": "render",
        "payload": "{}",
        "state": JobState.READY.value,
        "reason": "",
        "submitted_by": "operator:olga",
        "submitted_at": 0.0,
        "not_before": 0.0,
        "max_attempts": 3,
        "lease_seconds": 60.0,
    }


def check_done(url: str, completed: int) -> None:
    """Return None when as many jobs are done as workers were told, each by one attempt.

    Raises:
        SystemExit: a job was lost, or done twice.
    """
    engine = open_engine(url)
    with snapshot(engine) as session:
        if engine.dialect.name == "sqlite" and session.scalar(text("PRAGMA integrity_check")) != "ok":
            raise SystemExit("the database is damaged")
        done = session.scalars(select(func.count()).where(JobRow.state == JobState.DONE)).one()
        attempts = session.scalars(select(func.count()).select_from(AttemptRow)).one()
        ended = session.scalars(select(func.count()).where(AttemptRow.outcome == Outcome.COMPLETED)).one()
    engine.dispose()
    if not done == attempts == ended == completed:
        raise SystemExit(f"{completed} jobs were completed; {done} are done, by {attempts} attempts")


def measure() -> Iterator[Row]:
    """Measure claims and completions on both databases beside the barest queue."""
    with tempfile.TemporaryDirectory() as name, databases(Path(name)) as found:
        for kind, url in found.items():
            if url is None:
                yield from (skipped(_work(kind, count), "no PostgreSQL here") for count in WORKERS)
            else:
                yield from _measured(kind, url)


def _measured(kind: str, url: str) -> Iterator[Row]:
    prepare(url)
    rounds: dict[int, list[tuple[Done, Done]]] = {count: [] for count in WORKERS}
    with (
        Writers(partial(worker, url), max(WORKERS)) as ours,
        Writers(partial(bare_worker, url), max(WORKERS)) as bare,
    ):
        for _ in range(ROUNDS):
            for count, runs in rounds.items():
                fill(url)
                runs.append((ours.work(count, SECONDS), bare.work(count, SECONDS)))
    check_done(url, sum(len(done.each) for runs in rounds.values() for done, _ in runs))
    for count, runs in rounds.items():
        yield Row(
            work=_work(kind, count),
            figure=statistics.median(done.rate for done, _ in runs),
            unit="/s",
            against="bare UPDATE … RETURNING, twice",
            floor=statistics.median(floor.rate for _, floor in runs),
            ratio=statistics.median(done.rate / floor.rate for done, floor in runs),
            note=f"{WAITING} jobs waiting; each done once, by one attempt",
        )
        yield slowest(_work(kind, count), [done for done, _ in runs])


def _work(kind: str, count: int) -> str:
    return f"claim and complete a job, {count} worker{'s' * (count > 1)}, {kind}"


if __name__ == "__main__":
    sys.exit(main(measure))
