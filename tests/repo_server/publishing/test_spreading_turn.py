"""The turn of those who send to the bucket, where several hosts meet in one PostgreSQL database."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from repo_server.db.session import open_engine, transaction
from repo_server.publishing.spreading_turn import spreading_turn
from repo_server.repository import Repository
from signing.errors import ConflictError, HostError
from tests.support import postgres
from tests.support.world import World

pytestmark = pytest.mark.slow


@pytest.fixture
def hosts(world: World, postgres_server: str, tmp_path: Path) -> Iterator[tuple[Repository, Repository]]:
    """Two hosts with folders of their own, and one database."""
    with postgres.database(postgres_server, f"r{secrets.token_hex(6)}") as address:
        engines = [open_engine(address) for _ in range(2)]
        folders = [tmp_path / name for name in ("one", "two")]
        for folder in folders:
            folder.mkdir()
        yield (
            replace(world.repository, engine=engines[0], folder=folders[0]),
            replace(world.repository, engine=engines[1], folder=folders[1]),
        )
        for engine in engines:
            engine.dispose()


def test_one_at_a_time_and_publishing_waits_for_none(hosts: tuple[Repository, Repository]) -> None:
    one, two = hosts
    with spreading_turn(one) as check:
        with pytest.raises(ConflictError, match="another process"), spreading_turn(two, seconds=0.3):
            pytest.fail("two had the turn at once")
        with transaction(two.engine) as session:  # the writers' lock is another one
            session.execute(text("SELECT 1"))
        check()
    with spreading_turn(two, seconds=0.3) as check:
        check()


def test_whoever_lost_the_turn_is_told_before_the_timestamp(hosts: tuple[Repository, Repository]) -> None:
    one, two = hosts

    def lose_it() -> None:
        with spreading_turn(one) as check:
            with transaction(two.engine) as session:
                session.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_locks"
                        " WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
                    )
                )
            with spreading_turn(two, seconds=5) as other:
                other()
            check()
            pytest.fail("it went on")

    with pytest.raises(HostError, match="the database failed"):
        lose_it()
