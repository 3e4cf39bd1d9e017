"""The repository's own log: who did what, hash-chained, written in the transaction that did it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from repo_server.db.models import Base, LogRow
from signing.format.chain import BrokenChainError, Head, Record, check_chain, next_record
from signing.format.digest import Sha256, sha256_of

# Every writing transaction does these two while all other writers wait: made once, and no objects of rows between.
_HEAD: Final = select(LogRow.sequence, LogRow.digest).order_by(LogRow.sequence.desc()).limit(1)
_ADD: Final = insert(Base.metadata.tables[LogRow.__tablename__])


def append(session: Session, *, event: str, facts: dict[str, Any], now: datetime) -> Record:
    """Add a record; it stands if and only if the transaction of ``session`` does."""
    # Writers queue at the beginning of their transactions (`repo_server.db.session`): nobody adds a record in between.
    last = session.execute(_HEAD).first()
    head = Head(sequence=last.sequence, digest=Sha256(last.digest)) if last is not None else Head()
    record = next_record(head, time=now, event=event, facts=facts)
    rendered = record.render()
    session.execute(_ADD, {"sequence": record.sequence, "record": rendered, "digest": sha256_of(rendered)})
    return record


def read(session: Session) -> list[Record]:
    """Return all records, oldest first."""
    rows = session.scalars(select(LogRow.record).order_by(LogRow.sequence))
    return [Record.parse(row) for row in rows]


def backwards(session: Session) -> Iterator[Record]:
    """Yield the records, newest first, and read no more of them than are taken."""
    statement = select(LogRow.record).order_by(LogRow.sequence.desc()).execution_options(yield_per=100)
    with session.execute(statement) as rows:
        for (row,) in rows:
            yield Record.parse(row)


def about(session: Session, name: str) -> list[Record]:
    """Return the records that hold ``name`` (an id, for one) anywhere, oldest first.

    A log of years has hundreds of thousands of records; only those that are asked for are parsed.
    """
    wanted = name.encode()
    rows = session.scalars(select(LogRow.record).order_by(LogRow.sequence))
    return [Record.parse(row) for row in rows if wanted in row]


def newest(session: Session) -> Record | None:
    """Return the newest record; None in an empty log."""
    row = session.scalars(select(LogRow.record).order_by(LogRow.sequence.desc()).limit(1)).first()
    return Record.parse(row) if row is not None else None


def check(session: Session) -> Head:
    """Return the head of the log.

    Raises:
        BrokenChainError: a record was changed, dropped or inserted, or a row says something else than its record.
    """
    statement = select(LogRow.sequence, LogRow.record, LogRow.digest).order_by(LogRow.sequence)
    return check_chain(_as_stored(number, *row) for number, row in enumerate(session.execute(statement), 1))


def _as_stored(number: int, sequence: int, record: bytes, digest: str) -> bytes:
    """Return the record of the row ``number``; what stands beside it decides where the next one is chained to."""
    if (sequence, digest) != (number, sha256_of(record)):
        raise BrokenChainError(
            f"row {number} of the log says another number or digest than its record",
            hint="compare with a backup",
            sequence=number,
        )
    return record
