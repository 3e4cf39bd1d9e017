"""Signed heads of the audit log: a chain proves what stands between, a signed head elsewhere proves its end.

An in-toto statement about one subject, ``audit/<host>``, whose digest is that of the newest record.
"""

from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hive import audit, remembered_head
from hive.db.certificate_tables import CheckpointRow
from hive.host_key import HostKey, public_key
from hive.tenants import STANDING, TenantStatus, list_all
from signing.errors import BadSignatureError, FormatError
from signing.format.chain import BrokenChainError, Head, Record
from signing.format.digest import Sha256
from signing.format.envelope import Envelope
from signing.format.moment import parse_moment, render_moment
from signing.format.statement import PAYLOAD_TYPE, Statement, Subject
from signing.keys import HeldKey, envelope_signers

PREDICATE_TYPE: Final = "https://skills.clawdie.si/attestations/audit-checkpoint/v1"


def checkpoint(session: Session, key: HostKey, *, now: datetime) -> tuple[Head, Envelope]:
    """Check the log, sign its head, keep and return it; the same head is signed once.

    Raises:
        BrokenChainError: the log was altered, or lacks what an earlier checkpoint says.
    """
    head = audit.check(session)
    check_all(session, [key.held])
    kept = session.get(CheckpointRow, head.sequence)
    if kept is not None:
        return head, Envelope.parse(kept.envelope)
    statement = Statement(
        subjects=(Subject(name=f"audit/{key.held.holder}", sha256=head.digest),),
        predicate_type=PREDICATE_TYPE,
        predicate={"sequence": head.sequence, "at": render_moment(now), "host": key.held.holder},
    )
    envelope = key.sign(Envelope(payload_type=PAYLOAD_TYPE, payload=statement.render()))
    session.add(CheckpointRow(sequence=head.sequence, digest=head.digest, envelope=envelope.render(), at=now))
    return head, envelope


def verify_log(
    session: Session, state: Path, *, keys: list[HeldKey] | None = None
) -> tuple[list[Record], int]:
    """Check all that is stored of the log, by everything that this host has to hold against it.

    The chain and its rows, each checkpoint with its signature, the end that the last sweep remembered outside of the
    database, and what the registry knows that the log would have to say. Returns the records, and how many checkpoints
    there are.

    Args:
        session: reads one state of the database.
        state: the state folder of this host.
        keys: whose signatures count; None: this host's.

    Raises:
        BrokenChainError: something was changed, dropped, inserted, moved, or cut off.
        BadSignatureError, FormatError: a checkpoint is not this host's. KeyAccessError: this host has no key.
    """
    audit.check(session)
    records = audit.read(session)
    _check_complete(session, records)
    remembered_head.check(state, records)
    signed = session.scalar(select(func.count()).select_from(CheckpointRow)) or 0
    if signed:
        check_all(session, keys if keys is not None else [public_key(state)])
    return records, signed


def _check_complete(session: Session, written: list[Record]) -> None:
    """Raise BrokenChainError when the registry knows of something that the log does not: its end was cut off."""
    said = {(record.event, record.facts.get("tenant")) for record in written}
    for tenant in list_all(session):
        wanted = [{"tenant.registered"}]
        if tenant.status in STANDING:
            wanted.append({"birth.born", "birth.active"})
        if tenant.status is TenantStatus.RETIRED:
            wanted.append({"tenant.retired"})
        for events in wanted:
            if not any((event, tenant.tenant_id) in said for event in events):
                raise BrokenChainError(
                    f"the log has no {' or '.join(sorted(events))} of {tenant.tenant_id}",
                    hint="records were cut off; compare with a backup",
                )


def check_all(session: Session, keys: list[HeldKey]) -> None:
    """Return None when each checkpoint that is kept is signed by one of ``keys`` and in the log.

    Raises:
        BrokenChainError, BadSignatureError, FormatError: one is not.
    """
    digests = digests_of(audit.read(session))
    rows = list(session.scalars(select(CheckpointRow).order_by(CheckpointRow.sequence)))
    for row in rows:
        head, _ = read_checkpoint(row.envelope, keys)
        if (head.sequence, head.digest) != (row.sequence, row.digest):
            raise BrokenChainError(f"checkpoint {row.sequence} is filed under another number")
        check_contains(digests, head)


def read_checkpoint(data: bytes, keys: list[HeldKey]) -> tuple[Head, datetime]:
    """Return the head that the checkpoint ``data`` proves, and when it was signed.

    Raises:
        BadSignatureError: none of ``keys`` signed it. FormatError: not a checkpoint.
    """
    if not isinstance(data, bytes):  # SQLite keeps a text in a column of bytes when it is told to
        raise FormatError("not even bytes", where="checkpoint")
    envelope = Envelope.parse(data, where="checkpoint")
    if envelope.payload_type != PAYLOAD_TYPE or not envelope_signers(
        envelope, [key.to_tuf() for key in keys]
    ):
        raise BadSignatureError("no host that is known here signed this checkpoint")
    statement = Statement.parse(envelope.payload, where="checkpoint")
    sequence = statement.predicate.get("sequence")
    if statement.predicate_type != PREDICATE_TYPE or type(sequence) is not int:
        raise FormatError("not a checkpoint", where="checkpoint")
    at = parse_moment(statement.predicate.get("at"), where="checkpoint.at")
    return Head(sequence=sequence, digest=statement.subjects[0].sha256), at


def check_contains(digests: dict[int, Sha256], head: Head) -> None:
    """Return None when the log holds ``head``.

    Raises:
        BrokenChainError: it was cut off or written anew.
    """
    if digests.get(head.sequence) != head.digest:
        raise BrokenChainError(
            f"the log does not hold record {head.sequence} as it was signed",
            hint="records were cut off or written anew; compare with a backup",
        )


def digests_of(records: list[Record]) -> dict[int, Sha256]:
    """Return the digest of every record by its number."""
    return {record.head.sequence: record.head.digest for record in records}
