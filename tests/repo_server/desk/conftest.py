from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repo_server.desk.liar import Liar
from tests.repo_server.desk.scene import Scene
from tests.support.hurry import in_a_hurry
from tests.support.world import World


@pytest.fixture(scope="package", autouse=True)
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture
def scene(world: World, tmp_path: Path) -> Iterator[Scene]:
    """A served repository with web-search==1.0 and the profile base==1."""
    with Scene(world, tmp_path / "curators").serving() as served:
        yield served


@pytest.fixture
def liar() -> Liar:
    return Liar()


@pytest.fixture
def lying(world: World, tmp_path: Path, liar: Liar) -> Iterator[Scene]:
    """The same, by a server that lies when told to."""
    with Scene(world, tmp_path / "curators").serving(liar.wrap) as served:
        yield served
