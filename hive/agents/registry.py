"""Who may be an agent here, with which capabilities; registration and heartbeat.

    enrolled ─► registered ─► alive ─► (silent: not routable until it is heard again)

A birth enrols a tenant's own agent with what the lock grants; an operator enrols a lane. Registering then claims
some of the granted capabilities and can never add one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from hive import activation, audit
from hive.agents.leases import release
from hive.agents.names import WOMB, AgentId, Capability
from hive.agents.rules import REFUSAL_PAUSE
from hive.agents.standing import Present, Standing, load_present
from hive.agents.tokens import revoke
from hive.db.agent_tables import (
    AgentRow,
    AgentSkillRow,
    CapabilityRow,
    GrantRow,
    LimitRow,
    TokenRow,
)
from hive.db.instant import Instant
from hive.db.models import TenantRow
from hive.tenants import Tier, load_row
from signing.errors import ConflictError, NotEntitledError, NotFoundError, SkillRepoError
from signing.format.names import TenantId

_MAX_REFUSAL = 500


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ClaimedSkill:
    """A skill that an agent says it has."""

    name: str
    version: str
    tree_sha256: str


def enrol_tenant(
    session: Session, tenant_id: TenantId, capabilities: Iterable[Capability], *, now: datetime
) -> AgentId:
    """Admit the tenant's own agent with what its lock grants, or give it the grants of a new lock.

    Raises:
        NotFoundError: no such tenant. NotEntitledError: the grants hold ``womb``, or the agent is banned or retired.
        ConflictError: a lane has this name.
    """
    load_row(session, tenant_id)
    granted = frozenset(capabilities)
    if WOMB in granted:
        raise NotEntitledError(
            f"a tenant's agent cannot be a {WOMB}", hint="births are for hosts; take it from the profile"
        )
    row = session.get(AgentRow, AgentId(tenant_id))
    if row is not None and row.tenant_id is None:
        raise ConflictError(f"a lane is called {tenant_id}", hint="names of agents are given once")
    _enrol(session, AgentId(tenant_id), row, tenant_id, granted, now=now)
    return AgentId(tenant_id)


def enrol_lane(
    session: Session,
    agent_id: AgentId,
    capabilities: Iterable[Capability],
    *,
    tenants: Iterable[TenantId] = (),
    tiers: Iterable[Tier] = (),
    now: datetime,
) -> None:
    """Admit a lane, or change its grants and limits. Without limits it serves every tenant.

    Raises:
        ConflictError: the name is a tenant's. NotEntitledError: it is banned or retired.
        NotFoundError: a tenant among the limits does not exist.
    """
    if session.get(TenantRow, agent_id) is not None:
        raise ConflictError(f"{agent_id} is a tenant", hint="a tenant's agent is enrolled by its birth")
    limits = [("tenant", load_row(session, one).tenant_id) for one in tenants]
    limits += [("tier", tier.value) for tier in tiers]
    _enrol(session, agent_id, session.get(AgentRow, agent_id), None, frozenset(capabilities), now=now)
    session.execute(delete(LimitRow).where(LimitRow.agent_id == agent_id))
    session.add_all(LimitRow(agent_id=agent_id, sort=sort, value=value) for sort, value in set(limits))


def register(
    session: Session,
    agent_id: AgentId,
    *,
    tenant_id: TenantId | None,
    capabilities: frozenset[Capability],
    skills: frozenset[ClaimedSkill],
    now: datetime,
) -> None:
    """Take the agent's word for what it offers, as far as it is granted; what it offered before is forgotten.

    Raises:
        NotEntitledError: not enrolled, banned, retired, another tenant's, or a capability is not granted.
        NotNowError: its tenant is not born yet.
    """
    try:
        present = load_present(session, agent_id, change=True)
    except NotFoundError as error:
        raise NotEntitledError(f"agent {agent_id} is not enrolled", hint="ask the operator") from error
    if tenant_id != present.agent.tenant_id:
        raise NotEntitledError(f"agent {agent_id} is not of that tenant", hint="its token says whose it is")
    beyond = sorted(capabilities - grants_of(session, agent_id))
    if beyond:
        raise NotEntitledError(
            f"agent {agent_id} is not granted {', '.join(beyond)}",
            hint="a tenant's capabilities come with its profile, a lane's with hive register-agent",
        )
    if present.agent.registered_at is None:
        # Once: what an agent may offer is in the record of its enrolment, and a jail must not fill the log.
        facts = {**_names(present), "capabilities": sorted(capabilities), "skills": _digests(skills)}
        audit.append(session, event="agent.registered", facts=facts, now=now)
    _replace(session, agent_id, capabilities, skills)
    session.execute(
        update(AgentRow).where(AgentRow.agent_id == agent_id).values(registered_at=Instant(), seen_at=None)
    )


def note_refusal(session: Session, agent_id: AgentId, error: SkillRepoError, *, now: datetime) -> None:
    """Record that an agent was refused something; at most every ten minutes, because a jail must not fill the log."""
    row = session.get(AgentRow, agent_id, with_for_update={"key_share": True})
    if row is None or (row.refused_at is not None and row.refused_at <= now < row.refused_at + REFUSAL_PAUSE):
        return
    row.refusal, row.refused_at = f"{error.code}: {error}"[:_MAX_REFUSAL], now
    facts = {"agent": agent_id, "tenant": row.tenant_id, "reason": row.refusal}
    audit.append(session, event="agent.refused", facts=facts, now=now)


def heartbeat(
    session: Session, agent_id: AgentId, activator: activation.Activator, *, now: datetime
) -> Standing:
    """Take a sign of life, and return whether the agent may work. The first of a born tenant makes it active.

    Raises:
        NotFoundError: it is to register first. NotEntitledError, NotNowError: see `load_present`.
        NotActivatedError: its tenant stays born.
    """
    present = load_present(session, agent_id, change=True)
    if present.agent.registered_at is None:
        raise NotFoundError(f"agent {agent_id} did not register", hint="register first")
    session.execute(update(AgentRow).where(AgentRow.agent_id == agent_id).values(seen_at=Instant()))
    if present.tenant is not None and not present.quarantined:
        activation.on_first_heartbeat(session, TenantId(present.tenant.tenant_id), activator, now=now)
    return Standing.QUARANTINED if present.quarantined else Standing.ADMITTED


def set_standing(
    session: Session, agent_id: AgentId, standing: Standing, *, reason: str, now: datetime
) -> None:
    """Quarantine an agent, release it from that, ban it, or retire it; its leases end unless it is released.

    Raises:
        NotFoundError: no such agent. ConflictError: it is banned or retired, which is for good.
    """
    tenant_id = session.scalars(select(AgentRow.tenant_id).where(AgentRow.agent_id == agent_id)).first()
    if tenant_id is not None:  # locked before the agent, as everywhere
        session.get_one(TenantRow, tenant_id, with_for_update={"key_share": True})
    row = session.get(AgentRow, agent_id, with_for_update={"key_share": True}, populate_existing=True)
    if row is None:
        raise NotFoundError(f"no agent {agent_id}", hint="hive agents lists them")
    if row.standing == standing:
        return
    if row.standing in {Standing.BANNED, Standing.RETIRED}:
        raise ConflictError(f"agent {agent_id} is {row.standing}, for good", hint="register another")
    row.standing, row.reason = standing.value, reason
    if standing is not Standing.ADMITTED:
        release(session, agent_id, reason=f"its agent is {standing}")
    facts = {"agent": agent_id, "tenant": row.tenant_id, "standing": standing.value, "reason": reason}
    audit.append(session, event="agent.standing", facts=facts, now=now)


def retire(session: Session, agent_id: AgentId, *, reason: str, now: datetime) -> None:
    """Close an agent for good: its token is refused from now on, and its leases end. A banned one stays banned.

    Raises:
        NotFoundError: no such agent.
    """
    row = session.get(AgentRow, agent_id)
    if row is None or row.standing != Standing.BANNED:
        set_standing(session, agent_id, Standing.RETIRED, reason=reason, now=now)
    if session.get(TokenRow, agent_id) is not None:
        revoke(session, agent_id, now=now)


def grants_of(session: Session, agent_id: AgentId) -> frozenset[str]:
    """Return what the agent may register."""
    return frozenset(session.scalars(select(GrantRow.capability).where(GrantRow.agent_id == agent_id)))


def _enrol(
    session: Session,
    agent_id: AgentId,
    row: AgentRow | None,
    tenant_id: TenantId | None,
    granted: frozenset[Capability],
    *,
    now: datetime,
) -> None:
    if row is None:
        session.add(
            AgentRow(
                agent_id=agent_id,
                tenant_id=tenant_id,
                standing=Standing.ADMITTED.value,
                reason="",
                created_at=now,
                refusal="",
            )
        )
        session.flush()
    else:
        load_standing = session.get_one(
            AgentRow, agent_id, with_for_update={"key_share": True}, populate_existing=True
        ).standing
        if load_standing in {Standing.BANNED, Standing.RETIRED}:
            raise NotEntitledError(
                f"agent {agent_id} is {load_standing}", hint="this identity is closed; choose another"
            )
        if grants_of(session, agent_id) == granted:
            return
    session.execute(delete(GrantRow).where(GrantRow.agent_id == agent_id))
    session.add_all(GrantRow(agent_id=agent_id, capability=one) for one in sorted(granted))
    # What it registered and is not granted any more ends now, not when it registers next.
    session.execute(
        delete(CapabilityRow).where(
            CapabilityRow.agent_id == agent_id, CapabilityRow.capability.not_in(sorted(granted))
        )
    )
    facts = {"agent": agent_id, "tenant": tenant_id, "capabilities": sorted(granted)}
    audit.append(session, event="agent.enrolled", facts=facts, now=now)


def _replace(
    session: Session,
    agent_id: AgentId,
    capabilities: frozenset[Capability],
    skills: frozenset[ClaimedSkill],
) -> None:
    session.execute(delete(CapabilityRow).where(CapabilityRow.agent_id == agent_id))
    session.execute(delete(AgentSkillRow).where(AgentSkillRow.agent_id == agent_id))
    session.add_all(CapabilityRow(agent_id=agent_id, capability=one) for one in sorted(capabilities))
    session.add_all(
        AgentSkillRow(
            agent_id=agent_id, name=skill.name, version=skill.version, tree_sha256=skill.tree_sha256
        )
        for skill in sorted(skills)
    )


def _names(present: Present) -> dict[str, str | None]:
    return {"agent": present.agent_id, "tenant": present.agent.tenant_id}


def _digests(skills: frozenset[ClaimedSkill]) -> list[str]:
    return [f"{skill.name} {skill.version} {skill.tree_sha256}" for skill in sorted(skills)]
