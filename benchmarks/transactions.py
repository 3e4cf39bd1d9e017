"""Publications that a database takes in a second, from 1 and 8 writers, beside the rate of syncs of its disk.

    python benchmarks/transactions.py [--json FILE]          about a minute

One piece of work is what a publication writes: a release, ten targets, and one record of the log, in one transaction of
the repository, by its own engine, session and log. Writers are processes that never pause, so 8 of them are more than any repository has. The
floor is a loop of fdatasync on the same disk, right before and right after each round; a transaction cannot be durable without one. The same
rows by Python's own sqlite3, without an engine, sessions or names of columns, show what is the disk's and what is ours.

Afterwards the log is checked. A chain that forked, or lacks what a writer was told is there, ends the benchmark.
"""

import contextlib
import itertools
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlalchemy import insert
from table import Row, main, skipped
from writers import Disk, Done, Writers, databases, slowest

from repo_server.db import log
from repo_server.db.models import Base, CandidateRow, ReleaseRow, TargetRow
from repo_server.db.session import open_engine, snapshot, transaction
from signing.format.chain import Head, next_record
from signing.format.digest import Sha256, sha256_of

ROUNDS = 4
SECONDS = 1.0
WRITERS = (1, 8)
TARGETS = 10
TOGETHER = 10
AIMS = {"SQLite": "ratio >= 0.5", "PostgreSQL": "ratio >= 0.35"}
CANDIDATE = "candidate"
TABLES = Base.metadata.tables
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def rows_of(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What one release adds, by table."""
    digest = sha256_of(name.encode())
    release = {
        "name": name,
        "version": "1.0",
        "kind": "skill",
        "state": "published",
        "description": "Does the work.",
        "bundle_sha256": digest,
        "bundle_bytes": 20_000,
        "tree_sha256": digest,
        "review_sha256": digest,
        "reviewers": "alice,bob",
        "candidate_id": CANDIDATE,
        "published_at": NOW,
    }
    return release, [
        {"path": f"skills/{name}/1.0/{number}", "sha256": digest, "length": 20_000}
        for number in range(TARGETS)
    ]


def publisher(url: str, together: int, who: int) -> Callable[[], bool]:
    """Return what publishes ``together`` releases in one transaction, each time it is called."""
    engine = open_engine(url)
    numbers = itertools.count()

    def publish() -> bool:
        names = [f"skill-{together}-{who}-{next(numbers):06}" for _ in range(together)]
        found = [rows_of(name) for name in names]
        with transaction(engine) as session:
            session.execute(insert(TABLES[ReleaseRow.__tablename__]), [release for release, _ in found])
            targets = [target for _, targets in found for target in targets]
            session.execute(insert(TABLES[TargetRow.__tablename__]), targets)
            log.append(session, event="published", facts={"releases": names}, now=NOW)
        return True

    return publish


def bare_publisher(path: str, _who: int) -> Callable[[], bool]:
    """Return what writes the same rows by sqlite3 alone, just as durably."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    numbers = itertools.count()

    def publish() -> bool:
        name = f"skill-bare-{next(numbers):06}"
        release, targets = rows_of(name)
        release["published_at"] = str(NOW)
        connection.execute("BEGIN IMMEDIATE")
        places = ", ".join(f":{column}" for column in release)
        connection.execute(f"INSERT INTO releases ({', '.join(release)}) VALUES ({places})", release)
        connection.executemany(
            "INSERT INTO targets (path, sha256, length) VALUES (:path, :sha256, :length)", targets
        )
        last = connection.execute(
            "SELECT sequence, digest FROM log ORDER BY sequence DESC LIMIT 1"
        ).fetchone()
        head = Head(sequence=last[0], digest=Sha256(last[1])) if last else Head()
        record = next_record(head, time=NOW, event="published", facts={"releases": [name]})
        rendered = record.render()
        connection.execute(
            "INSERT INTO log VALUES (?, ?, ?)", (record.sequence, rendered, sha256_of(rendered))
        )
        connection.execute("COMMIT")
        return True

    return publish


def prepare(url: str) -> None:
    """Make an empty repository's database, with the candidate that all releases come from."""
    engine = open_engine(url)
    with transaction(engine) as session:
        texts = (
            "kind",
            "name",
            "version",
            "source",
            "address",
            "resolved",
            "publisher",
            "licence",
            "observations",
        )
        session.add(
            CandidateRow(
                id=CANDIDATE, state="published", imported_at=NOW, tree_sha256="", **dict.fromkeys(texts, "")
            )
        )
    engine.dispose()


def check_chain(url: str, transactions: int) -> int:
    """Return how many records the log has: as many as writers were told were there, in one chain.

    Raises:
        BrokenChainError: the chain forked.
    """
    engine = open_engine(url)
    with snapshot(engine) as session:
        records = log.check(session).sequence
    engine.dispose()
    if records != transactions:
        raise SystemExit(f"{transactions} publications were acknowledged, and the log has {records}")
    return records


def measure() -> Iterator[Row]:
    """Measure publications on both databases beside the syncs of their disk."""
    with tempfile.TemporaryDirectory() as name, databases(Path(name)) as found:
        disk = Disk(Path(name))
        for kind, url in found.items():
            if url is None:
                for count in WRITERS:
                    yield skipped(_of_many(kind, count), "no PostgreSQL here", aim=AIMS[kind])
            else:
                yield from _measured(kind, url, disk)


def _measured(kind: str, url: str, disk: Disk) -> Iterator[Row]:
    prepare(url)
    with contextlib.ExitStack() as ending:
        many = ending.enter_context(Writers(partial(publisher, url, 1), max(WRITERS)))
        works = {_of_many(kind, count): partial(many.work, count, SECONDS) for count in WRITERS}
        batching = ending.enter_context(Writers(partial(publisher, url, TOGETHER), 1))
        works[f"{TOGETHER} releases in each, 1 writer, {kind}"] = partial(batching.work, 1, SECONDS)
        if kind == "SQLite":
            bare = ending.enter_context(Writers(partial(bare_publisher, url.removeprefix("sqlite:///")), 1))
            works["the same rows by sqlite3 alone, 1 writer"] = partial(bare.work, 1, SECONDS)
        rounds: dict[str, list[tuple[Done, float]]] = {work: [] for work in works}
        for _ in range(ROUNDS):
            for work, do in works.items():
                rounds[work].append(disk.beside(do))
    records = check_chain(url, sum(len(done.each) for runs in rounds.values() for done, _ in runs))
    for number, (work, runs) in enumerate(rounds.items()):
        aim = AIMS[kind] if number < len(WRITERS) else ""
        yield _row(work, runs, aim, f"{kind}: one chain of {records:,} records afterwards, none lost")
        yield slowest(work, [done for done, _ in runs])


def _of_many(kind: str, count: int) -> str:
    return f"publish transactions, {count} writer{'s' * (count > 1)}, {kind}"


def _row(work: str, runs: list[tuple[Done, float]], aim: str, note: str) -> Row:
    done = [one for one, _ in runs]
    return Row(
        work=work,
        figure=statistics.median(one.rate for one in done),
        unit="/s",
        against="fdatasync of 8 KiB",
        floor=statistics.median(floor for _, floor in runs),
        ratio=statistics.median(one.rate / floor for one, floor in runs),
        aim=aim,
        note=note,
    )


if __name__ == "__main__":
    sys.exit(main(measure))
