"""When a job can be given out: conditions of SQL, by the database's clock, and whom they concern.

A clock can be set back. A lease, a rest or a sign of life that then lies further in the future than it was ever given
for counts as over, or a job would be kept by a dead agent, and a dead agent kept alive, until the clock has caught up.

The conditions never change, and every claim asks for them several times: they are put together once.
"""

import functools
from collections.abc import Collection
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from hive.agents.names import AgentId
from hive.agents.rules import RETRY_MOST
from hive.agents.states import JobState
from hive.db.agent_tables import AgentRow, CapabilityRow, JobRow, NeedRow
from hive.db.instant import Instant
from hive.db.models import TenantRow
from hive.tenants import TenantStatus

_SLACK: Final = 60.0  # small steps of a clock take nobody's lease away


@functools.cache
def lease_is_over() -> ColumnElement[bool]:
    """Return the condition that a job is leased, and its lease ran out."""
    return and_(JobRow.state == JobState.LEASED, _over(JobRow.lease_until, JobRow.lease_seconds))


@functools.cache
def can_be_given() -> ColumnElement[bool]:
    """Return the condition that a job is ready and not resting, or that it can be taken over."""
    ready = and_(JobRow.state == JobState.READY, _over(JobRow.not_before, RETRY_MOST))
    return or_(ready, and_(lease_is_over(), JobRow.attempts < JobRow.max_attempts))


@functools.cache
def used_up() -> Select[JobRow]:
    """Return the query for jobs whose last attempt let its lease run out."""
    return select(JobRow).where(lease_is_over(), JobRow.attempts >= JobRow.max_attempts)


def concerned(session: Session, waiting: Collection[AgentId]) -> frozenset[AgentId]:
    """Return for whom of those that wait there may be work: what they registered is enough for a job that is due.

    Too many is a look for nothing. Whether a job really goes to one of them is `hive.agents.routing`'s to say. The jobs
    are gone through once, however many wait: a thousand that nobody can do are one line of this answer.
    """
    active = select(TenantRow).where(
        TenantRow.tenant_id == JobRow.tenant_id, TenantRow.status == TenantStatus.ACTIVE
    )
    needed = (
        select(JobRow.tenant_id, func.aggregate_strings(NeedRow.capability, " ").label("needs"))
        .join(NeedRow, NeedRow.number == JobRow.number)
        .where(can_be_given(), or_(JobRow.tenant_id.is_(None), active.exists()))
        .group_by(JobRow.number, JobRow.tenant_id)
        .subquery()
    )
    due = [(tenant, set(needs.split())) for tenant, needs in session.execute(select(needed).distinct())]
    if not due:
        return frozenset()
    offered = _offered_by(session, waiting)
    return frozenset(
        agent_id
        for agent_id, (tenant, can) in offered.items()
        if any(needs <= can and tenant in {None, owner} for owner, needs in due)
    )


def _offered_by(session: Session, agents: Collection[AgentId]) -> dict[AgentId, tuple[str | None, set[str]]]:
    """Return whose each agent is (a lane is nobody's), and what it registered."""
    wanted = (
        select(AgentRow.agent_id, AgentRow.tenant_id, CapabilityRow.capability)
        .join(CapabilityRow, CapabilityRow.agent_id == AgentRow.agent_id)
        .where(AgentRow.agent_id.in_(sorted(agents)))
    )
    found: dict[AgentId, tuple[str | None, set[str]]] = {}
    for agent_id, tenant, capability in session.execute(wanted):
        found.setdefault(AgentId(agent_id), (tenant, set()))[1].add(capability)
    return found


def _over(
    moment: InstrumentedAttribute[float] | InstrumentedAttribute[float | None], most: object
) -> ColumnElement[bool]:
    """Return the condition that ``moment``, which is never set further ahead than ``most``, has come."""
    now = Instant()
    return or_(moment <= now, moment > now + most + _SLACK)
