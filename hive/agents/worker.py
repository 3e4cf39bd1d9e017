"""A lane: lends its capabilities over the API, and runs one command for each job (edge).

The job goes to the command's stdin as one line of JSON: id, kind, needs, payload. What it prints is the result: a
JSON object, or text. Once the lease is lost the command is killed and nothing more is said about that job.
"""

import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hive.agents.client import HiveClient
from hive.agents.command import Command
from hive.agents.errors import LeaseLostError, NotAcceptedError
from hive.agents.names import AgentId, Capability, parse_capability, parse_kind
from hive.agents.wire import parse_strict, take_fence, take_seconds
from signing.errors import FormatError, HostError, NotFoundError, SkillRepoError, TransportError
from signing.format.fields import Fields

_TICK: Final = 0.02
_REPORT_TRIES: Final = 5
_FIRST_PAUSE: Final = 1.0
_MOST_PAUSE: Final = 60.0
_MAX_ID: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """Who lends what, and what one job may use. ``wait`` is how long one claim waits."""

    agent_id: AgentId
    capabilities: frozenset[Capability]
    words: Sequence[str]
    seconds: float = 600.0
    output_limit: int = 256 * 1024
    wait: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    job_id: str
    kind: str
    needs: tuple[Capability, ...]
    payload: Any
    lease_seconds: float
    fence: int

    @classmethod
    def of(cls, answer: dict[str, Any]) -> "_Job":
        """Return the job that was given out.

        Raises:
            FormatError: not one; nothing of it is used then, least of all its id in a path.
        """
        fields = Fields.of(answer.get("job"), where="job")
        job_id = fields.text("id", max_length=_MAX_ID)
        if not job_id or not job_id.replace("-", "").replace("_", "").isalnum() or not job_id.isascii():
            raise FormatError("not the id of a job", where=fields.place("id"))
        return cls(
            job_id=job_id,
            kind=parse_kind(fields.take("kind"), where=fields.place("kind")),
            needs=fields.items("needs", parse_capability),
            payload=fields.take("payload"),
            lease_seconds=take_seconds(fields, "lease_seconds"),
            fence=take_fence(fields),
        )

    def line(self) -> bytes:
        """Return the job as the command reads it."""
        shown = {"id": self.job_id, "kind": self.kind, "needs": list(self.needs), "payload": self.payload}
        return json.dumps(shown).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """How the work ended: complete, fail, refuse, or lost (then nothing is said)."""

    action: str
    body: dict[str, Any]
    reason: str = ""


