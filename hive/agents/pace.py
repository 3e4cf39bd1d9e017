"""How often an agent may ask: token buckets in memory, in a table that cannot grow without bound (edge).

One process has one table; `hive serve` is one process.
"""

import math
import threading
from collections import OrderedDict
from typing import Final

from hive.agents.errors import NotNowError
from hive.agents.names import AgentId

_MAX_KEYS: Final = 10_000


class Pace:
    """One bucket for each agent; those that were seen least recently are forgotten first."""

    def __init__(self, *, capacity: float, per_second: float) -> None:
        self._capacity, self._per_second = capacity, per_second
        self._buckets: OrderedDict[AgentId, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, agent_id: AgentId, *, at: float, cost: int = 1) -> None:
        """Take a request of the agent, which counts as ``cost``, at the moment ``at`` of a clock that only goes forward.

        Raises:
            NotNowError: it asks too often.
        """
        with self._lock:
            level, since = self._buckets.pop(agent_id, (self._capacity, at))
            level = min(self._capacity, level + max(0.0, at - since) * self._per_second)
            enough = level >= cost
            self._buckets[agent_id] = (level - cost if enough else level, at)
            while len(self._buckets) > _MAX_KEYS:
                self._buckets.popitem(last=False)
        if not enough:
            seconds = max(1, math.ceil((cost - level) / self._per_second))
            raise NotNowError(f"agent {agent_id} asks too often", seconds=seconds, too_often=True)
