"""A rollback of real catalogues goes the way of every build, here and from elsewhere: signed, checked, published, served."""

from collections.abc import Iterator
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
from repo_server.pkgrepo.rolling_back import RolledBack, carry_out, plan_rollback
from repo_server.pkgrepo.submitting import PackageDesk
from repo_server.publishing.alone import next_metadata, published_alone
from repo_server.publishing.projection import project
from signing.errors import BadSignatureError, ConflictError, NotEntitledError, NotFoundError, SkillRepoError
from signing.format.chain import Record
from signing.format.digest import sha256_of
from signing.format.pkg.index import BUILD_FIELDS, CatalogueFile, IndexedPackage, RepoIndex
from signing.metadata import render, sign
from tests.attacks.test_pkg_builders import appoint
from tests.repo_server.desk.liar import Liar
from tests.repo_server.desk.scene import Scene
from tests.support.publishing import keys_of, local_desk, make_build, publish, remote_desk
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


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World.build(tmp_path_factory.mktemp("made"), at=NOW - timedelta(days=4))
    accept(world, index_of(world, "fp-rsa-old", 1, age=timedelta(days=2)))
    accept(world, index_of(world, "fp-rsa", 2, age=timedelta(days=1)))
    world.refresh(at=NOW)
    return world


@pytest.fixture
def world(made: World, tmp_path: Path) -> Iterator[World]:
    world = made.copy_to(tmp_path / "world")
    yield world
    world.close()


@pytest.fixture
def liar() -> Liar:
    return Liar()


@pytest.fixture(params=["here", "elsewhere"])
def desk(request: pytest.FixtureRequest, world: World, tmp_path: Path, liar: Liar) -> Iterator[PackageDesk]:
    """The repository's own folder; and the same one, served, to a builder with a key and a token."""
    if request.param == "here":
        yield local_desk(world)
        return
    with Scene(world, tmp_path / "people").serving(liar.wrap) as scene:
        yield remote_desk(scene, tmp_path / "host")


def roll(
    world: World,
    desk: PackageDesk,
    to: int,
    *,
    by: str = "builder",
    reason: str = "agent 1.2.1 does not start",
) -> RolledBack:
    keys = keys_of(world, builder=by, pkg=())
    plan = plan_rollback(desk, PACKAGES, keys, to=to, reason=reason, clock=now)
    return carry_out(desk, plan, keys, clock=now)


def published_events(world: World) -> list[Record]:
    with snapshot(world.repository.engine) as session:
        log.check(session)
        return [record for record in log.read(session) if record.event == "packages.published"]


def test_the_old_packages_come_back_under_a_new_number_and_date(world: World, desk: PackageDesk) -> None:
    served = world.repository.pkg_root / PACKAGES.abi / PACKAGES.channel
    before = (served / "data.pkg").stat().st_mtime
    done = roll(world, desk, 1)
    assert (done.index.serial, done.pkg_site_checked, done.accepted["role_version"]) == (3, True, 3)
    assert done.accepted["renewed"] is False
    assert served_serial(world.repository.pkg_root, PACKAGES) == 3
    old = DATA / "repos/fp-rsa-old" / PACKAGES.abi / PACKAGES.channel
    for name in ("data.pkg", "packagesite.pkg", "meta.conf"):
        assert (served / name).read_bytes() == (old / name).read_bytes()
    # Older bytes, younger file: a client that knows serial 2 fetches them, and is not told "not modified".
    made = done.index.created.timestamp()
    assert (served / "data.pkg").stat().st_mtime == made > before
    assert (served / "packagesite.pkg").stat().st_mtime == made + 1
    assert {str(package.pin) for package in done.index.kept} == {
        "demo-agent-1.2.1_1",
        "demo-skills-2026.11,1",
    }
    assert (served / "All/demo-agent-1.2.1_1.pkg").exists()
    assert published_events(world)[-1].facts["intent"] == {
        "kind": "rollback",
        "by": "builder",
        "reason": "agent 1.2.1 does not start",
        "serial": 1,
    }


def test_and_forward_again(world: World, desk: PackageDesk) -> None:
    roll(world, desk, 1)
    forward = roll(world, desk, 2, reason="it does start")
    assert forward.index.serial == 4
    assert forward.index.packages == index_of(world, "fp-rsa", 2, age=timedelta(0)).packages


