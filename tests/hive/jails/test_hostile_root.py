"""Whoever is root in a jail plants something, and the host goes on with its work: on plain folders and on Bastille.

For each thing that can stand in the way: what the host does there ends soon, with an error or without; nothing that is the
host's is read, changed or removed; and the jail can be destroyed, at the latest when what cannot be removed is gone.
"""

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hive.jails.bastille import BastilleHost
from hive.jails.compare import Expected, differences, hidden
from hive.jails.directory import DirectoryHost
from hive.jails.host import JailHost
from hive.jails.limits import Limits
from hive.jails.materialise import LOCK_PATH, SKILLS, SOUL_PATH, note_ready, show_shelf
from repo_client.entries import UnsafePathError
from repo_client.ready import ReadySets
from repo_client.verify_at import VerifyAt
from signing.errors import HostError, SkillRepoError
from signing.format.archive import Bundle, SourceFile
from signing.format.digest import sha256_of
from signing.format.manifest import Kind, MemberPath
from signing.format.names import Pin, parse_tenant_id
from tests.support.bastille_machine import BastilleMachine

ACME = parse_tenant_id("acme")
HOME = "usr/home/agent"
ENV = f"{HOME}/.env"
SECRET = b"the host's"

linux_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="mounting takes root, and these words Linux"
)


@pytest.fixture(params=["directory", "stand-in"])
def host(request: pytest.FixtureRequest, tmp_path: Path, machine: BastilleMachine) -> JailHost:
    made: JailHost = DirectoryHost(tmp_path / "jails") if request.param == "directory" else machine.host()
    made.create(ACME, mark="ours")
    Path(made.describe(ACME), HOME).mkdir(parents=True)
    return made


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Folders of the host's, so that every path that is tried inside leads to something there too."""
    folder = tmp_path / "outside"
    for below in ("", "agent", "home/agent", "clawdie", "db/clawdie"):
        (folder / below / "skills/web-search").mkdir(parents=True, exist_ok=True)
        for name in (".env", "SOUL.md", "lock.json", "skills/web-search/SKILL.md"):
            (folder / below / name).write_bytes(SECRET)
    return folder


def seen(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Return all that stands in ``folder``: modes, owners, links and bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path)] = (status.st_mode, status.st_uid, status.st_nlink, content)
    return found


def at(root: Path, place: str) -> Path:
    """Return the place, free, in a folder that is there."""
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    return path


def device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except OSError as error:
        pytest.skip(f"this machine lets nobody make devices: {error.strerror}")


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(path.parent)  # the name of a socket is short
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


FILES: dict[str, Callable[[Path, Path], object]] = {
    "link": lambda path, outside: path.symlink_to(outside / "SOUL.md"),
    "dangling link": lambda path, outside: path.symlink_to(outside / "absent"),
    "hard link": lambda path, outside: path.hardlink_to(outside / "SOUL.md"),
    "pipe": lambda path, _: os.mkfifo(path),
    "socket": lambda path, _: listening(path),
    "device": lambda path, _: device(path),
    "folder": lambda path, _: (path / "full").mkdir(parents=True),
    "huge": lambda path, _: (path.touch(), os.truncate(path, 1 << 40)),
}
FOLDERS = ("usr", "usr/home", HOME, SKILLS, "var", "var/db", "var/db/clawdie")


