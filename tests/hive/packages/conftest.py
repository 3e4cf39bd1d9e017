"""Fixtures of packages in jails."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.harbour import Harbour, open_harbour
from tests.support.hurry import in_a_hurry
from tests.support.world import World


@pytest.fixture
def harbour(world: World, tmp_path: Path) -> Iterator[Harbour]:
    with open_harbour(world, tmp_path / "host") as harbour:
        yield harbour


@pytest.fixture(scope="package", autouse=True)
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield
