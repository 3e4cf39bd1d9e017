"""Keeping consents and the external bundles they are about, below the state folder (edge)."""

from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hive import audit
from hive.db.models import OptInRow
from hive.external import ExternalBundle, OptIn, read_external
from hive.tenants import Tenant, Tier
from repo_client.entries import MissingPathError
from repo_client.handles import Directory
from signing.errors import NotFirstPartyError, NotFoundError, RejectedError, UsageError
from signing.format.archive import MAX_ARCHIVE_BYTES
from signing.format.digest import Sha256
from signing.format.moment import render_moment
from signing.format.names import Pin, TenantId


def add(
    session: Session, folder: Path, tenant: Tenant, data: bytes, *, opt_in: OptIn, now: datetime
) -> ExternalBundle:
    """Record the consent ``opt_in`` to the bundle written as ``data``, and keep the bundle.

    Raises:
        NotFirstPartyError: the tenant is on the paid tier; there is no consent that would help.
        FormatError, DigestMismatchError: not a bundle, or its manifest lies.
        UsageError: no owner, no reason, or an end that is past.
    """
    external = read_external(data)
    if tenant.tier is not Tier.FREE:
        raise NotFirstPartyError(
            f"{external.pin} is not first-party; tenant {tenant.tenant_id} is on the {tenant.tier} tier",
            hint="have it reviewed and published (skillrepo import), then pin it in the profile",
        )
    if not opt_in.owner.strip() or not opt_in.reason.strip():
        raise UsageError("a consent has an owner and a reason", hint="--owner NAME --reason TEXT")
    if opt_in.expires_at <= now:
        raise UsageError("a consent ends in the future", hint="--expires 2027-01-31")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Directory.open(folder) as store:
        store.write_file(external.sha256, data, mode=0o400)
    for older in _rows(session, tenant.tenant_id):
        if older.name == external.pin.name:
            older.withdrawn_at = now  # a renewed consent takes the place of the one before
    session.add(
        OptInRow(
            tenant_id=tenant.tenant_id,
            source=opt_in.source,
            name=external.pin.name,
            version=external.pin.version,
            bundle_sha256=external.sha256,
            owner=opt_in.owner,
            reason=opt_in.reason,
            expires_at=opt_in.expires_at,
            created_at=now,
        )
    )
    facts = {**describe(opt_in), "tenant": tenant.tenant_id, "risk": "operator's own risk"}
    audit.append(session, event="optin.added", facts=facts, now=now)
    return external


def note_refusal(session: Session, tenant_id: TenantId, error: RejectedError, *, now: datetime) -> None:
    """Record that a consent was refused: whoever tries to wave something through leaves a trace."""
    facts = {"tenant": tenant_id, "verdict": "refused", "error": error.to_document()}
    audit.append(session, event="optin.refused", facts=facts, now=now)


def withdraw(session: Session, tenant: Tenant, pin: Pin, *, now: datetime) -> int:
    """End every consent of ``tenant`` to ``pin`` and return how many there were.

    Raises:
        NotFoundError: there was none.
    """
    rows = [
        row for row in _rows(session, tenant.tenant_id) if (row.name, row.version) == (pin.name, pin.version)
    ]
    if not rows:
        raise NotFoundError(f"{tenant.tenant_id} has no opt-in to {pin}")
    for row in rows:
        row.withdrawn_at = now
    audit.append(
        session, event="optin.withdrawn", facts={"tenant": tenant.tenant_id, "pin": str(pin)}, now=now
    )
    return len(rows)


def load(session: Session, tenant_id: TenantId) -> list[OptIn]:
    """Return the consents of a tenant that were not withdrawn; whether they have ended is `admit`'s to judge."""
    return [
        OptIn(
            tenant_id=tenant_id,
            source=row.source,
            pin=Pin.parse(f"{row.name}=={row.version}"),
            bundle_sha256=Sha256(row.bundle_sha256),
            owner=row.owner,
            reason=row.reason,
            expires_at=row.expires_at,
        )
        for row in _rows(session, tenant_id)
    ]


def load_bundle(folder: Path, opt_in: OptIn) -> ExternalBundle:
    """Return the kept bundle of a consent; what is on disk is compared with the digest by `OptIn.covers`.

    Raises:
        NotFoundError: it is gone. FormatError, DigestMismatchError: it is damaged.
    """
    try:
        with Directory.open(folder) as store:
            return read_external(store.read_file(opt_in.bundle_sha256, max_bytes=MAX_ARCHIVE_BYTES))
    except MissingPathError as error:
        raise NotFoundError(
            f"the external bundle {opt_in.pin} is gone from {folder}", hint="opt in again, with the file"
        ) from error


def describe(opt_in: OptIn) -> dict[str, Any]:
    """Return a consent as ``--json`` answers and audit records show it."""
    return {
        "tenant": opt_in.tenant_id,
        "source": opt_in.source,
        "pin": str(opt_in.pin),
        "bundle_sha256": opt_in.bundle_sha256,
        "owner": opt_in.owner,
        "reason": opt_in.reason,
        "expires_at": render_moment(opt_in.expires_at),
    }


def _rows(session: Session, tenant_id: TenantId) -> list[OptInRow]:
    statement = select(OptInRow).where(OptInRow.tenant_id == tenant_id, OptInRow.withdrawn_at.is_(None))
    return list(session.scalars(statement.order_by(OptInRow.id)))
