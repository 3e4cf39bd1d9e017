from collections.abc import Iterator
from pathlib import Path

import pytest

from hive.db.session import open_engine
from tests.attacks.scene import _empty_database
from tests.support import postgres
from tests.support.fleet import Fleet
from tests.support.hurry import in_a_hurry
from tests.support.world import PlainServer, World


@pytest.fixture(scope="package", autouse=True)
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def cluster(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The address of a PostgreSQL; None: SQLite."""
    if request.param == "sqlite":
        yield None
        return
    with postgres.running() as server, postgres.database(server, "ready") as ready:
        open_engine(ready).dispose()  # migrated once; each test has a copy
        yield server


@pytest.fixture
def server(world: World) -> Iterator[PlainServer]:
    with world.serve() as server:
        yield server


@pytest.fixture
def fleet(world: World, server: PlainServer, cluster: str | None, tmp_path: Path) -> Iterator[Fleet]:
    """Two hosts, ``womba`` and ``wombb``, on one database, and the paid tenant ``acme``, whose birth nobody ordered yet."""
    if cluster is None:
        (tmp_path / "hive.db").write_bytes(_empty_database())
        yield _fleet(world, server, tmp_path, f"sqlite:///{tmp_path / 'hive.db'}")
        return
    with postgres.database(cluster, "fleet", template="ready") as url:
        fleet = _fleet(world, server, tmp_path, url)
        yield fleet
        fleet.engine.dispose()


def _fleet(world: World, server: PlainServer, folder: Path, url: str) -> Fleet:
    fleet = Fleet.open(world, server.url, folder, url, names=("womba", "wombb"))
    fleet.tenant("acme")
    return fleet
