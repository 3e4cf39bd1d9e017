"""A birth that goes on at another host, because the one that began it lost its order.

    lease over ─► another host claims the order ─► token revoked, row, mark and jail root are the new host's, in one
                  transaction ─► the old jail is nobody's: its host removes it, and what it still does counts for nothing

What the first host may yet do, if it was only slow: its journal takes nothing more (`Journal._mine`), its agent's token is
refused, no secret is brought (`hive.here.check_own`), and its next look at its own jails removes the one with the old mark.
Never taken over is what an operator began by command, what was born, and what was spawned.
"""

from datetime import datetime
from typing import Protocol

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from hive import audit
from hive.agents import tokens
from hive.agents.names import AgentId
from hive.agents.states import OPEN
from hive.db.agent_tables import JobRow, TokenRow
from hive.db.models import BirthRow, ReceiptRow, StepRow, TenantRow
from hive.db.order_tables import LeftJailRow
from hive.db.session import snapshot, transaction
from hive.here import check_own
from hive.jails.host import JailHost
from hive.tenants import Tenant
from signing.errors import ConflictError
from signing.format.names import TenantId, parse_tenant_id


class Leased(Protocol):
    """The order by which a process works."""

    @property
    def order_id(self) -> str:
        """The order's job."""
        ...

    def check(self, session: Session) -> None:
        """Return None while it is ours, and let it be so until the transaction of ``session`` ends.

        Raises:
            LeaseLostError: it is not.
        """
        ...


def take_over(
    session: Session,
    tenant: TenantRow,
    row: BirthRow | None,
    *,
    here: AgentId | None,
    leased: Leased | None,
    now: datetime,
) -> None:
    """Let the unfinished birth, which another host began, begin anew on this one; the caller has locked the tenant.

    Raises:
        ElsewhereError: it is not ours to take over. ConflictError: another order of it is still being worked on.
    """
    if row is None or tenant.host is None or here is None or leased is None or row.order_id is None:
        check_own(Tenant.of(tenant), here)
        return
    if row.order_id != leased.order_id and _is_open(session, row.order_id):
        raise ConflictError(
            f"{tenant.tenant_id} is being born by the order {row.order_id}",
            hint=f"hive orders show {row.order_id}",
        )
    before = tenant.host
    session.add(LeftJailRow(mark=row.mark, tenant_id=tenant.tenant_id, host=before, left_at=now))
    for table in (ReceiptRow, StepRow, BirthRow):
        session.execute(
            delete(table)
            .where(table.tenant_id == tenant.tenant_id)
            .execution_options(synchronize_session="fetch")
        )
    if session.get(TokenRow, tenant.tenant_id) is not None:
        tokens.revoke(session, AgentId(tenant.tenant_id), now=now)
    facts = {"tenant": tenant.tenant_id, "from": before, "to": here, "order": leased.order_id}
    audit.append(session, event="birth.moved", facts=facts, now=now)


def remove_left(engine: Engine, host: JailHost, here: AgentId | None, *, now: datetime) -> list[TenantId]:
    """Remove the jails here whose births went on at another host, and return whose they were.

    Raises:
        HostError: one cannot be removed.
    """
    if here is None:
        return []
    with snapshot(engine) as session:
        rows = session.scalars(select(LeftJailRow).where(LeftJailRow.host == here)).all()
        left = [(parse_tenant_id(row.tenant_id, where="left_jails"), row.mark) for row in rows]
    removed = []
    for tenant_id, mark in left:
        if host.mark_of(tenant_id) != mark:
            continue
        host.destroy(tenant_id, mark=mark)
        removed.append(tenant_id)
        with transaction(engine) as session:
            facts = {"tenant": tenant_id, "host": here, "mark": mark}
            audit.append(session, event="jail.removed", facts=facts, now=now)
    return removed


def _is_open(session: Session, order_id: str) -> bool:
    state = session.scalars(select(JobRow.state).where(JobRow.job_id == order_id)).first()
    return state in {item.value for item in OPEN}
