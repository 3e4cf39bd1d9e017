"""The audit log: every admission, refusal, opt-in and birth, hash-chained, in the transaction that did it."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hive.db.models import AuditRow
from signing.format.chain import Head, Record, check_chain, next_record
from signing.format.digest import Sha256


def append(session: Session, *, event: str, facts: dict[str, Any], now: datetime) -> Record:
    """Add a record; it stands if and only if the transaction of ``session`` does."""
    # FOR UPDATE makes writers of other databases queue here; SQLite's are queued by BEGIN IMMEDIATE.
    newest = select(AuditRow).order_by(AuditRow.sequence.desc()).limit(1).with_for_update()
    last = session.scalars(newest).first()
    head = Head(sequence=last.sequence, digest=Sha256(last.digest)) if last is not None else Head()
    record = next_record(head, time=now, event=event, facts=facts)
    session.add(AuditRow(sequence=record.sequence, record=record.render(), digest=record.head.digest))
    session.flush()
    return record


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
