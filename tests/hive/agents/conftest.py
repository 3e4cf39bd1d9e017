"""Each of these tests runs on SQLite, and in the slow tier on a real PostgreSQL: one logic, two databases."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hive.db.session import open_engine
from tests.hive.agents.hall import Hall
from tests.support import postgres
from tests.support.hurry import in_a_hurry


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without rows; copying it is quicker than migrating each."""
    path = tmp_path_factory.mktemp("template") / "hive.db"
    open_engine(f"sqlite:///{path}").dispose()
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    with postgres.running() as server, postgres.database(server, "empty") as template:
        open_engine(template).dispose()
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        path = tmp_path / "hive.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        with in_a_hurry():
            yield f"sqlite:///{path}"
        return
    server: str = request.getfixturevalue("postgres_server")
    with postgres.database(server, f"t{secrets.token_hex(6)}", template="empty") as address:
        yield address


@pytest.fixture
def hall(url: str) -> Iterator[Hall]:
    engine = open_engine(url)
    yield Hall(engine)
    engine.dispose()
