"""One job from claim to answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from mother.errors import LeaseLostError, NotUnderstoodError, UnreachableError
from mother.heartbeat import Pulse
from mother.hive import Hive
from mother.identity import Identity
from mother.job import Job, claim
from mother.lease import Keeper
from mother.pace import breathe
from mother.running import Running
from mother.verdict import Limits, Verdict, failed, lost, refused, watch

REPORT_TRIES = 5
STOPPING_TRIES = 2


class Worker:
    """Claims jobs and answers each exactly once."""

    def __init__(
        self,
        hive: Hive,
        identity: Identity,
        capabilities: frozenset[str],
        command: Sequence[str],
        limits: Limits,
    ) -> None:
        self.hive, self.identity, self.capabilities = hive, identity, capabilities
        self._command, self._limits = command, limits

    def take_one(self, *, wait: float, pulse: Pulse | None = None) -> dict[str, Any]:
        """Claim one job and see it through. Returns what is to be printed about it.

        Raises:
            MotherError: no job could be claimed, or the hive could not be told how it ended.
            Stopped: the signal to stop came while there was no job.
        """
        began = time.monotonic()
        job = claim(self.hive, self.identity, self.capabilities, wait=wait)
        facts = {"outcome": "idle"} if job is None else self._see_through(job, pulse).about(job)
        if facts["outcome"] not in {"completed", "failed"}:
            breathe(self.hive.stop, since=began)
        return facts

    def _see_through(self, job: Job, pulse: Pulse | None) -> Verdict:
        keeper = Keeper(self.hive, job, pulse)
        try:
            if lacking := sorted(job.needs - self.capabilities):
                verdict = refused(lacking)
            else:
                verdict = self._work(job, keeper)
            return verdict if verdict.action == "lost" else self._answer(job, verdict, keeper)
        except LeaseLostError as problem:
            return lost(str(problem))
        finally:
            keeper.done.set()

    def _work(self, job: Job, keeper: Keeper) -> Verdict:
        try:
            keeper.start()
            running = Running(self._command, job.line(), output_limit=self._limits.output_bytes)
        except (OSError, RuntimeError) as problem:
            why = getattr(problem, "strerror", None) or "there is no room for it"
            return failed(f"the command could not be started: {why}", retry=True)
        try:
            return watch(running, keeper, self._limits, self.hive.stop)
        finally:
            running.end(gently=False)

    def _answer(self, job: Job, verdict: Verdict, keeper: Keeper) -> Verdict:
        """Tell the hive, and return what it was told."""
        keeper.settle()
        try:
            self._report(job, verdict, keeper)
        except NotUnderstoodError:
            if verdict.action != "complete":
                raise
            # Too long or too deep for it. Unanswered, the job would come back and end the same way.
            verdict = failed("the hive does not take the command's result")
            self._report(job, verdict, keeper)
        return verdict

    def _report(self, job: Job, verdict: Verdict, keeper: Keeper) -> None:
        """Tell the hive how the job ended; try again while the lease is held, and not for long when stopping.

        Raises:
            LeaseLostError: the lease is not ours any more.
            MotherError: the hive could not be told.
        """
        for tries in range(1, REPORT_TRIES + 1):
            if reason := keeper.lost():
                raise LeaseLostError(reason)
            try:
                self.hive.call(f"/v1/jobs/{job.id}/{verdict.action}", {"fence": job.fence, **verdict.body})
            except UnreachableError as problem:
                if tries >= (STOPPING_TRIES if self.hive.stop.is_set() else REPORT_TRIES):
                    raise UnreachableError(
                        f"{problem}; job {job.id} is not answered, and is free again when its lease runs out"
                    ) from None
                time.sleep(min(1.0, job.lease_seconds / 10))
            else:
                return
