"""A child that kills itself at the n-th durable step, to see what a crash leaves behind.

    with Crashes() as crashes:
        crashes.run("publish", folder, at=3)     # False: killed by SIGKILL before the third step
        crashes.run("publish", folder, at=0)     # True: ran to its end

A step is a durable write or a commit; it is killed before the step, and for a commit also right after it. One
process imports everything once and forks for each run, so that a sweep costs little.
"""

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

PASSPHRASE = "correct horse"
WRITERS = (
    "repo_server.storage.local",
    "repo_server.publishing.projection",
    "repo_server.publishing.siblings",
    "repo_server.publishing.well_known",
    "repo_server.publishing.install",
    "repo_server.pkgrepo.published",
    "repo_server.pkgrepo.fingerprints",
)


class Crashes:
    """The process that forks; use as a context manager."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.support.kill_at"]
        folder = Path(__file__).parents[2]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=10)

    def run(self, action: str, folder: Path, *, at: int) -> bool:
        """Run ``action`` on the world in ``folder``; return whether it came to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([action, str(folder), at]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert answer in {"killed", "done"}, answer
        return bool(answer == "done")


def publish(folder: Path) -> None:
    from repo_server.publishing.publish import publish as publish_signed
    from repo_server.repository import Repository

    publish_signed(Repository.open(folder / "repo"), _key(folder, "online"), now=datetime.now(UTC))


def refresh(folder: Path) -> None:
    from repo_server.publishing.refresh import refresh as refresh_online
    from repo_server.repository import Repository

    refresh_online(Repository.open(folder / "repo"), _key(folder, "online"), now=datetime.now(UTC))


def serial(folder: Path) -> None:
    """Publish the second serial of the world's packages; killed also before each name that is given or moved."""
    from repo_server.repository import Repository
    from tests.support.serials import make_index, publish_serial
    from tests.support.world import World

    signers = {name: _key(folder, name) for name in ("builder", "online")}
    world = World(folder, Repository.open(folder / "repo"), signers)
    at = datetime.now(UTC)
    publish_serial(world, make_index(2, {"demo": "1.1", "base": "2"}, at=at), at=at)


def collect(folder: Path) -> None:
    from datetime import timedelta

    from repo_server.pkgrepo.collecting import collect as collect_garbage
    from repo_server.repository import Repository

    collect_garbage(
        Repository.open(folder / "repo"),
        retain=timedelta(seconds=0),
        at_least=1,
        now=datetime.now(UTC) + timedelta(days=1),
    )


def build(folder: Path) -> None:
    """Publish the build in ``folder``/build, as a build host does with a repository on its own disk."""
    from repo_server.repository import Repository
    from tests.support import publishing
    from tests.support.world import World

    signers = {name: _key(folder, name) for name in ("builder", "online")}
    publishing.publish(World(folder, Repository.open(folder / "repo"), signers), folder / "build")


def stage(folder: Path) -> None:
    from repo_server.repository import Repository
    from tests.support.world import World, skill_md

    files = {"SKILL.md": skill_md("killed"), "scripts/run.sh": b"#!/bin/sh\nexit 3\n", "a.txt": b"a\n"}
    World(folder, Repository.open(folder / "repo"), {}).import_skill("killed==1.0", files)


def install(folder: Path) -> None:
    from repo_server.config import RepositoryConfig
    from repo_server.publishing.install import install as install_documents

    documents = {path.stem: path.read_bytes() for path in (folder / "ceremony").iterdir()}
    install_documents(
        folder / "new",
        config=RepositoryConfig(),
        documents=documents,
        online=_key(folder, "online"),
        now=datetime.now(UTC),
        key_files={"online.key.json": (folder / "people/online.key.json").read_bytes()},
    )


ACTIONS: dict[str, Callable[[Path], None]] = {
    "publish": publish,
    "refresh": refresh,
    "stage": stage,
    "serial": serial,
    "build": build,
    "collect": collect,
    "install": install,
}


def _key(folder: Path, name: str) -> Any:
    from signing.keystore import load_key

    return load_key(folder / f"people/{name}.key.json", passphrase=lambda _: PASSPHRASE)


def _count_steps(at: int, *, names: bool) -> None:
    from importlib import import_module

    from sqlalchemy import event
    from sqlalchemy.orm import Session

    taken = 0

    def step(*_: object) -> None:
        nonlocal taken
        taken += 1
        if taken == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(write: Callable[..., None]) -> Callable[..., None]:
        def write_counted(*arguments: Any, **options: Any) -> None:
            step()
            write(*arguments, **options)

        return write_counted

    for name in WRITERS:
        module: Any = import_module(name)
        for writer in {"write_durably", "write_pieces_durably"} & set(vars(module)):
            setattr(module, writer, counted(getattr(module, writer)))
    if names:
        for method in ("rename", "replace", "symlink_to", "unlink"):
            setattr(Path, method, stepped(step, getattr(Path, method)))
        os.link = stepped(step, os.link)
        os.utime = stepped(step, os.utime)
    event.listen(Session, "before_commit", step)
    event.listen(Session, "after_commit", step)


def stepped(step: Callable[..., None], function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        step()
        return function(*arguments, **options)

    return call


def _fork(action: str, folder: Path, at: int) -> str:
    child = os.fork()
    if child == 0:
        try:
            _count_steps(at, names=action in {"serial", "collect"})
            ACTIONS[action](folder)
        except BaseException:  # noqa: BLE001 - nothing may run on in the copy of the parent
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "killed" if os.WTERMSIG(status) == signal.SIGKILL else f"signal {os.WTERMSIG(status)}"
    return "done" if status == 0 else "failed"


def main() -> None:
    from importlib import import_module

    for name in (*WRITERS, "repo_server.publishing.publish", "repo_server.publishing.refresh"):
        import_module(name)
    import_module("tests.support.world")
    import_module("repo_server.db.migrate")
    import_module("nacl.signing")
    for line in sys.stdin:
        action, folder, at = json.loads(line)
        print(json.dumps(_fork(action, Path(folder), at)), flush=True)


if __name__ == "__main__":
    main()
