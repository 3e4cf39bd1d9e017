"""The published tree of packages: by serial, dated by the build, switched at once, healed when something is missing."""

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import TargetFile

from repo_server.db.session import transaction
from repo_server.pkgrepo.fingerprints import FingerprintAnchors, load_anchors, write_anchors
from repo_server.pkgrepo.places import serial_folder, serial_of_link, served_serial
from repo_server.pkgrepo.published import project_packages, project_serial
from repo_server.publishing.alone import next_metadata, published_alone
from repo_server.publishing.state import add_versions
from repo_server.repository import Repository
from signing.errors import FormatError
from signing.format.digest import sha256_of
from signing.format.pkg.index import RepoIndex
from signing.format.pkg.names import ADVISORIES_PATH
from signing.metadata import render, sign
from signing.roles import ADVISORIES
from tests.support.serials import (
    FINGERPRINT,
    catalogue_of,
    content,
    make_index,
    package,
    publish_serial,
    record_serial,
    store_blobs,
)
from tests.support.world import PACKAGES, World, now

REPO = PACKAGES


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.build(tmp_path)


def put(repository: Repository, index: RepoIndex, *, repair: bool = False) -> int:
    return project_serial(repository, index, store_blobs(repository, index), repair=repair)


def seconds(folder: Path, name: str) -> int:
    return int((folder / name).stat().st_mtime)


def test_a_serial_holds_every_file_and_costs_names_only(world: World) -> None:
    index = make_index(1, {"demo": "1.0", "base": "2.0"}, at=now())
    assert put(world.repository, index) == 1
    root = world.repository.pkg_root
    served = root / REPO.abi / REPO.channel
    assert (served / "All/demo-1.0.pkg").read_bytes() == content("demo", "1.0")
    assert (served / "data.pkg").read_bytes() == catalogue_of("1")["data.pkg"]
    assert (served / "repo.json").read_bytes() == index.render()
    blob = (
        world.repository.folder / "blobs" / package("demo", "1.0").sha256[:2] / package("demo", "1.0").sha256
    )
    assert (served / "All/demo-1.0.pkg").samefile(blob)
    assert (root / f"by-sha256/{package('base', '2.0').sha256}.pkg").samefile(served / "All/base-2.0.pkg")
    assert str(served.readlink()) == f"../serials/{REPO.abi}/{REPO.channel}/1"
    assert put(world.repository, index) == 0


def test_the_fallback_is_a_second_younger_than_what_it_falls_back_from(world: World) -> None:
    index = make_index(1, {"demo": "1.0"}, at=now())
    put(world.repository, index)
    folder = serial_folder(world.repository.pkg_root, REPO, 1)
    created = int(index.created.timestamp())
    assert (
        seconds(folder, "data.pkg") == seconds(folder, "meta.conf") == seconds(folder, "repo.json") == created
    )
    assert seconds(folder, "packagesite.pkg") == created + 1
    assert (folder / "data.pkg").stat().st_mtime_ns % 10**9 == 0
    # A copy of the tree lost the times: every client would be told "not modified", or never.
    for name in ("data.pkg", "packagesite.pkg"):
        os.utime(folder / name, (0, 0))
    put(world.repository, index)
    assert (seconds(folder, "data.pkg"), seconds(folder, "packagesite.pkg")) == (created, created + 1)


def test_kept_packages_stay_where_the_old_catalogue_names_them(world: World) -> None:
    kept = package("demo", "1.0")
    put(world.repository, make_index(2, {"demo": "1.1"}, at=now(), kept=(kept,)))
    served = world.repository.pkg_root / REPO.abi / REPO.channel
    assert (served / "All/demo-1.0.pkg").read_bytes() == content("demo", "1.0")
    assert (world.repository.pkg_root / f"by-sha256/{kept.sha256}.pkg").exists()


