"""The audit log: every admission, refusal, opt-in and birth, hash-chained, in the transaction that did it."""

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from hive.db.base import Base
from hive.db.models import AuditRow
from signing.errors import CouldNotVerifyError
from signing.format.chain import BrokenChainError, Head, Record, check_chain, next_record
from signing.format.digest import Sha256, sha256_of

RESUMED: Final = "audit.resumed"
CLOCK_SLACK: Final = timedelta(minutes=5)
_COMPARE: Final = "a record was changed, dropped or inserted; compare with a backup"
# Whoever appends keeps all others waiting meanwhile: these are made once, and no objects of rows between.
_NEWEST: Final = (
    select(AuditRow.sequence, AuditRow.record, AuditRow.digest).order_by(AuditRow.sequence.desc()).limit(1)
)
_ADD: Final = insert(Base.metadata.tables[AuditRow.__tablename__])
_QUEUE: Final = text("LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE")


def append(session: Session, *, event: str, facts: dict[str, Any], now: datetime) -> Record:
    """Add a record; it stands if and only if the transaction of ``session`` does."""
    last = _last(session)
    # Time does not run backwards in the log; so its newest record tells how late it is at least.
    return _add(
        session, last, event=event, facts=facts, time=max(now, last.time) if last is not None else now
    )


def resume(session: Session, *, facts: dict[str, Any], now: datetime) -> Record:
    """Add the record of an operator who goes on with this log, at the time of this clock, whatever the newest one says.

    The one way back after a clock that ran ahead: everything that judges by time refuses until then.
    """
    return _add(session, _last(session), event=RESUMED, facts=facts, time=now)


def _last(session: Session) -> Record | None:
    """Return the newest record; nobody appends before the transaction of ``session`` ends.

    Raises:
        BrokenChainError: its row was altered: nothing is chained to that.
    """
    _queue(session)
    row = session.execute(_NEWEST).first()
    if row is None:
        return None
    record = Record.parse(row.record)
    if record.head != Head(sequence=row.sequence, digest=Sha256(row.digest)):
        raise _altered(row.sequence)
    return record


def _add(
    session: Session, last: Record | None, *, event: str, facts: dict[str, Any], time: datetime
) -> Record:
    record = next_record(last.head if last is not None else Head(), time=time, event=event, facts=facts)
    rendered = record.render()
    session.execute(_ADD, {"sequence": record.sequence, "record": rendered, "digest": sha256_of(rendered)})
    return record


def _queue(session: Session) -> None:
    """Let no two transactions append at once. SQLite's are queued by BEGIN IMMEDIATE already.

    FOR UPDATE on the newest record does not do it: whoever waited for it would still see it as the newest, and
    an empty log has no row to wait for. A lock on the table does, and readers pass it.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_QUEUE)


def head(session: Session) -> Head:
    """Return the head of the log as its newest row says it; whether that is the end of a chain is not looked at."""
    row = session.scalars(select(AuditRow).order_by(AuditRow.sequence.desc()).limit(1)).first()
    return Head(sequence=row.sequence, digest=Sha256(row.digest)) if row is not None else Head()


def check_clock(session: Session, *, now: datetime) -> None:
    """Return None when ``now`` is not before what is recorded already.

    A clock that was set back makes expired metadata fresh again, so nothing is admitted by it.

    Raises:
        CouldNotVerifyError: the newest record is from the future.
    """
    newest = session.scalars(select(AuditRow.record).order_by(AuditRow.sequence.desc()).limit(1)).first()
    if newest is not None and Record.parse(newest).time > now + CLOCK_SLACK:
        raise CouldNotVerifyError(
            f"this host's clock says {now:%Y-%m-%d %H:%M} UTC, and the audit log is further already",
            hint="set the clock right: expiry cannot be judged with a clock that was set back. If it is right, and ran "
            "ahead earlier: hive audit resume",
        )


def read(session: Session, *, tenant: str | None = None) -> list[Record]:
    """Return the records, oldest first; those about one tenant when it is named."""
    records = [
        Record.parse(row) for row in session.scalars(select(AuditRow.record).order_by(AuditRow.sequence))
    ]
    return [record for record in records if tenant is None or record.facts.get("tenant") == tenant]


def check(session: Session) -> Head:
    """Return the head of the log after looking at all that is stored of it.

    Raises:
        BrokenChainError: a record was changed, dropped, inserted or moved, or its row says something else than it does.
    """
    columns = select(AuditRow.sequence, AuditRow.record, AuditRow.digest).order_by(AuditRow.sequence)
    try:
        rows = session.execute(columns).all()
        found = check_chain(row.record for row in rows)
    except (TypeError, ValueError) as error:  # SQLite keeps a text in a column of bytes when it is told to
        raise BrokenChainError("a record is not even bytes", hint=_COMPARE) from error
    for number, row in enumerate(rows, 1):
        if row.sequence != number or row.digest != sha256_of(row.record):
            raise _altered(number)
    return found


def _altered(number: int) -> BrokenChainError:
    return BrokenChainError(
        f"the row of record {number} is not the one that was written", hint=_COMPARE, sequence=number
    )
