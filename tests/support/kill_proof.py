"""First proofs that kill themselves: SIGKILL at the Nth thing they do to database, jail or disk.

One process that has everything imported forks a proof per line of its input, and says how each ended:

    < STATE WHERE NUMBER
    > killed            or  done COUNT, when the proof ended before thing NUMBER

WHERE is ``commit`` (before and after every transaction) or ``disk`` (before and after every change of a folder, once
the proof has begun).
"""

import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

import waitress.server

import hive.agents.api
from hive.proof import proving, unfinished
from hive.proof.ground import Wanted
from repo_client.client import RepoClient
from signing.format.names import Pin
from tests.hive.proof.conftest import ground_of
from tests.support.hurry import in_a_hurry
from tests.support.kill_birth import DISK, Countdown, client_of, mother_of

IMPORTED = (waitress.server, hive.agents.api)  # by every child otherwise


def prove(folder: Path, client: RepoClient, profile: str, countdown: Countdown, where: str) -> None:
    mother = mother_of(folder, client)
    if where == "commit":
        countdown.at_commits()
    else:
        countdown.around_each(os, *DISK, "rmdir")
        countdown.start_with(unfinished, "begin")
    proving.prove(ground_of(mother), Wanted(profile=Pin.parse(profile)))


def main(anchor_path: str, server: str, warm: str, profile: str) -> None:
    anchor = Path(anchor_path).read_bytes()
    with in_a_hurry():
        with client_of(Path(warm), anchor, server).session(datetime.now(UTC)) as session:
            session.revocations()
            for item in session.profile(Pin.parse(profile)).profile.skills:
                session.release(item.pin)
        for line in sys.stdin:
            state, where, number = line.split()
            child = os.fork()
            if child == 0:
                try:
                    countdown = Countdown(int(number))
                    prove(Path(state), client_of(Path(state), anchor, server), profile, countdown, where)
                    print("done", countdown.count, flush=True)
                except BaseException:  # noqa: BLE001 - nothing may run on in the copy of the parent
                    traceback.print_exc()
                    os._exit(1)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            if os.WIFSIGNALED(status):
                print("killed", flush=True)
            elif status:
                print("failed", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
