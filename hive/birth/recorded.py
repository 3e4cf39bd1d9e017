"""What births brought into their jails, as it was recorded then: by the audit log, and by the receipts of packages.

The log says who was born, by which profile, and what was admitted by which lock; the receipts say what was handed over.
Neither asks a jail. Where log, receipts and registry contradict each other, or one of them is not there, somebody altered
the database, and nobody knows what stands in that jail: that is said (``problem``) and never passed over.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from hive import audit
from hive.admission import PACKAGE
from hive.birth.journal import BORN, receipts_of
from hive.db.models import BirthRow
from hive.tenants import STANDING, Tenant, TenantStatus, list_all
from signing.errors import CouldNotVerifyError
from signing.format.chain import Record
from signing.format.digest import Sha256, parse_sha256
from signing.format.pkg.names import PackagePin


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class BornPackage:
    """A package that was admitted into a jail."""

    pin: PackagePin
    sha256: Sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedBirth:
    """One tenant whose birth was begun, and the packages that came with it.

    ``begun`` is False when nothing of a birth is left; ``problem`` says why ``packages`` cannot be relied on.
    """

    tenant: Tenant
    begun: bool
    lock_sha256: str | None
    packages: tuple[BornPackage, ...]
    problem: str = ""


def recorded_births(session: Session) -> list[RecordedBirth]:
    """Return every tenant whose birth was begun at any time, by name.

    Raises:
        BrokenChainError: the audit log was altered. FormatError: what it, or the registry, says is not ours.
        CouldNotVerifyError: the log tells of a birth of somebody who is not registered.
    """
    audit.check(session)
    records = audit.read(session)
    admitted, told, tenants = _admitted(records), _told(records), list_all(session)
    if lost := sorted(set(told) - {tenant.tenant_id for tenant in tenants}):
        raise CouldNotVerifyError(
            f"{lost[0]} was born here by the audit log, and is not registered",
            hint="compare the database with a backup; until then nobody knows what stands in that jail",
        )
    return [
        _birth(session, tenant, admitted, told.get(tenant.tenant_id))
        for tenant in tenants
        if tenant.status is not TenantStatus.REGISTERED or tenant.tenant_id in told
    ]


# What the log says last of a birth that was completed; an agent that could not be made active changes nothing about it.
_BORN = frozenset({BORN, "birth.active"})
NOT_ACTIVATED = "birth.not-activated"
# What is about a birth and says nothing of how it stands; an agent's request is on record under the tenant who asked.
_NOT_A_BIRTH = frozenset({NOT_ACTIVATED, "birth.ordered", "birth.moved", "birth.left", "birth.requested"})

_Admitted = dict[tuple[str, str], tuple[set[BornPackage], int]]


@dataclass(frozen=True, slots=True)
class _Told:
    """What the log says last of a tenant's birth; ``profile`` is that of one that was completed."""

    event: str
    profile: str


def _told(records: Sequence[Record]) -> dict[str, _Told]:
    return {
        str(record.facts.get("tenant")): _Told(record.event, str(record.facts.get("profile")))
        for record in records
        if record.event.startswith("birth.") and record.event not in _NOT_A_BIRTH
    }


def _admitted(records: Sequence[Record]) -> _Admitted:
    """Return, by tenant and lock, the packages that were admitted, and how many admissions there are in all."""
    found: _Admitted = {}
    for record in records:
        if record.event != "admission":
            continue
        facts = record.facts
        key = (str(facts.get("tenant")), str(facts.get("lock_sha256")))
        packages, count = found.get(key, (set(), 0))
        if facts.get("kind") == PACKAGE:
            packages.add(_package(facts.get("pin"), facts.get("sha256"), record))
        found[key] = (packages, count + 1)
    return found


def _package(pin: object, sha256: object, record: Record) -> BornPackage:
    where = f"audit record {record.sequence}"
    return BornPackage(
        pin=PackagePin.parse(pin, where=where),
        sha256=parse_sha256(sha256, where=where),
    )


def _birth(session: Session, tenant: Tenant, admitted: _Admitted, told: _Told | None) -> RecordedBirth:
    row = session.get(BirthRow, tenant.tenant_id)
    if row is None:
        active = tenant.status in STANDING
        problem = "is called active, and no birth is recorded" if active else _contradiction(tenant, told)
        return RecordedBirth(tenant=tenant, begun=False, lock_sha256=None, packages=(), problem=problem)
    packages, count = admitted.get((tenant.tenant_id, row.lock_sha256 or ""), (set(), 0))
    received = {
        BornPackage(pin=receipt.pin, sha256=receipt.sha256)
        for receipt in receipts_of(session, tenant.tenant_id)
    }
    problem = _problem(tenant, row, packages, received, count) or _contradiction(tenant, told)
    return RecordedBirth(
        tenant=tenant,
        begun=True,
        lock_sha256=row.lock_sha256,
        packages=tuple(sorted(packages | received)),
        problem=problem,
    )


def _contradiction(tenant: Tenant, told: _Told | None) -> str:
    """Return where registry and log differ: a row that was set back hides a jail, another profile brings other waivers."""
    born, status = told is not None and told.event in _BORN, tenant.status
    if status in STANDING:
        if told is None or not born:
            return f"is called {status.value}, and the log does not say that it was born"
        if told.profile != str(tenant.profile):
            return f"was born by {told.profile}, and is registered with {tenant.profile}"
    elif born and status in {TenantStatus.REGISTERED, TenantStatus.BIRTHING, TenantStatus.FAILED}:
        return f"was born, by the log, and is called {status.value}"
    return ""


def _problem(
    tenant: Tenant, row: BirthRow, packages: set[BornPackage], received: set[BornPackage], count: int
) -> str:
    active = tenant.status in STANDING
    if row.lock_sha256 is None:
        return "has no lock, and is called active or holds packages" if active or received else ""
    if not count:
        return f"the audit log has no admission by its lock {row.lock_sha256[:12]}"
    if odd := sorted(received - packages):
        return f"{odd[0].pin} was handed over, and its admission is not recorded"
    if active and (odd := sorted(packages - received)):
        return f"{odd[0].pin} was admitted, and there is no receipt that it was handed over"
    return ""
