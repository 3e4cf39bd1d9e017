"""Whoever makes, starts, stops or destroys a jail is killed in the middle; the same command finishes it."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from hive.jails.directory import DirectoryHost
from hive.jails.host import JailHost
from signing.errors import ConflictError
from signing.format.names import parse_tenant_id
from tests.support.bastille_machine import HURRIED, BastilleMachine

ACME, LONGER = parse_tenant_id("acme"), parse_tenant_id("acme2")
DISK = ("mkdir", "rename", "fchmod", "unlink", "rmdir", "fsync")


def killed(work: Callable[[], None], *, at: int | None = None) -> bool:
    """Do ``work`` in a child, which is killed at its disk step ``at`` or by whom it calls; return whether it was."""
    child = os.fork()
    if child == 0:
        try:
            if at is not None:
                count_down(at)
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def count_down(number: int) -> None:
    left = [number]

    def around(honest: Callable[..., object]) -> Callable[..., object]:
        def counted(*args: object, **kwargs: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return honest(*args, **kwargs)

        return counted

    for name in DISK:
        setattr(os, name, around(getattr(os, name)))


def make_again(host: JailHost) -> None:
    """What a birth does that continues (`hive.birth.carry_out`)."""
    if host.mark_of(ACME) == "ours":
        host.destroy(ACME, mark="ours")
    host.create(ACME, mark="ours")


# --- Bastille is in the middle of it -------------------------------------------------------------------


@pytest.mark.parametrize("how", ["kill", "late-kill"])
def test_killed_while_bastille_creates(how: str, machine: BastilleMachine) -> None:
    host = machine.host()
    host.create(LONGER, mark="theirs")
    host.start(LONGER, mark="theirs")
    machine.misbehave(create=how)
    assert killed(lambda: host.create(ACME, mark="ours"))
    machine.misbehave()
    assert not host.exists(ACME)
    assert host.mark_of(ACME) == "ours"
    make_again(host)
    assert host.exists(ACME)
    assert list(machine.kernel) == ["acme2"]


@pytest.mark.parametrize("how", ["kill", "late-kill"])
def test_a_killed_create_is_finished_by_the_same_create(how: str, machine: BastilleMachine) -> None:
    host = machine.host()
    machine.misbehave(create=how)
    assert killed(lambda: host.create(ACME, mark="ours"))
    machine.misbehave()
    host.create(ACME, mark="ours")
    assert host.exists(ACME)
    assert machine.kernel == {}


def test_killed_while_bastille_destroys(machine: BastilleMachine) -> None:
    """Its jail.conf and its mark are gone: Bastille does not know it any more, and we do."""
    host = machine.host()
    host.create(LONGER, mark="theirs")
    host.create(ACME, mark="ours")
    machine.misbehave(destroy="kill")
    assert killed(lambda: host.destroy(ACME, mark="ours"))
    machine.misbehave()
    assert not (machine.prefix / "jails/acme/birth").exists()
    assert not host.exists(ACME)
    host.destroy(ACME, mark="ours")
    assert host.mark_of(ACME) is None
    assert not (machine.prefix / "jails/acme").exists()
    assert host.exists(LONGER)


@pytest.mark.parametrize("command", ["start", "stop"])
def test_killed_while_bastille_starts_or_stops(command: str, machine: BastilleMachine) -> None:
    host = machine.host()
    host.create(ACME, mark="ours")
    if command == "stop":
        host.start(ACME, mark="ours")
    machine.misbehave(**{command: "kill"})
    assert killed(lambda: getattr(host, command)(ACME, mark="ours"))
    machine.misbehave()
    getattr(host, command)(ACME, mark="ours")
    assert host.is_running(ACME) == (command == "start")


def test_what_a_killed_command_started_is_waited_for(machine: BastilleMachine) -> None:
    """Bastille lives on when we are killed; two of them in one folder would make a jail that is neither."""
    host = machine.host()
    machine.misbehave(create="kill-slow")
    assert killed(lambda: host.create(ACME, mark="ours"))
    machine.misbehave()
    group = int((machine.prefix / "hive/jails/acme/working").read_text())
    hurried = machine.host(patience=HURRIED)
    for attempt in (hurried.create, hurried.destroy):
        with pytest.raises(ConflictError, match=f"process group {group}"):
            attempt(ACME, mark="ours")
    os.killpg(group, signal.SIGKILL)
    host.create(ACME, mark="ours")
    assert host.exists(ACME)


# --- every step that we do ourselves -------------------------------------------------------------------


def every_step(host: JailHost, work: Callable[[], None], check: Callable[[], None]) -> int:
    """Kill ``work`` at its first disk step, its second, and so on; ``check`` what each left. Return how many."""
    for number in range(1, 200):
        if not killed(work, at=number):
            check()
            return number - 1
        check()
    raise AssertionError("it never ends")


def creating(host: JailHost) -> int:
    def check() -> None:
        if host.exists(ACME):
            assert host.mark_of(ACME) == "ours"
            assert not host.is_running(
                ACME
            )  # a jail that is not complete may run: Bastille starts what it makes
        make_again(host)
        assert host.exists(ACME)
        host.destroy(ACME, mark="ours")
        assert host.mark_of(ACME) is None
        assert host.exists(LONGER)

    host.create(LONGER, mark="theirs")
    return every_step(host, lambda: host.create(ACME, mark="ours"), check)


def destroying(host: JailHost) -> int:
    def check() -> None:
        assert host.mark_of(ACME) in {None, "ours"}
        host.destroy(ACME, mark="ours")
        assert host.mark_of(ACME) is None
        assert not Path(host.describe(ACME)).parent.exists()
        assert host.exists(LONGER)
        host.create(ACME, mark="ours")
        host.start(ACME, mark="ours")

    host.create(LONGER, mark="theirs")
    host.create(ACME, mark="ours")
    host.start(ACME, mark="ours")
    return every_step(host, lambda: host.destroy(ACME, mark="ours"), check)


def test_a_folder_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    assert creating(DirectoryHost(tmp_path / "jails")) > 5


def test_a_folder_is_destroyed_whole_or_continued(tmp_path: Path) -> None:
    assert destroying(DirectoryHost(tmp_path / "jails")) > 5


@pytest.mark.slow
def test_a_jail_is_made_whole_or_not_at_all(machine: BastilleMachine) -> None:
    assert creating(machine.host()) > 10


@pytest.mark.slow
def test_a_jail_is_destroyed_whole_or_continued(machine: BastilleMachine) -> None:
    assert destroying(machine.host()) > 5
