"""The numbers that agents and jobs live by, in one place. Seconds, unless they say otherwise."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

MAX_WAIT: Final = 60.0  # of one claim
MAX_PAYLOAD: Final = 256 * 1024  # bytes of JSON, as it is sent out again
MAX_RESULT: Final = (1 << 20) - (
    8 << 10
)  # bytes of JSON; with what stands around it, an answer is 1 MiB at most
MAX_REASON: Final = 2000  # characters
MAX_NEEDS: Final = 32
MAX_PRIORITY: Final = 9  # an operator's; from -9. What an agent submits stands at 0 or below.
MAX_ATTEMPTS: Final = 20
MAX_LEASE: Final = 3600.0
MIN_LEASE: Final = 0.2
MAX_HELD: Final = 86_400.0  # a lease is not renewed for ever
MAX_LEASES: Final = 16  # that one agent holds at once
MAX_REFUSALS: Final = 10  # of one job by whichever agents, before it counts as dead
MAX_OPEN: Final = 1000  # jobs of one tenant that are not ended
MAX_KEPT: Final = 500  # jobs of one tenant that ended; the oldest go when its agent submits
REFUSAL_PAUSE: Final = timedelta(minutes=10)  # between two records of what an agent was refused
RETRY_FIRST: Final = 1.0
RETRY_MOST: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a host may set. An agent lives while its last heartbeat is not older than ``ttl`` and ``grace``."""

    heartbeat: float = 30.0
    ttl: float = 60.0
    grace: float = 30.0
    # Births that an agent may ask for: how far from an operator's, and how many for each tenant. Shut by default.
    birth_depth: int = 0
    birth_budget: int = 0

    @classmethod
    def every(cls, heartbeat: float, *, birth_depth: int = 0, birth_budget: int = 0) -> "Rules":
        """Return the rules by which an agent that misses three heartbeats is dead."""
        return cls(
            heartbeat=heartbeat,
            ttl=2 * heartbeat,
            grace=heartbeat,
            birth_depth=birth_depth,
            birth_budget=birth_budget,
        )

    @property
    def silence(self) -> float:
        """After how many seconds without a heartbeat an agent counts as dead."""
        return self.ttl + self.grace


def retry_pause(attempts: int) -> float:
    """Return how long a job rests that failed for the ``attempts``-th time."""
    return min(RETRY_MOST, RETRY_FIRST * 2.0 ** min(attempts - 1, 20))
