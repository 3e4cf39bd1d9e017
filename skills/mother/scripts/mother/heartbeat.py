"""That I live, told to the hive; it answers whether I may work."""

from __future__ import annotations

import threading
import time

from mother.errors import MalformedError
from mother.hive import Hive
from mother.identity import Identity

ACTIVE, QUARANTINED = "active", "quarantined"
LEAST_BETWEEN = 0.1  # seconds between two heartbeats, whatever the hive asks for


def heartbeat(hive: Hive, identity: Identity, *, stoppable: bool = False) -> str:
    """Send one heartbeat and return the agent's state, `ACTIVE` or `QUARANTINED`.

    Raises:
        MotherError: see `Hive.call`; the answer names no such state.
        Stopped: ``stoppable``, and the signal to stop came first.
    """
    reply = hive.call("/v1/agents/heartbeat", {"agent": identity.agent}, stoppable=stoppable) or {}
    for state in (ACTIVE, QUARANTINED):
        if reply.get("state") == state:
            return state
    raise MalformedError("the answer to heartbeat names no known state")


class Pulse:
    """When the next heartbeat is due, and what the last one said. Several threads may ask."""

    def __init__(self, hive: Hive, identity: Identity, *, every: float) -> None:
        self.state = ACTIVE
        self._hive, self._identity, self._every = hive, identity, max(every, LEAST_BETWEEN)
        self._next = time.monotonic()
        self._beating = threading.Lock()

    def left(self) -> float:
        """Return the seconds until the next heartbeat is due."""
        return max(0.0, self._next - time.monotonic())

    def delay(self, seconds: float) -> None:
        """Let the next heartbeat be due in ``seconds`` or later."""
        self._next = max(self._next, time.monotonic() + seconds)

    def beat_if_due(self, *, stoppable: bool = False) -> str:
        """Send a heartbeat if it is time, and return the state. Two threads do not send two."""
        with self._beating:
            if self.left() == 0:
                self.state = heartbeat(self._hive, self._identity, stoppable=stoppable)
                self._next = time.monotonic() + self._every
            return self.state
