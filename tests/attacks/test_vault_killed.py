"""Killed while secrets are brought or withdrawn: at each change of disk and database, by SIGKILL.

What is in the jail afterwards is the old file or the new one, whole; the same command finishes, and nothing
that holds a secret is left beside it. What the database says is never more than what is there.
"""

import itertools
import os
import signal
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from hive.vault.bw import BwVault
from hive.vault.bw_command import BwProgram
from hive.vault.provision import Standing
from tests.hive.vault.jailed import ACME, Host, own_of
from tests.support.standin_bw import PASSWORD, SECRET, SESSION, StandInBw

pytestmark = pytest.mark.slow
OLD, NEW = {"KEY": "planted-old"}, {"KEY": "planted-new", "MORE": "planted-more"}
CHANGES = ("open", "mkdir", "write", "fchown", "fchmod", "fsync", "rename", "unlink", "link")


class Countdown:
    """Kills this process before and after its n-th change."""

    def __init__(self, number: int) -> None:
        self.number, self.count = number, 0

    def tick(self, *_: object) -> None:
        self.count += 1
        if self.count == self.number:
            os.kill(os.getpid(), signal.SIGKILL)

    def arm(self) -> None:
        for name in CHANGES:
            self._around(name)
        for moment in ("before_commit", "after_commit"):
            event.listen(Session, moment, self.tick)

    def _around(self, name: str) -> None:
        honest = getattr(os, name)

        def counted(*args, **kwargs):
            looks = name == "open" and not (args[1] & os.O_CREAT)
            if looks:
                return honest(*args, **kwargs)
            self.tick()
            result = honest(*args, **kwargs)
            self.tick()
            return result

        setattr(os, name, counted)


def killed(folder: Path, deed: str, number: int) -> bool:
    """Do it in a child that is killed at change ``number``; return False when it came to its end before."""
    child = os.fork()
    if child == 0:
        try:
            host = Host.make(folder)
            host.vault.values["c-acme"] = NEW
            Countdown(number).arm()
            host.provision(own=own_of) if deed == "provision" else host.provisioner.withdraw(ACME)
        except BaseException:  # noqa: BLE001 - nothing may run on in the copy of the parent
            traceback.print_exc()
            os._exit(1)
        sys.stdout.flush()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert status == 0
    return False


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "jails/acme/root/usr/home/agent").iterdir())


def provisioned(folder: Path) -> tuple[bytes, bytes]:
    """Make a host whose tenant holds the old secrets; return the old file and the one that shall be."""
    host = Host.make(folder)
    host.register(ACME, collection_id="c-acme")
    contents = []
    for values in (NEW, OLD):
        host.vault.values["c-acme"] = values
        host.provision(own=own_of)
        contents.append(host.env().read_bytes())
    host.provisioner.engine.dispose()
    return contents[1], contents[0]


def sweep(tmp_path: Path, deed: str):
    """Yield a host after each kill, with the old and the new content."""
    for number in range(1, 200):
        folder = tmp_path / str(number)
        folder.mkdir()
        old, new = provisioned(folder)
        was_killed = killed(folder, deed, number)
        host = Host.make(folder)
        yield host, old, new
        host.provisioner.engine.dispose()
        if not was_killed:
            assert number > 8
            return
    pytest.fail("it never came to its end")


def test_a_killed_provisioning_leaves_the_old_file_or_the_new_one_and_is_finished(tmp_path):
    seen = set()
    for host, old, new in sweep(tmp_path, "provision"):
        found = host.env().read_bytes()
        assert found in {old, new}
        seen.add(found)
        standing = host.provisioner.standing(ACME)
        if standing is Standing.AS_WRITTEN:
            assert host.recorded().digest
        else:
            assert standing is Standing.UNFINISHED
        host.vault.values["c-acme"] = NEW
        host.provision(own=own_of)
        assert host.env().read_bytes() == new
        assert files(host.folder) == [".env"]
        assert host.provisioner.standing(ACME) is Standing.AS_WRITTEN
        assert host.events()[-1][0] == "secrets.provisioned"
    assert seen == {old, new}


def test_a_killed_withdrawal_is_not_called_done_before_it_is(tmp_path):
    for host, old, _ in sweep(tmp_path, "withdraw"):
        if host.recorded().state == "withdrawn":
            assert not host.env().exists()
        else:
            assert not host.env().exists() or host.env().read_bytes() == old
        host.provisioner.withdraw(ACME)
        assert files(host.folder) == []
        assert host.provisioner.standing(ACME) is Standing.NONE
        assert host.events()[-1][0] == "secrets.withdrawn"


# --- between two calls of the client --------------------------------------------------------------------


def test_killed_before_or_after_any_call_of_the_client_the_next_run_has_the_bucket(tmp_path):
    """The client may live on for a moment, logged in or not, locked or not: the next run finds its way from there."""
    seen = []
    for number in range(1, 60):
        folder = tmp_path / str(number)
        folder.mkdir()
        bw = StandInBw(folder)
        acme = bw.add_bucket("acme", NEW)
        host = Host.make(folder)
        host.register(ACME, collection_id=acme)
        killed_at = _killed_between_calls(host, bw, number)
        left = b"".join(path.read_bytes() for path in (folder / "state").rglob("*") if path.is_file())
        assert not [secret for secret in (PASSWORD, SECRET, SESSION, "planted") if secret.encode() in left]
        if "list items" not in bw.commands():
            assert not host.env().exists()
        seen += bw.commands()[-1:]
        with BwVault(bw.settings(), lambda: datetime.now(UTC)) as vault:
            host.provisioner.provision(vault, ACME, own=own_of)
        assert b"planted-new" in host.env().read_bytes()
        assert files(folder) == [".env"]
        running = 0
        for entry in bw.log():
            running += 1 if entry["what"] == "started" else -1
            assert running in {0, 1}
        host.provisioner.engine.dispose()
        if killed_at is None:
            break
    assert set(seen) == {*WHOLE, "lock"}


WHOLE = ["--version", "status", "config", "status", "login", "status", "unlock", "sync", "status",
         "list collections", "list items"]  # fmt: skip


def _killed_between_calls(host: Host, bw: StandInBw, number: int) -> int | None:
    """Provision in a child that is killed at moment ``number`` before or after a call; None when there is no such."""
    child = os.fork()
    if child == 0:
        try:
            honest, moments = BwProgram.run, itertools.count(1)

            def tick() -> None:
                if next(moments) == number:
                    os.kill(os.getpid(), signal.SIGKILL)

            def run(program, *words, **options):
                tick()
                said = honest(program, *words, **options)
                tick()
                return said

            BwProgram.run = run
            fresh = Host.make(host.folder)
            with BwVault(bw.settings(), lambda: datetime.now(UTC)) as vault:
                fresh.provisioner.provision(vault, ACME, own=own_of)
        except BaseException:  # noqa: BLE001 - nothing may run on in the copy of the parent
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return number
    assert status == 0
    return None
