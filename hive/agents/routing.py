"""The claim: which job goes to whom.

A job goes to an agent when all of this holds, in the one statement that looks for it:

    it is ready and not resting, or its lease ran out and it has attempts left
    the agent offers every capability that it needs
    it belongs to the agent's own tenant; or the agent is a lane, the job's tenant is active, and the lane serves it
    the agent did not refuse it since it registered
    a birth goes to lanes only, and when an agent asked for it, only approved

Of those, the highest priority above 0 first, which only an operator gives; then the tenant that waited longest since it
was served; then that tenant's highest priority; then the oldest. So an agent orders its own tenant's jobs and no others:
whatever one tenant submits, another that waits is served next.
The claim raises the job's fence. SQLAlchemy drops SKIP LOCKED on SQLite; there the transaction has begun IMMEDIATE, so
that nobody else claims at the same time.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, case, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from hive.agents.due import can_be_given, lease_is_over, used_up
from hive.agents.errors import NotNowError
from hive.agents.names import BIRTH, AgentId, Capability
from hive.agents.rules import MAX_LEASES, Rules
from hive.agents.standing import Present, capabilities_of, check_alive, load_present
from hive.agents.states import JobState, Outcome
from hive.db.agent_tables import AttemptRow, JobRow, LimitRow, NeedRow, ReplicationRow, TurnRow
from hive.db.instant import Instant
from hive.db.models import TenantRow
from hive.tenants import TenantStatus
from signing.errors import NotEntitledError

_BUSY_PAUSE: Final = 5
_TRIES: Final = 3
_OUT_OF_ATTEMPTS: Final = "the lease of the last attempt ran out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A job that was given out, as its agent sees it."""

    job_id: str
    kind: str
    needs: tuple[str, ...]
    payload: Any
    lease_seconds: float
    fence: int

    def to_json(self) -> dict[str, Any]:
        """Return the job as it goes over the wire."""
        return {
            "id": self.job_id,
            "kind": self.kind,
            "needs": list(self.needs),
            "payload": self.payload,
            "lease_seconds": self.lease_seconds,
            "fence": self.fence,
        }


def claim(
    session: Session, agent_id: AgentId, offered: frozenset[Capability], rules: Rules
) -> Claimed | None:
    """Give the agent the next job that fits, under a new fence; None when there is none.

    Raises:
        NotFoundError: the agent is not alive here. NotEntitledError: banned, retired, or offers what it did not register.
        NotNowError: it holds too many leases already.
    """
    present = load_present(session, agent_id)
    if not _may_work(session, present, offered, rules):
        return None
    _check_load(session, agent_id)
    bury(session)
    wanted = _candidates(session, present, offered).with_for_update(of=JobRow, skip_locked=True)
    for _ in range(_TRIES):
        # On PostgreSQL, a job that somebody else took between looking and locking leaves an empty answer,
        # although there may be others.
        found = session.scalars(wanted).first()
        if found is not None:
            return _give(session, agent_id, found)
    return None


def has_work(session: Session, agent_id: AgentId, offered: frozenset[Capability], rules: Rules) -> bool:
    """Return whether a claim would find something, or something to bury; from a reading transaction that blocks nobody.

    Raises:
        NotFoundError, NotEntitledError, NotNowError: as for `claim`.
    """
    present = load_present(session, agent_id, look=True)
    if not _may_work(session, present, offered, rules):
        return False
    found = session.scalars(_candidates(session, present, offered)).first()
    return found is not None or has_used_up(session)


def has_used_up(session: Session) -> bool:
    """Return whether there is something to `bury`."""
    return session.scalars(used_up().limit(1)).first() is not None


def bury(session: Session) -> None:
    """Call those jobs dead whose last attempt let its lease run out."""
    for job in session.scalars(used_up().with_for_update(skip_locked=True)).all():
        _end_attempts(session, job.number)
        session.execute(
            update(JobRow)
            .where(JobRow.number == job.number)
            .values(state=JobState.DEAD.value, reason=_OUT_OF_ATTEMPTS, ended_at=Instant(), lease_until=None)
            .execution_options(synchronize_session=False)
        )


def _may_work(session: Session, present: Present, offered: frozenset[Capability], rules: Rules) -> bool:
    """Return False for an agent that may not work now and learns so by its heartbeat."""
    check_alive(session, present, rules)
    beyond = sorted(offered - capabilities_of(session, present.agent_id))
    if beyond:
        raise NotEntitledError(f"agent {present.agent_id} did not register {', '.join(beyond)}")
    return present.routable and bool(offered)