class Worker:
    """Works until ``stop`` is set; says what happens by ``tell``."""

    def __init__(
        self, client: HiveClient, lane: Lane, *, stop: threading.Event, tell: Callable[[dict[str, Any]], None]
    ) -> None:
        self._client, self._lane, self._stop, self._tell = client, lane, stop, tell
        self._pulse: _Pulse | None = None
        self._pause = _FIRST_PAUSE

    def run(self, *, once: bool = False) -> None:
        """Register, then take one job after the other; with ``once``, one claim.

        Raises:
            TokenRefusedError, NotEntitledError: the hive does not want this lane.
        """
        try:
            while not self._stop.is_set():
                try:
                    self._step()
                except (TransportError, FormatError, NotFoundError) as error:
                    if self._stop.is_set():
                        return
                    if once:
                        raise
                    self._rest(error)
                    continue
                self._pause = _FIRST_PAUSE
                if once:
                    return
        finally:
            self._forget_pulse()

    def _step(self) -> None:
        if self._pulse is None or self._pulse.problem is not None:
            self._enter()
        pulse = self._pulse
        if pulse is None or pulse.quarantined:
            self._stop.wait(1.0)
            return
        job = self._claim()
        if job is not None:
            self._tell(self._take(job, pulse))

    def _enter(self) -> None:
        """Register and send the first heartbeat; whatever the last one of them met is raised here."""
        problem = self._pulse.problem if self._pulse is not None else None
        self._forget_pulse()
        if problem is not None and not isinstance(problem, NotFoundError):
            raise problem
        lane = self._lane
        answer = self._client.call(
            "/v1/agents/register",
            {"agent": lane.agent_id, "tenant": None, "capabilities": sorted(lane.capabilities), "skills": []},
        )
        every = take_seconds(Fields.of(answer, where="answer"), "heartbeat_seconds")
        pulse = _Pulse(self._client, lane.agent_id, every=every)
        pulse.beat()
        pulse.start()
        self._pulse = pulse
        self._tell({"event": "registered", "agent": lane.agent_id, "heartbeat_seconds": every})

    def _claim(self) -> _Job | None:
        lane = self._lane
        body = {
            "agent": lane.agent_id,
            "capabilities": sorted(lane.capabilities),
            "wait_seconds": lane.wait,
        }
        answer = self._client.call("/v1/jobs/claim", body, wait=lane.wait, stop=self._stop)
        return _Job.of(answer) if answer is not None else None

    def _take(self, job: _Job, pulse: "_Pulse") -> dict[str, Any]:
        """See one job through, and return what is to be told about it."""
        keeper = _Keeper(self._client, job, pulse)
        lacking = sorted(set(job.needs) - self._lane.capabilities)
        try:
            if lacking:
                reason = f"this lane does not offer {', '.join(lacking)}"
                verdict = _Verdict(action="refuse", body={"reason": reason}, reason=reason)
            else:
                keeper.start()
                verdict = self._work(job, keeper)
            if verdict.action != "lost":
                verdict = self._report(job, verdict, keeper)
        except LeaseLostError as error:
            verdict = _Verdict(action="lost", body={}, reason=str(error))
        finally:
            keeper.done.set()
        facts = {"event": "job", "job": job.job_id, "kind": job.kind, "outcome": verdict.action}
        return {**facts, "reason": verdict.reason} if verdict.reason else facts

    def _work(self, job: _Job, keeper: "_Keeper") -> _Verdict:
        try:
            command = Command(self._lane.words, job.line(), output_limit=self._lane.output_limit)
        except HostError as error:
            return _failed(str(error), retry=True)
        try:
            return self._watch(command, keeper)
        finally:
            command.end(gently=False)

    def _watch(self, command: Command, keeper: "_Keeper") -> _Verdict:
        end = time.monotonic() + self._lane.seconds
        while not command.has_ended():
            if lost := keeper.lost():
                return _Verdict(action="lost", body={}, reason=lost)
            if command.too_much.is_set():
                break
            if self._stop.is_set():
                command.end(gently=True)
                return _failed("the lane is stopping", retry=True)
            if time.monotonic() >= end:
                command.end(gently=True)
                return _failed(f"the command ran longer than {self._lane.seconds:g} seconds", retry=False)
            time.sleep(_TICK)
        status = command.end(gently=False)
        if command.too_much.is_set():
            return _failed(f"the command wrote more than {self._lane.output_limit} bytes", retry=False)
        if status != 0:
            how = f"ended with status {status}" if status > 0 else f"was ended by signal {-status}"
            return _failed(f"the command {how}", retry=False)
        return _result(bytes(command.output))

    def _report(self, job: _Job, verdict: _Verdict, keeper: "_Keeper") -> _Verdict:
        """Tell the hive how the job ended; again while the lease is held, because an answer may be lost.

        Returns what was told at last: a result that the hive does not take is a failure, or the command would be run
        for it again and again.

        Raises:
            LeaseLostError: it is not held any more.
        """
        try:
            self._tell_hive(job, verdict, keeper)
        except NotAcceptedError:
            if verdict.action != "complete":
                raise
            verdict = _failed(
                "the hive does not take this result: too large, or nested too deeply", retry=False
            )
            self._tell_hive(job, verdict, keeper)
        return verdict

    def _tell_hive(self, job: _Job, verdict: _Verdict, keeper: "_Keeper") -> None:
        for left in reversed(range(_REPORT_TRIES)):
            if keeper.lost():
                raise LeaseLostError(job.job_id)
            try:
                path = f"/v1/jobs/{job.job_id}/{verdict.action}"
                self._client.call(path, {"fence": job.fence, **verdict.body})
            except TransportError:
                if not left:
                    raise
                self._stop.wait(min(1.0, job.lease_seconds / 10))
            else:
                return

    def _rest(self, error: SkillRepoError) -> None:
        if isinstance(error, NotFoundError):
            self._forget_pulse()
        # Shortened by chance, so that lanes do not come back together.
        seconds = random.SystemRandom().uniform(self._pause / 2, self._pause)
        self._pause = min(_MOST_PAUSE, self._pause * 2)
        self._tell({"event": "trouble", "reason": str(error), "again_in": round(seconds, 1)})
        self._stop.wait(seconds)

    def _forget_pulse(self) -> None:
        if self._pulse is not None:
            self._pulse.done.set()
            self._pulse = None


