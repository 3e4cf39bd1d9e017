"""Claims that wait (edge): a bounded number of threads, asleep, holding neither connection nor transaction nor lock.

One of them watches for all: every second, and at once when something changed in this process, it asks whom there is
work for, and only those are called to look for themselves. Were each to look every second, sixty waiting agents would
keep half of a processor busy with nothing, and one agent that submits as fast as it may would take the rest from all.

No agent takes more than a few places: with one more claim, its oldest ends, so that a client that lost its connection is
not kept out, and nobody keeps out others.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import Final

from hive.agents.errors import NotNowError
from hive.agents.names import AgentId

_POLL_SECONDS: Final = 1.0
_WATCH_PAUSE: Final = 0.1  # between two watches, however much changes
_WATCH_SHARE: Final = (
    4  # and so many times as long as the last one took: a long list of jobs must not fill all time
)
_FULL_PAUSE: Final = 5
_PLACES_EACH: Final = 4

# Returns for whom of those that wait there is work.
Watch = Callable[[frozenset[AgentId]], Collection[AgentId]]


class Place:
    """Where one claim waits. It is ``held`` until it ends or a newer claim of the same agent takes it."""

    __slots__ = ("called", "held")

    def __init__(self) -> None:
        self.held = True
        self.called = False


class Waiting:
    """The places where claims wait."""

    def __init__(self, most: int) -> None:
        self._free = threading.BoundedSemaphore(most)
        self._bell = threading.Condition()
        self._places: dict[AgentId, deque[Place]] = {}
        self._stopped = False
        self._watching = False
        self._due, self._earliest = 0.0, 0.0  # when to watch next, and when at the earliest

    @property
    def stopped(self) -> bool:
        """Whether the service ends."""
        return self._stopped

    @property
    def agents(self) -> frozenset[AgentId]:
        """Who waits."""
        with self._bell:
            return frozenset(self._places)

    @contextlib.contextmanager
    def place(self, agent_id: AgentId) -> Iterator[Place]:
        """Hold a place to wait in.

        Raises:
            NotNowError: all are taken.
        """
        if not self._free.acquire(blocking=False):
            raise NotNowError("too many agents wait for work here", seconds=_FULL_PAUSE)
        mine = Place()
        try:
            with self._bell:
                places = self._places.setdefault(agent_id, deque())
                places.append(mine)
                if len(places) > _PLACES_EACH:
                    places.popleft().held = False
                    self._bell.notify_all()
            yield mine
        finally:
            with self._bell:
                mine.held = False
                with contextlib.suppress(ValueError):
                    places.remove(mine)
                if not places and self._places.get(agent_id) is places:
                    del self._places[agent_id]
            self._free.release()

    def pause(self, place: Place, seconds: float, watch: Watch) -> bool:
        """Sleep at most ``seconds``, and never longer than one; return whether the place was called.

        Whoever sleeps here when it is time to watch does so for all; what ``watch`` raises is raised here.
        """
        if self._sleep(place, time.monotonic() + min(seconds, _POLL_SECONDS)):
            began = time.monotonic()
            try:
                self._call(watch(self.agents))
            finally:
                with self._bell:
                    ended = time.monotonic()
                    self._watching = False
                    self._earliest = ended + max(_WATCH_PAUSE, _WATCH_SHARE * (ended - began))
                    self._due = max(self._due, self._earliest)
        with self._bell:
            called, place.called = place.called, False
            return called

    def changed(self) -> None:
        """Have somebody watch soon: there may be work."""
        with self._bell:
            self._due = min(self._due, self._earliest)
            self._bell.notify()

    def stop(self) -> None:
        """Wake everybody for good."""
        with self._bell:
            self._stopped = True
            self._bell.notify_all()

    def _sleep(self, place: Place, end: float) -> bool:
        """Return True when it is time to watch, and False when there is another reason to wake up."""
        with self._bell:
            while place.held and not place.called and not self._stopped:
                now = time.monotonic()
                if not self._watching and self._due <= now:
                    self._watching, self._due = True, now + _POLL_SECONDS
                    return True
                if now >= end:
                    return False
                self._bell.wait((end if self._watching else min(end, self._due)) - now)
        return False

    def _call(self, agents: Collection[AgentId]) -> None:
        with self._bell:
            called = [place for agent_id in agents for place in self._places.get(agent_id, ())]
            for place in called:
                place.called = True
            if called:
                self._bell.notify_all()