@pytest.mark.parametrize("path", ["All/demo-1.1.pkg", "meta.conf", "All", "repo.json", "data.pkg/x.pkg"])
def test_a_kept_package_never_takes_the_place_of_what_is_listed(world: World, path: str) -> None:
    index = make_index(2, {"demo": "1.1"}, at=now(), kept=(package("demo", "1.0", path=path),))
    put(world.repository, index)
    served = world.repository.pkg_root / REPO.abi / REPO.channel
    assert (served / "All/demo-1.1.pkg").read_bytes() == content("demo", "1.1")
    assert (served / "meta.conf").read_bytes() == catalogue_of("2")["meta.conf"]
    assert (served / "repo.json").read_bytes() == index.render()
    assert (world.repository.pkg_root / f"by-sha256/{index.kept[0].sha256}.pkg").exists()


@pytest.mark.parametrize("path", ["All", "repo.json", "meta.conf/x.pkg", "All/demo-1.1.pkg/x"])
def test_an_index_whose_paths_cannot_all_be_files_is_none(path: str) -> None:
    """Else one builder's list stops the projection of everybody's, for it is accepted and cannot be written."""
    with pytest.raises(FormatError):
        make_index(1, {"demo": "1.1"}, at=now(), extra=(package("other", "1.0", path=path),))


def test_a_new_serial_is_served_at_once_and_the_old_one_stays(world: World) -> None:
    put(world.repository, make_index(1, {"demo": "1.0"}, at=now() - timedelta(minutes=1)))
    put(world.repository, make_index(2, {"demo": "1.1"}, at=now()))
    root = world.repository.pkg_root
    assert served_serial(root, REPO) == 2
    assert (serial_folder(root, REPO, 1) / "All/demo-1.0.pkg").exists()
    assert not (root / REPO.abi / REPO.channel / "All/demo-1.0.pkg").exists()


def test_a_serial_of_a_lost_future_is_not_served_under_its_number(world: World) -> None:
    """The database came back from a backup: number 1 is given again, and what lies there is something else."""
    put(world.repository, make_index(1, {"demo": "9.9"}, at=now()))
    index = make_index(1, {"demo": "1.0"}, at=now())
    assert put(world.repository, index) == 1
    served = world.repository.pkg_root / REPO.abi / REPO.channel
    assert (served / "repo.json").read_bytes() == index.render()
    assert not (served / "All/demo-9.9.pkg").exists()


def test_a_copy_that_followed_the_link_is_a_link_again(world: World) -> None:
    index = make_index(1, {"demo": "1.0"}, at=now())
    put(world.repository, index)
    link = world.repository.pkg_root / REPO.abi / REPO.channel
    link.unlink()
    shutil.copytree(serial_folder(world.repository.pkg_root, REPO, 1), link)
    assert put(world.repository, index) == 1
    assert served_serial(world.repository.pkg_root, REPO) == 1
    assert [path.name for path in link.parent.iterdir()] == [REPO.channel]


def test_leftovers_of_killed_processes_go(world: World) -> None:
    put(world.repository, make_index(1, {"demo": "1.0"}, at=now() - timedelta(minutes=1)))
    root = world.repository.pkg_root
    half = serial_folder(root, REPO, 1).with_name(".new-0123456789abcdef")
    (half / "All").mkdir(parents=True)
    anchors = root / "fingerprints" / REPO.abi / REPO.channel
    (anchors / "trusted/.new-00").write_bytes(b"half a fi")
    put(world.repository, make_index(2, {"demo": "1.1"}, at=now()))
    assert not half.exists()
    assert load_anchors(anchors).trusted == {FINGERPRINT}


def test_fingerprints_are_offered_and_what_is_revoked_stays_revoked(world: World) -> None:
    root = world.repository.pkg_root
    anchors = root / "fingerprints" / REPO.abi / REPO.channel
    put(world.repository, make_index(1, {"demo": "1.0"}, at=now() - timedelta(minutes=1)))
    assert load_anchors(anchors) == FingerprintAnchors(trusted=frozenset({FINGERPRINT}))
    following, gone = sha256_of(b"the next key"), FINGERPRINT
    write_anchors(anchors, FingerprintAnchors(trusted=frozenset({following}), revoked=frozenset({gone})))
    put(world.repository, make_index(2, {"demo": "1.1"}, at=now()))
    assert load_anchors(anchors) == FingerprintAnchors(
        trusted=frozenset({following}), revoked=frozenset({gone})
    )


