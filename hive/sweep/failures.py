"""What a sweep could not do: recorded when it begins and when it ends, and tried again meanwhile, after longer and longer pauses.

A chat server that is away for a month is two records in the audit log and not nine thousand; how often it was tried, and
when it is tried next, stands in the table and in `hive status`. Telling people waits up to six hours. What cuts a tenant off
waits a quarter of an hour at most: a jail that could not be stopped runs.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from hive import audit
from hive.db.sweep_tables import SweepFailureRow
from hive.sweep.actions import Action
from signing.errors import SkillRepoError
from signing.format.names import TenantId

LOOK: Final = (
    "look"  # beside the actions: the tenant could not even be looked at, or nothing be recorded of it
)
_FIRST_PAUSE: Final = timedelta(minutes=1)
_LONGEST: Final = timedelta(minutes=15)
_LONGEST_TELLING: Final = timedelta(hours=6)
_MAX_PROBLEM: Final = 500


def pausing(session: Session, tenant_id: TenantId, action: Action, *, now: datetime) -> str:
    """Return why the action is not tried now: it failed, and its pause is not over. Empty: it is to be tried.

    A pause that ends later than any can was reckoned by a clock that ran ahead.
    """
    row = session.get(SweepFailureRow, (tenant_id, action.value))
    if row is None or not now < row.again_at <= now + _longest(action):
        return ""
    return f"{action}: {row.problem} ({row.tries} times; again from {row.again_at:%Y-%m-%d %H:%M} UTC on)"


def note_failed(
    session: Session, tenant_id: TenantId, action: str, error: SkillRepoError, *, now: datetime
) -> None:
    """Record that it could not be done; the first time in the audit log too."""
    earlier = session.get(SweepFailureRow, (tenant_id, action))
    tries = earlier.tries + 1 if earlier is not None else 1
    session.merge(
        SweepFailureRow(
            tenant_id=tenant_id,
            action=action,
            problem=error.message[:_MAX_PROBLEM],
            tries=tries,
            first_at=earlier.first_at if earlier is not None else now,
            last_at=now,
            again_at=now + min(_FIRST_PAUSE * 2 ** min(tries - 1, 16), _longest(action)),
        )
    )
    if earlier is None:
        facts = {"tenant": tenant_id, "action": action, "error": error.to_document()}
        audit.append(session, event="sweep.failed", facts=facts, now=now)


def settle(
    session: Session, tenant_id: TenantId, actions: Iterable[str], *, done: bool, now: datetime
) -> None:
    """Record that these are done after all, or not ``done`` and not wanted any more."""
    for action in actions:
        row = session.get(SweepFailureRow, (tenant_id, action))
        if row is None:
            continue
        session.delete(row)
        facts: dict[str, Any] = {"tenant": tenant_id, "action": action, "done": done, "tries": row.tries}
        audit.append(session, event="sweep.settled", facts=facts, now=now)


def standing(session: Session, tenant_id: TenantId | None = None) -> list[SweepFailureRow]:
    """Return what cannot be done at present, of one tenant or of all."""
    statement = select(SweepFailureRow).order_by(SweepFailureRow.tenant_id, SweepFailureRow.action)
    if tenant_id is not None:
        statement = statement.where(SweepFailureRow.tenant_id == tenant_id)
    return list(session.scalars(statement))


def _longest(action: str) -> timedelta:
    return _LONGEST_TELLING if action == Action.NOTIFY else _LONGEST
