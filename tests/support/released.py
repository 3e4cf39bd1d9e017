"""Databases as earlier versions left them: every released schema, with the rows of its time, brought forward.

``tests/data/databases/PACKAGE/REVISION.sql`` holds what a version could write that its predecessor could not, as SQL of that
time: rows of its new tables, and values of its new columns. A revision without such a file, a table without a row or a
column without a value is a test that fails: the next schema is taken in as soon as it exists.
"""

import re
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import NullPool

from tests.support.databases import Database

ROOT = Path(__file__).parents[2]
ROWS = ROOT / "tests" / "data" / "databases"
_BLOB = re.compile(r"\bx'([0-9a-f]*)'")
Contents = dict[str, tuple[list[str], list[tuple[Any, ...]]]]


@dataclass(frozen=True)
class Releases:
    """All schemas that a package ever had."""

    package: str

    @property
    def config(self) -> Config:
        config = Config()
        config.set_main_option("script_location", str(ROOT / self.package / "db" / "migrations"))
        return config

    def revisions(self) -> list[str]:
        """Oldest first."""
        found = ScriptDirectory.from_config(self.config).walk_revisions()
        return [script.revision for script in found][::-1]

    def rows(self, revision: str) -> str:
        """What was new in this revision, as SQL of its time."""
        path = ROWS / self.package / f"{revision}.sql"
        assert path.exists(), f"schema {revision} has no rows yet: write {path.relative_to(ROOT)}"
        return path.read_text(encoding="utf-8")


@dataclass
class Shelf:
    """One database for each revision, without rows, each made from the one before it; what is asked for is a copy."""

    releases: Releases
    copy: Callable[[str, str], str]  # from one name to a new one; its address
    drop: Callable[[str], None]
    _made: dict[str, str] = field(default_factory=dict)

    def fill(self, empty: str) -> None:
        """Make them all, out of the empty database of this name."""
        before = empty
        for revision in self.releases.revisions():
            name = f"{self.releases.package}-{revision}"
            with closing_engine(self.copy(before, name)) as engine, engine.begin() as connection:
                config = self.releases.config
                config.attributes["connection"] = connection
                command.upgrade(config, revision)
            self._made[revision] = before = name

    def take(self, revision: str, name: str) -> str:
        """Return the address of a new database as this revision left it, with the rows of its time."""
        address = self.copy(self._made[revision], name)
        known = self.releases.revisions()
        with closing_engine(address) as engine, engine.begin() as connection:
            for earlier in known[: known.index(revision) + 1]:
                _run(connection, self.releases.rows(earlier))
        return address


def files(releases: Releases, folder: Path) -> Shelf:
    """SQLite's databases, below ``folder``."""

    def copy(old: str, new: str) -> str:
        shutil.copy(folder / f"{old}.db", folder / f"{new}.db")
        return f"sqlite:///{folder / new}.db"

    (folder / "empty.db").touch()
    shelf = Shelf(releases, copy, lambda name: (folder / f"{name}.db").unlink())
    shelf.fill("empty")
    return shelf


