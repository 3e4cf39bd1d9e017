"""Fixtures of the attacks."""

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
from securesystemslib.signer import _key

from tests.attacks.forge import Forge
from tests.attacks.scene import Scene, open_scene
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


@pytest.fixture(scope="session", autouse=True)
def _signatures_verified_once() -> Iterator[None]:
    """Remember which signatures were good: in pure Python each costs 8 ms, and worlds share most of them.

    The same three values give the same answer; a bad signature raises, which is not remembered.
    """
    honest = _key.checkvalid
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_key, "checkvalid", functools.lru_cache(maxsize=None)(honest))
        yield
