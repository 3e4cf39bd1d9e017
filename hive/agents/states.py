"""How a job, and one attempt at it, can stand.

held ─► ready ─► leased ─► done
          ▲         ├────► dead         out of attempts, or failed for good: the dead letters
          └─────────┘      cancelled    (also from held and ready)
"""

import enum


class JobState(enum.StrEnum):
    """Where a job stands. ``held`` waits for an operator's approval and is given to nobody."""

    HELD = "held"
    READY = "ready"
    LEASED = "leased"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"


class Outcome(enum.StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    REFUSED = "refused"
    LOST = "lost"
    CANCELLED = "cancelled"


OPEN = (JobState.HELD, JobState.READY, JobState.LEASED)
