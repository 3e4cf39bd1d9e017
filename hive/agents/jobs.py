"""Jobs: submitting them, looking at them, cancelling, approving and retrying them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.orm import Session

from hive import audit
from hive.agents import replication
from hive.agents.errors import NotNowError
from hive.agents.leases import end_attempt
from hive.agents.names import ABI, BIRTH, WOMB, AgentId, Capability, JobId, JobKind, new_job_id
from hive.agents.rules import (
    MAX_ATTEMPTS,
    MAX_KEPT,
    MAX_LEASE,
    MAX_NEEDS,
    MAX_OPEN,
    MAX_PRIORITY,
    MIN_LEASE,
    Rules,
)
from hive.agents.standing import load_present
from hive.agents.states import OPEN, JobState, Outcome
from hive.agents.wire import render_payload
from hive.db.agent_tables import AttemptRow, JobRow, NeedRow
from hive.db.instant import Instant
from hive.orders.terms import terms_of
from hive.tenants import Tenant, TenantStatus, load_row
from signing.errors import ConflictError, FormatError, NotEntitledError, NotFoundError
from signing.format.names import TenantId

APPROVED: Final = "job.approved"
_FULL_PAUSE: Final = 30
_FORGET_AT_ONCE: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job that somebody wants done. It needs at least one capability: nothing goes to just anybody."""

    kind: JobKind
    needs: frozenset[Capability]
    payload: Any
    priority: int = 0
    max_attempts: int = 3
    lease_seconds: float = 60.0

    def __post_init__(self) -> None:
        if not 1 <= len(self.needs) <= MAX_NEEDS:
            raise FormatError(f"not 1 to {MAX_NEEDS} capabilities", where="job.needs")
        if abs(self.priority) > MAX_PRIORITY:
            raise FormatError(f"not from -{MAX_PRIORITY} to {MAX_PRIORITY}", where="job.priority")
        if not 1 <= self.max_attempts <= MAX_ATTEMPTS:
            raise FormatError(f"not from 1 to {MAX_ATTEMPTS}", where="job.max_attempts")
        if not MIN_LEASE <= self.lease_seconds <= MAX_LEASE:
            raise FormatError(f"not from {MIN_LEASE} to {MAX_LEASE} seconds", where="job.lease_seconds")
        if self.kind == BIRTH and not is_birth_needs(self.needs):
            raise FormatError(f"a {BIRTH} needs {WOMB}, and at most an ABI beside it", where="job.needs")
        if self.kind != BIRTH and WOMB in self.needs:
            # Else a birth could pass its gate under another name.
            raise FormatError(f"only a {BIRTH} needs {WOMB}", where="job.needs")


def is_birth_needs(needs: frozenset[Capability]) -> bool:
    """Return whether a birth may need this: a womb, and perhaps the ABI of its jails."""
    more = needs - {WOMB}
    return WOMB in needs and len(more) <= 1 and all(need.startswith(ABI) for need in more)


def submit(session: Session, job: NewJob, *, tenant_id: TenantId | None, by: str, now: datetime) -> JobId:
    """Add a job of an operator, for a tenant or (None) for the host itself.

    Raises:
        NotFoundError: no such tenant. NotEntitledError: it is retired, or nobody waits to be born.
        NotNowError: too many jobs of it are open.
    """
    _check_not_retired(session, tenant_id)
    if job.kind == BIRTH:
        replication.check_unborn(session, replication.parse_birth(job.payload))
    row = _add(session, job, tenant_id, f"operator:{by}"[:80], JobState.READY)
    _audit(session, "job.submitted", row, now=now)
    return JobId(row.job_id)


