"""What both databases promise, asked of either: schema, durability, queueing, one chain."""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, MetaData, inspect, text
from sqlalchemy.orm import Session

from signing.errors import ConflictError, HostError

APPEND = """
import sys
from datetime import UTC, datetime
from importlib import import_module
engines, records = import_module(sys.argv[1]), import_module(sys.argv[2])
engine = engines.open_engine(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[4])):
    with engines.transaction(engine) as session:
        facts = {"number": number, "writer": sys.argv[5]}
        records.append(session, event="test", facts=facts, now=datetime.now(UTC))
"""
KEEP_APPENDING = """
import sys
from datetime import UTC, datetime
from importlib import import_module
engines, records = import_module(sys.argv[1]), import_module(sys.argv[2])
engine = engines.open_engine(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
number = 0
while True:
    with engines.transaction(engine) as session:
        facts = {"number": number, "writer": sys.argv[4]}
        records.append(session, event="test", facts=facts, now=datetime.now(UTC))
    print(number, flush=True)
    number += 1
"""
OPEN = """
import sys
from importlib import import_module
engines = import_module(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
engines.open_engine(sys.argv[2]).dispose()
"""


@dataclass(frozen=True)
class Database:
    """One of the two: its module of sessions, its models, its chained log."""

    sessions: ModuleType
    records: ModuleType
    metadata: MetaData
    folder: Path
    address: str | None = None

    @property
    def url(self) -> str:
        return self.address or f"sqlite:///{self.folder / 'test.db'}"

    def open(self) -> Engine:
        engine: Engine = self.sessions.open_engine(self.url)
        return engine

    def transaction(self, engine: Engine) -> AbstractContextManager[Session]:
        manager: AbstractContextManager[Session] = self.sessions.transaction(engine)
        return manager

    def snapshot(self, engine: Engine) -> AbstractContextManager[Session]:
        manager: AbstractContextManager[Session] = self.sessions.snapshot(engine)
        return manager


def migrations_make_what_the_models_say(database: Database) -> None:
    engine = database.open()
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, database.metadata) == []
    engine.dispose()


def what_is_acknowledged_is_on_disk(database: Database) -> None:
    engine = database.open()
    for _ in range(2):  # every connection of the pool, not only the first
        with engine.connect() as connection:
            assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
            assert connection.scalar(text("PRAGMA synchronous")) == 2  # FULL
            assert connection.scalar(text("PRAGMA foreign_keys")) == 1
        engine.dispose()


def readers_do_not_block_writers(database: Database) -> None:
    engine = database.open()
    with database.snapshot(engine) as reading:
        count = text("SELECT count(*) FROM probe")
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE probe (n INTEGER)"))
        with database.transaction(engine) as writing:
            writing.execute(text("INSERT INTO probe VALUES (1)"))
    with database.snapshot(engine) as reading:
        assert reading.scalar(count) == 1
        with database.transaction(engine) as writing:  # begins, commits, while the other looks
            writing.execute(text("INSERT INTO probe VALUES (2)"))
        assert reading.scalar(count) == 1  # one state of the database
    with database.snapshot(engine) as reading:
        assert reading.scalar(count) == 2
    engine.dispose()


def writers_do_not_block_readers(database: Database) -> None:
    engine = database.open()
    with database.transaction(engine) as writing:
        writing.execute(text("CREATE TABLE probe (n INTEGER)"))
        with database.snapshot(engine) as reading:
            assert not inspect(reading.connection()).has_table("probe")
    engine.dispose()


def a_newer_database_is_refused(database: Database) -> None:
    engine = database.open()
    with database.transaction(engine) as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    before = (database.folder / "test.db").read_bytes()
    with pytest.raises(HostError, match="newer version"):
        database.open()
    assert (database.folder / "test.db").read_bytes() == before


def what_is_no_database_is_refused(database: Database) -> None:
    (database.folder / "test.db").write_bytes(b"This is no database, whatever its name says." * 100)
    with pytest.raises(HostError):
        database.open()
    with pytest.raises(HostError):
        database.sessions.open_engine(f"sqlite:///{database.folder}/no/such/folder/x.db")
    with pytest.raises(HostError):
        database.sessions.open_engine("no address at all")
    with pytest.raises(HostError):
        database.sessions.open_engine("nosuchdatabase://host/name")


def a_writer_that_waits_too_long_is_told_so(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database.sessions, "_BUSY_SECONDS", 0.1)
    engine = database.open()
    with database.transaction(engine) as first:
        first.execute(text("CREATE TABLE probe (n INTEGER)"))
        with pytest.raises(ConflictError, match="busy"), database.transaction(engine) as second:
            second.execute(text("SELECT 1"))
    with database.transaction(engine) as session:
        session.execute(text("SELECT 1"))
    engine.dispose()


def a_second_writer_waits_for_the_first(database: Database) -> None:
    engine = database.open()
    order: list[str] = []
    started = threading.Event()

    def second() -> None:
        started.set()
        with database.transaction(engine) as session:
            session.execute(text("SELECT 1"))
            order.append("second")

    thread = threading.Thread(target=second)
    with database.transaction(engine) as session:
        session.execute(text("SELECT 1"))
        thread.start()
        started.wait(60)
        time.sleep(0.1)
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]
    engine.dispose()


