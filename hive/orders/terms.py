"""What of a tenant an operator agrees to, when a birth is ordered or one that an agent asked for is approved."""

from typing import Any

from sqlalchemy.orm import Session

from hive import optins
from hive.tenants import Tenant


def terms_of(session: Session, tenant: Tenant) -> dict[str, Any]:
    """Return tier, profile and consents of the tenant as they stand now, for the log and to be compared with it."""
    consents = optins.load(session, tenant.tenant_id)
    return {
        "tier": tenant.tier.value,
        "profile": str(tenant.profile),
        "scratch": tenant.scratch,
        "opt_ins": sorted(f"{item.pin} {item.bundle_sha256}" for item in consents),
    }
