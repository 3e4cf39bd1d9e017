"""Packages into a jail whose root is somebody else's work: planted, swapped, mounted, full, unchangeable.

Whatever stands there, nothing outside the jail is read, written, or changed in mode or number of names; and what was
placed before the trouble is taken back, as far as the file system lets go of it.
"""

import os
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hive.birth.admit_all import admit_all
from hive.packages import placing
from hive.packages.install import install_package
from hive.packages.records import record_path
from signing.errors import DigestMismatchError, HostError, RejectedError
from signing.format.digest import sha256_of
from signing.format.names import parse_tenant_id
from tests.support.harbour import Harbour, open_harbour
from tests.support.packages import BASE, large, listed
from tests.support.world import World, now

BOAT = parse_tenant_id("boat")
PROGRAM = "usr/local/bin/demo-base"


class Ship:
    """The jail of ``boat``, empty, and its packages, admitted."""

    def __init__(self, harbour: Harbour, packages: Any, secret: Path) -> None:
        self.host, self.root, self.packages, self.secret = (
            harbour.scene.mother.host,
            harbour.root,
            packages,
            secret,
        )
        self.secret.write_text("the host's")
        self.secret.chmod(0o600)
        self.before = self._outside()

    def install(self, number: int = 0) -> Any:
        return install_package(self.host, BOAT, self.packages[number], now=now())

    def listing(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*")}

    def refused(self, *expected: type[Exception]) -> Any:
        """Installing fails, nothing outside is touched, and nothing of the package is left."""
        before = self.listing()
        with pytest.raises(expected or (RejectedError,)) as caught:
            self.install()
        assert self._outside() == self.before
        left = self.listing() - before
        assert not [name for name in left if "demo" in name or ".new-" in name], left
        return caught.value

    def _outside(self) -> tuple[Any, ...]:
        status = self.secret.stat()
        beside = sorted(path.name for path in self.secret.parent.iterdir())
        return (self.secret.read_text(), stat.S_IMODE(status.st_mode), status.st_uid, beside)


@pytest.fixture
def harbour(world: World, tmp_path: Path) -> Iterator[Harbour]:
    with open_harbour(world, tmp_path / "host") as harbour:
        yield harbour


@contextmanager
def boarded(harbour: Harbour, folder: Path) -> Iterator[Ship]:
    mother = harbour.scene.mother
    (folder / "outside").mkdir()
    with admit_all(
        harbour.scene.tenant("boat"),
        mother.client,
        opt_ins=[],
        external_dir=mother.external_dir,
        pantry=mother.pantry,
        clock=mother.clock,
    ) as given:
        mother.host.create(BOAT, mark="ours")
        yield Ship(harbour, given.packages, folder / "outside/secret")


@pytest.fixture
def ship(harbour: Harbour, tmp_path: Path) -> Iterator[Ship]:
    with boarded(harbour, tmp_path) as ship:
        yield ship


def listening(path: Path, _secret: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(path))


PLANTED: dict[str, Callable[[Path, Path], Any]] = {
    "fifo": lambda path, _: os.mkfifo(path),
    "socket": listening,
    "folder": lambda path, _: path.mkdir(),
    "link": lambda path, secret: path.symlink_to(secret),
    "link to a folder": lambda path, secret: path.symlink_to(secret.parent),
    "link to nothing": lambda path, secret: path.symlink_to(secret.with_name("nothing")),
    "hard link": lambda path, secret: path.hardlink_to(secret),
}


@pytest.mark.parametrize("what", PLANTED)
@pytest.mark.parametrize("path", [PROGRAM, f"{PROGRAM}-link", record_path("demo-base")])
def test_something_planted_in_the_place_of_a_file(
    ship: Ship, monkeypatch: pytest.MonkeyPatch, path: str, what: str
) -> None:
    place = ship.root / path
    place.parent.mkdir(parents=True)
    monkeypatch.chdir(place.parent)  # the name of a socket is short
    PLANTED[what](Path(place.name), ship.secret)
    found = place.lstat()
    ship.refused()
    assert place.lstat().st_ino == found.st_ino  # it stays, and is as it was
    assert place.lstat().st_mode == found.st_mode


@pytest.mark.parametrize("what", sorted(set(PLANTED) - {"folder"}))
@pytest.mark.parametrize(
    "path", ["usr", "usr/local/bin", "usr/local/share/demo", "var/db", "var/db/clawdie/packages"]
)
def test_something_planted_on_the_way(
    ship: Ship, monkeypatch: pytest.MonkeyPatch, path: str, what: str
) -> None:
    place = ship.root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(place.parent)
    PLANTED[what](Path(place.name), ship.secret)
    error = ship.refused()
    assert error.code == "unsafe-path"
    assert list(ship.secret.parent.iterdir()) == [ship.secret]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
@pytest.mark.parametrize("path", ["usr", PROGRAM])
def test_a_device_in_the_way(ship: Ship, path: str) -> None:
    place = ship.root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(place, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    ship.refused()
    assert stat.S_ISCHR(place.lstat().st_mode)


@pytest.mark.parametrize("when", [1, 2, 3])
@pytest.mark.parametrize("path", ["usr", "usr/local", "usr/local/bin", "usr/local/share"])
def test_a_folder_swapped_with_a_link_between_two_files(
    ship: Ship, monkeypatch: pytest.MonkeyPatch, path: str, when: int
) -> None:
    """The link leads out of the jail; what follows is refused, and what was placed is no reason to follow it either."""
    genuine, calls = placing.name_again, []

    def swapping(*args: Any) -> None:
        genuine(*args)
        calls.append(args)
        if len(calls) >= when and (ship.root / path).is_dir() and not (ship.root / "moved").exists():
            (ship.root / path).rename(ship.root / "moved")
            (ship.root / path).symlink_to(ship.secret.parent)

    monkeypatch.setattr(placing, "name_again", swapping)

    def install_and_compare() -> None:
        # When nothing more had to go that way, it is the comparison at the end that notices.
        ship.host.check_package(BOAT, ship.install())

    with pytest.raises(RejectedError) as caught:
        install_and_compare()
    assert caught.value.code == "unsafe-path"
    assert len(calls) >= when
    assert list(ship.secret.parent.iterdir()) == [ship.secret]
    assert ship.secret.read_text() == "the host's"


@pytest.mark.parametrize("how", ["huge", "hard link", "fifo", "link", "folder gone"])
def test_what_stands_there_afterwards_is_compared_within_bounds(ship: Ship, how: str) -> None:
    receipt = ship.install()
    program = ship.root / PROGRAM
    ship.host.check_package(BOAT, receipt)
    if how == "folder gone":
        (ship.root / "usr/local/etc/demo").rename(ship.root / "elsewhere")
    elif how == "huge":
        os.truncate(program, 1 << 40)  # reading it would take hours, hashing it longer
    else:
        program.unlink()
        PLANTED[how](program, ship.secret)
    with pytest.raises((RejectedError, HostError)):
        ship.host.check_package(BOAT, receipt)
    assert ship.secret.read_text() == "the host's"


def test_a_record_of_another_hand_is_not_read_as_ours(ship: Ship) -> None:
    """A configuration file stands there, and whose it is would be looked up in records: these are the tenant's."""
    config = "usr/local/etc/demo-agent.conf"
    ship.install(0)
    for content in (b"{}", b"[]", b"not json", b'{"files":[7],"schema":"x"}', b"[" * 100_000):
        (ship.root / config).write_text("mine")
        (ship.root / record_path("evil")).write_bytes(content)
        with pytest.raises(RejectedError) as caught:
            ship.install(1)
        assert caught.value.code == "malformed"
        assert (ship.root / config).read_text() == "mine"
        assert not (ship.root / record_path("demo-agent")).exists()


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[None]:
    place.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", *options, "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("path", ["usr/local", "usr/local/share", "usr/local/share/demo"])
def test_a_file_system_that_is_mounted_in_the_jail(ship: Ship, path: str) -> None:
    """It is the host's, or another jail's: nothing is written into it, and no folder is made there."""
    with mounted(ship.root / path):
        error = ship.refused()
        assert error.code == "unsafe-path"
        assert "mounted" in str(error)
        assert list((ship.root / path).iterdir()) == []


def test_a_disk_that_is_full(harbour: Harbour, tmp_path: Path) -> None:
    data = large()
    harbour.arrange(data)
    base = harbour.scene.mother.state / "jails"
    with mounted(base, "-o", "size=1m,mode=755"), boarded(harbour, tmp_path) as ship:
        with pytest.raises(HostError) as caught:
            ship.install()
        assert "space" in str(caught.value)
        assert not [path for path in ship.root.rglob("*") if path.is_file()]
        assert not list((ship.root / "var/db/clawdie/packages").iterdir())


def test_a_full_disk_fails_a_birth_and_says_so(harbour: Harbour) -> None:
    """Not a refusal: the tenant is failed with the reason, no secret is there, and the next try begins anew."""
    data = large()
    harbour.arrange(data)
    base = harbour.scene.mother.state / "jails"
    with mounted(base, "-o", "size=1m,mode=755"):
        with pytest.raises(HostError):
            harbour.born()
        assert harbour.scene.tenant("boat").reason.startswith("host-failed: ")
        assert harbour.scene.events("boat")[-1].event == "birth.failed"
        assert not [path for path in harbour.root.rglob("*") if path.is_file()]
        subprocess.run(["mount", "-o", "remount,size=32m", str(base)], check=True)
        assert harbour.born()["continued"] is True


def test_folders_that_cannot_be_changed(ship: Ship) -> None:
    """The file system refuses; what was placed elsewhere is taken back, and the package is not called installed."""
    folder = ship.root / "usr/local/share"
    folder.mkdir(parents=True)
    command = ["chattr", "+i", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("this file system knows no unchangeable folders")
    try:
        ship.refused(HostError)
        assert not (ship.root / PROGRAM).exists()
    finally:
        subprocess.run(["chattr", "-i", str(folder)], check=True)
    ship.host.check_package(BOAT, ship.install())


def test_a_store_that_is_full_of_something_else(harbour: Harbour) -> None:
    """Strangers' files are not removed to make room; the birth fails, and no jail is made."""
    harbour.store.mkdir(mode=0o700)
    stray = harbour.store / "backup.tar"
    stray.write_bytes(bytes(1 << 20))
    harbour.scene.mother = _with_store(harbour, 1 << 20)
    with pytest.raises(HostError, match="no room"):
        harbour.born()
    assert stray.stat().st_size == 1 << 20
    assert not harbour.root.exists()


@pytest.mark.parametrize("what", ["folder", "full folder", "fifo", "link", "hard link"])
def test_something_planted_in_the_store(harbour: Harbour, tmp_path: Path, what: str) -> None:
    """In the place of a package: it is neither read, nor followed, nor in the way for ever."""
    secret = tmp_path / "secret"
    secret.write_text("the host's")
    harbour.store.mkdir(mode=0o700)
    place = harbour.store / f"{sha256_of(BASE)}.pkg"
    if what == "full folder":
        (place / "deep/er").mkdir(parents=True)
    else:
        PLANTED[what](place, secret)
    assert harbour.born()["status"] == "born"
    assert secret.read_text() == "the host's"
    assert place.read_bytes() == BASE
    assert not place.is_symlink()


def test_a_package_on_a_bad_part_of_the_disk_is_fetched_again(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    harbour.born()
    harbour.scene.register("raft", profile="base==2")
    genuine, bad = os.pread, [(harbour.store / f"{sha256_of(BASE)}.pkg").stat().st_ino]

    def failing(descriptor: int, count: int, offset: int) -> bytes:
        if os.fstat(descriptor).st_ino in bad:
            bad.clear()  # the number of the file, once removed, is the next one's
            raise OSError(5, "Input/output error")
        return genuine(descriptor, count, offset)

    monkeypatch.setattr(os, "pread", failing)
    before = harbour.scene.server.asked_for(sha256_of(BASE))
    harbour.scene.born("raft")
    assert harbour.scene.server.asked_for(sha256_of(BASE)) == before + 1


def test_nobody_makes_room_of_what_a_birth_still_needs(harbour: Harbour, tmp_path: Path) -> None:
    """Held from the moment it was fetched: the other birth is told that there is no room."""
    data = large()
    mother = harbour.scene.mother = _with_store(harbour, len(data) + len(BASE))
    harbour.scene.register("raft", profile="base==9")
    harbour.shelf.stock(data)
    harbour.shelf.publish([BASE, data], serial=4)
    harbour.shelf.pin("base==8", [BASE])
    harbour.shelf.pin("base==9", [data, BASE])
    harbour.pinned("base==8", [BASE])
    small = _with_store(harbour, len(data))
    with boarded(harbour, tmp_path) as ship:
        harbour.scene.mother = small
        with pytest.raises(HostError, match="no room"):
            harbour.scene.born("raft")
        assert (harbour.store / f"{sha256_of(BASE)}.pkg").read_bytes() == BASE
        harbour.scene.mother = mother
        ship.host.check_package(BOAT, ship.install())
    harbour.scene.mother = mother
    assert harbour.scene.born("raft")["status"] == "born"


def _with_store(harbour: Harbour, size: int) -> Any:
    return replace(harbour.scene.mother, store_bytes=size)


def test_a_package_that_is_damaged_in_the_jail_is_not_the_packages_fault(ship: Ship) -> None:
    receipt = ship.install()
    program = ship.root / PROGRAM
    content = bytearray(program.read_bytes())
    content[0] ^= 1
    program.write_bytes(content)
    with pytest.raises(DigestMismatchError) as caught:
        ship.host.check_package(BOAT, receipt)
    assert caught.value.where == PROGRAM
    assert listed(BASE).sha256 == receipt.sha256
