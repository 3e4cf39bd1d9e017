"""Stores that somebody was at between two births: by stamps it is seen, and on use in any case."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from repo_client import packages as packages_module
from repo_client import stamps
from repo_client import store as store_module
from repo_client.client import Session
from repo_client.packages import PackageStore
from repo_client.store import TreeStore
from signing.errors import DigestMismatchError
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
