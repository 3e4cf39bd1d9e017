"""Births that agents ask for. The gate exists and is shut.

An operator opens it by two numbers: how many births away from an operator's own a birth may be (depth), and how many a
tenant may ask for in all (budget). Both are 0 by default, so every such request is refused. Where they are not, the
job is held until an operator approves it by name; until then no host sees it.
"""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hive.agents.rules import Rules
from hive.db.agent_tables import JobRow, ReplicationRow
from hive.db.models import TenantRow
from hive.tenants import TenantStatus
from signing.errors import ConflictError, FormatError, NotEntitledError
from signing.format.fields import Fields
from signing.format.names import TenantId, parse_tenant_id


def parse_birth(payload: Any) -> TenantId:
    """Return which tenant's birth a payload asks for: ``{"tenant": ID}`` and nothing else.

    Raises:
        FormatError: not that.
    """
    fields = Fields.of(payload, where="payload")
    tenant_id = parse_tenant_id(fields.take("tenant"), where="payload.tenant")
    fields.done()
    return tenant_id


def check_replication(session: Session, parent: TenantId, child: TenantId, rules: Rules) -> int:
    """Return how deep a birth would be that ``parent``'s agent asks for.

    Raises:
        NotEntitledError: policy does not allow it (by default none), or the child is not waiting for its birth.
    """
    depth = _depth_of(session, parent) + 1
    if depth > rules.birth_depth:
        raise NotEntitledError(
            f"births of depth {depth} are not allowed here (at most {rules.birth_depth})",
            hint="agents do not give birth; ask the operator",
        )
    # The tenant's row makes two requests at once queue, so that both count.
    session.get_one(TenantRow, parent, with_for_update={"key_share": True}, populate_existing=True)
    count = select(func.count()).where(ReplicationRow.parent == parent)
    if session.scalars(count).one() >= rules.birth_budget:
        raise NotEntitledError(
            f"tenant {parent} has asked for {rules.birth_budget} births, which is all that it may",
            hint="ask the operator",
        )
    check_unborn(session, child)
    return depth


def check_unborn(session: Session, tenant_id: TenantId) -> None:
    """Return None when an operator registered the tenant and it was not born yet.

    Raises:
        NotEntitledError: there is none, or it was. One answer for both, so that nobody learns which tenants there are.
    """
    row = session.get(TenantRow, tenant_id)
    if row is None or row.status not in {TenantStatus.REGISTERED, TenantStatus.FAILED}:
        raise NotEntitledError(
            "that tenant is not waiting for its birth", hint="an operator registers it first"
        )


def remember(session: Session, job: JobRow, parent: TenantId, child: TenantId, depth: int) -> None:
    """Record who asked for the birth."""
    session.add(ReplicationRow(number=job.number, parent=parent, child=child, depth=depth))


def approve(session: Session, job: JobRow, *, by: str) -> TenantId:
    """Record who allowed it, and return whose birth it is.

    Raises:
        FormatError: nobody is named. ConflictError: nobody has to.
    """
    if not by.strip():
        raise FormatError("names nobody", where="--by")
    row = session.get(ReplicationRow, job.number)
    if row is None:
        raise ConflictError(f"job {job.job_id} needs no approval")
    row.approved_by = by
    return parse_tenant_id(row.child, where="replications.child")


def is_unapproved(session: Session, job: JobRow) -> bool:
    """Return whether an agent asked for this job and nobody approved it."""
    row = session.get(ReplicationRow, job.number)
    return row is not None and row.approved_by is None


def _depth_of(session: Session, tenant_id: TenantId) -> int:
    """Return how many births away from an operator's the tenant is. Whatever became of the jobs: unknown is not zero."""
    deepest = select(func.max(ReplicationRow.depth)).where(ReplicationRow.child == tenant_id)
    return session.scalars(deepest).one() or 0
