"""How often somebody may ask: token buckets in memory, in a table that cannot grow without bound (edge).

    limiter = Limiter(capacity=240, per_second=4)
    limiter.take("5f3a91c07be2", cost=4, now=clock())     # or TooManyRequestsError, with seconds to wait

One process has one table. The service runs as one process with SQLite; with several, each counts for itself, so
the limit is that many times higher. That is enough for what it is for: keeping one client from taking all.
"""

import math
import threading
from collections import OrderedDict
from datetime import datetime
from typing import Final

from repo_server.desk.problems import TooManyRequestsError

_MAX_KEYS: Final = 10_000


class Limiter:
    """One bucket for each key; the keys that were seen least recently are forgotten first."""

    def __init__(self, *, capacity: float, per_second: float) -> None:
        self._capacity, self._per_second = capacity, per_second
        self._buckets: OrderedDict[str, tuple[float, datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str, *, now: datetime, cost: float = 1) -> None:
        """Take ``cost`` from the bucket of ``key``.

        Raises:
            TooManyRequestsError: it does not hold so much now.
        """
        with self._lock:
            level, since = self._buckets.pop(key, (self._capacity, now))
            gained = max(0.0, (now - since).total_seconds()) * self._per_second
            level = min(self._capacity, level + gained)
            enough = level >= cost
            self._buckets[key] = (level - cost if enough else level, now)
            while len(self._buckets) > _MAX_KEYS:
                self._buckets.popitem(last=False)
        if not enough:
            raise TooManyRequestsError(max(1, math.ceil((cost - level) / self._per_second)))
