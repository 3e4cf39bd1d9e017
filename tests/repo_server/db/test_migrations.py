"""A repository's database of any released version becomes one of this version, with all that it held."""

import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from repo_server.db import log as records
from repo_server.db import session as sessions
from repo_server.db.models import Base
from tests.support import released
from tests.support.databases import Database
from tests.support.released import Releases, Shelf

RELEASES = Releases("repo_server")


@pytest.fixture(scope="module")
def sqlite_shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return released.files(RELEASES, tmp_path_factory.mktemp("released"))


@pytest.fixture(scope="module")
def postgresql_shelf(postgres_server: str) -> Shelf:
    return released.on_server(RELEASES, postgres_server)


@pytest.fixture(params=["sqlite", "postgresql"])
def shelf(request: pytest.FixtureRequest) -> Shelf:
    found: Shelf = request.getfixturevalue(f"{request.param}_shelf")
    return found


@pytest.fixture
def name(shelf: Shelf) -> Iterator[str]:
    """Of a database that ends with the test."""
    name = f"brought-{secrets.token_hex(6)}"
    yield name
    shelf.drop(name)


@pytest.mark.parametrize("revision", RELEASES.revisions())
def test_it_comes_forward_with_every_row(shelf: Shelf, tmp_path: Path, revision: str, name: str) -> None:
    database = partial(Database, sessions, records, Base.metadata, tmp_path)
    released.comes_forward(shelf, database, Base, revision, name)


def test_a_migration_that_fails_leaves_what_was_there(
    shelf: Shelf, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = partial(Database, sessions, records, Base.metadata, tmp_path)
    released.a_migration_that_fails_leaves_what_was_there(shelf, database, name, monkeypatch)


def test_this_version_is_the_newest() -> None:
    assert RELEASES.revisions()[-1] == sessions.HEAD
