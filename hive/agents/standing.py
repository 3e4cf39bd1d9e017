"""Whether an agent is admitted now: its own standing, and that of its tenant.

Rows are locked in one order everywhere (tenant, agent, job, audit), so that no two transactions wait for each other.
On SQLite there is nothing to lock: a writing transaction is alone.
"""

import enum
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from hive.agents.errors import NotNowError
from hive.agents.names import AgentId
from hive.agents.rules import Rules
from hive.db.agent_tables import AgentRow, CapabilityRow
from hive.db.instant import Instant
from hive.db.models import TenantRow
from hive.tenants import TenantStatus
from signing.errors import NotEntitledError, NotFoundError

_UNBORN_PAUSE: Final = 5


class Standing(enum.StrEnum):
    """How an agent stands with the operator. The last two are for good."""

    ADMITTED = "admitted"
    QUARANTINED = "quarantined"
    BANNED = "banned"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """An agent that is neither banned nor retired, and its tenant, which is born; a lane has none."""

    agent: AgentRow
    tenant: TenantRow | None

    @property
    def agent_id(self) -> AgentId:
        """Who it is."""
        return AgentId(self.agent.agent_id)

    @property
    def quarantined(self) -> bool:
        """Whether it may not work, for its own sake or its tenant's."""
        return self.agent.standing != Standing.ADMITTED or (
            self.tenant is not None and self.tenant.status == TenantStatus.QUARANTINED
        )

    @property
    def routable(self) -> bool:
        """Whether work may go to it, as far as it and its tenant stand; whether it lives is another question."""
        active = self.tenant is None or self.tenant.status == TenantStatus.ACTIVE
        return active and self.agent.standing == Standing.ADMITTED


def load_present(session: Session, agent_id: AgentId, *, change: bool = False, look: bool = False) -> Present:
    """Return the agent, locked so that how it stands holds until this transaction ends.

    Args:
        session: the transaction.
        agent_id: as its token says.
        change: the caller will change the agent or its tenant.
        look: the caller decides nothing by it, so nothing is locked.

    Raises:
        NotFoundError: nobody enrolled it.
        NotEntitledError: it is banned or retired, or its tenant failed or is retired.
        NotNowError: its tenant is not born yet.
    """
    # FOR SHARE, or FOR NO KEY UPDATE: taking the first and then the second would be a deadlock of two.
    lock: dict[str, Any] | None = None if look else {"key_share": True} if change else {"read": True}
    seen = session.get(AgentRow, agent_id)
    if seen is None:
        raise NotFoundError(f"no agent {agent_id}", hint="it was not enrolled; ask the operator")
    tenant = None
    if seen.tenant_id is not None:
        tenant = session.get_one(TenantRow, seen.tenant_id, with_for_update=lock, populate_existing=True)
    agent = session.get_one(AgentRow, agent_id, with_for_update=lock, populate_existing=True)
    _check_agent(agent)
    if tenant is not None:
        _check_tenant(tenant)
    return Present(agent=agent, tenant=tenant)


def check_alive(session: Session, present: Present, rules: Rules) -> None:
    """Return None when the agent registered and its last heartbeat is recent enough, by the database's clock.

    Raises:
        NotFoundError: it is to register and send a heartbeat first.
    """
    seen = present.agent.seen_at
    if present.agent.registered_at is None or seen is None or not is_alive(seen, clock(session), rules):
        raise NotFoundError(
            f"agent {present.agent_id} is not alive here", hint="register again and send a heartbeat"
        )


def is_alive(seen_at: float, now: float, rules: Rules) -> bool:
    """Return whether an agent that was last seen then counts as living.

    Not one that was seen in times to come: the clock was set back since, and nobody knows how long it has been silent.
    """
    return abs(now - seen_at) <= rules.silence


def clock(session: Session) -> float:
    """Return the database's now."""
    return session.scalars(select(Instant())).one()


def capabilities_of(session: Session, agent_id: AgentId) -> frozenset[str]:
    """Return what the agent registered."""
    rows = session.scalars(select(CapabilityRow.capability).where(CapabilityRow.agent_id == agent_id))
    return frozenset(rows)


def _check_agent(agent: AgentRow) -> None:
    if agent.standing in {Standing.BANNED, Standing.RETIRED}:
        raise NotEntitledError(
            f"agent {agent.agent_id} is {agent.standing}", hint="this identity is closed; ask the operator"
        )


def _check_tenant(tenant: TenantRow) -> None:
    """Refuse what is not born. A status that we do not know is refused too."""
    match tenant.status:
        case TenantStatus.BORN | TenantStatus.ACTIVE | TenantStatus.QUARANTINED:
            return
        case TenantStatus.REGISTERED | TenantStatus.BIRTHING:
            raise NotNowError(f"tenant {tenant.tenant_id} is not born yet", seconds=_UNBORN_PAUSE)
        case _:
            raise NotEntitledError(f"tenant {tenant.tenant_id} is {tenant.status}", hint="ask the operator")
