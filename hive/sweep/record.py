"""The table of findings: what is new, what still stands, what is gone, and of what people were told.

Some of it comes and goes as a hostile jail likes, or a bad line to the server. So that neither fills the audit log, such a
finding is gone only when it was not seen for an hour; one that is back by then is the same one. And of no more than
`_NEWS_A_DAY` of a kind a record is made in a day: what is done about them does not depend on that.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from hive import audit
from hive.db.models import TenantRow
from hive.db.sweep_tables import SweepFindingRow
from hive.sweep import failures
from hive.sweep.findings import Finding, Found
from hive.tenants import STANDING, TenantStatus
from signing.format.names import TenantId, parse_tenant_id

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
_FLICKERING: Final = _OF_JAIL | {Found.UNKNOWN, Found.STILL}
_LINGERS: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_NEWS_A_DAY: Final = 25


def record(
    session: Session, tenant_id: TenantId, found: Sequence[Finding], *, now: datetime, at_once: bool = False
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Bring the table up to date; return everything that stands, and what of it is new.

    What was found earlier and could not be looked at now still stands: a server that is away takes nothing back. Of a
    tenant that was retired meanwhile nothing stands. With ``at_once`` nothing lingers: a person looks, and mended it.
    """
    tenant = session.get_one(
        TenantRow, tenant_id, with_for_update={"key_share": True}, populate_existing=True
    )
    if tenant.status not in STANDING:
        found = ()
    if tenant.status == TenantStatus.QUARANTINED:  # by another sweep, since the jail was looked at
        found = [finding for finding in found if finding.kind is not Found.STILL]
    earlier = {_key(_finding(row)): row for row in _open(session, tenant_id)}
    new = []
    budget = {kind: _NEWS_A_DAY - _news_of(session, tenant_id, kind, now) for kind in _FLICKERING}
    for finding in (finding for finding in found if _key(finding) not in earlier):
        if finding.kind in budget:
            if budget[finding.kind] <= 0:
                continue
            budget[finding.kind] -= 1
        _add(session, tenant_id, finding, now)
        new.append(finding)
    kept = still_standing(session, tenant_id, found)
    seen = {_key(finding): finding for finding in found}
    for key, row in earlier.items():
        if key in seen:
            row.last_seen, row.detail = now, seen[key].detail
        elif _finding(row) in kept:
            continue
        elif at_once or row.kind not in _FLICKERING or not now - _LINGERS < row.last_seen <= now:
            _gone(session, row, now)
    return tuple(sorted({*found, *kept})), tuple(new)


def still_standing(session: Session, tenant_id: TenantId, found: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return what was found earlier and could not be looked at now, by what is ``found`` now."""
    unseen = _unseen(found)
    seen = {_key(finding) for finding in found}
    earlier = [_finding(row) for row in _open(session, tenant_id)]
    return tuple(finding for finding in earlier if finding.kind in unseen and _key(finding) not in seen)


def _key(finding: Finding) -> tuple[str, str, str]:
    """Return by what a finding is known again; the details of one that flickers may change from look to look."""
    return finding.kind.value, finding.subject, "" if finding.kind in _FLICKERING else finding.detail


def _finding(row: SweepFindingRow) -> Finding:
    return Finding(kind=Found(row.kind), subject=row.subject, detail=row.detail)


def _news_of(session: Session, tenant_id: TenantId, kind: Found, now: datetime) -> int:
    statement = (
        select(func.count())
        .select_from(SweepFindingRow)
        .where(
            SweepFindingRow.tenant_id == tenant_id,
            SweepFindingRow.kind == kind.value,
            SweepFindingRow.first_seen > now - _DAY,
        )
    )
    return session.scalar(statement) or 0


def _add(session: Session, tenant_id: TenantId, finding: Finding, now: datetime) -> None:
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


def forget_the_retired(session: Session, *, now: datetime) -> None:
    """Call everything gone that was found about tenants who have no living jail any more, and settled what failed."""
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
    for failure in failures.standing(session):
        tenant_id = parse_tenant_id(failure.tenant_id)
        if session.get_one(TenantRow, tenant_id).status not in STANDING:
            failures.settle(session, tenant_id, [failure.action], done=False, now=now)


def untold(session: Session, tenant_id: TenantId, kinds: frozenset[Found]) -> dict[int, Finding]:
    """Return, by number, what stands, is of these kinds, and nobody was told of yet."""
    return {
        row.number: _finding(row)
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
