"""Making and starting a tenant's jail, with the limits that its tier and profile have on this host (edge).

The one way in which a jail is started for its tenant: after a birth, a spawn, a release from quarantine. One that is made
here has its limits whenever it runs, also where packages are installed into it before.
"""

from hive.jails.host import JailHost, check_mark
from hive.jails.limits import Limits
from hive.tenants import Tenant
from signing.errors import FormatError, HostError
from signing.format.names import TenantId


def create_limited(host: JailHost, tenant: Tenant, *, mark: str) -> None:
    """Create the tenant's jail, with its limits from its first start on.

    Raises:
        ConflictError, HostError: see `JailHost.create`.
    """
    host.create(tenant.tenant_id, mark=mark)
    host.limits(tenant.tenant_id, host.limits_table.of(tenant))


def start_limited(host: JailHost, tenant: Tenant, *, mark: str) -> Limits:
    """Start the tenant's jail and return its limits; one that runs gets them now. It runs with them or not at all.

    Raises:
        ConflictError: the jail has another mark, or none.
        NotFoundError, UnsafePathError: see `JailHost.start`.
        HostError: it does not run, or the host cannot limit it; it stands still then.
    """
    tenant_id, limits = tenant.tenant_id, host.limits_table.of(tenant)
    check_mark(tenant_id, host.mark_of(tenant_id), mark, where=host.describe(tenant_id))
    try:
        host.limits(tenant_id, limits)
        host.start(tenant_id, mark=mark)
        _check_limited(host, tenant_id, limits)
    except (HostError, FormatError):
        host.stop(tenant_id, mark=mark)
        raise
    return limits


def _check_limited(host: JailHost, tenant_id: TenantId, limits: Limits) -> None:
    if host.limits_of(tenant_id) != limits:
        raise HostError(f"the jail {tenant_id} does not have the limits that it was given")
