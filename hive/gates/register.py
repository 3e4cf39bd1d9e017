"""The register of gates: entries are added, with an audit record each, and never changed (edge).

`require` is what a birth and an activation ask. There is no argument that makes it say yes.
"""

from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from hive import audit
from hive.db.gate_tables import GateEntryRow
from hive.documents import Documents
from hive.gates.required import Gate, Proof
from hive.gates.standing import MAX_WAIVER, Entry, Kind, Standing, stand
from hive.tenants import Tenant, Tier
from signing.errors import ConflictError, FormatError, GateError, NotFoundError, UsageError
from signing.format.digest import Sha256, parse_sha256

# An entry has its row's columns; the number is the register's.
_COLUMNS: Final = tuple(field.name for field in fields(Entry) if field.name != "number")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """The gates of this host: which there are, where documents lie, and which program a self-test counts for."""

    required: tuple[Gate, ...]
    documents: Documents
    program: str

    def named(self, name: str) -> Gate:
        """Return a gate.

        Raises:
            NotFoundError: there is none of that name.
        """
        for gate in self.required:
            if gate.name == name:
                return gate
        raise NotFoundError(f"no gate {name!a}", hint=f"there are {', '.join(g.name for g in self.required)}")

    def standings(self, session: Session, now: datetime) -> tuple[Standing, ...]:
        """Return how each gate stands now.

        Raises:
            FormatError: the register was tampered with.
        """
        entries = _entries(session)
        return tuple(
            stand(
                gate,
                [entry for entry in entries if entry.gate == gate.name],
                intact=self.documents.intact,
                program=self.program,
                now=now,
            )
            for gate in self.required
        )

    def require(self, session: Session, tenant: Tenant, now: datetime) -> tuple[Standing, ...]:
        """Return how the gates stand; none for scratch tenants and for the free tier, which pass without.

        Raises:
            GateError: one is not open. CouldNotVerifyError: the clock was set back, so ends cannot be judged.
        """
        if tenant.scratch or tenant.tier is not Tier.PAID:
            return ()
        audit.check_clock(session, now=now)
        standings = self.standings(session, now)
        shut = [found for found in standings if not found.state.opens]
        if shut or not standings:
            raise GateError(
                f"{tenant.tenant_id} is a paying customer, and these gates are shut: "
                + ", ".join(f"{found.gate.name} ({found.state})" for found in shut),
                hint="hive gates list says what each one needs; hive gates register brings it",
                gates=[found.gate.name for found in shut],
            )
        return standings

    def add_document(self, session: Session, entry: Entry, data: bytes, *, now: datetime) -> Entry:
        """Register a document for its gate, keep it, and return the entry as it was written.

        Raises:
            UsageError: the gate is opened by a self-test, or the entry lacks something.
        """
        gate = self.named(entry.gate)
        if gate.proof is not Proof.DOCUMENT:
            raise UsageError(
                f"{gate.name} is opened by a test, not by a document", hint="hive gates self-test"
            )
        return self._add(session, entry, sha256=self.documents.keep(data), life=gate.life, now=now)

    def add_self_test(self, session: Session, entry: Entry, report: bytes, *, now: datetime) -> Entry:
        """Register the report of a self-test that passed; called by whoever ran it."""
        gate = self.named(entry.gate)
        if gate.proof is not Proof.SELF_TEST:
            raise UsageError(f"{gate.name} is opened by a document")
        return self._add(session, entry, sha256=self.documents.keep(report), life=gate.life, now=now)

    def waive(self, session: Session, entry: Entry, *, now: datetime) -> Entry:
        """Register that somebody answers for a gate that is shut, until a day.

        Raises:
            GateError: nobody can answer for this gate. UsageError: no reason, no end, or one too far.
        """
        gate = self.named(entry.gate)
        if not gate.waivable:
            raise GateError(f"{gate.name} cannot be waived", hint=f"it needs {gate.source}")
        if not entry.reason.strip():
            raise UsageError("a waiver has a reason", hint="--reason TEXT")
        return self._add(session, entry, sha256=None, life=MAX_WAIVER, now=now)

    def revoke(self, session: Session, number: int, *, approver: str, reason: str, now: datetime) -> Entry:
        """Take an entry back; it stays in the register.

        Raises:
            NotFoundError: no such entry. ConflictError: taken back already. UsageError: no name or reason.
        """
        entries = {entry.number: entry for entry in _entries(session)}
        found = entries.get(number)
        if found is None or found.kind is Kind.REVOCATION:
            raise NotFoundError(f"no entry {number}", hint="hive gates list --all")
        if any(entry.revokes == number for entry in entries.values()):
            raise ConflictError(f"entry {number} was taken back already")
        if not reason.strip():
            raise UsageError("a revocation has a reason", hint="--reason TEXT")
        entry = replace(
            Entry.blank(found.gate, Kind.REVOCATION, approver=approver, now=now),
            title=found.title,
            reason=reason,
            scope=found.scope,
            revokes=number,
        )
        return self._add(session, entry, sha256=None, life=timedelta(days=2), now=now)

    def entries(self, session: Session) -> tuple[Entry, ...]:
        """Return the whole register, oldest first."""
        return _entries(session)

    def _add(
        self, session: Session, entry: Entry, *, sha256: Sha256 | None, life: timedelta, now: datetime
    ) -> Entry:
        if not entry.approver.strip():
            raise UsageError("somebody approves", hint="--approver NAME")
        if entry.approved_at > now:
            raise UsageError("approved in the future", hint="the day on which it was approved")
        if not now < entry.expires_at <= entry.approved_at + life:
            raise UsageError(
                f"it ends after now, and at most {life.days} days after it was approved",
                hint="--expires YYYY-MM-DD",
            )
        row = _row(replace(entry, sha256=sha256))
        session.add(row)
        session.flush()
        written = _entry(row)
        audit.append(session, event=f"gate.{written.kind}", facts=written.to_json(), now=now)
        return written


def _entries(session: Session) -> tuple[Entry, ...]:
    return tuple(_entry(row) for row in session.scalars(select(GateEntryRow).order_by(GateEntryRow.number)))


def _entry(row: GateEntryRow) -> Entry:
    if row.kind not in {kind.value for kind in Kind}:
        raise FormatError(f"{row.kind!a} is no kind of entry", where=f"gate entry {row.number}")
    values = {name: getattr(row, name) for name in _COLUMNS}
    digest = parse_sha256(row.sha256, where=f"gate entry {row.number}") if row.sha256 is not None else None
    return Entry(**{**values, "number": row.number, "kind": Kind(row.kind), "sha256": digest})


def _row(entry: Entry) -> GateEntryRow:
    """Return the row of an entry; the register gives it its number."""
    return GateEntryRow(**{name: getattr(entry, name) for name in _COLUMNS} | {"kind": entry.kind.value})