class _Pulse(threading.Thread):
    """The lane's signs of life, from a thread of their own: also while a claim waits and a command runs."""

    def __init__(self, client: HiveClient, agent_id: AgentId, *, every: float) -> None:
        super().__init__(daemon=True)
        self._client, self._agent_id, self._every = client, agent_id, every
        self.done = threading.Event()
        self.quarantined = False
        self.problem: SkillRepoError | None = None

    def beat(self) -> None:
        """Send one heartbeat."""
        answer = self._client.call("/v1/agents/heartbeat", {"agent": self._agent_id})
        state = (answer or {}).get("state")
        if state not in {"active", "quarantined"}:
            raise FormatError("names no known state", where="answer")
        self.quarantined = state == "quarantined"

    def run(self) -> None:
        """Send heartbeats until `done`, or until the hive does not know this lane any more."""
        while not self.done.wait(self._every):
            try:
                self.beat()
            except (TransportError, FormatError):
                continue  # the next one may get through; the hive is patient for longer than one
            except SkillRepoError as error:
                self.problem = error
                return


class _Keeper(threading.Thread):
    """Renews one lease every third of its length.

    It counts as lost when the hive says so, when the lane may not work any more, and when no renewal got through for
    the whole of it: somebody else may hold the job from then on.
    """

    def __init__(self, client: HiveClient, job: _Job, pulse: _Pulse) -> None:
        super().__init__(daemon=True)
        self._client, self._job, self._pulse = client, job, pulse
        self._reason = ""
        self._renewed = time.monotonic()
        self.done = threading.Event()

    def lost(self) -> str:
        """Return why the lease is lost; an empty text while it is held."""
        if self._reason:
            return self._reason
        if self._pulse.quarantined:
            return "this lane is quarantined"
        if time.monotonic() - self._renewed >= self._job.lease_seconds:
            return "the lease ran out before the hive could be reached"
        return ""

    def run(self) -> None:
        """Renew until `done` is set or the lease is lost."""
        third = self._job.lease_seconds / 3
        while not self.done.wait(third):
            asked = time.monotonic()
            try:
                path = f"/v1/jobs/{self._job.job_id}/heartbeat"
                limit = min(self._client.timeout, max(third, 0.2))
                self._client.call(path, {"fence": self._job.fence}, timeout=limit)
                self._renewed = asked
            except (TransportError, FormatError):
                continue  # until the lease has run out
            except SkillRepoError as error:
                self._reason = str(error)
                return


def _failed(reason: str, *, retry: bool) -> _Verdict:
    return _Verdict(action="fail", body={"reason": reason, "retry": retry}, reason=reason)


def _result(output: bytes) -> _Verdict:
    try:
        value = parse_strict(output, where="output")
    except FormatError:
        value = None
    if not isinstance(value, dict):
        try:
            value = {"text": output.decode()}
        except UnicodeDecodeError:
            return _failed("the command's output is not UTF-8 text", retry=False)
    return _Verdict(action="complete", body={"result": value})