def test_repair_writes_again_what_was_altered(world: World) -> None:
    index = make_index(1, {"demo": "1.0"}, at=now())
    put(world.repository, index)
    folder = serial_folder(world.repository.pkg_root, REPO, 1)
    (folder / "data.pkg").write_bytes(b"altered")
    (folder / "All/demo-1.0.pkg").unlink()
    (folder / "All/demo-1.0.pkg").symlink_to("/etc/passwd")
    assert put(world.repository, index) == 0
    assert put(world.repository, index, repair=True) == 1
    assert (folder / "data.pkg").read_bytes() == catalogue_of("1")["data.pkg"]
    assert not (folder / "All/demo-1.0.pkg").is_symlink()
    assert [path.name for path in folder.parent.iterdir()] == ["1"]


def test_a_tree_that_is_gone_is_written_again_from_the_database(world: World) -> None:
    publish_serial(world, make_index(1, {"demo": "1.0"}, at=now() - timedelta(minutes=1)))
    publish_serial(world, make_index(2, {"demo": "1.1"}, at=now()))
    shutil.rmtree(world.repository.pkg_root)
    with transaction(world.repository.engine) as session:
        assert project_packages(world.repository, session) == 1
        assert project_packages(world.repository, session) == 0
    assert served_serial(world.repository.pkg_root, REPO) == 2


def test_without_the_bytes_of_a_package_the_old_serial_and_the_old_timestamp_stay(world: World) -> None:
    publish_serial(world, make_index(1, {"demo": "1.0"}, at=now() - timedelta(minutes=1)))
    before = (world.public / "metadata/timestamp.json").read_bytes()
    record_serial(world, make_index(2, {"demo": "1.1"}, at=now()), at=now())
    world.repository.package_blobs.remove(package("demo", "1.1").sha256)
    with pytest.raises(Exception, match="no blob"):
        world.refresh()
    assert served_serial(world.repository.pkg_root, REPO) == 1
    assert (world.public / "metadata/timestamp.json").read_bytes() == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        f"/serials/{REPO.abi}/{REPO.channel}/7",
        f"../serials/{REPO.abi}/{REPO.channel}/07",
        f"../serials/{REPO.abi}/{REPO.channel}/7/",
        f"../serials/{REPO.abi}/{REPO.channel}/7\n",
        f"../serials/{REPO.abi}/{REPO.channel}/../../../../keys",
        f"../serials/{REPO.abi}/other/7",
        f"../serials/FreeBSD:15:amd64/{REPO.channel}/7",
        f"../../serials/{REPO.abi}/{REPO.channel}/7",
        "/etc",
    ],
)
def test_no_other_words_are_a_link_to_a_serial(text: str) -> None:
    assert serial_of_link(REPO, text) is None
    assert serial_of_link(REPO, f"../serials/{REPO.abi}/{REPO.channel}/7") == 7


def test_advisories_are_offered_to_pkg_audit_and_a_newer_list_has_a_newer_date(world: World) -> None:
    place = world.repository.pkg_root / "vuln.xml"
    seen = []
    for version, data in enumerate((b"<vuxml>1</vuxml>", b"<vuxml>2</vuxml>"), start=1):
        world.repository.blobs.store(data)
        with transaction(world.repository.engine) as session:
            target = TargetFile.from_data(ADVISORIES_PATH, data, ["sha256"])
            published = published_alone(world.repository, session, ADVISORIES)
            metadata = next_metadata(published, ADVISORIES, target, now=now())
            sign(metadata, world.signers["alice"])
            add_versions(session, [(ADVISORIES, version, render(metadata))], now=now())
            project_packages(world.repository, session)
        assert place.read_bytes() == data
        seen.append(place.stat().st_mtime)
    assert seen[0].is_integer()
    assert seen[1] >= seen[0] + 1  # also within one second
