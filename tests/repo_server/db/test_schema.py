"""The database of a repository: its schema, its durability, its writers, its chain. On SQLite, and on PostgreSQL where there is one."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from repo_server.db import log as records
from repo_server.db import session as sessions
from repo_server.db.models import Base
from tests.support import databases, postgres
from tests.support.databases import Database


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    return Database(sessions, records, Base.metadata, tmp_path)


@pytest.fixture(scope="module")
def template(postgres_server: str) -> Iterator[str]:
    name = f"repo_server-{secrets.token_hex(6)}"
    with postgres.database(postgres_server, name) as address:
        sessions.open_engine(address).dispose()
        yield name


@pytest.fixture
def postgresql(postgres_server: str, template: str, tmp_path: Path) -> Iterator[Database]:
    name = f"repo_server-{secrets.token_hex(6)}"
    with postgres.database(postgres_server, name, template=template) as address:
        yield Database(sessions, records, Base.metadata, tmp_path, address)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    found: Database = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize(
    "promise",
    [
        databases.migrations_make_what_the_models_say,
        databases.readers_do_not_block_writers,
        databases.writers_do_not_block_readers,
        databases.a_second_writer_waits_for_the_first,
        databases.work_that_fails_leaves_nothing,
        databases.connections_that_are_all_taken_are_said,
        pytest.param(databases.two_processes_make_one_chain, marks=pytest.mark.slow),
        pytest.param(databases.killed_writers_lose_nothing_and_hold_nobody_up, marks=pytest.mark.slow),
    ],
    ids=lambda promise: promise.__name__,
)
def test_what_both_databases_promise(database: Database, promise: Callable[[Database], None]) -> None:
    promise(database)


def test_a_writer_that_waits_too_long_is_told_so(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    databases.a_writer_that_waits_too_long_is_told_so(database, monkeypatch)


def test_what_is_acknowledged_is_on_disk(sqlite: Database) -> None:
    databases.what_is_acknowledged_is_on_disk(sqlite)


def test_a_newer_database_is_refused(sqlite: Database) -> None:
    databases.a_newer_database_is_refused(sqlite)


def test_what_is_no_database_is_refused(sqlite: Database) -> None:
    databases.what_is_no_database_is_refused(sqlite)


def test_writers_come_in_turn(sqlite: Database) -> None:
    databases.writers_come_in_turn(sqlite)


def test_a_line_that_cannot_be_had_stops_nobody(sqlite: Database) -> None:
    databases.a_line_that_cannot_be_had_stops_nobody(sqlite)


@pytest.mark.slow
def test_several_processes_make_one_database(sqlite: Database) -> None:
    databases.several_processes_make_one_database(sqlite)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log SET record = CAST(replace(record, '\"test\"', '\"tost\"') AS BLOB) WHERE sequence = 2",
        "DELETE FROM log WHERE sequence = 2",
        "DELETE FROM log WHERE sequence = 1",
        "UPDATE log SET sequence = 9 - sequence",
        "INSERT INTO log SELECT sequence + 4, record, digest FROM log WHERE sequence = 1",
    ],
    ids=["changed", "dropped", "beheaded", "reversed", "repeated"],
)
def test_a_changed_log_is_noticed(sqlite: Database, statement: str) -> None:
    def change(session: Session) -> None:
        session.execute(text(statement))

    databases.changes_are_noticed(sqlite, change)
