"""Fixtures of jails."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bastille_machine import BastilleMachine


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[BastilleMachine]:
    """A machine with the stand-in of Bastille; nothing may ever call what is never to be called."""
    machine = BastilleMachine.make(tmp_path / "machine")
    yield machine
    assert not machine.forbidden
