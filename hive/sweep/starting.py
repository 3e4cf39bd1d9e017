"""Starting a jail that stands still, as after a reboot: only when a look at it, made now, finds nothing against it (edge).

A host's own way of starting jails at boot looks at nothing: what was revoked meanwhile would run again, and so would a jail
whose files were changed while the machine was off. So jails of tenants are started here, and nowhere else.
"""

from hive import audit
from hive.db.models import BirthRow
from hive.db.session import snapshot, transaction
from hive.here import check_own
from hive.jails.starting import start_limited
from hive.sweep.actions import FLOOR, Action
from hive.sweep.findings import Finding, Found
from hive.sweep.sweeper import Sweeper
from hive.sweep.sweeping import look
from hive.tenants import Tenant, TenantStatus, list_all, load_row
from signing.errors import ConflictError, NotEntitledError
from signing.format.names import TenantId

_RUN = frozenset({TenantStatus.BORN, TenantStatus.ACTIVE})


def who_stands_still(sweeper: Sweeper) -> list[TenantId]:
    """Return the tenants whose jails ought to run and do not, by name.

    Raises:
        HostError: the host cannot be asked.
    """
    with snapshot(sweeper.engine) as session:
        found = list_all(session)
    tenants = [tenant for tenant in found if tenant.status in _RUN and tenant.host == sweeper.here]
    return sorted(item.tenant_id for item in tenants if not sweeper.host.is_running(item.tenant_id))


def start_tenant(sweeper: Sweeper, tenant_id: TenantId) -> bool:
    """Start the tenant's jail with its limits; return False when it runs already. No sweep acts on it meanwhile.

    Raises:
        NotFoundError: no such tenant. ElsewhereError: its jail is another host's. ConflictError: it is neither born nor active, or another jail stands there.
        NotEntitledError: something is found for which a sweep would cut it off, or that could not be looked at.
        HostError: it does not start, or cannot be limited; it stands still then.
    """
    with sweeper.alone(tenant_id):
        check_own(tenant := _load(sweeper, tenant_id), sweeper.here)
        _check_runs(tenant)
        if sweeper.host.is_running(tenant_id):
            return False
        tenant, standing = look(sweeper, tenant_id)
        if against := [str(item) for item in standing if _is_against(sweeper, item)]:
            raise NotEntitledError(
                f"{tenant_id} is not started: {'; '.join(against)[:600]}",
                hint="what is unknown can be looked at again when the repository answers; else hive status says what to do",
                findings=against,
            )
        with snapshot(sweeper.engine) as session:
            birth = session.get_one(BirthRow, tenant_id)
        start_limited(sweeper.host, tenant, mark=birth.mark)
        with transaction(sweeper.engine) as session:
            now = Tenant.of(load_row(session, tenant_id))
            facts = {"tenant": tenant_id, "profile": str(now.profile)}
            audit.append(session, event="tenant.started", facts=facts, now=sweeper.clock())
        if now.status not in _RUN:  # cut off in between, by somebody on another host
            sweeper.host.stop(tenant_id, mark=birth.mark)
            _check_runs(now)
    return True


def _load(sweeper: Sweeper, tenant_id: TenantId) -> Tenant:
    with snapshot(sweeper.engine) as session:
        return Tenant.of(load_row(session, tenant_id))


def _check_runs(tenant: Tenant) -> None:
    if tenant.status not in _RUN:
        raise ConflictError(
            f"tenant {tenant.tenant_id} is {tenant.status}: its jail is not to run",
            hint="hive show-tenant; a quarantine ends with hive release-tenant, which starts the jail too",
        )


def _is_against(sweeper: Sweeper, finding: Finding) -> bool:
    if finding.kind is Found.STILL:
        return False
    actions = sweeper.actions[finding.kind] | FLOOR.get(finding.kind, frozenset())
    return finding.kind is Found.UNKNOWN or Action.UNROUTABLE in actions
