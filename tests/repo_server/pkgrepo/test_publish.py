"""Publishing a build: what is signed, what is sent, what is found unchanged, what is kept, what is served then."""

import json
from pathlib import Path

import pytest

from repo_server.db.session import snapshot
from repo_server.pkgrepo.facts import FactsCache
from repo_server.pkgrepo.fingerprints import FingerprintAnchors
from repo_server.pkgrepo.indexes import published_index
from repo_server.pkgrepo.poudriere import BuildRecord
from repo_server.pkgrepo.reading import open_repository
from repo_server.pkgrepo.verifying import verify_repository
from signing.errors import FormatError, PolicyError, RollbackError
from signing.format.pkg.index import IntentKind, RepoIndex
from tests.repo_server.pkgrepo.signing_keys import fixture_signer
from tests.support.publishing import copy_fixture, fixture, keys_of, later, make_build, publish
from tests.support.world import PACKAGES, World, now


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.build(tmp_path / "world")


def published(world: World) -> RepoIndex:
    with snapshot(world.repository.engine) as session:
        index = published_index(world.repository, session, PACKAGES)
    assert index is not None
    return index


def served(world: World) -> Path:
    return world.repository.pkg_root / PACKAGES.abi / PACKAGES.channel


@pytest.mark.parametrize("kind", ["fp-rsa", "unsigned", "fp-rsa-pkg275", "unsigned-txz", "fp-rsa-dualsig"])
def test_what_real_pkg_built_is_published_whole(world: World, tmp_path: Path, kind: str) -> None:
    build = copy_fixture(tmp_path / "build", kind)
    outcome = publish(world, build)
    assert (outcome.state, outcome.index.serial, outcome.pkg_site_checked) == ("published", 1, True)
    trusted = frozenset({fixture_signer("rsa-a").fingerprint})
    with open_repository(served(world)) as reader:
        verdict = verify_repository(
            reader, anchors=FingerprintAnchors(trusted=trusted), index=outcome.index, files=True, now=now()
        )
    assert verdict.errors == ()
    assert published(world) == outcome.index
    assert outcome.index.build == {
        "system": "folder",
        "master": "unknown",
        "name": "unknown",
        "git_hash": "unknown",
    }


def test_an_unchanged_build_publishes_nothing(world: World, tmp_path: Path) -> None:
    build = copy_fixture(tmp_path / "build")
    first = publish(world, build)
    timestamp = (world.public / "metadata/timestamp.json").read_bytes()
    again = publish(world, build, at=later(minutes=5), record=BuildRecord(name="another-name"))
    assert (again.state, again.index, again.sent) == ("unchanged", first.index, 0)
    assert (world.public / "metadata/timestamp.json").read_bytes() == timestamp
    assert (world.public / "metadata/1.pkg-FreeBSD_14_amd64-latest.json").exists()
    assert not (world.public / "metadata/2.pkg-FreeBSD_14_amd64-latest.json").exists()


def test_an_unchanged_build_is_renewed_before_its_role_ends(world: World, tmp_path: Path) -> None:
    build = copy_fixture(tmp_path / "build")
    first = publish(world, build)
    world.refresh(at=later(days=21))
    again = publish(world, build, at=later(days=21))
    assert (again.state, again.index) == ("renewed", first.index)
    assert (
        json.loads((world.public / "metadata/2.pkg-FreeBSD_14_amd64-latest.json").read_bytes())["signed"][
            "version"
        ]
        == 2
    )
    assert published(world).serial == 1


def test_the_same_build_serial_and_moment_give_the_same_bytes(tmp_path: Path) -> None:
    at = now()
    made = []
    for name in ("one", "two"):
        world = World.build(tmp_path / name)
        build = make_build(tmp_path / f"build-{name}", {"demo": "1.0", "base": "2.0"})
        made.append(publish(world, build, at=at).index.render())
    assert made[0] == made[1]


def test_only_what_is_missing_is_sent(world: World, tmp_path: Path) -> None:
    publish(world, make_build(tmp_path / "one", {"demo": "1.0", "base": "2.0"}))
    outcome = publish(world, make_build(tmp_path / "two", {"demo": "1.1", "base": "2.0"}))
    names = {package.name for package in outcome.index.packages}
    assert names == {"demo", "base"}
    # demo, data.pkg, packagesite.pkg and repo.json; meta.conf and base are there already.
    assert outcome.sent == 4
    assert outcome.gate.changes.upgraded == ("demo-1.0 -> 1.1",)


