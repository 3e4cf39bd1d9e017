"""What a machine costs, and that advice rests on proven costs only."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from hive.db.session import open_engine, transaction
from hive.documents import Documents
from hive.hosts import Advice, Cost, Machine, Provenance, Role, machines, put, recommend, record_cost
from signing.errors import FormatError, GateError, NotFoundError, UsageError

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Yard:
    def __init__(self, folder: Path) -> None:
        self.engine: Engine = open_engine(f"sqlite:///{folder}/hive.db")
        self.documents = Documents(folder / "documents")

    def put(self, host: str, *roles: Role, capabilities: tuple[str, ...] = ()) -> None:
        with transaction(self.engine) as session:
            put(
                session,
                host,
                system="FreeBSD 14.3",
                roles=roles,
                capabilities=capabilities,
                note="",
                now=NOW,
            )

    def cost(self, host: str, cents: int, **changes: Any) -> None:
        values: dict[str, Any] = {
            "cents": cents,
            "currency": "EUR",
            "provenance": Provenance.INVOICE,
            "document_sha256": self.documents.keep(b"invoice %d" % cents),
            "dated_at": NOW - timedelta(days=9),
            "by": "Ana",
        }
        with transaction(self.engine) as session:
            record_cost(session, host, Cost(**{**values, **changes}), now=NOW)

    def machines(self, now: datetime = NOW) -> tuple[Machine, ...]:
        with transaction(self.engine) as session:
            return machines(session, self.documents, now=now)

    def advice(self) -> list[Advice]:
        return list(recommend(self.machines()))


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


def test_a_machine_that_another_outdoes_for_less_is_for_retiring(yard: Yard) -> None:
    for host, cents in [("old", 9000), ("new", 4100)]:
        yard.put(host, *Role, capabilities=("image-render",))
        yard.cost(host, cents)
    (advice,) = yard.advice()
    assert (advice.action, advice.host) == ("retire", "old")
    assert "49.00 EUR less" in advice.why


def test_what_only_one_machine_can_do_keeps_it(yard: Yard) -> None:
    yard.put("old", *Role, capabilities=("image-render",))
    yard.put("new", *Role)
    yard.cost("old", 9000)
    yard.cost("new", 4100)
    assert yard.advice() == []


def test_a_role_of_one_machine_wants_a_second(yard: Yard) -> None:
    yard.put("both", Role.LANE, Role.BUILD)
    yard.put("mother", Role.WOMB, Role.LANE, Role.BUILD)
    yard.cost("both", 100)
    yard.cost("mother", 4100)
    assert [(item.action, item.host) for item in yard.advice()] == [("buy", "second womb")]


@pytest.mark.parametrize(
    "changes",
    [
        None,
        {"provenance": Provenance.QUOTE},
        {"dated_at": NOW - timedelta(days=400)},
        {"document_sha256": "0" * 64},
    ],
    ids=["unknown", "quoted", "too old", "document gone"],
)
def test_unproven_cost_recommends_nothing(yard: Yard, changes: dict[str, Any] | None) -> None:
    yard.put("sure", *Role)
    yard.cost("sure", 100)
    yard.put("doubt", *Role)
    if changes is not None:
        yard.cost("doubt", 9000, **changes)
    with pytest.raises(GateError) as refused:
        yard.advice()
    assert refused.value.facts["hosts"] == ["doubt"]


def test_an_altered_invoice_proves_nothing(yard: Yard) -> None:
    yard.put("sure", *Role)
    yard.cost("sure", 100)
    (kept,) = yard.documents.folder.iterdir()
    kept.chmod(0o600)
    kept.write_bytes(b"another")
    assert yard.machines()[0].doubt


def test_the_newest_cost_counts_even_when_it_proves_less(yard: Yard) -> None:
    yard.put("sure", *Role)
    yard.cost("sure", 100)
    yard.cost("sure", 90, provenance=Provenance.QUOTE)
    assert yard.machines()[0].doubt == "its cost is only quoted"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"document_sha256": None}, UsageError),
        ({"by": " "}, UsageError),
        ({"dated_at": NOW + timedelta(days=1)}, UsageError),
        ({"currency": "eur"}, FormatError),
        ({"cents": -1}, FormatError),
    ],
    ids=["no document", "nobody", "future", "currency", "negative"],
)
def test_what_is_no_cost_is_refused(yard: Yard, changes: dict[str, Any], error: type[Exception]) -> None:
    yard.put("sure", *Role)
    with pytest.raises(error):
        yard.cost("sure", **{"cents": 100, **changes})
    assert yard.machines()[0].cost is None


def test_no_machines_is_no_advice(yard: Yard) -> None:
    with pytest.raises(NotFoundError):
        yard.advice()
    with pytest.raises(NotFoundError):
        yard.cost("nobody", 3)


@pytest.mark.parametrize(
    "name", ["", "A", "a_b", "x" * 41, "../a"], ids=["empty", "big", "under", "long", "way"]
)
def test_a_bad_name_is_refused(yard: Yard, name: str) -> None:
    with pytest.raises(FormatError):
        yard.put(name, Role.WOMB)
    with pytest.raises(FormatError):
        yard.put("fine", Role.WOMB, capabilities=("Bad One",))
    assert yard.machines() == ()
