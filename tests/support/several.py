"""Several processes that work on one repository at the same moment; some of them are killed on the way.

    several("publish", world.folder, database, candidates, kill={2: 5})

starts one process for each candidate, lets them go together, and kills the third before its fifth durable step (see
`tests.support.kill_at`). Returns how each ended, ``done`` or ``killed``. One process imports everything and forks.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.kill_at import WRITERS, _count_steps, _key


def several(
    action: str,
    folder: Path,
    database: str | None,
    words: Sequence[str],
    *,
    kill: Mapping[int, int] | None = None,
) -> list[str]:
    """Run ``action`` in one process for each of ``words``, all at once."""
    steps = [(kill or {}).get(number, 0) for number in range(len(words))]
    request = json.dumps([action, str(folder), database, list(words), steps])
    command = [sys.executable, "-m", "tests.support.several", request]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, timeout=240, check=True, cwd=Path(__file__).parents[2]
    )
    found: list[str] = json.loads(done.stdout)
    return found


def _world(folder: Path, database: str | None) -> Any:
    from repo_server.repository import Repository
    from tests.support.world import World

    signers = {name: _key(folder, name) for name in ("alice", "bob", "online")}
    return World(folder, Repository.open(folder / "repo", database=database), signers)


def publish(folder: Path, database: str | None, candidate: str) -> None:
    """Sign a reviewed candidate by both curators, and publish what can be: who comes again goes on where it was."""
    from signing.errors import ThresholdError

    world = _world(folder, database)
    for by in ("alice", "bob"):
        _sign(world, candidate, by)
    with contextlib.suppress(ThresholdError):  # it continues what somebody else has yet to sign
        world.publish()


def _sign(world: Any, candidate: str, by: str) -> None:
    """Sign, after whatever it continues was signed; whoever should have done that may be dead, so not for ever."""
    from signing.errors import ConflictError

    for _ in range(40):
        try:
            world.sign(candidate, by=by)
        except ConflictError as error:
            if "continues" not in str(error):
                return  # signed, or published, already
            time.sleep(0.05)
        else:
            return


def keep(folder: Path, database: str | None, hours: str) -> None:
    """Look once, so many hours from now, as `skillrepo refresh --every 6h` does."""
    from repo_server.publishing.keeping_fresh import Keeper

    world = _world(folder, database)
    moment = datetime.now(UTC) + timedelta(hours=float(hours))
    keeper = Keeper(
        repository=world.repository,
        online=lambda: world.signers["online"],
        every=timedelta(hours=6),
        clock=lambda: moment,
    )
    look = keeper.look()
    assert not look.failed, look.problems


ACTIONS: dict[str, Callable[[Path, str | None, str], None]] = {"publish": publish, "keep": keep}


def _fork(work: Callable[[], None], go: int, end: int, at: int) -> int:
    child = os.fork()
    if child:
        return child
    try:
        os.close(end)
        os.read(go, 1)  # returns when the parent closes its end
        _count_steps(at, names=False)
        work()
    except BaseException:  # noqa: BLE001 - nothing may run on in the copy of the parent
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _ended(child: int) -> str:
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "killed" if os.WTERMSIG(status) == signal.SIGKILL else f"signal {os.WTERMSIG(status)}"
    return "done" if status == 0 else "failed"


def main() -> None:
    from importlib import import_module

    for name in (*WRITERS, "repo_server.publishing.publish", "repo_server.publishing.keeping_fresh"):
        import_module(name)
    import_module("tests.support.world")
    action, folder, database, words, steps = json.loads(sys.argv[1])
    if database is not None:
        import_module("psycopg")
    go, end = os.pipe()
    children = [
        _fork(lambda word=word: ACTIONS[action](Path(folder), database, word), go, end, at)
        for word, at in zip(words, steps, strict=True)
    ]
    os.close(go)
    os.close(end)
    print(json.dumps([_ended(child) for child in children]))


if __name__ == "__main__":
    main()
