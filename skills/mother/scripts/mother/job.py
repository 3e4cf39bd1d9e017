"""One job, claimed under a lease."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from mother.errors import MalformedError
from mother.fields import LABEL, labels_field, seconds_field, text_field
from mother.hive import Hive
from mother.identity import Identity

JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_WHAT = "the claimed job"


@dataclass(frozen=True)
class Job:
    """What the hive gave out. `fence` is the number that proves whose lease it is."""

    id: str
    kind: str
    needs: frozenset[str]
    payload: Any
    lease_seconds: float
    fence: int

    def line(self) -> bytes:
        """Return the job as COMMAND reads it: what it is about, and nothing of the lease."""
        shown = {"id": self.id, "kind": self.kind, "needs": sorted(self.needs), "payload": self.payload}
        return json.dumps(shown).encode() + b"\n"


def claim(hive: Hive, identity: Identity, capabilities: frozenset[str], *, wait: float) -> Job | None:
    """Ask for one job, wait up to ``wait`` seconds for it, and return it or None.

    Raises:
        MotherError: see `Hive.call` and `parse_job`.
        Stopped: the signal to stop came first.
    """
    body = {"agent": identity.agent, "capabilities": sorted(capabilities), "wait_seconds": round(wait, 3)}
    reply = hive.call("/v1/jobs/claim", body, wait=wait, stoppable=True)
    return None if reply is None else parse_job(reply.get("job"))


def parse_job(job: Any) -> Job:
    """Return the job that the hive gave out.

    Raises:
        MalformedError: it is not in its form; nothing of it is used then, least of all its id in a path.
    """
    if not isinstance(job, dict) or "payload" not in job:
        raise MalformedError(f"{_WHAT} is not an object with a payload")
    fence = job.get("fence")
    if isinstance(fence, bool) or not isinstance(fence, int) or fence < 1:
        raise MalformedError(f"{_WHAT}: 'fence' is not a whole number above zero")
    return Job(
        id=text_field(job, "id", JOB_ID, what=_WHAT),
        kind=text_field(job, "kind", LABEL, what=_WHAT),
        needs=labels_field(job, "needs", what=_WHAT),
        payload=job["payload"],
        lease_seconds=seconds_field(job, "lease_seconds", what=_WHAT),
        fence=fence,
    )
