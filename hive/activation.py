"""When a tenant becomes active: with the first heartbeat that the hive accepts. The one place that says so, and one door.

    heartbeat of a born tenant ─► gates, once more ─► active ─► birth certificate signed;  all in one transaction

A gate may have shut since the birth, and what cannot be certified was not proven: then the tenant stays born, the
reason stands in its row, and the agent is told to come again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy.orm import Session

from hive import audit, certificate
from hive.agents.errors import NotNowError
from hive.db.models import BirthRow, TenantRow
from hive.gates.register import Gates
from hive.host_key import HostKey
from hive.tenants import Tenant, TenantStatus
from signing.errors import ConflictError, SkillRepoError
from signing.format.names import TenantId

_AGAIN_SECONDS: Final = 60


class NotActivatedError(NotNowError):
    """The tenant stays born. The agent learns that, and not what is wrong with this host."""

    def __init__(self, tenant_id: TenantId, cause: SkillRepoError) -> None:
        super().__init__("born, and not active yet: the operator has something to do", seconds=_AGAIN_SECONDS)
        self.tenant_id = tenant_id
        self.reason = f"not activated: {cause.code}: {cause}"


class Activator(Protocol):
    """What decides about the first heartbeat of a born tenant."""

    def activate(self, session: Session, tenant_id: TenantId, *, now: datetime) -> None:
        """Call the tenant active.

        Raises:
            NotActivatedError: it stays born; the caller rolls back, and records why by `note_reason`.
            ConflictError: it is not born.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenActivation:
    """Activates who passes the gates of this host, and certifies the birth with the key in ``state``.

    ``policy`` raises when no policy holds here by now: what a host must not give birth by, it does not activate by.
    """

    gates: Gates
    state: Path
    policy: Callable[[Session, datetime], object] | None = None

    def activate(self, session: Session, tenant_id: TenantId, *, now: datetime) -> None:
        """Call the tenant active; see `Activator.activate`."""
        try:
            tenant = Tenant.of(session.get_one(TenantRow, tenant_id))
            audit.check_clock(session, now=now)  # of everybody: the certificate says when
            if self.policy is not None:
                self.policy(session, now)
            self.gates.require(session, tenant, now)
            _call_active(session, tenant_id, now=now)
            certificate.issue(session, tenant, HostKey.open(self.state), now=now)
        except ConflictError:
            raise
        except SkillRepoError as error:
            raise NotActivatedError(tenant_id, error) from error


def on_first_heartbeat(session: Session, tenant_id: TenantId, activator: Activator, *, now: datetime) -> bool:
    """Activate the tenant if it is born and was not active yet; return whether it was activated.

    Raises:
        NotActivatedError: it stays born.
    """
    if session.get_one(TenantRow, tenant_id).status != TenantStatus.BORN:
        return False
    activator.activate(session, tenant_id, now=now)
    return True


def _call_active(session: Session, tenant_id: TenantId, *, now: datetime) -> None:
    """Call the tenant active; the gates were asked, and the certificate follows in the same transaction.

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


def note_reason(session: Session, error: NotActivatedError, *, now: datetime) -> None:
    """Record why a tenant stays born; once per reason, because its agent comes again every minute."""
    row = session.get_one(
        TenantRow, error.tenant_id, with_for_update={"key_share": True}, populate_existing=True
    )
    if row.status != TenantStatus.BORN or row.reason == error.reason:
        return
    row.reason = error.reason
    facts = {"tenant": error.tenant_id, "reason": error.reason}
    audit.append(session, event="birth.not-activated", facts=facts, now=now)
