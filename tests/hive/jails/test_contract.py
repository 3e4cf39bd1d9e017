"""What every `JailHost` promises: one suite for plain folders, for Bastille's stand-in, and for FreeBSD itself.

The real one runs where HIVE_TEST_BASTILLE names a file with the host's settings (docs/jails.md), as root; it makes and
destroys jails called hvtest1 and hvtest2, and nothing else.
"""

import contextlib
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hive.config import HiveConfig
from hive.jails.choose import open_host
from hive.jails.directory import DirectoryHost
from hive.jails.host import JailHost
from hive.jails.limits import Limits
from signing.errors import ConflictError, HostError, NotFoundError
from signing.format.names import parse_tenant_id
from tests.support.bastille_machine import BastilleMachine

ONE, TWO = parse_tenant_id("hvtest1"), parse_tenant_id("hvtest2")
# Each is the beginning of the next one's name: what guesses by prefix would take one for the other.
SHORT = parse_tenant_id("hvtest")
ENV = "usr/home/agent/.env"


def real_host() -> JailHost:
    settings = os.environ.get("HIVE_TEST_BASTILLE")
    if settings is None or os.uname().sysname != "FreeBSD" or os.geteuid() != 0:
        pytest.skip("needs FreeBSD, root, and HIVE_TEST_BASTILLE; the stand-in runs everywhere")
    host = open_host(HiveConfig(**tomllib.loads(Path(settings).read_text())))
    for tenant in (ONE, TWO, SHORT):
        assert host.mark_of(tenant) in {None, "ours", "theirs"}, (
            f"{tenant} is somebody's; choose another machine"
        )
    return host


@pytest.fixture(params=["directory", "stand-in", pytest.param("freebsd", marks=pytest.mark.slow)])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JailHost]:
    match request.param:
        case "directory":
            yield DirectoryHost(tmp_path / "jails")
        case "stand-in":
            machine = BastilleMachine.make(tmp_path / "machine")
            yield machine.host()
            assert not machine.forbidden
        case _:
            found = real_host()
            try:
                yield found
            finally:
                for tenant in (ONE, TWO, SHORT):
                    if mark := found.mark_of(tenant):
                        found.destroy(tenant, mark=mark)


def test_nothing_is_there_at_first(host: JailHost) -> None:
    assert not host.exists(ONE)
    assert host.mark_of(ONE) is None
    assert not host.is_running(ONE)
    for attempt in (host.open_root, host.open_shelf, host.limits_of):
        with pytest.raises(NotFoundError):
            attempt(ONE)
    with pytest.raises(NotFoundError):
        host.start(ONE, mark="ours")
    with pytest.raises(NotFoundError):
        host.limits(ONE, Limits(processes=5))
    host.stop(ONE, mark="ours")
    host.destroy(ONE, mark="ours")


def test_a_created_jail_is_complete_marked_and_does_not_run(host: JailHost) -> None:
    host.create(ONE, mark="ours")
    assert host.exists(ONE)
    assert host.mark_of(ONE) == "ours"
    assert not host.is_running(ONE)
    assert not host.exists(TWO)
    assert host.describe(ONE).endswith("/hvtest1/root")
    with host.open_root(ONE) as root:
        root.install_file(ENV, b"KEY=1\n", mode=0o600)
        assert root.read_file(ENV, 100) == b"KEY=1\n"
    assert Path(host.describe(ONE), ENV).read_bytes() == b"KEY=1\n"


@pytest.mark.parametrize("mark", ["ours", "theirs"])
def test_what_stands_there_is_not_made_again(mark: str, host: JailHost) -> None:
    host.create(ONE, mark="ours")
    with host.open_root(ONE) as root:
        root.install_file("kept", b"precious", mode=0o600)
    with pytest.raises(ConflictError, match="a jail hvtest1 is there"):
        host.create(ONE, mark=mark)
    with host.open_root(ONE) as root:
        assert root.read_file("kept", 100) == b"precious"
    assert host.mark_of(ONE) == "ours"


def test_starting_and_stopping_are_idempotent(host: JailHost) -> None:
    host.create(ONE, mark="ours")
    for _ in range(2):
        host.start(ONE, mark="ours")
        assert host.is_running(ONE)
    for _ in range(2):
        host.stop(ONE, mark="ours")
        assert not host.is_running(ONE)
    assert host.exists(ONE)


def test_another_mark_changes_nothing(host: JailHost) -> None:
    host.create(ONE, mark="ours")
    for attempt in (host.start, host.stop, host.destroy):
        with pytest.raises(ConflictError, match="not made by this birth"):
            attempt(ONE, mark="theirs")
    assert not host.is_running(ONE)
    host.start(ONE, mark="ours")
    for attempt in (host.stop, host.destroy):
        with pytest.raises(ConflictError, match="not made by this birth"):
            attempt(ONE, mark="theirs")
    assert host.is_running(ONE)
    assert host.mark_of(ONE) == "ours"


