"""Tenants: one customer, one jail, one bucket of secrets, all under one name."""

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from sqlalchemy import select
from sqlalchemy.orm import Session

from hive import audit
from hive.db.models import TenantRow
from signing.errors import ConflictError, FormatError, NotFoundError, UsageError
from signing.format.moment import render_moment
from signing.format.names import Pin, TenantId, parse_tenant_id


class Tier(enum.StrEnum):
    """What a tenant pays for. ``paid`` means first-party only, and nothing overrides it."""

    PAID = "paid"
    FREE = "free"


class TenantStatus(enum.StrEnum):
    """Where a tenant stands."""

    REGISTERED = "registered"
    BIRTHING = "birthing"
    BORN = "born"
    ACTIVE = "active"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    RETIRED = "retired"


# What Bastille takes for every jail, for a request for help, or for a release, in some version: no jail is called so.
OTHER_MEANINGS: Final = frozenset(
    {"all", "help", "current", "ubuntu", "bionic", "focal", "jammy", "noble"}
    | {"buster", "bullseye", "bookworm", "trixie"}
    | {f"debian{number}" for number in range(9, 20)}
)

# Who has a jail that was born, and may live in it.
STANDING: Final = frozenset({TenantStatus.BORN, TenantStatus.ACTIVE, TenantStatus.QUARANTINED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A row of the registry. ``host`` has the jail; see `hive.here`."""

    tenant_id: TenantId
    tier: Tier
    profile: Pin
    collection_id: str | None
    scratch: bool
    status: TenantStatus
    reason: str
    created_at: datetime
    host: str | None = None

    @property
    def jail(self) -> TenantId:
        """The jail's name: the tenant's id."""
        return self.tenant_id

    @classmethod
    def of(cls, row: TenantRow) -> Self:
        """Return the tenant of a row; a row that was tampered with is refused by the parsers."""
        return cls(
            tenant_id=parse_tenant_id(row.tenant_id),
            tier=_tier(row.tier),
            profile=Pin.parse(row.profile, where="tenant.profile"),
            collection_id=row.collection_id,
            scratch=row.scratch,
            status=_status(row.status),
            reason=row.reason,
            created_at=row.created_at,
            host=parse_tenant_id(row.host, where="tenant.host") if row.host is not None else None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the tenant as ``--json`` answers it."""
        return {
            "tenant_id": self.tenant_id,
            "jail": self.jail,
            "collection_id": self.collection_id,
            "tier": self.tier.value,
            "profile": str(self.profile),
            "scratch": self.scratch,
            "status": self.status.value,
            "reason": self.reason,
            "created_at": render_moment(self.created_at),
            "host": self.host,
        }


def register(
    session: Session,
    tenant_id: TenantId,
    *,
    tier: Tier,
    profile: Pin,
    collection_id: str | None,
    scratch: bool,
    now: datetime,
) -> Tenant:
    """Add a tenant.

    Raises:
        ConflictError: the name or the bucket belongs to somebody already.
        UsageError: no jail can have that name.
    """
    if tenant_id in OTHER_MEANINGS:
        raise UsageError(f"{tenant_id} means something else to those who make jails", hint="take another id")
    if session.get(TenantRow, tenant_id) is not None:
        raise ConflictError(
            f"tenant {tenant_id} exists", hint="hive show-tenant shows it; names are never reused"
        )
    if collection_id is not None:
        taken = session.scalars(select(TenantRow).where(TenantRow.collection_id == collection_id)).first()
        if taken is not None:
            raise ConflictError(
                f"that bucket belongs to tenant {taken.tenant_id}", hint="one bucket, one tenant"
            )
    row = TenantRow(
        tenant_id=tenant_id,
        jail=tenant_id,
        collection_id=collection_id,
        tier=tier.value,
        profile=str(profile),
        scratch=scratch,
        status=TenantStatus.REGISTERED.value,
        reason="",
        created_at=now,
    )
    session.add(row)
    facts = {"tenant": tenant_id, "tier": tier.value, "profile": str(profile), "scratch": scratch}
    audit.append(session, event="tenant.registered", facts=facts, now=now)
    return Tenant.of(row)


def load_row(session: Session, tenant_id: TenantId) -> TenantRow:
    """Return the row of a tenant.

    Raises:
        NotFoundError: there is none.
    """
    row = session.get(TenantRow, tenant_id)
    if row is None:
        raise NotFoundError(f"no tenant {tenant_id}", hint="hive list-tenants shows who is registered")
    return row


def list_all(session: Session) -> list[Tenant]:
    """Return all tenants by name."""
    return [Tenant.of(row) for row in session.scalars(select(TenantRow).order_by(TenantRow.tenant_id))]


def _tier(text: str) -> Tier:
    # An unknown tier is not "free by default": nothing is admitted for it.
    if text not in {tier.value for tier in Tier}:
        raise FormatError(f"{text!a} is not a tier", where="tenant.tier")
    return Tier(text)


def _status(text: str) -> TenantStatus:
    if text not in {status.value for status in TenantStatus}:
        raise FormatError(f"{text!a} is not a status", where="tenant.status")
    return TenantStatus(text)
