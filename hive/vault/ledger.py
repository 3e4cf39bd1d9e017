"""What this host remembers of provisionings: names and a keyed digest in the database, the story in the audit log.

No value comes here. The digest is HMAC-SHA256 with STATE/secrets.key, so that the file in a jail can be compared
with what was written, and a copy of the database is nothing to try guesses against.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from sqlalchemy.orm import Session

from hive import audit
from hive.db.secret_tables import ProvisioningRow, SecretsState
from signing.errors import FormatError, RejectedError, SkillRepoError
from signing.format.names import TenantId, parse_tenant_id

_CONTEXT: Final = b"hive-provisioned/v1\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioning:
    """The newest provisioning of a tenant."""

    tenant_id: TenantId
    state: SecretsState
    collection_id: str | None
    names: tuple[str, ...]
    digest: str
    at: datetime

    @classmethod
    def of(cls, row: ProvisioningRow) -> Self:
        """Return the provisioning of a row.

        Raises:
            FormatError: the row was tampered with.
        """
        if row.state not in {state.value for state in SecretsState}:
            raise FormatError(f"{row.state!a} is not a state of secrets", where="provisionings.state")
        return cls(
            tenant_id=parse_tenant_id(row.tenant_id),
            state=SecretsState(row.state),
            collection_id=row.collection_id,
            names=tuple(row.names.split("\n")) if row.names else (),
            digest=row.digest,
            at=row.at,
        )


def digest_of(key: bytes, tenant_id: TenantId, content: bytes) -> str:
    """Return what the database may know of the file ``content``; no two tenants share a digest."""
    return hmac.new(key, _CONTEXT + tenant_id.encode() + b"\0" + content, hashlib.sha256).hexdigest()


def load(session: Session, tenant_id: TenantId) -> Provisioning | None:
    """Return the newest provisioning of the tenant, or None when there never was one."""
    row = session.get(ProvisioningRow, tenant_id)
    return Provisioning.of(row) if row is not None else None


def intend(
    session: Session,
    tenant_id: TenantId,
    *,
    collection_id: str | None,
    names: Sequence[str],
    digest: str,
    now: datetime,
) -> bool:
    """Record what is about to be written, before it is; return whether anything is to be recorded afterwards.

    A file that is only looked at again is no news: False.
    """
    row = session.get(ProvisioningRow, tenant_id)
    if row is not None and row.state == SecretsState.PRESENT and hmac.compare_digest(row.digest, digest):
        return False
    session.merge(
        ProvisioningRow(
            tenant_id=tenant_id,
            state=SecretsState.PENDING.value,
            collection_id=collection_id,
            names="\n".join(names),
            digest=digest,
            at=now,
        )
    )
    return True


def note_provisioned(
    session: Session, tenant_id: TenantId, names: Sequence[str], *, rotated: bool, now: datetime
) -> None:
    """Record that what was intended stands in the jail."""
    row = session.get_one(ProvisioningRow, tenant_id)
    row.state, row.at = SecretsState.PRESENT.value, now
    facts: dict[str, Any] = {"tenant": tenant_id, "names": list(names), "rotated": rotated}
    if row.collection_id is not None:
        facts["collection_id"] = row.collection_id
    audit.append(session, event="secrets.provisioned", facts=facts, now=now)


def note_withdrawn(session: Session, tenant_id: TenantId, *, removed: bool, now: datetime) -> None:
    """Record that no secrets are in the jail any more; that none were there before is no news."""
    row = session.get(ProvisioningRow, tenant_id)
    if row is None and not removed:
        return
    if row is not None and row.state == SecretsState.WITHDRAWN and not removed:
        return
    names = row.names.split("\n") if row is not None and row.names else []
    if row is not None:
        row.state, row.at = SecretsState.WITHDRAWN.value, now
    facts = {"tenant": tenant_id, "names": names, "removed": removed}
    audit.append(session, event="secrets.withdrawn", facts=facts, now=now)


def note_refused(session: Session, tenant_id: TenantId, error: SkillRepoError, *, now: datetime) -> None:
    """Record that secrets were not provisioned, and why: errors of the vault name places and never values."""
    facts = {
        "tenant": tenant_id,
        "verdict": "refused" if isinstance(error, RejectedError) else "not made",
        "error": error.to_document(),
    }
    audit.append(session, event="secrets.refused", facts=facts, now=now)