def submit_from_agent(
    session: Session, agent_id: AgentId, job: NewJob, rules: Rules, *, now: datetime
) -> tuple[JobId, JobState]:
    """Add a job of an agent, for its own tenant; a birth is held for an operator, where it is allowed at all.

    Raises:
        NotEntitledError: the agent is a lane, quarantined, banned or retired, wants to go first, or wants a birth.
        NotNowError: too many jobs of its tenant are open.
    """
    present = load_present(session, agent_id, change=job.kind == BIRTH)
    if present.tenant is None:
        raise NotEntitledError(f"{agent_id} is a lane; it does work, and asks for none")
    if not present.routable:
        raise NotEntitledError(f"agent {agent_id} may not work now")
    if job.priority > 0:
        raise NotEntitledError("a priority above 0 is an operator's to give")
    tenant_id = TenantId(present.tenant.tenant_id)
    by = f"agent:{agent_id}"
    if job.kind != BIRTH:
        forget_old(session, tenant_id)
        row = _add(session, job, tenant_id, by, JobState.READY)
        return JobId(row.job_id), JobState.READY
    child = replication.parse_birth(job.payload)
    depth = replication.check_replication(session, tenant_id, child, rules)
    row = _add(session, job, tenant_id, by, JobState.HELD)
    replication.remember(session, row, tenant_id, child, depth)
    _audit(session, "birth.requested", row, now=now, child=child, depth=depth)
    return JobId(row.job_id), JobState.HELD


def load(session: Session, job_id: JobId, *, tenant_id: TenantId | None = None) -> JobRow:
    """Return a job; with ``tenant_id``, only if it is that tenant's.

    Raises:
        NotFoundError: there is none, or it is somebody else's: the two are not told apart.
    """
    wanted = select(JobRow).where(JobRow.job_id == job_id).with_for_update(key_share=True)
    if tenant_id is not None:
        wanted = wanted.where(JobRow.tenant_id == tenant_id)
    row = session.scalars(wanted.execution_options(populate_existing=True)).first()
    if row is None:
        raise NotFoundError("no such job", hint="hive jobs lists them")
    return row


def list_jobs(
    session: Session,
    *,
    states: Sequence[JobState] = (),
    tenant_id: TenantId | None = None,
    limit: int = 100,
) -> list[JobRow]:
    """Return the newest jobs, the newest last."""
    wanted = select(JobRow).order_by(JobRow.number.desc()).limit(limit)
    if states:
        wanted = wanted.where(JobRow.state.in_([state.value for state in states]))
    if tenant_id is not None:
        wanted = wanted.where(JobRow.tenant_id == tenant_id)
    return list(reversed(session.scalars(wanted).all()))


def needs_of(session: Session, row: JobRow) -> list[str]:
    """Return what a job needs."""
    return sorted(session.scalars(select(NeedRow.capability).where(NeedRow.number == row.number)))


def attempts_of(session: Session, row: JobRow) -> list[AttemptRow]:
    """Return the attempts at a job, oldest first."""
    mine = select(AttemptRow).where(AttemptRow.number == row.number).order_by(AttemptRow.fence)
    return list(session.scalars(mine))


def describe(session: Session, row: JobRow) -> dict[str, Any]:
    """Return a job as its owner sees it. Who worked on it is the host's business."""
    return {
        "id": row.job_id,
        "kind": row.kind,
        "needs": needs_of(session, row),
        "priority": row.priority,
        "state": row.state,
        "reason": row.reason,
        "attempts": row.attempts,
        "max_attempts": row.max_attempts,
        "result": json.loads(row.result) if row.result is not None else None,
    }


def cancel(session: Session, row: JobRow, *, by: str, now: datetime) -> None:
    """End an open job; whoever works on it learns so by its next heartbeat.

    Raises:
        ConflictError: it has ended already.
    """
    if row.state not in OPEN:
        raise ConflictError(f"job {row.job_id} is {row.state} already")
    _cancel(session, row, by)
    _audit(session, "job.cancelled", row, now=now, by=by)


def cancel_own(session: Session, row: JobRow, agent_id: AgentId) -> None:
    """End an open job of an agent's own tenant. The job tells of it; the log does not, or a jail could fill it."""
    _cancel(session, row, f"agent {agent_id}")


def cancel_all(session: Session, tenant_id: TenantId, *, by: str) -> int:
    """End every open job of a tenant, and return how many there were."""
    wanted = (
        select(JobRow)
        .where(JobRow.tenant_id == tenant_id, JobRow.state.in_(OPEN))
        .order_by(JobRow.number)
        .with_for_update(key_share=True)
    )
    rows = session.scalars(wanted).all()
    for row in rows:
        _cancel(session, row, by)
    return len(rows)


def approve(session: Session, row: JobRow, *, by: str, now: datetime) -> None:
    """Let a held job go to the hosts, as the tenant that it is for stands now: the log says how, and a host compares.

    Raises:
        ConflictError: it is not held.
    """
    if row.state != JobState.HELD:
        raise ConflictError(f"job {row.job_id} is {row.state}, not held")
    child = Tenant.of(load_row(session, replication.approve(session, row, by=by)))
    row.state = JobState.READY.value
    _audit(session, APPROVED, row, now=now, by=by, child=child.tenant_id, **terms_of(session, child))


