"""What I can do, told to the hive."""

from __future__ import annotations

from mother.errors import MalformedError
from mother.fields import seconds_field
from mother.hive import Hive
from mother.identity import Identity


def register(
    hive: Hive, identity: Identity, capabilities: frozenset[str], *, stoppable: bool = False
) -> float:
    """Register and return the number of seconds between two heartbeats.

    Raises:
        MotherError: see `Hive.call`; the answer is not one to a registration of this agent.
        Stopped: ``stoppable``, and the signal to stop came first.
    """
    body = {
        "agent": identity.agent,
        "tenant": identity.tenant,
        "capabilities": sorted(capabilities),
        "skills": [skill.to_json() for skill in identity.skills],
    }
    reply = hive.call("/v1/agents/register", body, stoppable=stoppable)
    what = "the answer to register"
    if reply is None or reply.get("agent") != identity.agent:
        raise MalformedError(f"{what} names another agent")
    return seconds_field(reply, "heartbeat_seconds", what=what)
