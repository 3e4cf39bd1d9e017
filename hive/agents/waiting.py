"""Claims that wait (edge): a bounded number of threads, asleep, holding neither transaction nor lock.

A waiter looks again when something changed in this process, and every second for what other processes changed. No agent
takes more than a few places: with one more claim, its oldest ends, so that a client that lost its connection is not
kept out, and nobody keeps out others.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from hive.agents.errors import NotNowError
from hive.agents.names import AgentId

_POLL_SECONDS: Final = 1.0
_FULL_PAUSE: Final = 5
_PLACES_EACH: Final = 4


class Waiting:
    """The places where claims wait."""

    def __init__(self, most: int) -> None:
        self._places = threading.BoundedSemaphore(most)
        self._bell = threading.Condition()
        self._changes = 0
        self._stopped = False
        self._places_of: dict[AgentId, deque[object]] = {}

    @property
    def changes(self) -> int:
        """How often something changed so far; taken before looking, so that no change is missed."""
        with self._bell:
            return self._changes

    @property
    def stopped(self) -> bool:
        """Whether the service ends."""
        return self._stopped

    @contextlib.contextmanager
    def place(self, agent_id: AgentId) -> Iterator[Callable[[], bool]]:
        """Hold a place to wait in, and yield what says whether it is still the agent's.

        Raises:
            NotNowError: all are taken.
        """
        if not self._places.acquire(blocking=False):
            raise NotNowError("too many agents wait for work here", seconds=_FULL_PAUSE)
        mine = object()
        try:
            with self._bell:
                places = self._places_of.setdefault(agent_id, deque())
                places.append(mine)
                if len(places) > _PLACES_EACH:
                    places.popleft()
                    self._bell.notify_all()
            yield lambda: mine in places
        finally:
            with self._bell:
                with contextlib.suppress(ValueError):
                    places.remove(mine)
                if not places and self._places_of.get(agent_id) is places:
                    del self._places_of[agent_id]
            self._places.release()

    def pause(self, seconds: float, *, since: int, while_true: Callable[[], bool]) -> None:
        """Sleep until something changed after ``since``, at most ``seconds``, and never longer than a second."""
        with self._bell:
            self._bell.wait_for(
                lambda: self._changes != since or self._stopped or not while_true(),
                timeout=min(seconds, _POLL_SECONDS),
            )

    def changed(self) -> None:
        """Wake everybody: there may be work."""
        with self._bell:
            self._changes += 1
            self._bell.notify_all()

    def stop(self) -> None:
        """Wake everybody for good."""
        with self._bell:
            self._stopped = True
            self._bell.notify_all()
