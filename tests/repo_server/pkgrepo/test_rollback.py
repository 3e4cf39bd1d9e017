"""A rollback of real catalogues goes the way of every build: signed, checked from its bytes, published, served."""

from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import TargetFile

from repo_server.db import log
from repo_server.db.session import snapshot, transaction
from repo_server.pkgrepo.accepting import AcceptedBuild, accept_build
from repo_server.pkgrepo.catalogue import parse_data, read_catalogue
from repo_server.pkgrepo.fingerprints import load_anchors
from repo_server.pkgrepo.places import served_serial
from repo_server.pkgrepo.serials import rollback
from repo_server.publishing.alone import next_metadata, published_alone
from repo_server.publishing.projection import project
from signing.errors import ConflictError, NotFoundError, ThresholdError
from signing.format.digest import sha256_of
from signing.format.pkg.index import BUILD_FIELDS, CatalogueFile, IndexedPackage, RepoIndex
from signing.metadata import render, sign
from tests.support.world import PACKAGES, World, now

DATA = Path(__file__).parents[2] / "data/pkg"
NOW = now().replace(microsecond=0)


def index_of(world: World, fixture: str, serial: int, *, age: timedelta) -> RepoIndex:
    folder = DATA / "repos" / fixture / PACKAGES.abi / PACKAGES.channel
    blobs = world.repository.blobs
    packages = []
    for entry in parse_data(read_catalogue((folder / "data.pkg").read_bytes(), "data").payload).entries:
        data = (folder / entry.path).read_bytes()
        packages.append(
            IndexedPackage(
                name=entry.name,
                version=entry.version,
                origin=entry.origin,
                path=entry.path,
                sha256=blobs.store(data),
                size=len(data),
                abi=entry.abi,
                deps=entry.deps,
            )
        )
    catalogue = []
    for name in ("data.pkg", "files.pkg", "meta.conf", "packagesite.pkg"):
        if (folder / name).exists():
            data = (folder / name).read_bytes()
            catalogue.append(CatalogueFile(name=name, size=len(data), sha256=blobs.store(data)))
    index = RepoIndex(
        repository="pkg.clawdie.si",
        repo=PACKAGES,
        serial=serial,
        created=NOW - age,
        build=dict.fromkeys(BUILD_FIELDS, "test"),
        catalogue=tuple(catalogue),
        packages=tuple(sorted(packages, key=lambda item: (item.name, item.version))),
        fingerprints=tuple(sorted(load_anchors(DATA / "fingerprints/a").trusted)),
    )
    blobs.store(index.render())
    return index


def accept(world: World, index: RepoIndex) -> AcceptedBuild:
    repository, at = world.repository, index.created
    with transaction(repository.engine) as session:
        target = TargetFile.from_data(PACKAGES.index_path, index.render(), ["sha256"])
        published = published_alone(repository, session, PACKAGES.role)
        metadata = next_metadata(published, PACKAGES.role, target, now=at)
        sign(metadata, world.signers["builder"])
        accepted = accept_build(
            repository, session, PACKAGES, render(metadata), world.signers["online"], now=at
        )
    with transaction(repository.engine) as session:
        project(repository, session)
    return accepted


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World.build(tmp_path, at=NOW - timedelta(days=4))
    accept(world, index_of(world, "fp-rsa-old", 1, age=timedelta(days=2)))
    accept(world, index_of(world, "fp-rsa", 2, age=timedelta(days=1)))
    return world


def roll(
    world: World, to: int, *, by: str = "builder", reason: str = "agent 1.2.1 does not start"
) -> AcceptedBuild:
    return rollback(
        world.repository,
        PACKAGES,
        to=to,
        reason=reason,
        builder=(by, world.signers[by]),
        online=world.signers["online"],
        now=NOW,
    )


def test_the_old_packages_come_back_under_a_new_number_and_date(world: World) -> None:
    served = world.repository.pkg_root / PACKAGES.abi / PACKAGES.channel
    before = (served / "data.pkg").stat().st_mtime
    accepted = roll(world, 1)
    assert (accepted.index.serial, accepted.renewed, accepted.role_version) == (3, False, 3)
    assert served_serial(world.repository.pkg_root, PACKAGES) == 3
    old = DATA / "repos/fp-rsa-old" / PACKAGES.abi / PACKAGES.channel
    for name in ("data.pkg", "packagesite.pkg", "meta.conf"):
        assert (served / name).read_bytes() == (old / name).read_bytes()
    # Older bytes, younger file: a client that knows serial 2 fetches them, and is not told "not modified".
    assert (served / "data.pkg").stat().st_mtime == NOW.timestamp() > before
    assert (served / "packagesite.pkg").stat().st_mtime == NOW.timestamp() + 1
    assert {str(package.pin) for package in accepted.index.kept} == {
        "demo-agent-1.2.1_1",
        "demo-skills-2026.11,1",
    }
    assert (served / "All/demo-agent-1.2.1_1.pkg").exists()
    with snapshot(world.repository.engine) as session:
        record = log.read(session)[-1]
    assert record.event == "packages.published"
    assert record.facts["intent"] == {
        "kind": "rollback",
        "by": "builder",
        "reason": "agent 1.2.1 does not start",
        "serial": 1,
    }


def test_and_forward_again(world: World) -> None:
    roll(world, 1)
    later = rollback(
        world.repository,
        PACKAGES,
        to=2,
        reason="it does start",
        builder=("builder", world.signers["builder"]),
        online=world.signers["online"],
        now=NOW + timedelta(minutes=1),
    )
    assert later.index.serial == 4
    assert later.index.packages == index_of(world, "fp-rsa", 2, age=timedelta(0)).packages


@pytest.mark.parametrize(
    ("to", "by", "error"),
    [(2, "builder", ConflictError), (9, "builder", NotFoundError), (1, "mallory", ThresholdError)],
)
def test_what_is_refused_changes_nothing(world: World, to: int, by: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        roll(world, to, by=by)
    assert served_serial(world.repository.pkg_root, PACKAGES) == 2
    with snapshot(world.repository.engine) as session:
        assert [record.event for record in log.read(session)].count("packages.published") == 2


def test_bytes_that_are_gone_are_not_published(world: World) -> None:
    data = (DATA / "repos/fp-rsa-old" / PACKAGES.abi / PACKAGES.channel / "data.pkg").read_bytes()
    world.repository.package_blobs.remove(sha256_of(data))
    with pytest.raises(NotFoundError):
        roll(world, 1)
    assert served_serial(world.repository.pkg_root, PACKAGES) == 2
