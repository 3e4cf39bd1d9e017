"""Killed while secrets are brought or withdrawn: at each change of disk and database, by SIGKILL.

What is in the jail afterwards is the old file or the new one, whole; the same command finishes, and nothing
that holds a secret is left beside it. What the database says is never more than what is there.
"""

import os
import signal
import sys
import traceback
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from hive.vault.provision import Standing
from tests.hive.vault.jailed import ACME, Host, own_of

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
