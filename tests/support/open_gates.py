"""Gates that are open, for tests that are about something else."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, select

from hive.db.gate_tables import GateEntryRow
from hive.db.session import transaction
from hive.documents import Documents
from hive.gates.register import Gates
from hive.gates.required import Gate, Proof, required_gates
from hive.gates.self_test import program_digest

LONG_AGO, ONE_DAY = datetime(2000, 1, 1, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC)
PAPER = Gate(
    name="paper",
    title="A paper",
    source="a test",
    life=timedelta(days=40_000),
    waivable=False,
    proof=Proof.DOCUMENT,
)


def open_gate(engine: Engine, state: Path) -> Gates:
    """One gate, proven for as long as any test's clock goes."""
    gates = Gates(required=(PAPER,), documents=Documents(state / "documents"), program="0" * 64)
    _prove(engine, gates, LONG_AGO, ONE_DAY)
    return gates


def open_required_gates(engine: Engine, state: Path, *, now: datetime) -> Gates:
    """All gates that commands ask for, proven now."""
    gates = Gates(
        required=required_gates(), documents=Documents(state / "documents"), program=program_digest()
    )
    _prove(engine, gates, now - timedelta(days=1), now + timedelta(days=20))
    return gates


def _prove(engine: Engine, gates: Gates, approved_at: datetime, expires_at: datetime) -> None:
    with transaction(engine) as session:
        proven = set(session.scalars(select(GateEntryRow.gate)))
        for gate in gates.required:
            if gate.name in proven:
                continue
            session.add(
                GateEntryRow(
                    gate=gate.name,
                    kind="evidence",
                    title="for a test",
                    sha256=gates.documents.keep(b"signed"),
                    location="here",
                    subject=gates.program,
                    approver="nobody",
                    reason="",
                    approved_at=approved_at,
                    expires_at=expires_at,
                    scope="",
                    revokes=None,
                )
            )
