from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.skills.agent_home import AgentHome
from tests.skills.hive_stand_in import Hive, serving


@pytest.fixture
def hive() -> Iterator[Hive]:
    with serving() as one:
        yield one


@pytest.fixture
def agent(tmp_path: Path, hive: Hive) -> AgentHome:
    return AgentHome(tmp_path, hive.url)
