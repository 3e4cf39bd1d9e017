"""Births that kill themselves: SIGKILL at the Nth thing they do to the journal, the jail or the disk.

One process that has everything imported forks a birth per line of its input, and says how each ended:

    < STATE WHERE NUMBER
    > killed            or  done COUNT, when the birth ended before thing NUMBER

WHERE is ``journal`` (before and after every call of the journal), ``step`` (before and after everything that
touches the jail) or ``disk`` (before and after every change of a folder, once the jail is being made).
"""

import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hive.birth import carry_out
from hive.birth.journal import Journal
from hive.birth.mother import Mother
from hive.db.session import open_engine
from hive.jails.directory import DirectoryHost
from repo_client.client import RepoClient
from repo_client.updater import Server
from signing.format.names import Pin, parse_tenant_id
from tests.support.hurry import in_a_hurry
from tests.support.open_gates import open_gate
from tests.support.world import PACKAGES

JOURNAL = ("begin", "admitted", "started", "done", "installed", "finish")
STEPS = (
    "install_package",
    "install_jail_files",
    "install_skill",
    "install_identity",
    "install_lock",
    "check_born",
    "enrol_tenant",
    "show_skills",
)
DISK = ("mkdir", "rename", "fchmod", "link", "symlink")


class Countdown:
    def __init__(self, number: int) -> None:
        self.number, self.count, self.running = number, 0, True

    def tick(self) -> None:
        self.count += self.running
        if self.running and self.count == self.number:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, name: str) -> None:
        honest: Callable[..., Any] = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.tick()
            result = honest(*args, **kwargs)
            self.tick()
            return result

        setattr(owner, name, counted)

    def start_with(self, owner: Any, name: str) -> None:
        """Count nothing before ``name`` is called for the first time."""
        self.running = False
        honest: Callable[..., Any] = getattr(owner, name)

        def starting(*args: Any, **kwargs: Any) -> Any:
            self.running = True
            return honest(*args, **kwargs)

        setattr(owner, name, starting)


def client_of(folder: Path, anchor: bytes, server: str) -> RepoClient:
    return RepoClient(
        anchor=anchor,
        server=Server.parse(server),
        metadata_dir=folder / "metadata",
        store_dir=folder / "store",
    )


def birth(folder: Path, client: RepoClient, tenant: str, countdown: Countdown) -> None:
    engine = open_engine(f"sqlite:///{folder / 'hive.db'}")
    mother = Mother(
        engine=engine,
        gates=open_gate(engine, folder),
        client=client,
        host=DirectoryHost(folder / "jails"),
        state=folder,
        clock=lambda: datetime.now(UTC),
        abi=PACKAGES.abi,
    )
    carry_out.birth(mother, parse_tenant_id(tenant))
    mother.engine.dispose()


def arm(where: str, countdown: Countdown) -> None:
    if where == "journal":
        for name in JOURNAL:
            countdown.around(Journal, name)
    elif where == "step":
        for name in ("create", "open_root", "start"):
            countdown.around(DirectoryHost, name)
        for name in STEPS:
            countdown.around(carry_out, name)
    else:
        for name in DISK:
            countdown.around(os, name)
        countdown.start_with(DirectoryHost, "create")


def main(anchor_path: str, server: str, tenant: str, warm: str, profile: str) -> None:
    anchor = Path(anchor_path).read_bytes()
    with in_a_hurry():
        with client_of(Path(warm), anchor, server).session(datetime.now(UTC)) as session:
            # Once for all children: what has to be imported, and which signatures are good.
            session.revocations()
            for item in session.profile(Pin.parse(profile)).profile.skills:
                session.release(item.pin)
        for line in sys.stdin:
            state, where, number = line.split()
            child = os.fork()
            if child == 0:
                countdown = Countdown(int(number))
                arm(where, countdown)
                birth(Path(state), client_of(Path(state), anchor, server), tenant, countdown)
                print("done", countdown.count, flush=True)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            if os.WIFSIGNALED(status):
                print("killed", flush=True)
            elif status:
                print("failed", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
