"""Connections and transactions (edge).

SQLite runs in WAL mode with synchronous=FULL: with NORMAL a power cut lost every acknowledged row
(reference/storage-serving-performance §3). A writing transaction begins IMMEDIATE, so two writers queue
instead of one failing at commit.

PostgreSQL is held to the same: whoever writes holds one advisory lock to the end of the transaction. So the log never
forks (a lock on its newest row would not do: who waits for that row adds behind it, not behind what came since), and
what `pkg gc` removes nobody accepts at that moment. Readers wait for nobody, and see one state.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from repo_server.db.models import Base
from signing.errors import ConflictError, HostError
from signing.queueing import Turn, wait_for_turn

HEAD: Final = "0004"
_BUSY_SECONDS: Final = 30
# For a connection of our own pool: shorter than whoever asked us waits for an answer.
_POOL_SECONDS: Final = 5
_CONNECT_SECONDS: Final = 10
# The name of the writers' lock in a PostgreSQL database: any number that nobody else there uses.
_WRITERS: Final = 0x736B696C6C72
# A host that lost its power holds the writers' lock until the server notices: by the system's own settings, two hours.
# One that stands still (a debugger, a stopped machine) answers the server's kernel, so it has an hour in a transaction.
_GONE_WITHOUT_A_WORD: Final = {
    "tcp_keepalives_idle": 30,
    "tcp_keepalives_interval": 10,
    "tcp_keepalives_count": 3,
    "idle_in_transaction_session_timeout": 3_600_000,
}
# The other way round: whoever waits for a server that is no more, waits for a minute and not for ever.
_SERVER_IS_GONE: Final = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
_TURN: Final = "turn"
_PAUSE: Final = 0.01
# PostgreSQL's names for "somebody else was in the way": nothing is broken, and the same again may succeed.
_IN_THE_WAY: Final = frozenset({"40001", "40P01", "55P03", "57014"})


def open_engine(url: str) -> Engine:
    """Return an engine on ``url`` with the schema of this version.

    Raises:
        HostError: the database cannot be opened or is of a newer version.
    """
    try:
        engine = create_engine(url, connect_args=_arguments(url), **_pooling(url))
        if engine.dialect.name == "sqlite":
            _make_private(_file_of(engine.url))
            _prepare_sqlite(engine)
        elif engine.dialect.name == "postgresql":
            _prepare_postgresql(engine)
        _brought_up_to_date(engine, url)
    except OSError as error:
        raise HostError(f"cannot make the database: {error.strerror}", hint="check its address") from error
    except SQLAlchemyError as error:
        raise HostError(
            f"cannot open the database: {error.__class__.__name__}", hint="check its address"
        ) from error
    return engine


def open_scratch_engine() -> Engine:
    """Return an engine on an empty database in memory, with the schema of this version; it ends with the engine."""
    # One connection: each new one to an SQLite database in memory would see an empty database of its own.
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    _prepare_sqlite(engine)
    Base.metadata.create_all(engine)
    return engine


@contextlib.contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """Yield a session whose work is committed whole, or not at all.

    Raises:
        ConflictError: other writers kept the database busy for too long.
        HostError: the database failed.
    """
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session
    except OperationalError as error:
        if "locked" in str(error.orig) or getattr(error.orig, "sqlstate", None) in _IN_THE_WAY:
            raise ConflictError("the database is busy", hint="try again") from error
        raise HostError(f"the database failed: {error.orig}") from error
    except NoConnectionError as error:
        raise _all_taken() from error
    except DatabaseError as error:  # a damaged file, for one
        raise HostError(f"the database failed: {error.orig}", hint="restore it from a backup") from error


@contextlib.contextmanager
def snapshot(engine: Engine) -> Iterator[Session]:
    """Yield a session that only reads, from one state of the database; it blocks nobody.

    Raises:
        HostError: the database failed.
    """
    try:
        with (
            Session(engine.execution_options(**_reading(engine)), expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session
    except NoConnectionError as error:
        raise _all_taken() from error
    except DatabaseError as error:
        raise HostError(f"the database failed: {error.orig}") from error


def _all_taken() -> ConflictError:
    return ConflictError("all connections to the database are taken", hint="try again")


def _arguments(url: str) -> dict[str, Any]:
    """Return what the driver is told: how long to wait for other writers, and for the database itself."""
    if url.startswith("sqlite"):
        return {"timeout": _BUSY_SECONDS}
    if url.startswith("postgresql"):
        milliseconds = int(_BUSY_SECONDS * 1000)
        settings = {"lock_timeout": milliseconds, **_GONE_WITHOUT_A_WORD}
        return {
            "connect_timeout": _CONNECT_SECONDS,
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
            **_SERVER_IS_GONE,
        }
    return {}


def _pooling(url: str) -> dict[str, Any]:
    """Return how connections are kept: how long to wait for one, and that one is alive when it is taken out."""
    if url.startswith("sqlite"):
        return {} if _file_of(make_url(url)) is None else {"pool_timeout": _POOL_SECONDS}
    return {"pool_timeout": _POOL_SECONDS, "pool_pre_ping": True}


def _file_of(url: URL) -> Path | None:
    """Return the file that an address of SQLite is about; None for a database in memory."""
    return Path(url.database).absolute() if url.database and url.database != ":memory:" else None


def _reading(engine: Engine) -> dict[str, Any]:
    """Return what makes a connection read one state of the database, and nothing but read."""
    if engine.dialect.name == "postgresql":
        return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    return {"read_only": True}


def _make_private(path: Path | None) -> None:
    """Make a new database file readable by its owner only; SQLite gives its journals the same mode."""
    if path is not None:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy's recipe: transactions are begun by us, below
        cursor = connection.cursor()
        _keep_a_log(cursor)
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    file = _file_of(engine.url)

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        if connection.get_execution_options().get("read_only", False):
            connection.exec_driver_sql("BEGIN")
            return
        if file is not None and _TURN not in connection.info:
            connection.info[_TURN] = _turn(file)
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    @event.listens_for(engine, "checkin")  # after the commit, or whatever else ended it
    def on_checkin(_connection: object, record: ConnectionPoolEntry) -> None:
        turn: Turn | None = record.info.pop(_TURN, None)
        if turn is not None:
            turn.end()


def _keep_a_log(cursor: sqlite3.Cursor) -> None:
    """Set WAL, which is for the whole file: two who open a new one at once meet here, and SQLite waits for neither."""
    end = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(_PAUSE)
        else:
            return


def _turn(file: Path) -> Turn | None:
    try:
        return wait_for_turn(file, _BUSY_SECONDS)
    except TimeoutError as error:
        raise ConflictError("the database is busy", hint="try again") from error


def _prepare_postgresql(engine: Engine) -> None:
    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        if not connection.get_execution_options().get("postgresql_readonly", False):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")


def _brought_up_to_date(engine: Engine, url: str) -> None:
    try:
        _bring_up_to_date(engine, url)
    except BaseException:
        engine.dispose()
        raise


def _bring_up_to_date(engine: Engine, url: str) -> None:
    with engine.execution_options(**_reading(engine)).connect() as connection:
        known = inspect(connection).has_table("alembic_version")
        version = connection.scalar(text("SELECT version_num FROM alembic_version")) if known else None
    if version == HEAD:
        return
    if version is not None and version > HEAD:
        raise HostError("the database belongs to a newer version", hint="install that version")
    from repo_server.db.migrate import upgrade  # noqa: PLC0415 - Alembic costs a third of a second

    upgrade(engine, url)
