"""Stores that somebody was at between two births: by stamps it is seen, and on use in any case."""

import errno
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from repo_client import packages as packages_module
from repo_client import stamps
from repo_client import store as store_module
from repo_client.client import Session
from repo_client.packages import PackageStore
from repo_client.store import TreeStore
from signing.errors import DigestMismatchError, HostError
from signing.evidence import VerifiedBundle
from signing.format.digest import sha256_of
from signing.format.manifest import MemberPath
from signing.format.names import Pin
from signing.package_evidence import VerifiedPackage, VerifiedPackageSet
from signing.trusted import VouchedTarget
from tests.support.hurry import in_a_hurry
from tests.support.packages import BASE, index_of, listed, package_set
from tests.support.world import World, now

PIN = Pin.parse("web-search==1.0")
SKILL = MemberPath("SKILL.md")


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written is old enough at once."""
    monkeypatch.setattr(stamps, "SETTLED_NS", 0)


def write_in_place(path: Path) -> None:
    """Another byte in the same file, under the times of before."""
    time.sleep(0.02)  # the kernel's clock for files has coarse ticks
    before = path.stat()
    path.chmod(0o600)
    with path.open("r+b") as stream:
        first = stream.read(1)
        stream.seek(0)
        stream.write(bytes([first[0] ^ 1]))
    path.chmod(before.st_mode & 0o777)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


# --- skills ----------------------------------------------------------------------------------------


@pytest.fixture
def session(world: World, tmp_path: Path) -> Iterator[Session]:
    with world.serve() as server, world.client(server.url, tmp_path).session(now()) as session:
        yield session


@pytest.fixture
def target(session: Session) -> VouchedTarget:
    return session.bundle(PIN).target


@pytest.fixture
def trees(session: Session, tmp_path: Path) -> TreeStore:
    """A store with the tree in it, and its stamps."""
    store = TreeStore.create(tmp_path / "trees")
    bundle = session.bundle(PIN)
    store.save(bundle)
    assert store.load(PIN, bundle.target) is not None
    assert [path.name for path in (tmp_path / "trees.stamps").iterdir()] == [bundle.tree_sha256]
    return store


def skill(tmp_path: Path) -> Path:
    return next((tmp_path / "trees").rglob("SKILL.md"))


def test_an_unchanged_tree_is_not_read_before_it_is_used(
    trees: TreeStore, target: VouchedTarget, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = dict(session.bundle(PIN).bundle.contents)
    honest, read = store_module._read_member, []

    def noting(tree: object, entry: object) -> bytes:
        read.append(entry)
        return honest(tree, entry)  # type: ignore[arg-type]

    monkeypatch.setattr(store_module, "_read_member", noting)
    found = trees.load(PIN, target)
    assert isinstance(found, VerifiedBundle)
    assert read == []
    assert dict(found.bundle.contents) == wanted
    assert len(read) == len(wanted)


def test_a_tree_that_was_written_to_is_put_aside(
    trees: TreeStore, target: VouchedTarget, tmp_path: Path
) -> None:
    write_in_place(skill(tmp_path))
    assert trees.load(PIN, target) is None
    assert list((tmp_path / "trees").rglob("SKILL.md")) == []
    [aside] = (tmp_path / "trees.quarantine").iterdir()
    assert (aside / "SKILL.md").is_file()
    assert list((tmp_path / "trees.stamps").iterdir()) == []


def test_a_tree_that_changes_after_it_was_taken_gives_nothing_out(
    trees: TreeStore, target: VouchedTarget, tmp_path: Path
) -> None:
    found = trees.load(PIN, target)
    assert found is not None
    write_in_place(skill(tmp_path))
    with pytest.raises(DigestMismatchError):
        found.bundle.contents[SKILL]
    assert list((tmp_path / "trees.stamps").iterdir()) == []  # so the next one reads it before it believes it
    assert trees.load(PIN, target) is None


def test_a_disk_that_forgets_without_a_trace(
    trees: TreeStore, target: VouchedTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every stamp stands, and the bytes are others: nothing of them comes out, and the next birth heals it."""
    write_in_place(skill(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(stamps.StampBook, "compare", lambda *_: stamps.Kept.SAME)
        found = trees.load(PIN, target)
        assert found is not None
        with pytest.raises(DigestMismatchError):
            dict(found.bundle.contents)
    assert trees.load(PIN, target) is None


def test_a_tree_that_was_only_touched_is_compared_and_told(
    trees: TreeStore, target: VouchedTarget, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.utime(skill(tmp_path))
    assert trees.load(PIN, target) is not None
    assert [record.facts["intact"] for record in caplog.records] == [True]  # type: ignore[attr-defined]
    assert trees.load(PIN, target) is not None
    assert len(caplog.records) == 1
    assert not (tmp_path / "trees.quarantine").exists()


def test_what_another_process_put_in_its_place_meanwhile_stays(
    trees: TreeStore, target: VouchedTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read was altered, and what has its name by now is the right one."""
    right = skill(tmp_path).parent
    shutil.copytree(right, tmp_path / "right")
    write_in_place(skill(tmp_path))
    honest = store_module.verify_tree

    def slow(*given: Any, **facts: Any) -> VerifiedBundle:
        right.rename(tmp_path / "away")
        (tmp_path / "right").rename(right)
        return honest(*given, **facts)

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "verify_tree", slow)
        assert trees.load(PIN, target) is None
    assert not (tmp_path / "trees.quarantine").exists()
    assert trees.load(PIN, target) is not None


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.EACCES], ids=["EIO", "EMFILE", "EACCES"])
def test_a_tree_is_put_aside_for_its_own_faults_only(
    trees: TreeStore, target: VouchedTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def failing(*_: object) -> object:
        raise HostError("cannot look", where="SKILL.md", errno=number)

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "stamps_of", failing)
        assert trees.load(PIN, target) is None
    is_aside = number == errno.EIO
    assert (tmp_path / "trees.quarantine").exists() is is_aside
    assert (trees.load(PIN, target) is None) is is_aside


def test_a_tree_with_another_manifest_is_put_aside_too(
    trees: TreeStore, target: VouchedTarget, tmp_path: Path
) -> None:
    """A manifest of another version, correct in itself: nothing that it says is what was asked for."""
    manifest = skill(tmp_path).parent / "MANIFEST.json"
    other = manifest.read_bytes().replace(b'"version":"1.0"', b'"version":"1.1"')
    assert other != manifest.read_bytes()
    manifest.chmod(0o600)
    manifest.write_bytes(other)
    assert trees.load(PIN, target) is None
    assert len(list((tmp_path / "trees.quarantine").iterdir())) == 1


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_folder_stands_in_no_tree_s_way(
    trees: TreeStore, target: VouchedTarget, tmp_path: Path, kind: str, session: Session
) -> None:
    place = skill(tmp_path).parent
    place.rename(tmp_path / "away")
    if kind == "file":
        place.write_bytes(b"in the way")
    else:
        place.symlink_to(tmp_path / "away")
    assert trees.load(PIN, target) is None
    assert not place.is_symlink()
    assert not place.exists()
    assert (tmp_path / "away/SKILL.md").is_file()
    trees.save(session.bundle(PIN))
    assert trees.load(PIN, target) is not None


# --- packages --------------------------------------------------------------------------------------


@pytest.fixture
def packages() -> VerifiedPackageSet:
    return package_set(index_of([listed(BASE)]))


@pytest.fixture
def store(tmp_path: Path, packages: VerifiedPackageSet) -> PackageStore:
    """A store with a package in it, and its stamp."""
    store = PackageStore(folder=tmp_path / "packages", max_bytes=1 << 20)
    store.add(listed(BASE), [BASE], packages=packages).close()
    taken(store, packages).close()
    assert [path.name for path in (tmp_path / "packages.stamps").iterdir()] == [sha256_of(BASE)]
    return store


def taken(store: PackageStore, packages: VerifiedPackageSet) -> VerifiedPackage:
    found = store.load(sha256_of(BASE), packages=packages)
    assert found is not None
    return found


def file_of(tmp_path: Path) -> Path:
    return tmp_path / "packages" / f"{sha256_of(BASE)}.pkg"


def test_an_unchanged_package_is_read_once_and_not_before_it_is_used(
    store: PackageStore, packages: VerifiedPackageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("read before it was used")

    monkeypatch.setattr(packages_module, "verify_package", never)
    with taken(store, packages) as package:
        assert b"".join(package.stream()) == BASE


def test_a_package_that_was_written_to_is_put_aside(
    store: PackageStore, packages: VerifiedPackageSet, tmp_path: Path
) -> None:
    write_in_place(file_of(tmp_path))
    assert store.load(sha256_of(BASE), packages=packages) is None
    assert list((tmp_path / "packages").iterdir()) == []
    assert [path.name[:64] for path in (tmp_path / "packages.quarantine").iterdir()] == [sha256_of(BASE)]
    assert list((tmp_path / "packages.stamps").iterdir()) == []


def test_a_package_that_changes_after_it_was_taken_gives_nothing_out(
    store: PackageStore, packages: VerifiedPackageSet, tmp_path: Path
) -> None:
    with taken(store, packages) as package:
        write_in_place(file_of(tmp_path))
        out: list[bytes] = []
        with pytest.raises(DigestMismatchError):
            out.extend(package.stream())
    assert out == []
    assert list((tmp_path / "packages.stamps").iterdir()) == []
    assert store.load(sha256_of(BASE), packages=packages) is None


def test_only_the_newest_that_were_put_aside_are_kept(packages: VerifiedPackageSet, tmp_path: Path) -> None:
    store = PackageStore(folder=tmp_path / "packages", max_bytes=1 << 20)
    for _ in range(20):
        store.add(listed(BASE), [BASE], packages=packages).close()
        write_in_place(file_of(tmp_path))
        assert store.load(sha256_of(BASE), packages=packages) is None
    assert len(list((tmp_path / "packages.quarantine").iterdir())) == 16


def test_the_oldest_by_the_moment_at_which_it_was_put_aside_goes_first(
    packages: VerifiedPackageSet, tmp_path: Path
) -> None:
    """A file may have been written years before, and another one have a time of its own choice."""
    store = PackageStore(folder=tmp_path / "packages", max_bytes=1 << 20)
    order: list[str] = []
    for number in range(18):
        store.add(listed(BASE), [BASE], packages=packages).close()
        write_in_place(file_of(tmp_path))
        os.utime(file_of(tmp_path), (1_000_000 - number, 1_000_000 - number))
        assert store.load(sha256_of(BASE), packages=packages) is None
        [new] = {path.name for path in (tmp_path / "packages.quarantine").iterdir()} - set(order)
        order.append(new)
    assert {path.name for path in (tmp_path / "packages.quarantine").iterdir()} == set(order[2:])


def test_a_package_is_not_put_aside_because_the_host_has_no_handles_left(
    store: PackageStore, packages: VerifiedPackageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise HostError("cannot read it") from OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(packages_module, "verify_kept_package", full)
        assert store.load(sha256_of(BASE), packages=packages) is None
    assert not (tmp_path / "packages.quarantine").exists()
    taken(store, packages).close()
