"""How the work on a job ended, and what the hive is told of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mother.errors import MalformedError
from mother.fields import parse_object
from mother.job import Job
from mother.lease import Keeper
from mother.running import TICK, Running

OUTCOMES = {"complete": "completed", "fail": "failed", "refuse": "refused", "lost": "lost"}


@dataclass(frozen=True)
class Limits:
    """What one command may use."""

    seconds: float
    output_bytes: int


@dataclass(frozen=True)
class Verdict:
    """``complete``, ``fail`` or ``refuse``, with what is said then; or ``lost``: nothing is said."""

    action: str
    body: dict[str, Any] = field(default_factory=dict)
    reason: str = ""

    def about(self, job: Job) -> dict[str, Any]:
        """Return what is printed about the job."""
        facts = {"job": job.id, "kind": job.kind, "outcome": OUTCOMES[self.action]}
        return {**facts, "reason": self.reason} if self.reason else facts


def failed(reason: str, *, retry: bool = False) -> Verdict:
    """Return that the work failed; ``retry`` says whether another attempt makes sense."""
    return Verdict("fail", {"reason": reason, "retry": retry}, reason)


def refused(lacking: Sequence[str]) -> Verdict:
    """Return that the job needs what this agent did not offer."""
    reason = f"this agent did not register: {', '.join(lacking)}"
    return Verdict("refuse", {"reason": reason}, reason)


def lost(reason: str) -> Verdict:
    """Return that the job is somebody else's."""
    return Verdict("lost", reason=reason)


def watch(running: Running, keeper: Keeper, limits: Limits, stop: threading.Event) -> Verdict:
    """Wait until the command ends or must be ended, and decide what the hive is told."""
    deadline = time.monotonic() + limits.seconds
    while not running.exited() and not running.too_much.is_set():
        if reason := keeper.lost():
            running.end(gently=False)
            return lost(reason)
        if stop.is_set():
            running.end(gently=True)
            return failed("the agent is stopping", retry=True)
        if time.monotonic() >= deadline:
            running.end(gently=True)
            return failed(f"the command ran longer than {limits.seconds:g} seconds")
        time.sleep(TICK)
    status = running.end(gently=False)
    if running.too_much.is_set():
        return failed(f"the command wrote more than {limits.output_bytes} bytes")
    if status > 0:
        return failed(f"the command ended with status {status}")
    if status < 0:
        return failed(f"the command was ended by signal {-status}")
    return _result(bytes(running.output))


def _result(output: bytes) -> Verdict:
    """Return what the command wrote: its JSON object, or its text as ``{"text": ...}``."""
    try:
        return Verdict("complete", {"result": parse_object(output, what="the command's output")})
    except MalformedError:
        pass
    try:
        return Verdict("complete", {"result": {"text": output.decode("utf-8")}})
    except UnicodeDecodeError:
        return failed("the command's output is not UTF-8 text")