def connections_that_are_all_taken_are_said(database: Database) -> None:
    """Soon: whoever asked us does not wait for half a minute either."""
    engine = database.open()
    assert engine.pool._timeout == 5  # type: ignore[attr-defined]
    engine.pool._timeout = 0.05  # type: ignore[attr-defined]
    with contextlib.ExitStack() as taken:
        for _ in range(15):
            taken.enter_context(contextlib.closing(engine.raw_connection()))
        for way in (database.transaction, database.snapshot):
            with pytest.raises(ConflictError, match="taken"), way(engine) as session:
                session.execute(text("SELECT 1"))
    with database.transaction(engine) as session:
        session.execute(text("SELECT 1"))
    engine.dispose()


def writers_come_in_turn(database: Database) -> None:
    """On SQLite alone they would look now and then, and whoever looks at the right moment writes."""
    engine = database.open()
    order: list[int] = []
    waiting: list[threading.Thread] = []

    def write(number: int) -> None:
        with database.transaction(engine) as session:
            session.execute(text("SELECT 1"))
            order.append(number)
            time.sleep(0.02)

    with database.transaction(engine) as session:
        session.execute(text("SELECT 1"))
        for number in range(6):
            thread = threading.Thread(target=write, args=(number,))
            thread.start()
            waiting.append(thread)
            time.sleep(0.05)
    for thread in waiting:
        thread.join(60)
    assert order == list(range(6))
    engine.dispose()


def a_line_that_cannot_be_had_stops_nobody(database: Database) -> None:
    """It is about the waiting; that one writes at a time is decided elsewhere."""
    file = database.folder / "test.db-writers"
    elsewhere = database.folder / "elsewhere"
    file.symlink_to(elsewhere)
    two_threads = [threading.Thread(target=_write, args=(database, number)) for number in range(2)]
    for thread in two_threads:
        thread.start()
    for thread in two_threads:
        thread.join(60)
    engine = database.open()
    with database.snapshot(engine) as session:
        assert database.records.check(session).sequence == 10
    engine.dispose()
    assert not elsewhere.exists()
    file.unlink()
    _write(database, 2)
    assert file.stat().st_mode & 0o777 == (database.folder / "test.db").stat().st_mode & 0o777 == 0o600


def _write(database: Database, writer: int) -> None:
    engine = database.open()
    for number in range(5):
        with database.transaction(engine) as session:
            facts = {"writer": writer, "number": number}
            database.records.append(session, event="test", facts=facts, now=datetime.now(UTC))
    engine.dispose()


def work_that_fails_leaves_nothing(database: Database) -> None:
    engine = database.open()
    with contextlib.suppress(ZeroDivisionError), database.transaction(engine) as session:
        session.execute(text("CREATE TABLE probe (n INTEGER)"))
        raise ZeroDivisionError
    with database.snapshot(engine) as session:
        assert not inspect(session.connection()).has_table("probe")
    engine.dispose()


def two_processes_make_one_chain(database: Database, *, each: int = 15) -> None:
    engine = database.open()
    modules = [database.sessions.__name__, database.records.__name__, database.url, str(each)]
    _together([[sys.executable, "-c", APPEND, *modules, name] for name in ("one", "two")])
    with database.snapshot(engine) as session:
        found: list[Any] = database.records.read(session)
        assert database.records.check(session).sequence == 2 * each
    assert [record.sequence for record in found] == list(range(1, 2 * each + 1))
    for name in ("one", "two"):
        numbers = [record.facts["number"] for record in found if record.facts["writer"] == name]
        assert numbers == list(range(each))
    engine.dispose()


def killed_writers_lose_nothing_and_hold_nobody_up(database: Database) -> None:
    """Each says what was committed; all of that is there afterwards, in one chain, whenever its writer was killed."""
    engine = database.open()
    words = [database.sessions.__name__, database.records.__name__, database.url]
    names = ("one", "two", "three")
    acknowledged: dict[str, int] = {}
    writers = _begun([[sys.executable, "-c", KEEP_APPENDING, *words, name] for name in names])
    for name, writer in zip(names, writers, strict=True):
        assert writer.stdout is not None
        for _ in range(4):
            writer.stdout.readline()
        writer.kill()  # and the others go on
        acknowledged[name] = max([3, *map(int, writer.stdout.read().split())])
        writer.communicate(timeout=60)
        with database.transaction(engine) as session:  # at once: whoever is dead does not keep the line
            database.records.append(session, event="after", facts={}, now=datetime.now(UTC))
    with database.snapshot(engine) as session:
        found: list[Any] = database.records.read(session)
        assert database.records.check(session).sequence == len(found)
    for name in names:
        numbers = [record.facts["number"] for record in found if record.facts.get("writer") == name]
        assert numbers == list(range(len(numbers)))
        # The last one may have been committed before its writer could say so.
        assert len(numbers) - 1 - acknowledged[name] in {0, 1}
    assert [record.event for record in found].count("after") == 3
    engine.dispose()


def several_processes_make_one_database(database: Database) -> None:
    command = [sys.executable, "-c", OPEN, database.sessions.__name__, database.url]
    _together([command] * 3)
    database.open().dispose()


def _together(commands: list[list[str]]) -> None:
    for process in _begun(commands):
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors


def _begun(commands: list[list[str]]) -> "list[subprocess.Popen[str]]":
    """Processes that were told to go when all of them were ready."""
    processes = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for command in commands
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return processes


def changes_are_noticed(database: Database, change: Callable[[Session], None]) -> None:
    """`check` refuses the chain after ``change``."""
    from signing.format.chain import BrokenChainError

    engine = database.open()
    with database.transaction(engine) as session:
        for number in range(4):
            database.records.append(session, event="test", facts={"n": number}, now=datetime.now(UTC))
    with database.transaction(engine) as session:
        change(session)
    with pytest.raises(BrokenChainError), database.snapshot(engine) as session:
        database.records.check(session)
    engine.dispose()
