"""`skillrepo pkg serials`, `pkg gc` and `pkg rollback`, as they are typed."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from repo_server.cli import cli
from tests.support.serials import days, make_index, publish_serial
from tests.support.world import PACKAGES, World, now


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World.build(tmp_path, at=now() - days(100))
    for serial, age in ((1, 90), (2, 80), (3, 1)):
        publish_serial(world, make_index(serial, {"demo": f"1.{serial}"}, at=now() - days(age)))
    return world


def call(world: World, *arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(
        cli, ["--repo", str(world.repository.folder), "--json", "pkg", *arguments], catch_exceptions=True
    )
    assert (result.exit_code == 0) is (status == 0), (result.output, result.exception)
    return result


def test_serials_are_listed_and_collected(world: World) -> None:
    listed = json.loads(call(world, "serials", str(PACKAGES)).stdout)["serials"]
    assert [(item["serial"], item["served"]) for item in listed] == [(3, True), (2, False), (1, False)]
    dry = json.loads(call(world, "gc", "--at-least", "1", "--dry-run").stdout)
    assert [item["serial"] for item in dry["serials"]] == [2, 1]
    assert dry["dry_run"] is True
    assert dry["bytes"] > 0
    call(world, "gc", "--at-least", "1", status=2)  # nobody is there to ask
    assert len(json.loads(call(world, "serials").stdout)["serials"]) == 3
    done = json.loads(call(world, "gc", "--at-least", "1", "--yes").stdout)
    assert done["digests"] == dry["digests"]
    assert [item["serial"] for item in json.loads(call(world, "serials").stdout)["serials"]] == [3]


@pytest.mark.parametrize(
    "arguments",
    [
        ("rollback", str(PACKAGES), "--to", "1"),
        ("rollback", str(PACKAGES), "--to", "0", "--reason", "x"),
        ("rollback", str(PACKAGES), "--to", "1", "--reason", " "),
        ("rollback", "FreeBSD:14", "--to", "1", "--reason", "x"),
        ("gc", "--retain", "0"),
        ("gc", "--at-least", "0"),
    ],
    ids=["no-reason", "zero", "blank", "no-repository", "retain-nothing", "not-even-one"],
)
def test_what_means_nothing_is_refused(world: World, arguments: tuple[str, ...]) -> None:
    call(world, *arguments, status=2)
    assert len(json.loads(call(world, "serials").stdout)["serials"]) == 3