def test_what_is_not_listed_any_more_is_kept_for_its_grace_and_no_longer(
    world: World, tmp_path: Path
) -> None:
    start = now()
    for day, version in ((0, "1.0"), (5, "1.1"), (16, "1.2"), (25, "1.3")):
        world.refresh(at=start + (later(days=day) - now()))
        build = make_build(tmp_path / version, {"demo": version})
        outcome = publish(world, build, at=later(days=day))
    # 1.0 was listed until day 5, 1.1 until day 16, 1.2 until day 25.
    assert [str(package.pin) for package in outcome.index.kept] == ["demo-1.1", "demo-1.2"]
    by_digest = world.repository.pkg_root / "by-sha256"
    assert all((by_digest / f"{package.sha256}.pkg").exists() for package in outcome.index.kept)


def test_a_version_goes_back_only_when_somebody_means_it(world: World, tmp_path: Path) -> None:
    publish(world, make_build(tmp_path / "new", {"demo": "1.1"}))
    old = make_build(tmp_path / "old", {"demo": "1.0"})
    with pytest.raises(PolicyError, match="older than what was published"):
        publish(world, old)
    assert published(world).serial == 1
    outcome = publish(world, old, downgrade="1.1 eats data")
    intent = published(world).intent
    assert intent is not None
    assert (intent.kind, intent.by, intent.reason, intent.serial) == (
        IntentKind.DOWNGRADE, "builder", "1.1 eats data", 1,
    )  # fmt: skip
    assert outcome.gate.changes.downgraded == ("demo-1.1 -> 1.0",)


def test_an_intent_that_nothing_needs_is_not_signed(world: World, tmp_path: Path) -> None:
    publish(world, make_build(tmp_path / "one", {"demo": "1.0"}))
    publish(world, make_build(tmp_path / "two", {"demo": "1.1"}), downgrade="just in case")
    assert published(world).intent is None


def test_two_keys_sign_at_once_and_a_new_key_is_a_new_serial(world: World, tmp_path: Path) -> None:
    build = copy_fixture(tmp_path / "build")
    publish(world, build)
    both = keys_of(world, pkg=("rsa-a", "rsa-b"))
    outcome = publish(world, build, keys=both)
    assert (outcome.state, outcome.index.serial) == ("published", 2)
    assert len(outcome.index.fingerprints) == 2
    for name in ("rsa-a", "rsa-b"):
        with open_repository(served(world)) as reader:
            verdict = verify_repository(
                reader,
                anchors=FingerprintAnchors(trusted=frozenset({fixture_signer(name).fingerprint})),
                now=now(),
            )
        assert verdict.errors == ()


def test_pkg_itself_is_offered_to_hosts_that_have_none(world: World, tmp_path: Path) -> None:
    from repo_server.pkgrepo.certificates import Certificate
    from repo_server.pkgrepo.signing_command import check_bootstrap

    signer = fixture_signer("rsa-a")
    build = make_build(tmp_path / "build", {"pkg": "2.8.4", "demo": "1.0"})
    publish(world, build)
    data = (served(world) / "Latest/pkg.pkg").read_bytes()
    assert data == (build / "All/pkg-2.8.4.pkg").read_bytes()
    certificate = Certificate.parse(signer.certificate, where="test")
    check_bootstrap(data, (served(world) / "Latest/pkg.pkg.sig").read_bytes(), certificate)


@pytest.mark.parametrize("kind", ["fp-rsa-badpkg", "fp-rsa-bigpkg", "fp-rsa-tarbad"])
def test_a_build_whose_packages_are_not_its_catalogue_s_is_not_published(
    world: World, tmp_path: Path, kind: str
) -> None:
    import shutil

    build = tmp_path / "build"
    shutil.copytree(fixture().parents[3] / "repos-bad" / kind / PACKAGES.abi / "latest", build)
    with pytest.raises((PolicyError, FormatError), match="demo-base"):
        publish(world, build)
    assert not served(world).exists()
    assert not (world.public / "metadata/1.pkg-FreeBSD_14_amd64-latest.json").exists()


def test_a_clock_that_is_behind_the_last_build_stops_the_next(world: World, tmp_path: Path) -> None:
    publish(world, make_build(tmp_path / "one", {"demo": "1.0"}))
    with pytest.raises(RollbackError, match="clock"):
        publish(world, make_build(tmp_path / "two", {"demo": "1.1"}), at=later(days=-1))
    assert published(world).serial == 1


def test_files_that_did_not_change_are_not_read_again(world: World, tmp_path: Path) -> None:
    import os
    import time

    build = make_build(tmp_path / "build", {"demo": "1.0", "base": "2.0"})
    time.sleep(2.1)
    cache = FactsCache()
    publish(world, build, cache=cache)
    cache.store(tmp_path / "facts")
    known = FactsCache.load(tmp_path / "facts")
    # Other bytes, which nobody can notice who does not read them: ctime cannot be set back, so they are noticed.
    path = build / "All/demo-1.0.pkg"
    status = path.stat()
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"\1")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(PolicyError):
        publish(world, build, cache=known)
