"""Births that kill themselves: SIGKILL at the Nth thing they do to the journal, the jail or the disk.

One process that has everything imported forks a birth per line of its input, and says how each ended:

    < STATE WHERE NUMBER
    > killed            or  done COUNT, when the birth ended before thing NUMBER

WHERE is ``journal`` (before and after every call of the journal), ``commit`` (before and after every transaction),
``step`` (before and after everything that touches the jail) or ``disk`` (before and after every change of a folder,
once the jail is being made). ``undo`` lets the birth fail when its jail runs, and counts transactions and changes of
folders from there. A state folder with a sealed vault gives the tenant its bucket.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from hive.birth import carry_out
from hive.birth.journal import Journal
from hive.birth.mother import Mother
from hive.db.session import open_engine
from hive.jails.directory import DirectoryHost
from hive.vault import env_file
from repo_client.client import RepoClient
from repo_client.updater import Server
from signing.errors import DigestMismatchError
from signing.format.names import Pin, parse_tenant_id
from tests.support.bucketed import with_bucket
from tests.support.hurry import in_a_hurry
from tests.support.open_gates import open_gate
from tests.support.world import PACKAGES

JOURNAL = ("begin", "admitted", "started", "done", "installed", "enrol", "finish")
STEPS = (
    "install_package",
    "install_jail_files",
    "install_skill",
    "install_identity",
    "install_lock",
    "check_born",
    "show_shelf",
)
DISK = ("mkdir", "rename", "fchmod", "fchown", "link", "symlink", "unlink")


class Countdown:
    def __init__(self, number: int) -> None:
        self.number, self.count, self.running = number, 0, True

    def tick(self, *_: object) -> None:
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

    def around_each(self, owner: Any, *names: str) -> None:
        for name in names:
            self.around(owner, name)

    def at_commits(self) -> None:
        for moment in ("before_commit", "after_commit"):
            event.listen(Session, moment, self.tick)

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


def mother_of(folder: Path, client: RepoClient) -> Mother:
    engine = open_engine(f"sqlite:///{folder / 'hive.db'}")
    return Mother(
        engine=engine,
        gates=open_gate(engine, folder),
        client=client,
        host=DirectoryHost(folder / "jails"),
        state=folder,
        clock=lambda: datetime.now(UTC),
        abi=PACKAGES.abi,
    )


def birth(folder: Path, client: RepoClient, tenant: str) -> None:
    mother = mother_of(folder, client)
    if (folder / "vault").exists():
        mother = with_bucket(mother)
    carry_out.birth(mother, parse_tenant_id(tenant))
    mother.engine.dispose()


def arm(where: str, countdown: Countdown) -> None:
    match where:
        case "journal":
            countdown.around_each(Journal, *JOURNAL)
        case "step":
            countdown.around_each(DirectoryHost, "create", "open_root", "limits", "start")
            countdown.around_each(carry_out, *STEPS)
            countdown.around_each(env_file, "install", "is_as_written")
        case "commit":
            countdown.at_commits()
        case "undo":
            setattr(carry_out, "start_limited", started_and_refused(carry_out.start_limited))  # noqa: B010
            countdown.at_commits()
            countdown.around_each(os, *DISK, "rmdir")
            countdown.start_with(carry_out, "wind_up")
        case "disk":
            countdown.around_each(os, *DISK)
            countdown.start_with(DirectoryHost, "create")
        case _:
            raise ValueError(where)


def started_and_refused(genuine: Callable[..., Any]) -> Callable[..., Any]:
    def start(*args: Any, **kwargs: Any) -> None:
        genuine(*args, **kwargs)
        raise DigestMismatchError("refused when it runs")

    return start


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
                with contextlib.suppress(DigestMismatchError):
                    birth(Path(state), client_of(Path(state), anchor, server), tenant)
                print("done", countdown.count, flush=True)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            if os.WIFSIGNALED(status):
                print("killed", flush=True)
            elif status:
                print("failed", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
