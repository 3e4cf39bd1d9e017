"""Orders of births: queued by an operator, looked at again when a host claims them.

What was ordered stands in one record of the audit log, and nowhere else: whose birth, on which tier, by which profile, with
which consents, for which ABI. An order whose job, row or tenant says something else by now is refused, not reinterpreted:
whoever may write the database cannot turn a free tenant's order into another's, or into a paying customer's.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from hive import audit, optins
from hive.agents import jobs, replication
from hive.agents.jobs import NewJob
from hive.agents.names import BIRTH, JobId
from hive.agents.states import OPEN
from hive.db.agent_tables import JobRow, ReplicationRow
from hive.db.models import AuditRow, TenantRow
from hive.db.order_tables import BirthOrderRow
from hive.gates.register import Gates
from hive.orders.needs import needs_of
from hive.orders.terms import terms_of
from hive.tenants import STANDING, Tenant, TenantStatus, Tier, load_row
from signing.errors import ConflictError, NotEntitledError, NotFirstPartyError
from signing.format.chain import Record
from signing.format.digest import sha256_of
from signing.format.names import TenantId
from signing.format.pkg.names import Abi, parse_abi

ORDERED: Final = "birth.ordered"
ATTEMPTS: Final = 20  # over an hour, with the pauses between them: longer than most outages
LEASE_SECONDS: Final = 60.0
_UNBORN: Final = frozenset({TenantStatus.REGISTERED, TenantStatus.FAILED, TenantStatus.BIRTHING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as it stands in the log, and that is as it is carried out."""

    job_id: JobId
    tenant_id: TenantId
    abi: Abi | None


def order(
    session: Session,
    tenant_id: TenantId,
    *,
    abi: Abi | None,
    gates: Gates,
    by: str,
    now: datetime,
    priority: int = 0,
    lease_seconds: float = LEASE_SECONDS,
) -> JobId:
    """Queue the birth of the tenant for a host with jails of ``abi``; None: any host.

    Raises:
        NotFoundError: no such tenant. GateError: it is a paying customer, and a gate is shut.
        NotFirstPartyError: a paying customer has a consent to something external.
        ConflictError: it was born, or its birth was ordered already; or goes on.
    """
    load_row(session, tenant_id)
    row = session.get_one(TenantRow, tenant_id, with_for_update={"key_share": True}, populate_existing=True)
    tenant = Tenant.of(row)
    if tenant.status not in _UNBORN - {TenantStatus.BIRTHING}:
        raise ConflictError(f"tenant {tenant_id} is {tenant.status}", hint="hive show-tenant")
    if open_order := open_order_of(session, tenant_id):
        raise ConflictError(f"its birth is ordered already: {open_order}", hint="hive orders")
    wanted = _wanted(session, tenant, gates, now=now)
    new = NewJob(
        kind=BIRTH,
        needs=needs_of(abi),
        payload={"tenant": tenant_id},
        priority=priority,
        max_attempts=ATTEMPTS,
        lease_seconds=lease_seconds,
    )
    job_id = jobs.submit(session, new, tenant_id=None, by=by, now=now)
    facts = {"job": job_id, **wanted, "abi": abi, "by": by}
    record = audit.append(session, event=ORDERED, facts=facts, now=now)
    number = session.scalars(select(JobRow.number).where(JobRow.job_id == job_id)).one()
    session.add(BirthOrderRow(number=number, tenant_id=tenant_id, audit_sequence=record.sequence))
    return job_id


def open_order_of(session: Session, tenant_id: TenantId) -> JobId | None:
    """Return the order of the tenant's birth that has not ended; None when there is none."""
    found = session.scalars(
        select(JobRow.job_id)
        .join(BirthOrderRow, BirthOrderRow.number == JobRow.number)
        .where(BirthOrderRow.tenant_id == tenant_id, JobRow.state.in_([item.value for item in OPEN]))
    ).first()
    return JobId(found) if found is not None else None


