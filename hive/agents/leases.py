"""What an agent says about a job that it was given: still at it, done, failed, not for me.

Each carries the fence under which the job was claimed. An old fence changes nothing, however late it comes. A
repetition of what was accepted is answered as the first time, because the first answer may have been lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from hive.agents.errors import LeaseLostError
from hive.agents.names import AgentId, JobId
from hive.agents.rules import MAX_HELD, MAX_REFUSALS, retry_pause
from hive.agents.standing import Present, clock, load_present
from hive.agents.states import JobState, Outcome
from hive.db.agent_tables import AttemptRow, JobRow
from hive.db.instant import Instant
from signing.errors import NotFoundError

_NO_JOB: Final = "no such job"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hold:
    """A job, the attempt that the agent speaks of, and whether that attempt is the one that counts."""

    job: JobRow
    attempt: AttemptRow
    current: bool


def renew(session: Session, agent_id: AgentId, job_id: JobId, fence: int) -> None:
    """Extend the lease by its length from now.

    Raises:
        NotFoundError: the agent never had this job.
        LeaseLostError: it has it no more, or has had it for a day.
        NotEntitledError: it is banned or retired.
    """
    hold = _hold(session, agent_id, job_id, fence)
    if not hold.current or clock(session) - hold.attempt.claimed_at > MAX_HELD:
        raise LeaseLostError(job_id)
    _set(session, hold.job, lease_until=Instant() + hold.job.lease_seconds)


def complete(session: Session, agent_id: AgentId, job_id: JobId, fence: int, result: str) -> None:
    """Store the result, a JSON object as text, and call the job done.

    Raises:
        NotFoundError, LeaseLostError, NotEntitledError: as for `renew`.
    """
    hold = _hold(session, agent_id, job_id, fence)
    if _ends(hold, Outcome.COMPLETED):
        _close(session, hold, Outcome.COMPLETED, "")
        _set(session, hold.job, **_ended(JobState.DONE, ""), result=result)


def fail(session: Session, agent_id: AgentId, job_id: JobId, fence: int, *, reason: str, retry: bool) -> None:
    """Let the job rest and be tried again, if the agent thinks it makes sense and attempts are left; else it is dead.

    Raises:
        NotFoundError, LeaseLostError, NotEntitledError: as for `renew`.
    """
    hold = _hold(session, agent_id, job_id, fence)
    if not _ends(hold, Outcome.FAILED):
        return
    _close(session, hold, Outcome.FAILED, reason)
    if retry and hold.job.attempts < hold.job.max_attempts:
        pause = retry_pause(hold.job.attempts)
        _set(session, hold.job, **_freed(reason), not_before=Instant() + pause)
    else:
        _set(session, hold.job, **_ended(JobState.DEAD, reason))


def refuse(session: Session, agent_id: AgentId, job_id: JobId, fence: int, *, reason: str) -> None:
    """Give the job back for others; it does not count as an attempt. Refused by many, it is dead.

    Raises:
        NotFoundError, LeaseLostError, NotEntitledError: as for `renew`.
    """
    hold = _hold(session, agent_id, job_id, fence)
    if not _ends(hold, Outcome.REFUSED):
        return
    _close(session, hold, Outcome.REFUSED, reason)
    refusals, attempts = hold.job.refusals + 1, hold.job.attempts - 1
    if refusals < MAX_REFUSALS:
        _set(session, hold.job, **_freed(reason), refusals=refusals, attempts=attempts)
    else:
        _set(session, hold.job, **_ended(JobState.DEAD, reason), refusals=refusals, attempts=attempts)


def release(session: Session, agent_id: AgentId, *, reason: str) -> int:
    """Take every job from the agent; they are free at once for others. Returns how many there were."""
    mine = (
        select(JobRow)
        .where(JobRow.owner == agent_id, JobRow.state == JobState.LEASED)
        .order_by(JobRow.number)
        .with_for_update(key_share=True)
    )
    jobs = session.scalars(mine).all()
    for job in jobs:
        end_attempt(session, job, Outcome.LOST, reason)
        if job.attempts < job.max_attempts:
            _set(session, job, **_freed(reason))
        else:
            _set(session, job, **_ended(JobState.DEAD, reason))
    return len(jobs)


def end_attempt(session: Session, job: JobRow, outcome: Outcome, reason: str) -> None:
    """End the attempt that a job is in, if it is in one."""
    session.execute(
        update(AttemptRow)
        .where(AttemptRow.number == job.number, AttemptRow.outcome.is_(None))
        .values(outcome=outcome.value, ended_at=Instant(), reason=reason)
        .execution_options(synchronize_session=False)
    )


def _hold(session: Session, agent_id: AgentId, job_id: JobId, fence: int) -> _Hold:
    """Return what the agent speaks of.

    An agent knows of the jobs that it was given, and of no other: the answer about somebody else's job is the one
    about a job that does not exist.
    """
    present = load_present(session, agent_id)
    # In one statement: of a job that is not its own the agent learns nothing by waiting for its lock either.
    given = select(AttemptRow).where(AttemptRow.number == JobRow.number, AttemptRow.agent_id == agent_id)
    wanted = select(JobRow).where(JobRow.job_id == job_id, given.exists()).with_for_update(key_share=True)
    job = session.scalars(wanted).first()
    if job is None:
        raise NotFoundError(_NO_JOB)
    attempt = session.get(AttemptRow, (job.number, fence), populate_existing=True)
    if attempt is None or attempt.agent_id != agent_id:
        raise LeaseLostError(job_id)
    return _Hold(job=job, attempt=attempt, current=_is_current(present, job, attempt))


def _is_current(present: Present, job: JobRow, attempt: AttemptRow) -> bool:
    # A lease that ran out and that nobody took over still is the newest: its work is not thrown away.
    mine = job.state == JobState.LEASED and job.owner == present.agent_id and job.fence == attempt.fence
    return mine and attempt.outcome is None and present.routable


def _ends(hold: _Hold, outcome: Outcome) -> bool:
    """Return whether the attempt ends now; False for a repetition of how it ended.

    Raises:
        LeaseLostError: it ended in another way, or is not the agent's any more.
    """
    if hold.attempt.outcome == outcome:
        return False
    if not hold.current:
        raise LeaseLostError(hold.job.job_id)
    return True


def _close(session: Session, hold: _Hold, outcome: Outcome, reason: str) -> None:
    end_attempt(session, hold.job, outcome, reason)


def _freed(reason: str) -> Mapping[str, Any]:
    return {"state": JobState.READY.value, "owner": None, "lease_until": None, "reason": reason}


def _ended(state: JobState, reason: str) -> Mapping[str, Any]:
    return {"state": state.value, "lease_until": None, "reason": reason, "ended_at": Instant()}


def _set(session: Session, job: JobRow, **values: Any) -> None:
    session.execute(
        update(JobRow)
        .where(JobRow.number == job.number)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
