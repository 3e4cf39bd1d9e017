"""Looking at one jail: does it stand, does it run, is it as it was born, are its secrets as they were written (edge)."""

from sqlalchemy import Engine

from hive.birth.journal import receipts_of
from hive.certificate import kept
from hive.db.models import BirthRow
from hive.db.session import snapshot
from hive.jails.compare import Difference, Expected, differences, hidden
from hive.jails.contained import JailRoot
from hive.jails.host import JailHost
from hive.packages.receipts import UNPACKED
from hive.sweep.findings import Finding, Found
from hive.sweep.record import JAIL
from hive.tenants import Tenant, TenantStatus
from hive.vault.provision import Provisioner, Standing
from signing.errors import SkillRepoError

_HARMLESS = frozenset({Standing.AS_WRITTEN, Standing.NONE})
_MOST = 20  # of one jail at a time: whoever lives in it chooses how much there is to say


def jail_findings(tenant: Tenant, engine: Engine, host: JailHost, provisioner: Provisioner) -> list[Finding]:
    """Return everything about the jail of ``tenant`` that is not as it should be; "cannot be read" is a finding."""
    try:
        if odd := _not_ours(tenant, engine, host):
            return [odd]  # what is in another birth's jail is not held against this one
        found = _still(tenant, host)
        found += _drift(tenant, engine, host)
        if provisioner.owner is not None:
            found += _secrets(tenant, provisioner)
    except SkillRepoError as error:
        return [Finding(kind=Found.UNKNOWN, subject=JAIL, detail=error.message)]
    except Exception as error:  # noqa: BLE001 - whatever a tenant makes us stumble over, the others are swept
        return [Finding(kind=Found.UNKNOWN, subject=JAIL, detail=f"{type(error).__name__} while looking")]
    return found


def _not_ours(tenant: Tenant, engine: Engine, host: JailHost) -> Finding | None:
    with snapshot(engine) as session:
        row = session.get(BirthRow, tenant.tenant_id)
        mark = row.mark if row is not None else None
    if not host.exists(tenant.tenant_id):
        return Finding(kind=Found.STRANGE, subject=JAIL, detail="there is none")
    if mark is None or host.mark_of(tenant.tenant_id) != mark:
        return Finding(kind=Found.STRANGE, subject=JAIL, detail="it is not the one of this birth")
    return None


def _still(tenant: Tenant, host: JailHost) -> list[Finding]:
    if tenant.status is not TenantStatus.QUARANTINED and not host.is_running(tenant.tenant_id):
        return [Finding(kind=Found.STILL, subject=JAIL, detail="it does not run")]
    return []


def _drift(tenant: Tenant, engine: Engine, host: JailHost) -> list[Finding]:
    with snapshot(engine) as session:
        evidence = kept(session, tenant.tenant_id)
        receipts = receipts_of(session, tenant.tenant_id)
    records = frozenset(receipt.pin.name for receipt in receipts if receipt.placed.way == UNPACKED)
    expected = Expected(skills=evidence.skills, files=evidence.written, records=records)
    with host.open_root(tenant.tenant_id) as root, host.open_shelf(tenant.tenant_id) as shelf:
        found = [
            Finding(kind=Found.DRIFT, subject=item.path, detail=item.what)
            for item in (*differences(root, shelf, expected), *_hidden(tenant, host, root, shelf))
        ]
    for receipt in receipts:
        try:
            host.check_package(tenant.tenant_id, receipt)
        except SkillRepoError as error:
            where = f" ({error.where})" if error.where else ""
            found.append(
                Finding(kind=Found.DRIFT, subject=str(receipt.pin), detail=f"{error.message}{where}")
            )
    if len(found) > _MOST:
        found[_MOST:] = [Finding(kind=Found.DRIFT, subject=JAIL, detail="in more places than these")]
    return found


def _hidden(tenant: Tenant, host: JailHost, root: JailRoot, shelf: JailRoot) -> tuple[Difference, ...]:
    """Return what is not shown in the jail as it should be; one that was started or stopped meanwhile is looked at again.

    What it has mounted when it runs is there before its first process, and goes after its last.
    """
    running = host.is_running(tenant.tenant_id)
    found = hidden(root, shelf, running=running)
    if (now := host.is_running(tenant.tenant_id)) == running:
        return found
    return hidden(root, shelf, running=now)


def _secrets(tenant: Tenant, provisioner: Provisioner) -> list[Finding]:
    standing = provisioner.standing(tenant.tenant_id)
    if standing in _HARMLESS:
        return []
    return [Finding(kind=Found.SECRETS, subject="usr/home/agent/.env", detail=standing.value)]
