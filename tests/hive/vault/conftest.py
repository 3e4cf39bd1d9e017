"""Fixtures of the vault's tests."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hive.vault.bw import BwVault
from tests.support.hurry import in_a_hurry
from tests.support.standin_bw import StandInBw


@pytest.fixture(scope="package", autouse=True)
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture
def bw(tmp_path: Path) -> StandInBw:
    """A `bw` that behaves, until it is told otherwise."""
    return StandInBw(tmp_path)


@pytest.fixture
def vault(bw: StandInBw) -> Iterator[BwVault]:
    with BwVault(bw.settings(), lambda: datetime.now(UTC)) as vault:
        yield vault