def on_server(releases: Releases, server: str) -> Shelf:
    """PostgreSQL's databases, each made with another as its template."""

    def say(statement: str) -> None:
        admin = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with admin.connect() as connection:
            connection.execute(text(statement))

    def copy(old: str, new: str) -> str:
        say(f'CREATE DATABASE "{new}" TEMPLATE "{old}"')
        return server.replace("@/postgres?", f"@/{new}?")

    shelf = Shelf(releases, copy, lambda name: say(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
    shelf.fill("template1")
    return shelf


def closing_engine(address: str) -> closing[Any]:
    """An engine as an operator's own tools have it: nothing of ours but transactions that are ones."""
    engine = create_engine(address, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _begin_ourselves)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    engine.close = engine.dispose  # type: ignore[attr-defined]
    return closing(engine)


def _begin_ourselves(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")


def _run(connection: Connection, script: str) -> None:
    postgresql = connection.dialect.name == "postgresql"
    if postgresql:
        connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
        script = _BLOB.sub(r"'\\x\1'::bytea", script)
    lines = "\n".join(line for line in script.splitlines() if not line.startswith("--"))
    for statement in lines.split(";\n"):
        if statement.strip():
            connection.exec_driver_sql(statement.replace("%", "%%") if postgresql else statement)


def contents(engine: Engine, like: Contents | None = None) -> Contents:
    """Return all rows of all tables, in the columns that they have, or had in ``like``; what the database says, unread."""
    with engine.connect() as connection:
        found: Contents = {}
        for table in sorted(like if like is not None else inspect(connection).get_table_names()):
            columns = like[table][0] if like is not None else _columns(connection, table)
            names = ", ".join(f'"{name}"' for name in columns)
            rows = connection.exec_driver_sql(f'SELECT {names} FROM "{table}"').all()
            found[table] = columns, sorted((tuple(map(_shown, row)) for row in rows), key=repr)
        found.pop("alembic_version", None)
        return found


def _columns(connection: Connection, table: str) -> list[str]:
    return [column["name"] for column in inspect(connection).get_columns(table)]


def _shown(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def every_column_has_a_value(found: Contents) -> None:
    """What is compared afterwards says something of every table and column."""
    for table, (columns, rows) in found.items():
        for place, column in enumerate(columns):
            values = [row[place] for row in rows if row[place] is not None]
            assert values, f"no row has a value in {table}.{column}: give it one in tests/data/databases"


def comes_forward(
    shelf: Shelf, database: Callable[[str], Database], base: type[DeclarativeBase], revision: str, name: str
) -> None:
    """A database of ``revision`` becomes one of this version when it is opened, with every row that it had."""
    address = shelf.take(revision, name)
    with closing_engine(address) as engine:
        before = contents(engine)
    every_column_has_a_value(before)
    opened = database(address)
    engine = opened.open()
    try:
        assert contents(engine, like=before) == before
        _is_what_the_models_say(engine, opened)
        with opened.transaction(engine) as session:
            for mapper in base.registry.mappers:
                table = mapper.class_.__tablename__
                count = len(session.scalars(select(mapper.class_)).all())
                assert count == len(before[table][1]) if table in before else count == 0, table
            _log_goes_on(opened, session)
        if engine.dialect.name == "sqlite":
            with engine.connect() as connection:
                assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    finally:
        engine.dispose()
    again = opened.open()  # and it is one: nothing is left to do
    assert contents(again, like=before).keys() == before.keys()
    again.dispose()


def _is_what_the_models_say(engine: Engine, database: Database) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, database.metadata) == []
        found = set(inspect(connection).get_table_names()) - {"alembic_version"}
    assert found == set(database.metadata.tables)


def _log_goes_on(database: Database, session: Session) -> None:
    from datetime import UTC, datetime

    head = database.records.check(session)
    assert head.sequence == 3
    database.records.append(session, event="test", facts={}, now=datetime.now(UTC))
    assert database.records.check(session).sequence == 4


def a_migration_that_fails_leaves_what_was_there(
    shelf: Shelf, database: Callable[[str], Database], name: str, monkeypatch: Any
) -> None:
    """Whatever stops it after its last statement: the database is of the old version, whole, and the next try succeeds."""
    first = shelf.releases.revisions()[0]
    address = shelf.take(first, name)
    with closing_engine(address) as engine:
        before = contents(engine)
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", partial(_all_and_then_stop, command.upgrade))
        with pytest.raises(_StoppedError):
            database(address).open()
    with closing_engine(address) as engine:
        assert contents(engine) == before
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT version_num FROM alembic_version")) == first
    engine = database(address).open()
    assert contents(engine, like=before) == before
    engine.dispose()


class _StoppedError(Exception):
    pass


def _all_and_then_stop(upgrade: Callable[..., None], *words: Any) -> None:
    upgrade(*words)
    raise _StoppedError
