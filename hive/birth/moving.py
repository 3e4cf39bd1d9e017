"""A birth that goes on at another host, because the one that began it lost its order.

    lease over ─► another host claims the order ─► token revoked, row, mark and jail root are the new host's, in one
                  transaction ─► the old jail is nobody's: its host removes it, and what it still does counts for nothing

What the first host may yet do, if it was only slow: its journal takes nothing more (`Journal._mine`), its agent's token is
refused, no secret is brought (`hive.here.check_own`), and its next look at its own jails removes the one with the old mark.
Never taken over is what an operator began by command, what was born, and what was spawned.
"""

import contextlib
from datetime import datetime
from typing import Final, Protocol

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from hive import audit
from hive.agents import tokens
from hive.agents.names import AgentId
from hive.agents.states import OPEN
from hive.db.agent_tables import AgentRow, JobRow, TokenRow
from hive.db.models import BirthRow, ReceiptRow, StepRow, TenantRow
from hive.db.order_tables import LeftJailRow
from hive.db.session import snapshot, transaction
from hive.here import check_own
from hive.jails.host import JailHost
from hive.tenants import Tenant
from signing.errors import ConflictError, HostError, SkillRepoError
from signing.format.names import TenantId, parse_tenant_id

_MOST_SAID: Final = 3


class LeftJailsError(HostError):
    """Jails stand here whose births went on at another host, and they cannot be removed."""


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
    leave_behind(session, row, tenant.host, now=now)
    facts = {"tenant": tenant.tenant_id, "from": tenant.host, "to": here, "order": leased.order_id}
    audit.append(session, event="birth.moved", facts=facts, now=now)


def leave_behind(session: Session, row: BirthRow, host: str, *, now: datetime) -> None:
    """Let the jail of the unfinished birth be nobody's, and drop the journal; the caller has locked the tenant."""
    tenant_id = row.tenant_id
    session.add(LeftJailRow(mark=row.mark, tenant_id=tenant_id, host=host, left_at=now))
    for table in (ReceiptRow, StepRow, BirthRow):
        session.execute(
            delete(table).where(table.tenant_id == tenant_id).execution_options(synchronize_session="fetch")
        )
    revoke_token(session, tenant_id, now=now)


def revoke_token(session: Session, tenant_id: str, *, now: datetime) -> None:
    """Refuse the token that an earlier birth of the tenant brought, so that the next makes its own.

    It was made with the key of the host that brought it; on another host that token cannot be made again.
    """
    agent = session.get(AgentRow, tenant_id)
    if agent is None or agent.tenant_id != tenant_id:  # a lane's token is not ours to refuse
        return
    if session.get(TokenRow, tenant_id) is not None:
        tokens.revoke(session, AgentId(tenant_id), now=now)


def remove_left(engine: Engine, host: JailHost, here: AgentId | None, *, now: datetime) -> list[TenantId]:
    """Remove the jails here whose births went on at another host, and return whose they were.

    They are known by their marks, whatever this machine was called when it made them. Every one is tried: one that cannot
    be removed is stopped, and shields none of the others.

    Raises:
        LeftJailsError: not every one could be removed; the rest is gone. HostError: the database failed.
    """
    if here is None:
        return []
    with snapshot(engine) as session:
        rows = session.execute(
            select(LeftJailRow.tenant_id, LeftJailRow.mark).order_by(LeftJailRow.left_at, LeftJailRow.mark)
        ).all()
    left: dict[str, set[str]] = {}
    for name, mark in rows:
        left.setdefault(name, set()).add(mark)
    removed, problems = [], []
    for name, marks in left.items():
        try:
            tenant_id = parse_tenant_id(name, where="left_jails")
            standing = host.mark_of(tenant_id)
            if standing is None or standing not in marks:
                continue
            _remove_one(host, tenant_id, standing)
        except SkillRepoError as error:
            problems.append(f"{name!a}: {error}")
            continue
        removed.append(tenant_id)
        with transaction(engine) as session:
            facts = {"tenant": tenant_id, "host": here, "mark": standing}
            audit.append(session, event="jail.removed", facts=facts, now=now)
    if problems:
        raise LeftJailsError(
            f"of the jails that were left here, {len(problems)} cannot be removed: {'; '.join(problems[:_MOST_SAID])}",
            hint="they are nobody's any more: look at what holds them; each sweep tries again",
        )
    return removed


def _remove_one(host: JailHost, tenant_id: TenantId, mark: str) -> None:
    try:
        host.destroy(tenant_id, mark=mark)
    except SkillRepoError:
        with contextlib.suppress(SkillRepoError):  # what stands there still does not have to run
            host.stop(tenant_id, mark=mark)
        raise


def _is_open(session: Session, order_id: str) -> bool:
    state = session.scalars(select(JobRow.state).where(JobRow.job_id == order_id)).first()
    return state in {item.value for item in OPEN}
