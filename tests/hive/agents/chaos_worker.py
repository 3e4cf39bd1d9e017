"""One worker of the chaos: claims, works, dies or stalls by chance, writes down what it was told.

python -m tests.hive.agents.chaos_worker URL AGENT CAPABILITIES FOLDER DEATH STALL SEED
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from hive.agents import leases, registry, routing
from hive.agents.errors import LeaseLostError
from hive.agents.names import AgentId, Capability, JobId
from hive.agents.rules import Rules
from hive.db.session import open_engine, transaction
from signing.errors import ConflictError
from tests.hive.agents.hall import now
from tests.support.activating import AtOnce

PATIENCE = 150  # claims without work before it goes home: longer than anybody stalls
LEASE = 2.0


DEATH, STALL = 0.015, 0.015


def main(url: str, name: str, offered: str, folder: str, fate: str) -> None:
    chance, claims = random.Random(f"{name}-{os.getpid()}"), 0
    engine, agent = open_engine(url), AgentId(name)
    can = frozenset(Capability(one) for one in offered.split(","))
    with transaction(engine) as session:
        registry.heartbeat(session, agent, AtOnce(), now=now())
    idle = 0
    with (
        Path(folder, f"done-{os.getpid()}").open("a") as done,
        Path(folder, f"late-{os.getpid()}").open("a") as late,
    ):
        while idle < PATIENCE:
            try:
                with transaction(engine) as session:
                    job = routing.claim(session, agent, can, Rules(ttl=3600))
            except ConflictError:  # busy
                continue
            if job is None:
                idle += 1
                time.sleep(0.05)
                continue
            idle = 0
            luck, claims = chance.random(), claims + 1
            certain = fate if claims == 3 else ""
            if luck < DEATH or certain == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if luck < DEATH + STALL or certain == "stall":
                time.sleep(LEASE * 2.5)  # somebody else has it by now
            try:
                with transaction(engine) as session:
                    leases.complete(session, agent, JobId(job.job_id), job.fence, "{}")
                print(job.job_id, name, file=done, flush=True)
            except LeaseLostError:
                print(job.job_id, name, file=late, flush=True)
    engine.dispose()


if __name__ == "__main__":
    main(*sys.argv[1:])
