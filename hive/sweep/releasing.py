"""Taking a tenant out of quarantine: only when a look at it, made now, finds nothing that would bring it back there (edge)."""

from datetime import datetime

from sqlalchemy.orm import Session

from hive import audit
from hive.db.models import BirthRow, TenantRow
from hive.db.session import snapshot, transaction
from hive.here import check_own
from hive.jails.starting import start_limited
from hive.retiring import RETIRING
from hive.sweep.actions import FLOOR, Action
from hive.sweep.findings import Finding, Found
from hive.sweep.sweeper import Sweeper
from hive.sweep.sweeping import look
from hive.tenants import Tenant, TenantStatus, load_row
from signing.errors import ConflictError, NotEntitledError
from signing.format.names import TenantId

_BACK = frozenset({TenantStatus.BORN, TenantStatus.ACTIVE})


def release_tenant(sweeper: Sweeper, tenant_id: TenantId, *, reason: str) -> Tenant:
    """Let the tenant's agent be routable again, as it was before, and return the tenant.

    Its jail is started when it stands still. Secrets that are not as they were written are withdrawn; another command
    provisions them anew. No sweep acts on it meanwhile.

    Raises:
        NotFoundError: no such tenant. ElsewhereError: its jail is another host's. ConflictError: it is not quarantined.
        NotEntitledError: something is found that may not stand, or that could not be looked at.
        GateError: it is a paying customer's, and a gate is shut.
        HostError: the jail does not start; the tenant stays in quarantine.
    """
    with sweeper.alone(tenant_id):
        with snapshot(sweeper.engine) as session:
            tenant = Tenant.of(load_row(session, tenant_id))
            check_own(tenant, sweeper.here)
            _check_quarantined(tenant)
            if any(record.event == RETIRING for record in audit.read(session, tenant=tenant_id)):
                raise ConflictError(
                    f"{tenant_id} is being retired", hint="hive retire-tenant goes on with it"
                )
        tenant, standing = look(sweeper, tenant_id)
        if forbidden := [str(item) for item in standing if _forbids(sweeper, item)]:
            raise NotEntitledError(
                f"{tenant_id} stays in quarantine: {'; '.join(forbidden)[:600]}",
                hint="mend that, or retire the tenant; what is unknown has to be looked at first",
                findings=forbidden,
            )
        with snapshot(sweeper.engine) as session:
            sweeper.gates.require(session, tenant, sweeper.clock())
            birth = session.get_one(BirthRow, tenant_id)
        if any(item.kind is Found.SECRETS for item in standing):
            sweeper.provisioner.withdraw(tenant_id)
        start_limited(sweeper.host, tenant, mark=birth.mark)
        with transaction(sweeper.engine) as session:
            return _set_back(session, tenant_id, reason, sweeper.clock())


def _forbids(sweeper: Sweeper, finding: Finding) -> bool:
    """Return whether the next sweep would make the tenant unroutable again; its secrets are mended by releasing."""
    if finding.kind is Found.SECRETS:
        return False
    actions = sweeper.actions[finding.kind] | FLOOR.get(finding.kind, frozenset())
    return finding.kind is Found.UNKNOWN or Action.UNROUTABLE in actions


def _set_back(session: Session, tenant_id: TenantId, reason: str, now: datetime) -> Tenant:
    row = session.get_one(TenantRow, tenant_id, with_for_update={"key_share": True}, populate_existing=True)
    _check_quarantined(Tenant.of(row))
    was = _before(session, tenant_id)
    row.status, row.reason = was.value, ""
    facts = {"tenant": tenant_id, "now": was.value, "reason": reason}
    audit.append(session, event="tenant.released", facts=facts, now=now)
    return Tenant.of(row)


def _before(session: Session, tenant_id: TenantId) -> TenantStatus:
    """Return how the tenant stood before its quarantine; born, when the log does not say: a heartbeat comes next then."""
    audit.check(session)
    for record in reversed(audit.read(session, tenant=tenant_id)):
        if record.event == "tenant.quarantined":
            was = record.facts.get("was")
            return next((status for status in _BACK if status.value == was), TenantStatus.BORN)
    return TenantStatus.BORN


def _check_quarantined(tenant: Tenant) -> None:
    if tenant.status is not TenantStatus.QUARANTINED:
        raise ConflictError(
            f"tenant {tenant.tenant_id} is {tenant.status}, not quarantined", hint="hive show-tenant"
        )
