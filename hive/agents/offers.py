"""Who is there, and what a tenant's jobs can ask for now: views that change nothing."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hive.agents.names import AgentId
from hive.agents.rules import Rules
from hive.agents.standing import Present, Standing, capabilities_of, clock, is_alive
from hive.agents.states import JobState
from hive.db.agent_tables import AgentRow, GrantRow, JobRow, LimitRow, TokenRow
from hive.db.models import TenantRow
from hive.tenants import TenantStatus


def offers_for(session: Session, present: Present, rules: Rules) -> frozenset[str]:
    """Return the capabilities that living agents offer to the jobs of this agent's tenant; to a lane, none.

    Which agents they are is not told.
    """
    if present.tenant is None or not present.routable:
        return frozenset()
    now = clock(session)
    found: frozenset[str] = frozenset()
    for row in session.scalars(select(AgentRow).where(AgentRow.standing == Standing.ADMITTED)).all():
        living = row.seen_at is not None and is_alive(row.seen_at, now, rules)
        if living and _serves(session, row, present.tenant):
            found |= capabilities_of(session, AgentId(row.agent_id))
    return found


def describe_agents(session: Session, rules: Rules) -> list[dict[str, Any]]:
    """Return every agent as an operator sees it."""
    now = clock(session)
    rows = session.scalars(select(AgentRow).order_by(AgentRow.agent_id)).all()
    return [_describe(session, row, now, rules) for row in rows]


def _describe(session: Session, row: AgentRow, now: float, rules: Rules) -> dict[str, Any]:
    tenant = session.get(TenantRow, row.tenant_id) if row.tenant_id is not None else None
    token = session.get(TokenRow, row.agent_id)
    limits = session.scalars(select(LimitRow).where(LimitRow.agent_id == row.agent_id)).all()
    leased = select(JobRow.job_id).where(JobRow.owner == row.agent_id, JobRow.state == JobState.LEASED)
    grants = select(GrantRow.capability).where(GrantRow.agent_id == row.agent_id)
    alive = row.registered_at is not None and row.seen_at is not None and is_alive(row.seen_at, now, rules)
    active = tenant is None or tenant.status == TenantStatus.ACTIVE
    return {
        "agent": row.agent_id,
        "tenant": row.tenant_id,
        "tenant_status": tenant.status if tenant is not None else None,
        "standing": row.standing,
        "reason": row.reason or row.refusal,
        "alive": alive,
        "routable": alive and active and row.standing == Standing.ADMITTED,
        "silent_seconds": int(now - row.seen_at) if row.seen_at is not None else None,
        "granted": sorted(session.scalars(grants)),
        "capabilities": sorted(capabilities_of(session, AgentId(row.agent_id))),
        "limits": sorted(f"{limit.sort} {limit.value}" for limit in limits),
        "token": _token(token),
        "jobs": sorted(session.scalars(leased)),
    }


def _token(row: TokenRow | None) -> str:
    if row is None:
        return "none"
    return "revoked" if row.revoked_at is not None else f"generation {row.generation}"


def _serves(session: Session, row: AgentRow, tenant: TenantRow) -> bool:
    if row.tenant_id is not None:
        return row.tenant_id == tenant.tenant_id
    limits = session.scalars(select(LimitRow).where(LimitRow.agent_id == row.agent_id)).all()
    tenants = {limit.value for limit in limits if limit.sort == "tenant"}
    tiers = {limit.value for limit in limits if limit.sort == "tier"}
    return (not tenants or tenant.tenant_id in tenants) and (not tiers or tenant.tier in tiers)
