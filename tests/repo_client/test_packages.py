"""The store of packages: verified on entry and when taken out, bounded, shared, and swept."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from repo_client.fetcher import FetchLimits
from repo_client.packages import PackageSource, PackageStore, package_server
from repo_client.updater import Server
from signing import package_evidence
from signing.errors import DigestMismatchError, HostError, NotFoundError
from signing.format.digest import Sha256, sha256_of
from signing.format.pkg.index import IndexedPackage
from signing.package_evidence import VerifiedPackage, VerifiedPackageSet
from tests.support.packages import AGENT, BASE, OLD_AGENT, index_of, listed

ALL = (BASE, AGENT, OLD_AGENT)


@pytest.fixture
def packages() -> VerifiedPackageSet:
    """A set as if it were verified: the store's rules are not about signatures."""
    target: object = None
    return VerifiedPackageSet(
        index=index_of([listed(data) for data in ALL]),
        target=target,  # type: ignore[arg-type]
        seal=package_evidence._SEAL,
    )


@pytest.fixture
def store(tmp_path: Path) -> PackageStore:
    return PackageStore(folder=tmp_path / "store", max_bytes=1 << 20)


def add(store: PackageStore, packages: VerifiedPackageSet, data: bytes) -> VerifiedPackage:
    return store.add(listed(data), iter([data[:100], data[100:]]), packages=packages)


def names(store: PackageStore) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir())


def name(data: bytes) -> str:
    return f"{sha256_of(data)}.pkg"


def test_what_is_added_is_taken_out_again(store: PackageStore, packages: VerifiedPackageSet) -> None:
    with add(store, packages, BASE) as added:
        assert b"".join(added.stream()) == BASE
    taken = store.load(sha256_of(BASE), packages=packages)
    assert taken is not None
    with taken:
        assert b"".join(taken.stream()) == BASE
        assert taken.package.name == "demo-base"
    assert names(store) == [name(BASE)]
    assert stat.S_IMODE((store.folder / name(BASE)).stat().st_mode) == 0o400
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700


def test_what_is_not_here_is_none(store: PackageStore, packages: VerifiedPackageSet) -> None:
    assert store.load(sha256_of(BASE), packages=packages) is None


def test_what_the_index_does_not_name_is_not_fetched(
    store: PackageStore, packages: VerifiedPackageSet
) -> None:
    source = PackageSource(server=Server.parse("http://127.0.0.1:1"))
    with pytest.raises(NotFoundError, match="names no package"):
        store.take(sha256_of(b"other"), packages=packages, source=source)
    assert not store.folder.exists()


