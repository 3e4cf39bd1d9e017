"""When a tenant becomes active: with the first heartbeat that the hive accepts. The one place that says so."""

from datetime import datetime

from sqlalchemy.orm import Session

from hive import audit
from hive.db.models import BirthRow, TenantRow
from hive.tenants import TenantStatus
from signing.errors import ConflictError
from signing.format.names import TenantId


def on_first_heartbeat(session: Session, tenant_id: TenantId, *, now: datetime) -> bool:
    """Activate the tenant if it is born and was not active yet; return whether it was activated."""
    if session.get_one(TenantRow, tenant_id).status != TenantStatus.BORN:
        return False
    activate(session, tenant_id, now=now)
    return True


def activate(session: Session, tenant_id: TenantId, *, now: datetime) -> None:
    """Call the tenant active.

    Raises:
        ConflictError: it is not born, or it is active already, quarantined or retired.
    """
    row = session.get_one(TenantRow, tenant_id, with_for_update={"key_share": True}, populate_existing=True)
    if row.status != TenantStatus.BORN:
        raise ConflictError(f"tenant {tenant_id} is {row.status}, not born", hint="hive show-tenant")
    row.status, row.reason = TenantStatus.ACTIVE.value, ""
    born = session.get(BirthRow, tenant_id)
    if born is not None and born.finished_at is None:
        born.finished_at = now
    facts = {"tenant": tenant_id, "tier": row.tier, "profile": row.profile}
    if born is not None and born.lock_sha256 is not None:
        facts["lock_sha256"] = born.lock_sha256
    audit.append(session, event="birth.active", facts=facts, now=now)