def _check_load(session: Session, agent_id: AgentId) -> None:
    held = select(func.count()).where(
        JobRow.owner == agent_id, JobRow.state == JobState.LEASED, ~lease_is_over()
    )
    if session.scalars(held).one() >= MAX_LEASES:
        raise NotNowError(
            f"agent {agent_id} holds {MAX_LEASES} leases already", seconds=_BUSY_PAUSE, too_often=True
        )


def _candidates(session: Session, present: Present, offered: frozenset[Capability]) -> Select[JobRow]:
    lacking = select(NeedRow).where(
        NeedRow.number == JobRow.number, NeedRow.capability.not_in(sorted(offered))
    )
    needing = select(NeedRow).where(NeedRow.number == JobRow.number)
    refused = select(AttemptRow).where(
        AttemptRow.number == JobRow.number,
        AttemptRow.agent_id == present.agent_id,
        AttemptRow.outcome == Outcome.REFUSED,
        AttemptRow.claimed_at >= present.agent.registered_at,
    )
    served = (
        select(TurnRow.served_at)
        # One that lies ahead is from before the clock was set back; it would put the tenant last until then.
        .where(TurnRow.turn == func.coalesce(JobRow.tenant_id, ""), TurnRow.served_at <= Instant())
        .correlate(JobRow)
        .scalar_subquery()
    )
    return (
        select(JobRow)
        .where(
            can_be_given(),
            _serves(session, present),
            needing.exists(),  # "none lacking" alone would also be true of a job whose needs were lost
            ~lacking.exists(),
            ~refused.exists(),
        )
        .order_by(
            case((JobRow.priority > 0, JobRow.priority), else_=0).desc(),
            func.coalesce(served, 0.0),
            JobRow.priority.desc(),
            JobRow.number,
        )
        .limit(1)
        .execution_options(populate_existing=True)
    )


def _serves(session: Session, present: Present) -> ColumnElement[bool]:
    """Return the condition that the agent serves the job's tenant. Both sides have a say."""
    if present.tenant is not None:
        return and_(JobRow.tenant_id == present.tenant.tenant_id, JobRow.kind != BIRTH)
    limits = session.scalars(select(LimitRow).where(LimitRow.agent_id == present.agent_id)).all()
    tenants = [limit.value for limit in limits if limit.sort == "tenant"]
    tiers = [limit.value for limit in limits if limit.sort == "tier"]
    active = select(TenantRow).where(
        TenantRow.tenant_id == JobRow.tenant_id, TenantRow.status == TenantStatus.ACTIVE
    )
    if tenants:
        active = active.where(TenantRow.tenant_id.in_(tenants))
    if tiers:
        active = active.where(TenantRow.tier.in_(tiers))
    unapproved = select(ReplicationRow).where(
        ReplicationRow.number == JobRow.number, ReplicationRow.approved_by.is_(None)
    )
    whose = active.exists() if limits else or_(JobRow.tenant_id.is_(None), active.exists())
    return and_(whose, ~unapproved.exists())


def _give(session: Session, agent_id: AgentId, job: JobRow) -> Claimed:
    fence = job.fence + 1
    _end_attempts(session, job.number)
    session.execute(
        update(JobRow)
        .where(JobRow.number == job.number)
        .values(
            state=JobState.LEASED.value,
            owner=agent_id,
            fence=fence,
            attempts=job.attempts + 1,
            lease_until=Instant() + job.lease_seconds,
        )
        .execution_options(synchronize_session=False)
    )
    session.execute(
        insert(AttemptRow).values(
            number=job.number, fence=fence, agent_id=agent_id, claimed_at=Instant(), reason=""
        )
    )
    _take_turn(session, job.tenant_id or "")
    needs = session.scalars(select(NeedRow.capability).where(NeedRow.number == job.number))
    return Claimed(
        job_id=job.job_id,
        kind=job.kind,
        needs=tuple(sorted(needs)),
        payload=json.loads(job.payload),
        lease_seconds=job.lease_seconds,
        fence=fence,
    )


def _end_attempts(session: Session, number: int) -> None:
    """Whoever held the job until now has lost it."""
    session.execute(
        update(AttemptRow)
        .where(AttemptRow.number == number, AttemptRow.outcome.is_(None))
        .values(outcome=Outcome.LOST.value, ended_at=Instant(), reason="the lease ran out")
        .execution_options(synchronize_session=False)
    )


def _take_turn(session: Session, turn: str) -> None:
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(TurnRow).values(turn=turn, served_at=Instant())
    session.execute(
        statement.on_conflict_do_update(index_elements=[TurnRow.turn], set_={"served_at": Instant()})
    )