def work(host: JailHost) -> list[str]:
    """Do all that a host does with a jail and what stands in it; return what it could not do."""
    outcomes = []
    deeds: list[Callable[[], object]] = [
        lambda: show_shelf(host, ACME),
        lambda: host.limits(ACME, Limits(processes=7)),
        lambda: host.start(ACME, mark="ours"),
        lambda: host.stop(ACME, mark="ours"),
    ]
    with host.open_shelf(ACME) as shelf, contextlib.suppress(SkillRepoError):
        shelf.install_file(SOUL_PATH, b"soul", mode=0o444)
        shelf.install_file(LOCK_PATH, b"lock", mode=0o444)
    for deed in deeds:
        try:
            deed()
        except (UnsafePathError, HostError, SkillRepoError) as error:
            outcomes.append(error.code)
    with host.open_root(ACME) as root, host.open_shelf(ACME) as shelf:
        files = {SOUL_PATH: sha256_of(SECRET), LOCK_PATH: sha256_of(SECRET)}
        for look in (
            lambda: root.read_file(ENV, 1000),
            lambda: root.install_file(ENV, b"KEY=1\n", mode=0o600),
            # A hard link is read and said to be one: what else has it, the host knows.
            lambda: [item for item in root.digests([HOME, "var/db/clawdie"]) if item.links == 1],
            lambda: root.enter(SKILLS).close(),
            root.listing,
            lambda: [item.what for item in differences(root, shelf, Expected(skills={}, files=files))],
            lambda: hidden(root, shelf, running=False),
        ):
            try:
                found = look()
            except SkillRepoError as error:
                outcomes.append(error.code)
            else:
                assert SECRET not in repr(found).encode()
                assert sha256_of(SECRET) not in repr(found)
        # Nobody takes the host's file for the one that was let in.
        said = {item.path for item in differences(root, shelf, Expected(skills={}, files=files))}
        assert said >= {SOUL_PATH, LOCK_PATH}
    return outcomes


@pytest.mark.parametrize("planted", FILES)
def test_what_is_no_file_of_ours_is_neither_read_nor_written_through(
    planted: str, host: JailHost, outside: Path
) -> None:
    root, begun = Path(host.describe(ACME)), time.monotonic()
    places = [at(root, place) for place in (ENV, SOUL_PATH, LOCK_PATH)]
    for path in places:
        FILES[planted](path, outside)
    before = seen(outside)
    outcomes = work(host)
    assert time.monotonic() - begun < 30
    if planted != "hard link":  # which is removed with the jail, and counted
        assert seen(outside) == before
    env = root / ENV
    assert env.is_dir() if planted == "folder" else env.read_bytes() == b"KEY=1\n"
    if isinstance(host, BastilleHost):  # whoever cannot show what is to be read does not start
        assert outcomes, planted
    host.destroy(ACME, mark="ours")
    assert not root.parent.exists()
    after = {path: facts for path, facts in seen(outside).items() if "SOUL" not in path}
    assert after == {path: facts for path, facts in before.items() if "SOUL" not in path}
    assert (outside / "SOUL.md").read_bytes() == SECRET
    assert (outside / "SOUL.md").stat().st_nlink == 1


@pytest.mark.parametrize("place", FOLDERS)
def test_a_link_in_the_place_of_a_folder_leads_nowhere(place: str, host: JailHost, outside: Path) -> None:
    root = Path(host.describe(ACME))
    at(root, place).symlink_to(outside)
    before = seen(outside)
    assert "unsafe-path" in work(host)
    assert seen(outside) == before
    host.destroy(ACME, mark="ours")
    assert not root.parent.exists()
    assert seen(outside) == before


@pytest.mark.parametrize("place", ["usr/home", SKILLS, "dev"])
def test_a_link_that_is_planted_while_the_jail_runs_stops_the_next_start(
    place: str, machine: BastilleMachine, outside: Path
) -> None:
    host = machine.host()
    host.create(ACME, mark="ours")
    with host.open_shelf(ACME) as shelf:
        shelf.install_file(SOUL_PATH, b"soul", mode=0o444)
        shelf.install_file(LOCK_PATH, b"lock", mode=0o444)
    show_shelf(host, ACME)
    host.start(ACME, mark="ours")
    root = Path(host.describe(ACME))
    (root / place).rename(root / "aside")
    (root / place).symlink_to(outside)
    before = seen(outside)
    host.stop(ACME, mark="ours")
    with pytest.raises(UnsafePathError):
        host.start(ACME, mark="ours")
    assert machine.kernel == {}
    host.destroy(ACME, mark="ours")
    assert seen(outside) == before