@pytest.mark.parametrize(
    "spoil",
    [lambda data: data[:-1], lambda data: data + b"x", lambda data: b"\0" + data[1:], lambda _: b""],
    ids=["short", "long", "altered", "empty"],
)
def test_wrong_bytes_leave_nothing(
    store: PackageStore, packages: VerifiedPackageSet, spoil: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(DigestMismatchError):
        store.add(listed(BASE), iter([spoil(BASE)]), packages=packages)
    assert names(store) == []


def test_an_error_of_the_server_leaves_nothing(store: PackageStore, packages: VerifiedPackageSet) -> None:
    def breaking() -> Iterator[bytes]:
        yield BASE[:10]
        raise HostError("and then it broke")

    with pytest.raises(HostError, match="broke"):
        store.add(listed(BASE), breaking(), packages=packages)
    assert names(store) == []


def test_a_damaged_package_is_dropped(store: PackageStore, packages: VerifiedPackageSet) -> None:
    add(store, packages, BASE).close()
    path = store.folder / name(BASE)
    path.chmod(0o600)
    path.write_bytes(BASE[:-1] + b"\0")
    assert store.load(sha256_of(BASE), packages=packages) is None
    assert names(store) == []


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_something_else_under_the_name_is_no_package(
    store: PackageStore, packages: VerifiedPackageSet, tmp_path: Path, kind: str
) -> None:
    store.folder.mkdir(mode=0o700)
    path = store.folder / name(BASE)
    (tmp_path / "elsewhere").write_bytes(BASE)
    match kind:
        case "link":
            path.symlink_to(tmp_path / "elsewhere")
        case "folder":
            path.mkdir()
        case _:
            os.mkfifo(path)
    assert store.load(sha256_of(BASE), packages=packages) is None
    assert (tmp_path / "elsewhere").read_bytes() == BASE


def old(store: PackageStore, data: bytes, seconds: int) -> None:
    os.utime(store.folder / name(data), (time.time() - seconds, time.time() - seconds))


def test_the_least_recently_used_goes_first(store: PackageStore, packages: VerifiedPackageSet) -> None:
    store = PackageStore(folder=store.folder, max_bytes=len(BASE) + len(AGENT) + 10)
    for data, age in ((BASE, 100), (AGENT, 50)):
        add(store, packages, data).close()
        old(store, data, age)
    used = store.load(sha256_of(BASE), packages=packages)  # now the other one is older
    assert used is not None
    used.close()
    add(store, packages, OLD_AGENT).close()
    assert names(store) == sorted([name(BASE), name(OLD_AGENT)])


def test_what_is_in_use_is_never_removed(store: PackageStore, packages: VerifiedPackageSet) -> None:
    store = PackageStore(folder=store.folder, max_bytes=len(BASE) + len(AGENT) + 10)
    with add(store, packages, BASE) as base, add(store, packages, AGENT):
        old(store, BASE, 1000)
        with pytest.raises(HostError, match="no room"):
            add(store, packages, OLD_AGENT)
        assert names(store) == sorted([name(BASE), name(AGENT)])
        assert b"".join(base.stream()) == BASE
    add(store, packages, OLD_AGENT).close()
    assert name(BASE) not in names(store)


def test_a_package_larger_than_the_store_removes_nothing(
    store: PackageStore, packages: VerifiedPackageSet
) -> None:
    add(store, packages, BASE).close()
    small = PackageStore(folder=store.folder, max_bytes=len(AGENT) - 1)
    with pytest.raises(HostError, match="no room"):
        add(small, packages, AGENT)
    assert names(store) == [name(BASE)]


def test_two_who_add_the_same_both_succeed(store: PackageStore, packages: VerifiedPackageSet) -> None:
    def pieces() -> Iterator[bytes]:
        yield BASE[:10]
        add(store, packages, BASE).close()  # somebody else is faster
        yield BASE[10:]

    with store.add(listed(BASE), pieces(), packages=packages) as added:
        assert b"".join(added.stream()) == BASE
    assert names(store) == [name(BASE)]


def test_a_running_download_is_not_swept(store: PackageStore, packages: VerifiedPackageSet) -> None:
    def pieces() -> Iterator[bytes]:
        yield BASE[:10]
        add(store, packages, AGENT).close()  # sweeps
        assert len([entry for entry in names(store) if entry.startswith(".new-")]) == 1
        yield BASE[10:]

    store.add(listed(BASE), pieces(), packages=packages).close()
    assert names(store) == sorted([name(BASE), name(AGENT)])


def test_downloads_of_two_count_against_one_bound(store: PackageStore, packages: VerifiedPackageSet) -> None:
    """What is announced is reserved: two half-done downloads together do not burst the bound."""
    store = PackageStore(folder=store.folder, max_bytes=len(BASE) + len(AGENT) - 1)

    def pieces() -> Iterator[bytes]:
        yield BASE[:1]
        with pytest.raises(HostError, match="no room"):
            add(store, packages, AGENT)
        yield BASE[1:]

    store.add(listed(BASE), pieces(), packages=packages).close()
    assert names(store) == [name(BASE)]


def test_a_killed_download_is_swept_by_the_next(store: PackageStore, packages: VerifiedPackageSet) -> None:
    program = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from signing import package_evidence
        from signing.package_evidence import VerifiedPackageSet
        from repo_client.packages import PackageStore
        from tests.support.packages import BASE, index_of, listed

        def pieces():
            yield BASE[:10]
            print("downloading", flush=True)
            time.sleep(60)

        packages = VerifiedPackageSet(index=index_of([listed(BASE)]), target=None, seal=package_evidence._SEAL)
        PackageStore(folder=Path(sys.argv[1]), max_bytes=1 << 20).add(listed(BASE), pieces(), packages=packages)
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(store.folder)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"downloading\n"
        add(store, packages, AGENT).close()
        assert len(names(store)) == 2  # it lives: its file is left alone
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    assert [entry for entry in names(store) if entry.startswith(".new-")]
    add(store, packages, BASE).close()
    assert names(store) == sorted([name(BASE), name(AGENT)])


def test_progress_is_told(store: PackageStore, packages: VerifiedPackageSet) -> None:
    told: list[tuple[str, int]] = []

    class Fixed(PackageSource):
        def pieces(self, package: IndexedPackage) -> Iterator[bytes]:  # type: ignore[override]
            yield from (BASE[:5], BASE[5:])

    def progress(package: IndexedPackage, done: int) -> None:
        told.append((package.name, done))

    source = Fixed(server=Server.parse("http://127.0.0.1:1"), limits=FetchLimits())
    store.take(Sha256(sha256_of(BASE)), packages=packages, source=source, progress=progress).close()
    assert told == [("demo-base", 5), ("demo-base", len(BASE))]


@pytest.mark.parametrize(
    ("server", "wanted"),
    [
        ("https://skills.clawdie.si", "https://pkg.clawdie.si"),
        ("https://skills.clawdie.si/", "https://pkg.clawdie.si"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/pkg"),
        ("https://repo.example/x", "https://repo.example/x/pkg"),
        ("https://myskills.example", "https://myskills.example/pkg"),
    ],
)
def test_where_packages_are_when_nobody_says(server: str, wanted: str) -> None:
    assert package_server(Server.parse(server)).base == wanted
