"""The lease on one job, kept while the work lasts."""

from __future__ import annotations

import threading
import time

from mother.errors import LeaseLostError, MotherError
from mother.heartbeat import QUARANTINED, Pulse
from mother.hive import Hive
from mother.job import Job
from mother.talk import say

LEAST_LIMIT = 0.2  # seconds that one renewal may take, of the shortest lease too


class Keeper(threading.Thread):
    """Renews one lease every third of its length, and sends the agent's heartbeats beside it.

    The lease counts as lost when the hive says so (409), when this agent may not work any more, and when no
    renewal got through for the length of the lease: somebody else may hold the job from then on.
    """

    def __init__(self, hive: Hive, job: Job, pulse: Pulse | None) -> None:
        super().__init__(daemon=True)
        self.done = threading.Event()
        self._hive, self._job, self._pulse = hive, job, pulse
        self._third = job.lease_seconds / 3
        self._renewed = time.monotonic()
        self._due = self._renewed + self._third
        self._settled = False
        self._reason = ""

    def lost(self) -> str:
        """Return why the lease is lost, or an empty string while it is ours."""
        if not self._reason and time.monotonic() - self._renewed >= self._job.lease_seconds:
            return "the lease ran out before the hive could be reached"
        return self._reason

    def settle(self) -> None:
        """Renew no more, because the hive is being told how the job ended.

        Once it knows, it answers a renewal with 409; that would look like a loss when its first answer was lost.
        """
        self._settled = True

    def run(self) -> None:
        """Renew until `done` is set or the lease is lost."""
        while not self._reason and not self.done.wait(self._pause()):
            try:
                self._keep()
            except LeaseLostError:
                if not self._settled:
                    self._reason = "the hive gave the job to another agent"
            except MotherError as problem:
                self._stumble(problem)
            except Exception as problem:  # noqa: BLE001 - a traceback could quote a value; its kind cannot
                self._reason = f"a bug in mother: {type(problem).__name__}"

    def _stumble(self, problem: MotherError) -> None:
        if not problem.passes:
            self._reason = str(problem)
            return
        say(f"a heartbeat did not get through: {problem}")
        if self._pulse:
            self._pulse.delay(self._third)

    def _pause(self) -> float:
        until_due = self._third if self._settled else max(0.0, self._due - time.monotonic())
        return min(until_due, self._pulse.left()) if self._pulse else until_due

    def _keep(self) -> None:
        now = time.monotonic()
        if now >= self._due and not self._settled:
            self._due = now + self._third
            limit = min(self._hive.timeout, max(self._third, LEAST_LIMIT))
            self._hive.call(f"/v1/jobs/{self._job.id}/heartbeat", {"fence": self._job.fence}, timeout=limit)
            self._renewed = now
        if self._pulse and self._pulse.beat_if_due() == QUARANTINED:
            self._reason = "this agent is quarantined"
