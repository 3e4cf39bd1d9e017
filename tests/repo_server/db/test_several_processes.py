"""Server processes that publish and renew at the same moment, on either database, and are killed at it.

Nothing is lost, nothing is done twice, the log has one chain, and what is served is what the database says.
"""

import json
import secrets
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from repo_server.db import log
from repo_server.db.models import MetadataRow, ReleaseRow
from repo_server.db.session import snapshot
from repo_server.publishing.publish import publish
from signing.format.names import Pin
from signing.roles import SNAPSHOT, TIMESTAMP
from tests.support import postgres
from tests.support.several import several
from tests.support.world import World, now

pytestmark = pytest.mark.slow
NAMES = ("apricot", "bonfire", "cathedral", "drumming", "escalator", "fjord", "gardening", "hydrofoil")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The address of an empty database; None is the repository's own file."""
    if request.param == "sqlite":
        yield None
        return
    server: str = request.getfixturevalue("postgres_server")
    with postgres.database(server, f"several-{secrets.token_hex(6)}") as address:
        yield address


@pytest.fixture
def world(database: str | None, tmp_path: Path) -> Iterator[World]:
    world = World.build(tmp_path / "world", bins=2, database=database)
    yield world
    world.repository.engine.dispose()


def check_whole(world: World) -> Counter[str]:
    """The chain, the versions and the published tree; return how often each release was published."""
    with snapshot(world.repository.engine) as session:
        log.check(session)
        records = log.read(session)
        versions = {role: set[int]() for role in (TIMESTAMP, SNAPSHOT)}
        for row in session.scalars(select(MetadataRow)):
            versions.setdefault(row.role, set()).add(row.version)
        rows = {f"{row.name}=={row.version}" for row in session.scalars(select(ReleaseRow))}
    assert [record.sequence for record in records] == list(range(1, len(records) + 1))
    for role, found in versions.items():
        assert found == set(range(1, max(found) + 1)), role
    served = json.loads((world.public / "metadata/timestamp.json").read_bytes())["signed"]["version"]
    assert served == max(versions[TIMESTAMP])
    published = Counter(pin for record in records for pin in record.facts.get("releases", []))
    assert set(published) == rows
    return published


def clients_get(world: World, folder: Path, *pins: str) -> None:
    with world.serve() as server, world.client(server.url, folder).session(now()) as session:
        for pin in pins:
            session.bundle(Pin.parse(pin))


# Not killed; killed on the way to their signatures, and in the middle of a publication.
@pytest.mark.parametrize("kill", [{}, {1: 2, 4: 5, 6: 7}], ids=["all-live", "some-killed"])
def test_publishers(world: World, database: str | None, tmp_path: Path, kill: dict[int, int]) -> None:
    candidates = [world.import_skill(f"{name}==1.0") for name in NAMES]
    for candidate in candidates:
        world.review(candidate)
    ended = several("publish", world.folder, database, candidates, kill=kill)
    # One that others left nothing to publish may end before its step comes.
    killed = {number for number, end in enumerate(ended) if end == "killed"}
    assert killed <= set(kill)
    assert killed or not kill
    assert "failed" not in ended
    # Everybody comes again: what a dead one had begun may be what others had to wait for.
    assert set(several("publish", world.folder, database, candidates)) == {"done"}
    publish(world.repository, world.signers["online"], now=now())  # and nothing is left to do
    assert check_whole(world) == Counter({f"{name}==1.0": 1 for name in NAMES})
    clients_get(world, tmp_path / "client", *(f"{name}==1.0" for name in NAMES))


# Before the decision, right after it, and while the tree is written.
@pytest.mark.parametrize("kill", [{}, {0: 1, 3: 2, 5: 3, 6: 4}], ids=["all-live", "some-killed"])
def test_online_signers(world: World, database: str | None, kill: dict[int, int]) -> None:
    ended = several("keep", world.folder, database, ["7"] * 8, kill=kill)
    assert "failed" not in ended
    several("keep", world.folder, database, ["7"])
    with snapshot(world.repository.engine) as session:
        assert [record.event for record in log.read(session)].count("refreshed") == 1
    check_whole(world)
