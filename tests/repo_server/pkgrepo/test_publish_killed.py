"""A build host, or a server, that is killed anywhere while a build is published: the last whole serial is served, and the
same command again ends in the same state."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from repo_server.db import log
from repo_server.db.session import snapshot
from repo_server.pkgrepo.fingerprints import FingerprintAnchors
from repo_server.pkgrepo.reading import open_repository
from repo_server.pkgrepo.served import ServedSite
from repo_server.pkgrepo.verifying import verify_repository
from tests.repo_server.pkgrepo.signing_keys import fixture_signer
from tests.support.kill_at import Crashes
from tests.support.publishing import make_build, publish
from tests.support.world import PACKAGES, World, now

pytestmark = pytest.mark.slow
MOST_STEPS = 80


@pytest.fixture(scope="module")
def crashes() -> Iterator[Crashes]:
    with Crashes() as made:
        yield made


def served_serial(world: World) -> int:
    """What a birth finds, verified; what pkg finds is whole, too, and never the newer of the two."""
    site = ServedSite(skills=world.public, packages=world.repository.pkg_root, anchor=world.anchor)
    index = site.state(PACKAGES, now=now()).index()
    assert index is not None
    folder = world.repository.pkg_root / PACKAGES.abi / PACKAGES.channel
    trusted = frozenset({fixture_signer("rsa-a").fingerprint})
    with open_repository(folder) as reader:
        verdict = verify_repository(reader, anchors=FingerprintAnchors(trusted=trusted), now=now())
    assert verdict.errors == ()
    for package in index.packages:
        assert (world.repository.pkg_root / f"by-sha256/{package.sha256}.pkg").exists()
    assert json.loads((folder / "repo.json").read_bytes())["serial"] >= index.serial
    return index.serial


def test_killed_anywhere_and_run_again(crashes: Crashes, tmp_path: Path) -> None:
    world = World.build(tmp_path / "world")
    publish(world, make_build(tmp_path / "first", {"demo": "1.0", "base": "2.0"}))
    make_build(world.folder / "build", {"demo": "1.1", "base": "2.0"})
    seen = []
    for at in range(1, MOST_STEPS):
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        copy = world.copy_to(tmp_path / "copy")
        finished = crashes.run("build", copy.folder, at=at)
        seen.append(served_serial(copy))
        if not finished and at % 2:
            if at % 4 == 1:
                copy.refresh()  # the server comes back by itself: what was decided is completed
                assert served_serial(copy) in {1, 2}
            assert crashes.run("build", copy.folder, at=0)
            assert served_serial(copy) == 2
            with snapshot(copy.repository.engine) as session:
                events = [record.event for record in log.read(session)]
                log.check(session)
            assert events.count("packages.published") == 2
        copy.close()
        if finished:
            break
    else:
        raise AssertionError("never ended")
    assert len(seen) > 12
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (1, 2)
    world.close()
