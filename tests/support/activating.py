"""An activator for tests about agents and jobs: no gates, no evidence of a birth, no certificate."""

from datetime import datetime

from sqlalchemy.orm import Session

from hive import audit
from hive.db.models import TenantRow
from hive.tenants import TenantStatus
from signing.errors import ConflictError
from signing.format.names import TenantId


class AtOnce:
    """Calls active who is born."""

    def activate(self, session: Session, tenant_id: TenantId, *, now: datetime) -> None:
        row = session.get_one(
            TenantRow, tenant_id, with_for_update={"key_share": True}, populate_existing=True
        )
        if row.status != TenantStatus.BORN:
            raise ConflictError(f"tenant {tenant_id} is {row.status}, not born")
        row.status, row.reason = TenantStatus.ACTIVE.value, ""
        audit.append(session, event="birth.active", facts={"tenant": tenant_id}, now=now)