def test_a_link_keeps_nobody_from_being_stopped_by_force(machine: BastilleMachine, outside: Path) -> None:
    """It lets its shutdown fail, and a link stands where something was shown; nothing is mounted any more."""
    host = machine.host()
    host.create(ACME, mark="ours")
    host.open_shelf(ACME).close()
    (host.shelf(ACME) / SKILLS).mkdir(parents=True)
    host.mount_read_only(ACME, host.shelf(ACME) / SKILLS, SKILLS)
    host.start(ACME, mark="ours")
    root, before = Path(host.describe(ACME)), seen(outside)
    (root / HOME).rename(root / "aside")
    (root / HOME).symlink_to(outside)
    machine.misbehave(stop="nothing")
    host.stop(ACME, mark="ours")
    assert machine.kernel == {}
    assert seen(outside) == before


# --- mounts --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def mounted(source: Path, place: Path) -> Iterator[None]:
    made = subprocess.run(
        ["mount", "--bind", str(source), str(place)], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        pytest.skip(f"this machine lets nobody mount: {made.stderr.strip()}")
    try:
        yield
    finally:
        for path in (place, *place.parents):
            subprocess.run(["umount", str(path)], capture_output=True, check=False)
            if path.name == "root":
                break


@linux_root
@pytest.mark.parametrize("place", [ENV, SOUL_PATH, LOCK_PATH])
def test_a_file_of_the_hosts_that_is_mounted_inside_is_not_the_jails(
    place: str, host: JailHost, outside: Path
) -> None:
    """One file can be mounted over another; its bytes are the host's, and nothing goes through it."""
    root = Path(host.describe(ACME))
    at(root, place).touch()
    before = seen(outside)
    with mounted(outside / "SOUL.md", root / place):
        with host.open_root(ACME) as opened:
            with pytest.raises(UnsafePathError, match="is mounted here"):
                opened.read_file(place, 1000)
            with pytest.raises(UnsafePathError, match="is mounted here"):
                opened.install_file(place, b"KEY=1\n", mode=0o600)
            below = place.rpartition("/")[0]
            found = {item.path: (item.kind, item.sha256) for item in opened.digests([below])}
            assert found[place] == ("mount", None)
        if isinstance(host, BastilleHost) and place != ENV:
            with host.open_shelf(ACME) as shelf:
                shelf.install_file(SOUL_PATH, b"soul", mode=0o444)
                shelf.install_file(LOCK_PATH, b"lock", mode=0o444)
            with contextlib.suppress(SkillRepoError):
                show_shelf(host, ACME)
            with host.open_root(ACME) as opened, host.open_shelf(ACME) as shelf:
                # As in a jail that runs; but it is not what the shelf shows.
                said = {item.path: item.what for item in hidden(opened, shelf, running=True)}
                assert said[place].startswith("shows what was put aside or replaced")
    assert seen(outside) == before


@linux_root
def test_what_is_shown_in_a_jail_that_runs_is_what_stands_on_the_shelf_now(
    machine: BastilleMachine, tmp_path: Path
) -> None:
    """A mount goes on to show what was there when it was made: the set that was put aside, the file that was replaced."""
    host, sets = machine.host(), ReadySets(tmp_path / "ready")
    host.create(ACME, mark="ours")
    files = {MemberPath("SKILL.md"): SourceFile(content=b"---\nname: calendar\n---\n")}
    bundle = Bundle.build(pin=Pin.parse("calendar==1.0"), kind=Kind.SKILL, files=files)
    ready = sets.take([bundle], verify=VerifyAt.BIRTH)
    root = Path(host.describe(ACME))

    def said() -> list[tuple[str, str]]:
        with host.open_root(ACME) as opened, host.open_shelf(ACME) as shelf:
            expected = Expected(
                skills={"calendar": bundle.manifest.tree_digest},
                files={path: sha256_of(path.encode()) for path in (SOUL_PATH, LOCK_PATH)},
            )
            assert differences(opened, shelf, expected) == ()  # what is to be shown is as it was let in
            found = hidden(opened, shelf, running=True)
            return [(item.path, item.what.partition(":")[0]) for item in found]

    with host.open_root(ACME) as opened, host.open_shelf(ACME) as shelf:
        for path in (SOUL_PATH, LOCK_PATH):
            shelf.install_file(path, path.encode(), mode=0o444)
        note_ready(opened, shelf, ready)
    show_shelf(host, ACME, ready=ready)
    with (
        mounted(ready.path, root / SKILLS),
        mounted(host.shelf(ACME) / SOUL_PATH, root / SOUL_PATH),
        mounted(host.shelf(ACME) / LOCK_PATH, root / LOCK_PATH),
    ):
        assert said() == []
        altered = ready.path / "calendar/SKILL.md"
        altered.chmod(0o644)
        altered.write_bytes(b"obey me")
        assert sets.take([bundle], verify=VerifyAt.BIRTH).path == ready.path
        assert (root / SKILLS / "calendar/SKILL.md").read_bytes() == b"obey me"  # what the tenant reads
        with host.open_shelf(ACME) as shelf:
            for content in (b"another", LOCK_PATH.encode()):
                shelf.install_file(LOCK_PATH, content, mode=0o444)
        other = "shows what was put aside or replaced"
        assert said() == [(SKILLS, other), (LOCK_PATH, other)]
    with mounted(ready.path, root / SKILLS):  # as after a restart
        assert said() == [
            (SOUL_PATH, "is not shown"),
            (LOCK_PATH, "is not shown"),
        ]


@linux_root
def test_what_stays_mounted_in_a_jail_is_not_removed_with_it(machine: BastilleMachine, outside: Path) -> None:
    """`bastille destroy` is rm -rf: through a mount it would remove what is the host's, whatever path leads there."""
    host = machine.host()
    host.create(ACME, mark="ours")
    root = Path(host.describe(ACME))
    (root / "usr/home/data").mkdir(parents=True)
    before, changes = seen(outside), machine.changes
    with mounted(outside, root / "usr/home/data"):
        with pytest.raises(HostError, match="something stays mounted") as caught:
            host.destroy(ACME, mark="ours")
        assert caught.value.where == str(root / "usr/home/data")
        assert machine.changes == changes
        assert seen(outside) == before
    host.destroy(ACME, mark="ours")
    assert not root.parent.exists()
    assert seen(outside) == before


@pytest.mark.parametrize("how", ["nothing", "fail", "garbage"])
def test_a_host_that_does_not_say_what_is_mounted_destroys_nothing(
    how: str, machine: BastilleMachine
) -> None:
    host = machine.host()
    host.create(ACME, mark="ours")
    machine.misbehave(mount=how)
    if how == "garbage":
        line = f"echo '/x {host.describe(ACME)}/usr nullfs'\n"
        (machine.folder / "mount").write_text(f"#!/bin/sh\n{line}")
    changes = machine.changes
    with pytest.raises(HostError):
        host.destroy(ACME, mark="ours")
    assert machine.changes == changes
    assert Path(host.describe(ACME)).is_dir()


@linux_root
def test_a_jail_that_cannot_be_removed_yet_is_none_and_goes_later(host: JailHost) -> None:
    root = Path(host.describe(ACME))
    (root / "kept").mkdir()
    flags = subprocess.run(["chattr", "+i", str(root / "kept")], capture_output=True, text=True, check=False)
    if flags.returncode != 0:
        pytest.skip(f"this file system has no immutable folders: {flags.stderr.strip()}")
    try:
        with pytest.raises(HostError):
            host.destroy(ACME, mark="ours")
        assert not host.exists(ACME)
        with pytest.raises(SkillRepoError):
            host.start(ACME, mark="ours")
    finally:
        for path in root.parent.parent.glob("*/root/kept"):
            subprocess.run(["chattr", "-i", str(path)], check=False, capture_output=True)
        for path in root.parent.parent.glob(".gone-*/root/kept"):
            subprocess.run(["chattr", "-i", str(path)], check=False, capture_output=True)
    host.destroy(ACME, mark="ours")
    assert not root.parent.exists()
