"""Killed at any step, one whole serial is served, and the timestamp never vouches for a tree that is not there."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from repo_server.db import log
from repo_server.db.session import snapshot
from repo_server.pkgrepo.places import serial_folder, served_serial
from repo_server.pkgrepo.serials import rows_of
from signing.format.pkg.index import RepoIndex
from tests.support.kill_at import Crashes
from tests.support.serials import catalogue_of, content, days, make_index, publish_serial
from tests.support.world import PACKAGES, World, now

pytestmark = pytest.mark.slow

MOST_STEPS = 120


@pytest.fixture(scope="module")
def crashes() -> Iterator[Crashes]:
    with Crashes() as made:
        yield made


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World.build(tmp_path / "first", at=now() - days(2))
    publish_serial(world, make_index(1, {"demo": "1.0"}, at=now() - days(1)))
    return world


def check_whole(world: World, serial: int) -> None:
    """What pkg gets under the link is one serial: list, catalogue and packages."""
    served = world.repository.pkg_root / PACKAGES.abi / PACKAGES.channel
    index = RepoIndex.parse((served / "repo.json").read_bytes())
    assert index.serial == serial
    for package in index.packages:
        assert (served / package.path).read_bytes() == content(package.name, package.version)
        assert (world.repository.pkg_root / f"by-sha256/{package.sha256}.pkg").exists()
    for name, data in catalogue_of(str(serial)).items():
        assert (served / name).read_bytes() == data
    created = int(index.created.timestamp())
    assert (served / "data.pkg").stat().st_mtime == created
    assert (served / "packagesite.pkg").stat().st_mtime == created + 1


def vouched_version(world: World) -> int:
    """Which version of the builder's role the published timestamp vouches for."""
    metadata = world.public / "metadata"
    timestamp = json.loads((metadata / "timestamp.json").read_bytes())
    number = timestamp["signed"]["meta"]["snapshot.json"]["version"]
    meta = json.loads((metadata / f"{number}.snapshot.json").read_bytes())["signed"]["meta"]
    return int(meta[f"{PACKAGES.role}.json"]["version"])


def test_publishing_a_serial_killed_anywhere(crashes: Crashes, world: World, tmp_path: Path) -> None:
    steps, seen = 0, set()
    for at in range(1, MOST_STEPS):
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        copy = world.copy_to(tmp_path / "copy")
        finished = crashes.run("serial", copy.folder, at=at)
        serial = served_serial(copy.repository.pkg_root, PACKAGES)
        assert serial is not None
        check_whole(copy, serial)
        assert vouched_version(copy) <= serial
        seen.add((serial, vouched_version(copy)))
        if not finished and at % 3 == 0:
            with snapshot(copy.repository.engine) as session:
                newest = rows_of(session, PACKAGES)[0].serial
            assert crashes.run("refresh", copy.folder, at=0)
            assert served_serial(copy.repository.pkg_root, PACKAGES) == newest
            check_whole(copy, newest)
            assert vouched_version(copy) == newest
            folder = serial_folder(copy.repository.pkg_root, PACKAGES, newest).parent
            assert sorted(path.name for path in folder.iterdir()) == [str(n + 1) for n in range(newest)]
            assert not list((copy.repository.pkg_root / PACKAGES.abi).glob(".new-*")) or newest == 1
        copy.close()
        if finished:
            steps = at - 1
            break
    assert steps >= 20
    assert seen == {(1, 1), (2, 1), (2, 2)}  # packages first, then the timestamp that vouches for them


def test_collecting_killed_anywhere(crashes: Crashes, world: World, tmp_path: Path) -> None:
    publish_serial(world, make_index(2, {"demo": "1.1"}, at=now()))
    for at in range(1, MOST_STEPS):
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        copy = world.copy_to(tmp_path / "copy")
        finished = crashes.run("collect", copy.folder, at=at)
        check_whole(copy, 2)
        assert crashes.run("collect", copy.folder, at=0)
        check_whole(copy, 2)
        with snapshot(copy.repository.engine) as session:
            assert [row.serial for row in rows_of(session, PACKAGES)] == [2]
            log.check(session)
        folder = serial_folder(copy.repository.pkg_root, PACKAGES, 2).parent
        assert [path.name for path in folder.iterdir()] == ["2"]
        blobs = {
            path.read_bytes() for path in (copy.repository.folder / "blobs").rglob("*") if path.is_file()
        }
        assert content("demo", "1.0") not in blobs
        assert content("demo", "1.1") in blobs
        copy.close()
        if finished:
            assert at - 1 >= 8
            return
    raise AssertionError("it never comes to its end")