def check_claimed(session: Session, job_id: JobId, gates: Gates, *, abi: Abi | None, now: datetime) -> Order:
    """Return the order behind a job that this host, whose jails have ``abi``, has claimed, when it still holds.

    Raises:
        NotEntitledError: nobody ordered it, or it is not what was ordered; or the tenant has changed since.
        GateError, NotFirstPartyError: as for `order`, now.
        BrokenChainError: the log was altered.
    """
    row = session.scalars(select(JobRow).where(JobRow.job_id == job_id)).one()
    tenant_id = replication.parse_birth(json.loads(row.payload))
    tenant = Tenant.of(load_row(session, tenant_id))
    facts = _ordered(session, row, tenant_id)
    wanted = parse_abi(facts["abi"]) if facts.get("abi") is not None else None
    if wanted not in {None, abi} or frozenset(jobs.needs_of(session, row)) != needs_of(wanted):
        raise NotEntitledError(f"the birth of {tenant_id} was ordered for {wanted}", hint="order it again")
    if tenant.status not in _UNBORN | STANDING:
        raise NotEntitledError(f"tenant {tenant_id} is {tenant.status}", hint="hive show-tenant")
    now_wanted = _wanted(session, tenant, gates, now=now)
    if changed := sorted(key for key, value in now_wanted.items() if key not in facts or facts[key] != value):
        raise NotEntitledError(
            f"{tenant_id} has changed since its birth was ordered: {', '.join(changed)}",
            hint="order its birth again, if it is meant",
        )
    return Order(job_id=job_id, tenant_id=tenant_id, abi=wanted)


def _ordered(session: Session, row: JobRow, tenant_id: TenantId) -> dict[str, Any]:
    """Return what the log says was ordered by this job, or approved where an agent asked for the birth."""
    behind = session.get(BirthOrderRow, row.number)
    if behind is None:
        return _approved(session, row, tenant_id)
    found = session.get(AuditRow, behind.audit_sequence)
    record = Record.parse(found.record) if found is not None else None
    if (
        found is None
        or record is None
        or sha256_of(found.record) != found.digest
        or record.sequence != behind.audit_sequence
        or record.event != ORDERED
        or record.facts.get("job") != row.job_id
        or record.facts.get("tenant") != tenant_id
        or behind.tenant_id != tenant_id
    ):
        raise _differs()
    return dict(record.facts)


def _approved(session: Session, row: JobRow, tenant_id: TenantId) -> dict[str, Any]:
    """Return what the log says an operator approved: this birth of this tenant as it stood then, by any host."""
    asked = session.get(ReplicationRow, row.number)
    if asked is None or asked.approved_by is None:
        raise NotEntitledError("nobody ordered this birth", hint="hive order-birth")
    job = row.job_id.encode()
    stored = select(AuditRow.record, AuditRow.digest).order_by(AuditRow.sequence.desc())
    with session.execute(stored.execution_options(yield_per=1000)) as rows:
        for data, digest in rows:
            if job not in data:
                continue
            record = Record.parse(data)
            if record.event != jobs.APPROVED or record.facts.get("job") != row.job_id:
                continue
            if sha256_of(data) != digest or not record.facts.get("child") == asked.child == tenant_id:
                break
            return {**record.facts, "tenant": record.facts["child"]}
    raise _differs()


def _differs() -> NotEntitledError:
    return NotEntitledError(
        "this is not what was ordered: the job, its order and the log differ",
        hint="hive audit verify; somebody changed the database",
    )


def _wanted(session: Session, tenant: Tenant, gates: Gates, *, now: datetime) -> dict[str, Any]:
    """Return what is ordered for the tenant, as it stands now, when it may be.

    Raises:
        GateError, NotFirstPartyError: see `order`.
    """
    audit.check_clock(session, now=now)
    gates.require(session, tenant, now)
    consents = optins.load(session, tenant.tenant_id)
    if consents and tenant.tier is not Tier.FREE:
        raise NotFirstPartyError(
            f"{tenant.tenant_id} is on the {tenant.tier} tier, and {consents[0].pin} is not first-party",
            hint="hive optin withdraw; nothing else helps",
        )
    return {"tenant": tenant.tenant_id, **terms_of(session, tenant)}
