"""The online key renews what is near its end, and nothing else."""

import json
from datetime import datetime, timedelta

import pytest

from repo_server.db import log
from repo_server.db.session import snapshot
from repo_server.publishing.online import OnlineState
from repo_server.publishing.refresh import refresh
from repo_server.publishing.state import current
from signing.errors import ExpiredError
from signing.format.names import Pin
from tests.support.world import World, now


def renewed(world: World, at: datetime) -> OnlineState | None:
    return refresh(world.repository, world.signers["online"], now=at, older_than=timedelta(hours=6))


def versions(world: World) -> tuple[int, int]:
    with snapshot(world.repository.engine) as session:
        return current(session, "snapshot").version, current(session, "timestamp").version


def served_timestamp(world: World) -> int:
    document = json.loads((world.public / "metadata/timestamp.json").read_bytes())
    version = document["signed"]["version"]
    assert isinstance(version, int)
    return version


def test_a_timestamp_is_renewed_only_when_it_is_due(world: World) -> None:
    start = now()
    first = versions(world)
    assert renewed(world, start + timedelta(hours=5)) is None
    assert versions(world) == first
    state = renewed(world, start + timedelta(hours=7))
    assert state is not None
    assert (state.snapshot, state.timestamp) == (first[0], first[1] + 1)
    assert served_timestamp(world) == state.timestamp
    assert renewed(world, start + timedelta(hours=8)) is None


def test_unasked_it_is_renewed_at_once(world: World) -> None:
    before = versions(world)
    world.refresh()
    assert versions(world) == (before[0], before[1] + 1)


def test_the_snapshot_is_renewed_near_its_end(world: World) -> None:
    start = now()
    before = versions(world)
    state = renewed(world, start + timedelta(days=19))
    assert state is not None
    assert state.snapshot == before[0]
    state = renewed(world, start + timedelta(days=21))
    assert state is not None
    assert state.snapshot == before[0] + 1
    assert (world.public / f"metadata/{state.snapshot}.snapshot.json").is_file()


def test_versions_grow_by_one_each_time(world: World) -> None:
    start = now()
    seen = [versions(world)[1]]
    for day in range(1, 6):
        world.refresh(at=start + timedelta(days=day))
        seen.append(served_timestamp(world))
    assert seen == list(range(seen[0], seen[0] + 6))


def test_an_expired_repository_is_trusted_again_after_a_refresh(world: World) -> None:
    later = now() + timedelta(days=2)
    with world.serve() as server:
        client = world.client(server.url, world.folder / "client")
        with pytest.raises(ExpiredError) as refused, client.session(later) as session:
            session.release(Pin.parse("web-search==1.0"))
        assert refused.value.facts["role"] == "timestamp"
        world.refresh(at=later)
        with client.session(later) as session:
            session.release(Pin.parse("web-search==1.0"))


def test_a_refresh_completes_the_published_files(world: World) -> None:
    victim = next((world.public / "targets").rglob("*.tar.gz"))
    content = victim.read_bytes()
    victim.unlink()
    assert renewed(world, now()) is None
    assert victim.read_bytes() == content


def test_each_refresh_is_in_the_log(world: World) -> None:
    world.refresh()
    with snapshot(world.repository.engine) as session:
        last = log.read(session)[-1]
        log.check(session)
    assert last.event == "refreshed"
    assert last.facts["timestamp"] == served_timestamp(world)
