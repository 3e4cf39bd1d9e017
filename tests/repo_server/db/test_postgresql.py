"""A repository on a real PostgreSQL: the same promises as on SQLite, and its writers one after another."""

import json
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from repo_server.db import log as records
from repo_server.db import session as sessions
from repo_server.db.models import Base
from repo_server.db.session import open_engine, snapshot
from repo_server.pkgrepo import collecting
from repo_server.pkgrepo.collecting import Garbage, collect
from repo_server.pkgrepo.serials import rows_of
from repo_server.publishing.state import current
from signing.errors import HostError, NotFoundError
from signing.format.digest import Sha256
from tests.support import databases, postgres
from tests.support.databases import Database
from tests.support.handing_in import hand_in
from tests.support.serials import days, make_index, package, publish_serial
from tests.support.world import PACKAGES, World, now

pytestmark = pytest.mark.slow


@pytest.fixture
def address(postgres_server: str) -> Iterator[str]:
    with postgres.database(postgres_server, f"r{secrets.token_hex(6)}") as address:
        yield address


@pytest.fixture
def database(address: str, tmp_path: Path) -> Database:
    return Database(sessions, records, Base.metadata, tmp_path, address)


def test_several_processes_make_one_database(database: Database) -> None:
    databases.several_processes_make_one_database(database)


def test_a_newer_database_is_refused_and_left_alone(database: Database) -> None:
    engine = database.open()
    with database.transaction(engine) as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(HostError, match="newer version"):
        database.open()


def test_a_server_that_is_away_is_said_without_its_password(address: str) -> None:
    away = address.replace("postgres@/", "postgres:s3cret-word@/").replace("?host=", "?host=/nowhere")
    with pytest.raises(HostError) as refused:
        open_engine(away)
    assert "s3cret-word" not in f"{refused.value} {refused.value.hint}"


def test_a_reader_can_change_nothing(database: Database) -> None:
    engine = database.open()
    with pytest.raises(HostError, match="read-only"), snapshot(engine) as session:
        session.execute(text("DELETE FROM log"))
    engine.dispose()


@pytest.mark.parametrize("row", ["digest = repeat('0', 64)", "sequence = sequence + 7"])
def test_a_row_that_says_something_else_than_its_record_is_noticed(database: Database, row: str) -> None:
    def change(session: Session) -> None:
        session.execute(text(f"UPDATE log SET {row} WHERE sequence = 4"))

    databases.changes_are_noticed(database, change)


@pytest.fixture
def world(address: str, tmp_path: Path) -> Iterator[World]:
    world = World.build(tmp_path, at=now().replace(microsecond=0) - days(100), database=address)
    yield world
    world.repository.engine.dispose()


def timestamp_of(world: World) -> int:
    version = json.loads((world.public / "metadata/timestamp.json").read_bytes())["signed"]["version"]
    assert isinstance(version, int)
    return version


def test_eight_publishers_lose_nothing_and_double_nothing(world: World) -> None:
    """Each brings a skill from import to publication; the server's versions and the log have no gap and no fork."""
    names = ["apricot", "bonfire", "cathedral", "drumming", "escalator", "fjord", "gardening", "hydrofoil"]
    with ThreadPoolExecutor(len(names)) as pool:
        candidates = list(pool.map(lambda name: world.import_skill(f"{name}==1.0"), names))
        list(pool.map(world.review, candidates))
    for by in ("alice", "bob"):
        for candidate in candidates:
            world.sign(candidate, by=by)
    with ThreadPoolExecutor(len(names)) as pool:
        done = list(pool.map(lambda _: world.publish(), names))
    published = [str(release) for each in done for release in each.releases]
    assert sorted(published) == sorted(f"{name}==1.0" for name in names)
    with snapshot(world.repository.engine) as session:
        head = records.check(session)
        assert head.sequence == len(records.read(session))
        newest = current(session, "timestamp").version
        assert timestamp_of(world) == newest


def test_what_is_being_collected_is_not_accepted_at_that_moment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build counts on bytes that only a dropped serial names; it waits for the collector, and is told to send them again."""
    moment = now().replace(microsecond=0)
    publish_serial(world, make_index(1, {"demo": "1.0", "old": "1.0"}, at=moment - days(90)))
    for serial in (2, 3):
        publish_serial(world, make_index(serial, {"demo": f"1.{serial}"}, at=moment - days(80 - serial)))
    index = make_index(4, {"demo": "1.3", "old": "1.0"}, at=moment)
    removing, go = threading.Event(), threading.Event()
    really = collecting._remove_files

    def slowly(*words: object, **options: object) -> Garbage:
        removing.set()
        assert go.wait(60)
        return really(*words, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(collecting, "_remove_files", slowly)
    with ThreadPoolExecutor(2) as pool:
        collected = pool.submit(collect, world.repository, retain=days(30), at_least=2, now=moment)
        assert removing.wait(60)
        accepted = pool.submit(hand_in, world, index)
        time.sleep(0.5)
        assert not accepted.done()
        go.set()
        gone = {digest for digest, _ in collected.result(60).blobs}
        with pytest.raises(NotFoundError, match="not here"):
            accepted.result(60)
    assert package("old", "1.0").sha256 in gone
    with snapshot(world.repository.engine) as session:
        assert [row.serial for row in rows_of(session, PACKAGES)] == [3, 2]
        records.check(session)
        for row in rows_of(session, PACKAGES):
            assert world.repository.blobs.load(Sha256(row.index_sha256))


def test_who_is_gone_without_a_word_does_not_hold_the_writers_lock_for_hours(address: str) -> None:
    """A host that lost its power sends no end: both sides ask each other, and nobody waits for the system's two hours."""
    engine = open_engine(address)
    try:
        with snapshot(engine) as session:
            assert session.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1h"
            over_tcp = session.scalar(text("SELECT inet_server_addr() IS NOT NULL"))
            assert int(session.scalar(text("SHOW tcp_keepalives_idle")) or 0) == (30 if over_tcp else 0)
    finally:
        engine.dispose()
