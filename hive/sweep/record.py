"""The table of findings: what is new, what still stands, what is gone, and of what people were told."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from hive import audit
from hive.db.models import TenantRow
from hive.db.sweep_tables import SweepFindingRow
from hive.sweep.findings import Finding, Found
from hive.tenants import STANDING
from signing.format.names import TenantId

JAIL: Final = "jail"  # the subject of an unknown that is about the jail; all others are about trust
_OF_JAIL: Final = frozenset({Found.DRIFT, Found.STRANGE, Found.SECRETS})
_OF_TRUST: Final = frozenset(
    {
        Found.REVOKED,
        Found.QUARANTINED,
        Found.YANKED,
        Found.VULNERABLE,
        Found.ENDED,
        Found.UNVOUCHED,
    }
)


def record(
    session: Session, tenant_id: TenantId, found: Sequence[Finding], *, now: datetime
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Bring the table up to date; return everything that stands, and what of it is new.

    What was found earlier and could not be looked at now still stands: a server that is away takes nothing back. Of a
    tenant that was retired meanwhile nothing stands.
    """
    tenant = session.get_one(
        TenantRow, tenant_id, with_for_update={"key_share": True}, populate_existing=True
    )
    if tenant.status not in STANDING:
        found = ()
    unseen = _unseen(found)
    earlier = {
        Finding(kind=Found(row.kind), subject=row.subject, detail=row.detail): row
        for row in _open(session, tenant_id)
    }
    new = tuple(finding for finding in found if finding not in earlier)
    kept = tuple(finding for finding in earlier if finding not in found and finding.kind in unseen)
    for finding in new:
        session.add(
            SweepFindingRow(
                tenant_id=tenant_id,
                kind=finding.kind.value,
                subject=finding.subject,
                detail=finding.detail,
                first_seen=now,
                last_seen=now,
                told_at=None,
                gone_at=None,
            )
        )
        audit.append(session, event="sweep.found", facts={"tenant": tenant_id, **finding.to_json()}, now=now)
    for finding, row in earlier.items():
        if finding in found:
            row.last_seen = now
        elif finding not in kept:
            _gone(session, row, now)
    return tuple(sorted({*found, *kept})), new


def forget_the_retired(session: Session, *, now: datetime) -> None:
    """Call everything gone that was found about tenants who have no living jail any more."""
    statement = (
        select(SweepFindingRow)
        .join(TenantRow, TenantRow.tenant_id == SweepFindingRow.tenant_id)
        .where(
            SweepFindingRow.gone_at.is_(None),
            TenantRow.status.not_in([status.value for status in STANDING]),
        )
        .order_by(SweepFindingRow.number)
    )
    for row in session.scalars(statement).all():
        _gone(session, row, now)


def untold(session: Session, tenant_id: TenantId, kinds: frozenset[Found]) -> dict[int, Finding]:
    """Return, by number, what stands, is of these kinds, and nobody was told of yet."""
    return {
        row.number: Finding(kind=Found(row.kind), subject=row.subject, detail=row.detail)
        for row in _open(session, tenant_id)
        if row.told_at is None and row.kind in kinds
    }


def note_told(session: Session, numbers: Sequence[int], *, now: datetime) -> None:
    """Remember that people were told of these findings."""
    session.execute(update(SweepFindingRow).where(SweepFindingRow.number.in_(numbers)).values(told_at=now))


def _unseen(found: Sequence[Finding]) -> frozenset[Found]:
    """Return the kinds of which this look cannot say that they are gone."""
    subjects = {finding.subject for finding in found if finding.kind is Found.UNKNOWN}
    of_jail = _OF_JAIL if JAIL in subjects else frozenset()
    return of_jail | (_OF_TRUST if subjects - {JAIL} else frozenset())


def _open(session: Session, tenant_id: TenantId) -> Sequence[SweepFindingRow]:
    statement = (
        select(SweepFindingRow)
        .where(SweepFindingRow.tenant_id == tenant_id, SweepFindingRow.gone_at.is_(None))
        .order_by(SweepFindingRow.number)
    )
    return session.scalars(statement).all()


def _gone(session: Session, row: SweepFindingRow, now: datetime) -> None:
    row.gone_at = now
    facts = {"tenant": row.tenant_id, "kind": row.kind, "subject": row.subject, "detail": row.detail}
    audit.append(session, event="sweep.gone", facts=facts, now=now)
