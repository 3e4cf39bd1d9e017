"""`skillrepo pkg gc`: what no retained serial needs goes, and nothing else, also when it is killed."""

from datetime import timedelta
from pathlib import Path

import pytest

from repo_server.db import log
from repo_server.db.models import PackageDigestRow, TargetRow
from repo_server.db.session import snapshot, transaction
from repo_server.pkgrepo import collecting
from repo_server.pkgrepo.collecting import Garbage, collect
from repo_server.pkgrepo.places import serial_folder, served_serial
from repo_server.pkgrepo.serials import rows_of
from repo_server.web.tree import open_published
from signing.errors import NotFoundError
from signing.format.digest import sha256_of
from tests.support.serials import catalogue_of, content, days, make_index, package, publish_serial
from tests.support.world import PACKAGES, World, now, skill_md

NOW = now().replace(microsecond=0)
OPTIONS = {"retain": days(60), "at_least": 2, "now": NOW}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Five serials, of which the two oldest go: 90, 70, 40, 20 and 1 days old."""
    world = World.build(tmp_path, at=NOW - days(100))
    for serial, age in enumerate((90, 70, 40, 20, 1), start=1):
        kept = (package("demo", f"1.{serial - 1}"),) if serial > 3 else ()
        index = make_index(serial, {"demo": f"1.{serial}", "stays": "1"}, at=NOW - days(age), kept=kept)
        publish_serial(world, index)
    return world


def blobs(world: World) -> set[str]:
    return {path.name for path in (world.repository.folder / "blobs").rglob("*") if path.is_file()}


def serials(world: World) -> list[int]:
    with snapshot(world.repository.engine) as session:
        return [row.serial for row in rows_of(session, PACKAGES)]


def run(world: World, **options: object) -> Garbage:
    return collect(world.repository, **{**OPTIONS, **options})  # type: ignore[arg-type]


def everything(world: World) -> set[str]:
    return {str(path) for path in world.repository.folder.rglob("*") if "repository.db" not in path.name}


def test_a_dry_run_names_what_goes_and_touches_nothing(world: World) -> None:
    before, logged = everything(world), _events(world)
    garbage = run(world, dry_run=True)
    assert [serial for _, serial in garbage.serials] == [2, 1]
    gone = {package("demo", "1.1").sha256, package("demo", "1.2").sha256}
    assert gone < {digest for digest, _ in garbage.blobs}
    sizes = dict(garbage.blobs)
    assert sizes[package("demo", "1.1").sha256] == len(content("demo", "1.1"))
    assert garbage.to_json()["bytes"] == garbage.bytes > sum(sizes.values())
    assert (everything(world), _events(world)) == (before, logged)


def test_old_serials_go_and_what_later_ones_need_stays(world: World) -> None:
    root = world.repository.pkg_root
    before = blobs(world)
    garbage = run(world)
    assert serials(world) == [5, 4, 3]
    assert not serial_folder(root, PACKAGES, 2).exists()
    assert serial_folder(root, PACKAGES, 3).exists()
    names = {path.stem for path in (root / "by-sha256").iterdir()}
    assert names == {package("demo", f"1.{n}").sha256 for n in (3, 4, 5)} | {package("stays", "1").sha256}
    expected = {package("demo", "1.1").sha256, package("demo", "1.2").sha256}
    expected |= {sha256_of(data) for n in (1, 2) for data in catalogue_of(str(n)).values()}
    lists = {digest for digest, _ in garbage.indexes}
    assert before - blobs(world) == expected | lists
    assert len(lists) == 2
    assert not [path for path in world.public.rglob("*repo.json") if path.name.split(".")[0] in lists]
    with snapshot(world.repository.engine) as session:
        assert not lists & {row.sha256 for row in session.query(TargetRow)}
    assert _events(world)[-2:] == ["packages.collecting", "packages.collected"]
    assert run(world) == Garbage(serials=(), folders=(), names=(), blobs=(), indexes=(), targets=())


def test_what_is_served_stays_however_old_it_is(world: World) -> None:
    run(world, now=NOW + days(4000), at_least=1)
    assert serials(world) == [5]
    served = world.repository.pkg_root / PACKAGES.abi / PACKAGES.channel
    assert (served / "All/demo-1.5.pkg").read_bytes() == content("demo", "1.5")
    assert (served / "All/demo-1.4.pkg").read_bytes() == content("demo", "1.4")  # kept
    world.refresh()
    assert served_serial(world.repository.pkg_root, PACKAGES) == 5


def test_bytes_that_a_skill_names_too_stay(world: World) -> None:
    """The blobs are shared: somebody published a skill with a file that an old package repository held too."""
    shared = content("demo", "1.1")
    world.publish_skill("web-search==1.0", {"SKILL.md": skill_md("web-search")})
    with transaction(world.repository.engine) as session:
        session.add(TargetRow(path="skills/x/1/x-1.tar.gz", sha256=sha256_of(shared), length=len(shared)))
    candidate = world.import_skill(
        "other==1.0", {"SKILL.md": skill_md("other"), "data": content("demo", "1.2")}
    )
    before = blobs(world)
    run(world)
    gone = before - blobs(world)
    assert sha256_of(shared) not in gone
    world.review(candidate)  # a candidate's tree is whole
    world.publish_skill("later==1.0")


def test_an_open_file_is_read_to_its_end(world: World) -> None:
    root = world.repository.pkg_root
    with open_published(root, f"by-sha256/{package('demo', '1.1').sha256}.pkg") as file:
        run(world)
        assert file.read(0, file.size) == content("demo", "1.1")
    with pytest.raises(NotFoundError):
        open_published(root, f"by-sha256/{package('demo', '1.1').sha256}.pkg")


@pytest.mark.parametrize("step", range(1, 14))
def test_killed_anywhere_it_is_run_again(world: World, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class KilledError(BaseException):
        pass

    taken = 0

    def counted(function: object) -> object:
        def call(*arguments: object, **options: object) -> object:
            nonlocal taken
            taken += 1
            if taken == step:
                raise KilledError
            return function(*arguments, **options)  # type: ignore[operator]

        return call

    wanted = run(world, dry_run=True)
    with monkeypatch.context() as patch:
        patch.setattr(collecting.shutil, "rmtree", counted(collecting.shutil.rmtree))
        patch.setattr(Path, "unlink", counted(Path.unlink))
        patch.setattr(Path, "rename", counted(Path.rename))
        patch.setattr(collecting, "_remove_rows", counted(collecting._remove_rows))
        with pytest.raises(KilledError):
            run(world)
    assert served_serial(world.repository.pkg_root, PACKAGES) == 5
    run(world)
    assert serials(world) == [5, 4, 3]
    assert not {digest for digest, _ in (*wanted.blobs, *wanted.indexes)} & blobs(world)
    assert sorted(
        path.name for path in serial_folder(world.repository.pkg_root, PACKAGES, 3).parent.iterdir()
    ) == [
        "3",
        "4",
        "5",
    ]
    with snapshot(world.repository.engine) as session:
        log.check(session)


def test_without_the_list_of_a_retained_serial_nothing_goes(world: World) -> None:
    with snapshot(world.repository.engine) as session:
        digest = rows_of(session, PACKAGES)[1].index_sha256
    world.repository.package_blobs.remove(digest)  # type: ignore[arg-type]
    before = everything(world)
    with pytest.raises(NotFoundError):
        run(world)
    assert everything(world) == before
    assert serials(world) == [5, 4, 3, 2, 1]


def test_digests_that_were_computed_go_with_their_packages(world: World) -> None:
    with transaction(world.repository.engine) as session:
        for version in ("1.1", "1.5"):
            item = package("demo", version)
            session.add(PackageDigestRow(sha256=item.sha256, blake2b="0" * 128, size=item.size))
    run(world)
    with snapshot(world.repository.engine) as session:
        assert [row.sha256 for row in session.query(PackageDigestRow)] == [package("demo", "1.5").sha256]


def test_a_package_that_comes_back_is_needed_again(world: World) -> None:
    publish_serial(world, make_index(6, {"demo": "1.1"}, at=NOW))
    run(world)
    assert package("demo", "1.1").sha256 in blobs(world)
    served = world.repository.pkg_root / PACKAGES.abi / PACKAGES.channel
    assert (served / "All/demo-1.1.pkg").read_bytes() == content("demo", "1.1")


def _events(world: World) -> list[str]:
    with snapshot(world.repository.engine) as session:
        return [record.event for record in log.read(session)]


def test_a_folder_of_a_lost_future_goes_unless_it_is_served(world: World) -> None:
    root = world.repository.pkg_root
    lost = serial_folder(root, PACKAGES, 9)
    (lost / "All").mkdir(parents=True)
    garbage = run(world, retain=timedelta(days=3000))
    assert (garbage.serials, garbage.folders) == ((), (lost,))
    assert not lost.exists()
