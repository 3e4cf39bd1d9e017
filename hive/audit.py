"""The audit log: every admission, refusal, opt-in and birth, hash-chained, in the transaction that did it."""

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from hive.db.models import AuditRow
from signing.errors import CouldNotVerifyError
from signing.format.chain import Head, Record, check_chain, next_record
from signing.format.digest import Sha256

_CLOCK_SLACK: Final = timedelta(minutes=5)


def append(session: Session, *, event: str, facts: dict[str, Any], now: datetime) -> Record:
    """Add a record; it stands if and only if the transaction of ``session`` does."""
    _queue(session)
    newest = select(AuditRow).order_by(AuditRow.sequence.desc()).limit(1)
    last = session.scalars(newest).first()
    head = Head(sequence=last.sequence, digest=Sha256(last.digest)) if last is not None else Head()
    # Time does not run backwards in the log; so its newest record tells how late it is at least.
    time = max(now, Record.parse(last.record).time) if last is not None else now
    record = next_record(head, time=time, event=event, facts=facts)
    session.add(AuditRow(sequence=record.sequence, record=record.render(), digest=record.head.digest))
    session.flush()
    return record


def _queue(session: Session) -> None:
    """Let no two transactions append at once. SQLite's are queued by BEGIN IMMEDIATE already.

    FOR UPDATE on the newest record does not do it: whoever waited for it would still see it as the newest, and
    an empty log has no row to wait for. A lock on the table does, and readers pass it.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE"))


def check_clock(session: Session, *, now: datetime) -> None:
    """Return None when ``now`` is not before what is recorded already.

    A clock that was set back makes expired metadata fresh again, so nothing is admitted by it.

    Raises:
        CouldNotVerifyError: the newest record is from the future.
    """
    newest = session.scalars(select(AuditRow.record).order_by(AuditRow.sequence.desc()).limit(1)).first()
    if newest is not None and Record.parse(newest).time > now + _CLOCK_SLACK:
        raise CouldNotVerifyError(
            f"this host's clock says {now:%Y-%m-%d %H:%M} UTC, and the audit log is further already",
            hint="set the clock right; expiry cannot be judged with a clock that was set back",
        )


def read(session: Session, *, tenant: str | None = None) -> list[Record]:
    """Return the records, oldest first; those about one tenant when it is named."""
    records = [
        Record.parse(row) for row in session.scalars(select(AuditRow.record).order_by(AuditRow.sequence))
    ]
    return [record for record in records if tenant is None or record.facts.get("tenant") == tenant]


def check(session: Session) -> Head:
    """Return the head of the log.

    Raises:
        BrokenChainError: a record was changed, dropped or inserted.
    """
    return check_chain(session.scalars(select(AuditRow.record).order_by(AuditRow.sequence)))