def test_a_running_jail_is_destroyed_and_nothing_of_it_is_left(host: JailHost) -> None:
    host.create(ONE, mark="ours")
    host.create(TWO, mark="theirs")
    host.start(ONE, mark="ours")
    host.start(TWO, mark="theirs")
    for _ in range(2):
        host.destroy(ONE, mark="ours")
        assert not host.exists(ONE)
        assert host.mark_of(ONE) is None
        assert not host.is_running(ONE)
        assert not Path(host.describe(ONE)).parent.exists()
    assert host.is_running(TWO)
    host.create(ONE, mark="new")
    assert host.mark_of(ONE) == "new"
    host.destroy(ONE, mark="new")


def test_a_name_that_begins_another_is_not_taken_for_it(host: JailHost) -> None:
    host.create(ONE, mark="ours")
    host.start(ONE, mark="ours")
    assert not host.exists(SHORT)
    assert not host.is_running(SHORT)
    host.stop(SHORT, mark="ours")
    host.destroy(SHORT, mark="ours")
    with pytest.raises(NotFoundError):
        host.start(SHORT, mark="ours")
    assert host.is_running(ONE)


def test_limits_hold_from_one_start_to_the_next(host: JailHost) -> None:
    host.create(ONE, mark="ours")
    assert host.limits_of(ONE) == Limits()
    host.limits(ONE, Limits(processes=5))  # before it runs for the first time
    host.start(ONE, mark="ours")
    assert host.limits_of(ONE) == Limits(processes=5)
    first = Limits(memory_bytes=1 << 30, processes=100, open_files=2000, cpu_percent=150)
    second = Limits(memory_bytes=1 << 29, processes=100)
    for limits in (first, second, second):
        host.limits(ONE, limits)
        assert host.limits_of(ONE) == limits
    host.stop(ONE, mark="ours")
    host.start(ONE, mark="ours")
    assert host.limits_of(ONE) == second
    host.limits(ONE, Limits())
    assert host.limits_of(ONE) == Limits()


def test_what_is_put_on_the_shelf_is_in_the_jail_when_it_runs(host: JailHost) -> None:
    """Mounted from beside the root where the host can, else it stands in the root at once."""
    host.create(ONE, mark="ours")
    with host.open_shelf(ONE) as shelf:
        shelf.install_file("usr/home/agent/skills/f", b"skill", mode=0o444)
    inside = Path(host.describe(ONE), "usr/home/agent/skills/f")
    assert inside.exists() == (not host.can_mount)
    assert (host.shelf(ONE) / "usr/home/agent/skills/f").read_bytes() == b"skill"


def test_what_is_shown_comes_and_goes_with_the_jail(host: JailHost) -> None:
    """A folder and a file, at their own paths; on FreeBSD itself they are looked at as well."""
    host.create(ONE, mark="ours")
    with host.open_shelf(ONE) as shelf:
        shelf.install_file("usr/home/agent/skills/f", b"skill", mode=0o444)
        shelf.install_file("usr/home/agent/SOUL.md", b"soul", mode=0o444)
    shown = {"usr/home/agent/skills": "skills/f", "usr/home/agent/SOUL.md": "SOUL.md"}
    for place in shown:
        if host.can_mount:
            host.mount_read_only(ONE, host.shelf(ONE) / place, place)
        else:
            with pytest.raises(HostError, match="has no mounts"):
                host.mount_read_only(ONE, host.shelf(ONE) / place, place)
    host.start(ONE, mark="ours")
    if host.can_mount:
        with pytest.raises(ConflictError, match="runs"):
            host.mount_read_only(ONE, host.shelf(ONE) / "usr", "mnt")
    home = Path(host.describe(ONE), "usr/home/agent")
    if host.can_mount and os.uname().sysname == "FreeBSD":
        assert [(home / path).read_bytes() for path in shown.values()] == [b"skill", b"soul"]
        for path in shown.values():
            with pytest.raises(OSError, match="Read-only"):
                (home / path).chmod(0o666)
        with pytest.raises(OSError, match="busy"):
            (home / "SOUL.md").unlink()
    host.stop(ONE, mark="ours")
    if host.can_mount:
        assert (home / "SOUL.md").read_bytes() == b""
        assert list((home / "skills").iterdir()) == []
    host.destroy(ONE, mark="ours")
    assert not home.exists()


def test_a_tenant_that_plants_links_has_its_jail_destroyed_and_nothing_else(
    host: JailHost, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/host-file").write_text("the host's")
    host.create(ONE, mark="ours")
    root = Path(host.describe(ONE))
    (root / "link").symlink_to(tmp_path / "outside")
    with contextlib.suppress(OSError):  # another file system
        (root / "twin").hardlink_to(tmp_path / "outside/host-file")
    os.mkfifo(root / "fifo")
    host.destroy(ONE, mark="ours")
    assert (tmp_path / "outside/host-file").read_text() == "the host's"
