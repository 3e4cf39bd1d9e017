"""Something that is said again and again from a thread of its own, while the work goes on (edge)."""

import threading
from collections.abc import Callable
from typing import Self

from hive.agents.errors import LeaseLostError
from signing.errors import SkillRepoError


class Pulse:
    """Calls ``beat`` every so many seconds until the block ends; one that fails does not end the next.

    A lease that is lost stays so: that ends the pulse, and who works learns of it from the database.
    """

    def __init__(self, beat: Callable[[], None], *, every: float) -> None:
        self._beat, self._every = beat, every
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, also in the middle of a pause; a beat that goes on is waited for."""
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(self._every):
            try:
                self._beat()
            except LeaseLostError:
                return
            except SkillRepoError:
                continue  # the database may be busy, or away for a moment