def test_what_is_shown_before_anybody_signs(world: World, desk: PackageDesk) -> None:
    plan = plan_rollback(desk, PACKAGES, keys_of(world, pkg=()), to=1, reason="x", clock=now)
    text = plan.render()
    assert "serial 3 holds the 2 packages of serial 1" in text
    assert "0 packages come back, 2 go; 1 is older then than now" in text
    assert len(published_events(world)) == 2


@pytest.mark.parametrize(
    "refused",
    [(2, "builder", ConflictError), (9, "builder", NotFoundError), (1, "mallory", NotEntitledError)],
    ids=["the-served-one", "none-such", "not-the-builder"],
)
def test_what_is_refused_changes_nothing(
    world: World, desk: PackageDesk, liar: Liar, refused: tuple[int, str, type[Exception]]
) -> None:
    to, by, error = refused
    with pytest.raises(error):
        roll(world, desk, to, by=by)
    assert served_serial(world.repository.pkg_root, PACKAGES) == 2
    assert len(published_events(world)) == 2
    assert liar.count("PUT ") == liar.count("/builds") == 0


def test_bytes_that_are_gone_are_not_published(world: World, desk: PackageDesk, liar: Liar) -> None:
    data = (DATA / "repos/fp-rsa-old" / PACKAGES.abi / PACKAGES.channel / "data.pkg").read_bytes()
    world.repository.package_blobs.remove(sha256_of(data))
    with pytest.raises(NotFoundError, match="not there any more"):
        roll(world, desk, 1)
    assert served_serial(world.repository.pkg_root, PACKAGES) == 2
    assert liar.count("PUT ") == liar.count("/builds") == 0


def test_a_kept_package_whose_bytes_are_gone_is_kept_no_longer(world: World, desk: PackageDesk) -> None:
    gone = next(
        item for item in index_of(world, "fp-rsa", 2, age=timedelta(0)).packages if item.name == "demo-skills"
    )
    world.repository.package_blobs.remove(gone.sha256)
    assert [str(package.pin) for package in roll(world, desk, 1).index.kept] == ["demo-agent-1.2.1_1"]


def test_a_build_that_is_published_while_somebody_reads_is_not_rolled_over(
    world: World, desk: PackageDesk, tmp_path: Path
) -> None:
    keys = keys_of(world, pkg=())
    plan = plan_rollback(desk, PACKAGES, keys, to=1, reason="x", clock=now)
    build = make_build(tmp_path / "build", {"demo-base": "1.1.0", "demo-other": "1"})
    assert publish(world, build).index.serial == 3
    with pytest.raises(ConflictError):
        carry_out(desk, plan, keys, clock=now)
    assert served_serial(world.repository.pkg_root, PACKAGES) == 3


def test_a_key_that_was_replaced_brings_nothing_back(world: World, desk: PackageDesk, tmp_path: Path) -> None:
    appoint(world, "mallory", repo=PACKAGES)
    world.publish()
    for to, by in ((1, "builder"), (1, "mallory"), (2, "mallory")):
        with pytest.raises((NotEntitledError, NotFoundError, BadSignatureError, ConflictError)):
            roll(world, desk, to, by=by)
    assert len(published_events(world)) == 2
    build = make_build(tmp_path / "build", {"demo-base": "1.0.0"})
    publish(world, build, desk=desk, keys=keys_of(world, builder="mallory"))
    with pytest.raises((NotFoundError, BadSignatureError)):
        roll(world, desk, 2, by="mallory")
    assert served_serial(world.repository.pkg_root, PACKAGES) == 3


@pytest.mark.parametrize("desk", ["elsewhere"], indirect=True)
def test_a_server_that_shows_another_old_serial_is_found_out(
    world: World, desk: PackageDesk, liar: Liar
) -> None:
    """What comes back is what the builder signed then; a server can neither invent it nor exchange it."""
    liar.lies[f"/metadata/1.{PACKAGES.role}.json"] = lambda _: (
        world.public / f"metadata/2.{PACKAGES.role}.json"
    ).read_bytes()
    with pytest.raises(NotFoundError):
        roll(world, desk, 1)
    liar.lies.clear()
    liar.lies["repo.json"] = lambda _: index_of(world, "fp-rsa-old", 2, age=timedelta(0)).render()
    with pytest.raises(SkillRepoError):
        roll(world, desk, 1)
    assert served_serial(world.repository.pkg_root, PACKAGES) == 2
    assert liar.count("PUT ") == liar.count("/builds") == 0
