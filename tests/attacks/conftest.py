"""Fixtures of the attacks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.forge import Forge
from tests.attacks.scene import Scene, open_scene
from tests.support.hurry import in_a_hurry
from tests.support.world import World


@pytest.fixture
def scene(world: World, tmp_path: Path) -> Iterator[Scene]:
    """A repository with web-search==1.0 and base==1, a server, and a host with the paid tenant acme."""
    with open_scene(world, tmp_path / "host") as scene:
        yield scene


@pytest.fixture
def forge(scene: Scene) -> Forge:
    """The attacker's pen, over the state published now."""
    return scene.forge()


@pytest.fixture(scope="package", autouse=True)
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield
