"""Fixtures that more than one folder uses."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # xdist's first process loads this file too, and needs no repository
    from tests.support.world import World


# Stories by real commands, services and recorded marketplaces: half of the time, so they run in the slow tier.
# What breaks a promise breaks a test of the fast tier too; these say that the parts are put together.
STORIES = (
    "agents",
    "cli",
    "deploy",
    "hive/agents",
    "hive/doctor",
    "hive/jails",
    "hive/packages",
    "hive/sweep",
    "hive/vault",
    "repo_server/attesting",
    "repo_server/curation/engines",
    "repo_server/curation/rendering",
    "repo_server/curation/sources",
    "repo_server/curation/test_seconding.py",
    "repo_server/curation/test_source_faults.py",
    "repo_server/desk",
    "repo_server/web",
    "skills",
)


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folders = tuple(Path(__file__).parent / story for story in STORIES)
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in folders):
            item.add_marker(pytest.mark.slow)


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
