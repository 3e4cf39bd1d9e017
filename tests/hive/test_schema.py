"""The database of a jail host: its schema, its durability, its writers, its chain."""

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from hive import audit as records
from hive.db import session as sessions
from hive.db.all_tables import Base
from tests.support import databases
from tests.support.databases import Database


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(sessions, records, Base.metadata, tmp_path)


def test_migrations_make_what_the_models_say(database: Database) -> None:
    databases.migrations_make_what_the_models_say(database)


def test_what_is_acknowledged_is_on_disk(database: Database) -> None:
    databases.what_is_acknowledged_is_on_disk(database)


def test_readers_do_not_block_writers(database: Database) -> None:
    databases.readers_do_not_block_writers(database)


def test_writers_do_not_block_readers(database: Database) -> None:
    databases.writers_do_not_block_readers(database)


def test_a_newer_database_is_refused(database: Database) -> None:
    databases.a_newer_database_is_refused(database)


def test_what_is_no_database_is_refused(database: Database) -> None:
    databases.what_is_no_database_is_refused(database)


def test_a_writer_that_waits_too_long_is_told_so(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    databases.a_writer_that_waits_too_long_is_told_so(database, monkeypatch)


def test_a_second_writer_waits_for_the_first(database: Database) -> None:
    databases.a_second_writer_waits_for_the_first(database)


def test_work_that_fails_leaves_nothing(database: Database) -> None:
    databases.work_that_fails_leaves_nothing(database)


def test_two_processes_make_one_chain(database: Database) -> None:
    databases.two_processes_make_one_chain(database)


@pytest.mark.slow
def test_several_processes_make_one_database(database: Database) -> None:
    databases.several_processes_make_one_database(database)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET record = CAST(replace(record, '\"test\"', '\"tost\"') AS BLOB) WHERE sequence = 2",
        "DELETE FROM audit WHERE sequence = 2",
        "DELETE FROM audit WHERE sequence = 1",
        "UPDATE audit SET sequence = 9 - sequence",
        "INSERT INTO audit SELECT sequence + 4, record, digest FROM audit WHERE sequence = 1",
    ],
    ids=["changed", "dropped", "beheaded", "reversed", "repeated"],
)
def test_a_changed_log_is_noticed(database: Database, statement: str) -> None:
    def change(session: Session) -> None:
        session.execute(text(statement))

    databases.changes_are_noticed(database, change)