def retry(session: Session, row: JobRow, *, by: str, now: datetime) -> None:
    """Begin a dead or cancelled job anew; one that was never approved is held again.

    Raises:
        ConflictError: it is open, or done. NotEntitledError: its tenant is retired.
    """
    if row.state not in {JobState.DEAD, JobState.CANCELLED}:
        raise ConflictError(f"job {row.job_id} is {row.state}; only dead and cancelled jobs are retried")
    _check_not_retired(session, TenantId(row.tenant_id) if row.tenant_id is not None else None)
    held = replication.is_unapproved(session, row)
    row.state = (JobState.HELD if held else JobState.READY).value
    row.attempts, row.refusals, row.not_before = 0, 0, 0.0
    row.owner, row.lease_until, row.ended_at, row.reason = None, None, None, ""
    _audit(session, "job.retried", row, now=now, by=by)


def forget_old(session: Session, tenant_id: TenantId, *, keep: int = MAX_KEPT) -> int:
    """Drop the oldest ended jobs of a tenant beyond ``keep``, births excepted, and return how many.

    An agent can submit and complete for ever; the host's disk is not its own.
    """
    ended = and_(JobRow.tenant_id == tenant_id, JobRow.state.not_in(OPEN), JobRow.kind != BIRTH)
    oldest = (
        select(JobRow.number).where(ended).order_by(JobRow.number.desc()).offset(keep).limit(_FORGET_AT_ONCE)
    )
    # Locked, and asked again whether it has ended: an operator may be retrying one of them just now.
    wanted = select(JobRow.number).where(JobRow.number.in_(oldest), ended).with_for_update(skip_locked=True)
    numbers = list(session.scalars(wanted))
    for table in (AttemptRow, NeedRow, JobRow):
        session.execute(
            delete(table).where(table.number.in_(numbers)).execution_options(synchronize_session=False)
        )
    return len(numbers)


def _add(session: Session, job: NewJob, tenant_id: TenantId | None, by: str, state: JobState) -> JobRow:
    _check_room(session, tenant_id)
    row = JobRow(
        job_id=new_job_id(),
        tenant_id=tenant_id,
        kind=job.kind,
        payload=render_payload(job.payload),
        priority=job.priority,
        state=state.value,
        reason="",
        submitted_by=by,
        submitted_at=Instant(),
        not_before=0.0,
        attempts=0,
        max_attempts=job.max_attempts,
        refusals=0,
        fence=0,
        lease_seconds=job.lease_seconds,
    )
    session.add(row)
    session.flush()
    session.add_all(NeedRow(number=row.number, capability=need) for need in sorted(job.needs))
    return row


def _check_not_retired(session: Session, tenant_id: TenantId | None) -> None:
    if tenant_id is not None and load_row(session, tenant_id).status == TenantStatus.RETIRED:
        raise NotEntitledError(f"tenant {tenant_id} is retired")


def _check_room(session: Session, tenant_id: TenantId | None) -> None:
    if tenant_id is None:
        return
    count = select(func.count()).where(JobRow.tenant_id == tenant_id, JobRow.state.in_(OPEN))
    if session.scalars(count).one() >= MAX_OPEN:
        raise NotNowError(
            f"tenant {tenant_id} has {MAX_OPEN} open jobs already", seconds=_FULL_PAUSE, too_often=True
        )


def _cancel(session: Session, row: JobRow, by: str) -> None:
    end_attempt(session, row, Outcome.CANCELLED, f"cancelled by {by}")
    session.execute(
        update(JobRow)
        .where(JobRow.number == row.number)
        .values(
            state=JobState.CANCELLED.value,
            lease_until=None,
            ended_at=Instant(),
            reason=f"cancelled by {by}",
        )
        .execution_options(synchronize_session=False)
    )
    session.expire(row)


def _audit(session: Session, event: str, row: JobRow, *, now: datetime, **more: Any) -> None:
    facts = {"job": row.job_id, "tenant": row.tenant_id, "kind": row.kind, "asked_by": row.submitted_by}
    audit.append(session, event=event, facts={**facts, **more}, now=now)
