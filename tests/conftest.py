"""Fixtures that more than one folder uses."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # xdist's first process loads this file too, and needs no repository
    from tests.support.world import World


# Stories by real commands, services and recorded marketplaces, and packages, which are slow to make: more than half of the time,
# so they run in the slow tier. What breaks a promise breaks a test of the fast tier too; these say that the parts are put together.
STORIES = (
    "agents/",
    "attacks/test_pkg_",
    "attacks/test_vault_leaks.py",
    "cli/",
    "deploy/",
    "hive/agents/",
    "hive/doctor/",
    "hive/gates/",
    "hive/jails/",
    "hive/orders/",
    "hive/packages/",
    "hive/proof/",
    "hive/sweep/",
    "hive/test_birth_faults.py",
    "hive/test_birth_undoing.py",
    "hive/test_retire_command.py",
    "hive/two_hosts/",
    "hive/vault/",
    "repo_server/archiving/",
    "repo_server/attesting/",
    "repo_server/curation/engines/",
    "repo_server/curation/rendering/",
    "repo_server/curation/sources/",
    "repo_server/curation/test_seconding.py",
    "repo_server/curation/test_source_faults.py",
    "repo_server/desk/",
    "repo_server/pkgrepo/",
    "repo_server/web/",
    "skills/",
)


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).as_posix().startswith(STORIES):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def postgres_server() -> "Iterator[str]":
    """A real PostgreSQL for all tests of this process: its address, for `postgres.database` to make databases there."""
    from tests.support import postgres

    with postgres.running() as server:
        yield server


@pytest.fixture(scope="session")
def _world_template(tmp_path_factory: pytest.TempPathFactory) -> "World":
    from tests.support.world import World, skill_md

    world = World.build(tmp_path_factory.mktemp("world"))
    world.publish_skill(
        "web-search==1.0", {"SKILL.md": skill_md("web-search"), "scripts/run.sh": b"#!/bin/sh\nexit 0\n"}
    )
    world.publish_profile("base==1", skills=["web-search==1.0"])
    return world


@pytest.fixture
def world(_world_template: "World", tmp_path: Path) -> "Iterator[World]":
    """A repository with web-search==1.0 and the profile base==1, published; each test has its own copy."""
    world = _world_template.copy_to(tmp_path / "world")
    yield world
    world.close()
