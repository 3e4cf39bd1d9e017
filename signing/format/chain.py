"""Records in a hash chain: what was written cannot be changed, dropped or reordered without a trace.

    {"event":"admission","facts":{…},"previous":"00…","sequence":1,"time":"2026-11-22T12:00:00Z"}

Each record's digest is the sha256 of its canonical bytes, which contain the digest of the record before it.
The chain proves order and integrity, not completeness at its end: whoever holds the file can cut off the
tail. So `head` is printed by every ``verify`` and can be noted elsewhere and demanded again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from signing.errors import FormatError, VerificationError
from signing.format.canonical import canonical, parse_canonical
from signing.format.digest import Sha256, parse_sha256, sha256_of
from signing.format.fields import Fields
from signing.format.moment import parse_moment, render_moment

GENESIS = Sha256("0" * 64)


class BrokenChainError(VerificationError):
    """A record was changed, dropped, inserted or reordered."""

    code = "broken-chain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of a chain: how many records, and the digest of the last."""

    sequence: int = 0
    digest: Sha256 = GENESIS


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One event and its place in the chain."""

    sequence: int
    previous: Sha256
    time: datetime
    event: str
    facts: dict[str, Any]

    def render(self) -> bytes:
        """Return the canonical bytes."""
        return canonical(
            {
                "sequence": self.sequence,
                "previous": self.previous,
                "time": render_moment(self.time),
                "event": self.event,
                "facts": self.facts,
            }
        )

    @property
    def head(self) -> Head:
        """The chain's end when this is its last record."""
        return Head(sequence=self.sequence, digest=sha256_of(self.render()))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the record written as ``data``.

        Raises:
            FormatError: not a canonical record.
        """
        fields = Fields.of(parse_canonical(data, where="record"), where="record")
        record = cls(
            sequence=fields.integer("sequence", maximum=2**53 - 1),
            previous=parse_sha256(fields.take("previous"), where="record.previous"),
            time=parse_moment(fields.take("time"), where="record.time"),
            event=fields.text("event", max_length=100),
            facts=fields.mapping("facts"),
        )
        fields.done()
        return record


def next_record(head: Head, *, time: datetime, event: str, facts: dict[str, Any]) -> Record:
    """Return the record that follows ``head``."""
    return Record(
        sequence=head.sequence + 1,
        previous=head.digest,
        time=time.replace(microsecond=0),
        event=event,
        facts=facts,
    )


def check_chain(rows: Iterable[bytes]) -> Head:
    """Return the head of the chain written as ``rows``, oldest first.

    Raises:
        BrokenChainError: a row is not the successor of the one before it.
    """
    head = Head()
    for data in rows:
        try:
            record = Record.parse(data)
        except FormatError as error:
            raise BrokenChainError(f"record {head.sequence + 1} is damaged: {error}") from error
        if (record.sequence, record.previous) != (head.sequence + 1, head.digest):
            raise BrokenChainError(
                f"record {record.sequence} does not follow record {head.sequence}",
                hint="a record was changed, dropped or inserted; compare with a backup",
                sequence=record.sequence,
            )
        head = record.head
    return head
