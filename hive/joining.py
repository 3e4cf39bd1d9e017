"""A machine joins the hosts that share a database: once, by an operator, on the machine itself (edge).

    its name is in the settings and among `hive hosts`, as a womb ─► its key is bound to the name ─► it is a lane that
    offers births ─► jails that stand here, and are older than its name, are its own

What is older is compared, not guessed: the mark beside the jail's root is the one of its row. Where somebody lives by the
registry and no such jail stands here, nothing is joined before that is cleared up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hive import audit
from hive.agents import leases, registry
from hive.agents.names import ABI, WOMB, AgentId, Capability
from hive.birth import moving
from hive.db.agent_tables import AgentRow, TokenRow
from hive.db.gate_tables import HostRow
from hive.db.models import BirthRow, TenantRow
from hive.hosts import Role
from hive.jails.host import SPAWNED, JailHost
from hive.tenants import STANDING, TenantStatus
from signing.errors import ConflictError, NotEntitledError, NotFoundError
from signing.format.names import TenantId, parse_tenant_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What came of it: whose jails the host took over, and whether it had joined before."""

    host: AgentId
    taken_over: tuple[TenantId, ...]
    already: bool


def join(
    session: Session,
    here: AgentId,
    *,
    keyid: str,
    jails: JailHost,
    offers: frozenset[Capability],
    now: datetime,
) -> Joined:
    """Let the machine with the key ``keyid`` be the host ``here``, which offers births.

    Raises:
        NotFoundError: no such host, or it is no womb. NotEntitledError: another machine is that host.
        ConflictError: a tenant or a lane has the name, or somebody a token for it; or a jail that ought to stand here does
            not.
    """
    row = session.get(HostRow, here, with_for_update=True)
    if row is None or Role.WOMB.value not in row.roles.split("\n"):
        raise NotFoundError(f"{here} is no womb", hint=f"hive hosts set {here} --role womb")
    if row.key_sha256 not in {None, keyid}:
        raise NotEntitledError(
            f"another machine has joined as {here}",
            hint=f"one name, one machine; hive hosts leave {here}, when that machine is gone for good",
        )
    _check_name(session, here)
    already, row.key_sha256 = row.key_sha256 is not None, keyid
    registry.enrol_lane(session, here, offers, now=now)
    taken = _take_over(session, here, jails)
    if not already or taken:
        facts = {"host": here, "keyid": keyid, "offers": sorted(offers), "jails": taken}
        audit.append(session, event="host.joined", facts=facts, now=now)
    return Joined(host=here, taken_over=tuple(taken), already=already)


def _check_name(session: Session, here: AgentId) -> None:
    """Return None when nobody but a host has ever spoken by this name: a lane's token would claim births for it."""
    agent, token = session.get(AgentRow, here), session.get(TokenRow, here)
    grants = registry.grants_of(session, here)
    others = [name for name in grants if name != WOMB and not name.startswith(ABI)]
    if agent is not None and agent.tenant_id is None and (others or WOMB not in grants):
        raise ConflictError(f"a lane is called {here}", hint="names of agents are given once; take another")
    if token is not None and token.revoked_at is None:
        raise ConflictError(
            f"a token was issued for {here}",
            hint="a host needs none, and whoever has it would claim births as one; take another name",
        )


def leave(session: Session, host: AgentId, *, reason: str, now: datetime) -> tuple[TenantId, ...]:
    """Unbind the name of a machine that is gone for good, so that another may join under it; return whose births it left.

    Their jails are nobody's: whoever joins under the name next, or makes those births elsewhere, begins anew with another
    mark and another token; the machine removes them should it come back, whatever it is called then.

    Raises:
        NotFoundError: nobody has joined as that. ConflictError: somebody's jail is there, or a birth began there just now.
    """
    # Tenants first, as everywhere; then the host and its jobs.
    theirs = _tenants_of(session, host)
    row = session.get(HostRow, host, with_for_update=True)
    if row is None or row.key_sha256 is None:
        raise NotFoundError(f"nobody has joined as {host}", hint="hive hosts list")
    if living := next((item.tenant_id for item in theirs if item.status in STANDING), None):
        raise ConflictError(
            f"{living} lives on {host}",
            hint="restore that machine from its backup, or retire the tenant there",
        )
    leases.release(session, host, reason=f"{host} is gone: {reason}")
    # With its leases gone it begins nothing by an order any more; what it began meanwhile is seen now.
    if len(_tenants_of(session, host)) != len(theirs):
        raise ConflictError(
            f"a birth began on {host} just now", hint="that machine is not gone: end it first"
        )
    left = tuple(
        _leave_tenant(session, item, host, reason, now)
        for item in theirs
        if item.status != TenantStatus.RETIRED
    )
    row.key_sha256 = None
    audit.append(
        session, event="host.left", facts={"host": host, "reason": reason, "births": list(left)}, now=now
    )
    return left


def _tenants_of(session: Session, host: AgentId) -> Sequence[TenantRow]:
    wanted = select(TenantRow).where(TenantRow.host == host).order_by(TenantRow.tenant_id)
    return session.scalars(
        wanted.with_for_update(key_share=True).execution_options(populate_existing=True)
    ).all()


def _leave_tenant(session: Session, tenant: TenantRow, host: AgentId, reason: str, now: datetime) -> TenantId:
    tenant_id = parse_tenant_id(tenant.tenant_id)
    birth = session.get(BirthRow, tenant_id)
    if birth is not None:
        moving.leave_behind(session, birth, host, now=now)
    if tenant.status == TenantStatus.BIRTHING:
        tenant.status, tenant.reason = TenantStatus.FAILED.value, f"its host {host} is gone: {reason}"
    tenant.host = None
    facts = {"tenant": tenant_id, "host": host, "reason": reason}
    audit.append(session, event="birth.left", facts=facts, now=now)
    return tenant_id


def _take_over(session: Session, here: AgentId, jails: JailHost) -> list[TenantId]:
    wanted = select(TenantRow).where(TenantRow.host.is_(None)).order_by(TenantRow.tenant_id)
    taken, missing = [], []
    for row in session.scalars(wanted.with_for_update(key_share=True)).all():
        tenant_id = parse_tenant_id(row.tenant_id)
        found, birth = jails.mark_of(tenant_id), session.get(BirthRow, tenant_id)
        mine = found is not None and (found == birth.mark if birth is not None else found.startswith(SPAWNED))
        if mine:
            row.host = here
            taken.append(tenant_id)
        elif row.status in STANDING:
            missing.append(tenant_id)
        elif birth is not None and birth.finished_at is None and found is None:
            row.host = here  # begun when there was one host, and nothing of it stands yet
            taken.append(tenant_id)
    if missing:
        raise ConflictError(
            f"the jail of {', '.join(missing)} is not here, and no host is said to have it",
            hint="join from the machine where it stands first; or retire it there",
        )
    return taken
