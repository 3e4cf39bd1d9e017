"""A host's register of gates, with a clock that the test moves."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from hive import audit
from hive.db.session import open_engine, transaction
from hive.documents import Documents
from hive.gates.register import Gates
from hive.gates.required import required_gates
from hive.gates.standing import Entry, Kind, State
from hive.tenants import Tenant, Tier, register
from signing.format.names import Pin, parse_tenant_id

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
PROGRAM = "a" * 64


@dataclass
class Desk:
    engine: Engine
    gates: Gates
    now: datetime = START
    registered: list[Entry] = field(default_factory=list)

    def entry(self, gate: str, kind: Kind = Kind.EVIDENCE, **changes: Any) -> Entry:
        values: dict[str, Any] = {
            "number": 0,
            "gate": gate,
            "kind": kind,
            "title": "the paper",
            "sha256": None,
            "location": "safe 3",
            "subject": "",
            "approver": "Vera",
            "reason": "",
            "approved_at": self.now - timedelta(days=1),
            "expires_at": self.now + timedelta(days=60),
            "scope": "",
            "revokes": None,
        }
        return Entry(**{**values, **changes})

    def bring(self, gate: str, data: bytes = b"signed", **changes: Any) -> Entry:
        with transaction(self.engine) as session:
            return self.gates.add_document(session, self.entry(gate, **changes), data, now=self.now)

    def prove(self, **changes: Any) -> Entry:
        life = {"approved_at": self.now, "expires_at": self.now + timedelta(days=30), "subject": PROGRAM}
        with transaction(self.engine) as session:
            entry = self.entry("containment", **{**life, **changes})
            return self.gates.add_self_test(session, entry, b"report", now=self.now)

    def waive(self, gate: str, **changes: Any) -> Entry:
        with transaction(self.engine) as session:
            entry = self.entry(
                gate, Kind.WAIVER, **{"approved_at": self.now, "reason": "the notary is ill", **changes}
            )
            return self.gates.waive(session, entry, now=self.now)

    def revoke(self, number: int) -> Entry:
        with transaction(self.engine) as session:
            return self.gates.revoke(session, number, approver="Vera", reason="the wrong one", now=self.now)

    def bring_all(self) -> None:
        for gate in self.gates.required:
            if gate.proof == "document":
                self.bring(gate.name)
        self.prove()

    def state(self, name: str) -> State:
        with transaction(self.engine) as session:
            (found,) = [
                standing for standing in self.gates.standings(session, self.now) if standing.gate.name == name
            ]
            return found.state

    def tenant(self, name: str, tier: Tier = Tier.PAID, *, scratch: bool = False) -> Tenant:
        with transaction(self.engine) as session:
            return register(
                session,
                parse_tenant_id(name),
                tier=tier,
                profile=Pin.parse("base==1"),
                collection_id=None,
                scratch=scratch,
                now=self.now,
            )

    def require(self, tenant: Tenant) -> None:
        with transaction(self.engine) as session:
            self.gates.require(session, tenant, self.now)

    def events(self, event: str) -> list[dict[str, Any]]:
        with transaction(self.engine) as session:
            return [record.facts for record in audit.read(session) if record.event == event]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    engine = open_engine(f"sqlite:///{tmp_path}/hive.db")
    gates = Gates(required=required_gates(), documents=Documents(tmp_path / "documents"), program=PROGRAM)
    yield Desk(engine=engine, gates=gates)
    engine.dispose()
