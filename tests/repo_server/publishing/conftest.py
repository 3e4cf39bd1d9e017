"""Small repositories for the publishing tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hurry import in_a_hurry
from tests.support.world import World


@pytest.fixture(scope="package", autouse=True)
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture(scope="session")
def _crowded_template(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.build(tmp_path_factory.mktemp("crowded"), bins=2)


@pytest.fixture
def crowded(_crowded_template: World, tmp_path: Path) -> Iterator[World]:
    """An empty repository with two bins only, so that releases meet in them."""
    world = _crowded_template.copy_to(tmp_path / "crowded")
    yield world
    world.close()
