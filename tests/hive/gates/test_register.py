"""What opens a gate, what shuts it again, and who may pass."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from hive.db.session import transaction
from hive.gates.required import required_gates
from hive.gates.standing import MAX_WAIVER, State
from hive.tenants import Tier
from signing.errors import (
    ConflictError,
    CouldNotVerifyError,
    FormatError,
    GateError,
    NotFoundError,
    UsageError,
)
from tests.hive.gates.conftest import Desk

PAPER = "dpia"


def test_a_paying_customer_passes_when_every_gate_is_proven(desk: Desk) -> None:
    customer = desk.tenant("acme")
    desk.bring_all()
    desk.require(customer)
    assert len(desk.events("gate.evidence")) == 7


def test_nothing_registered_is_a_no(desk: Desk) -> None:
    customer = desk.tenant("acme")
    with pytest.raises(GateError) as refused:
        desk.require(customer)
    assert refused.value.code == "gate-shut"
    assert refused.value.exit_status == 12
    assert set(refused.value.facts["gates"]) == {gate.name for gate in required_gates()}


@pytest.mark.parametrize("missing", [gate.name for gate in required_gates()])
def test_all_but_one_is_a_no(desk: Desk, missing: str) -> None:
    customer = desk.tenant("acme")
    for gate in desk.gates.required:
        if gate.name != missing and gate.proof == "document":
            desk.bring(gate.name)
    if missing != "containment":
        desk.prove()
    with pytest.raises(GateError) as refused:
        desk.require(customer)
    assert refused.value.facts["gates"] == [missing]


@pytest.mark.parametrize(
    ("tier", "scratch"),
    [(Tier.FREE, False), (Tier.FREE, True), (Tier.PAID, True)],
    ids=["free", "both", "scratch"],
)
def test_free_and_scratch_tenants_pass_without(desk: Desk, tier: Tier, scratch: bool) -> None:
    desk.require(desk.tenant("toy", tier, scratch=scratch))


def test_an_end_that_passed_shuts_the_gate(desk: Desk) -> None:
    desk.bring_all()
    customer = desk.tenant("acme")
    desk.now += timedelta(days=31)
    assert desk.state("containment") is State.EXPIRED
    with pytest.raises(GateError, match="containment"):
        desk.require(customer)


def test_a_document_is_too_old_one_day_whatever_end_stands_on_it(desk: Desk) -> None:
    desk.bring("sanctions-screening", expires_at=desk.now + timedelta(days=179))
    with transaction(desk.engine) as session:
        session.execute(text("UPDATE gate_entries SET expires_at = '2036-01-01 00:00:00'"))
    desk.now += timedelta(days=180)
    assert desk.state("sanctions-screening") is State.EXPIRED


@pytest.mark.parametrize("harm", ["altered", "gone", "a link"])
def test_a_kept_document_that_is_not_the_registered_one_shuts_the_gate(
    desk: Desk, harm: str, tmp_path: Path
) -> None:
    entry = desk.bring(PAPER)
    assert desk.state(PAPER) is State.VALID
    kept = desk.gates.documents.folder / str(entry.sha256)
    kept.unlink()
    if harm == "altered":
        kept.write_bytes(b"singed")
    if harm == "a link":
        (tmp_path / "elsewhere").write_bytes(b"signed")
        kept.symlink_to(tmp_path / "elsewhere")
    assert desk.state(PAPER) is State.ALTERED


def test_a_self_test_of_another_program_proves_nothing(desk: Desk) -> None:
    desk.prove(subject="b" * 64)
    assert desk.state("containment") is State.UNPROVEN


def test_a_document_does_not_open_what_needs_a_test_nor_the_other_way(desk: Desk) -> None:
    with pytest.raises(UsageError):
        desk.bring("containment", subject="a" * 64)
    with transaction(desk.engine) as session, pytest.raises(UsageError):
        desk.gates.add_self_test(session, desk.entry(PAPER), b"report", now=desk.now)
    assert desk.state("containment") is State.MISSING
    assert desk.state(PAPER) is State.MISSING


def test_a_revoked_document_shuts_the_gate_and_stays_readable(desk: Desk) -> None:
    entry = desk.bring(PAPER)
    desk.revoke(entry.number)
    assert desk.state(PAPER) is State.REVOKED
    with pytest.raises(ConflictError):
        desk.revoke(entry.number)
    with transaction(desk.engine) as session:
        assert [found.kind.value for found in desk.gates.entries(session)] == ["evidence", "revocation"]


def test_nobody_passes_by_the_document_before_a_revoked_one(desk: Desk) -> None:
    desk.bring(PAPER, b"the first")
    second = desk.bring(PAPER, b"the second")
    desk.revoke(second.number)
    assert desk.state(PAPER) is State.REVOKED


def test_a_waiver_bridges_until_its_end(desk: Desk) -> None:
    desk.waive(PAPER)
    assert desk.state(PAPER) is State.WAIVED
    (said,) = desk.events("gate.waiver")
    assert said["approver"] == "Vera"
    desk.now += timedelta(days=61)
    assert desk.state(PAPER) is State.MISSING


def test_a_waiver_can_be_taken_back(desk: Desk) -> None:
    desk.revoke(desk.waive(PAPER).number)
    assert desk.state(PAPER) is State.MISSING


def test_nobody_waives_containment(desk: Desk) -> None:
    with pytest.raises(GateError):
        desk.waive("containment")
    with transaction(desk.engine) as session:
        session.execute(
            text(
                "INSERT INTO gate_entries VALUES (1, 'containment', 'waiver', 'x', NULL, '', '', 'root', 'because',"
                " '2026-10-31 00:00:00', '2026-12-01 00:00:00', '', NULL)"
            )
        )
    assert desk.state("containment") is State.MISSING


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": " "},
        {"approver": ""},
        {"days": MAX_WAIVER.days + 1},
        {"days": 0},
        {"ahead": 1},
    ],
    ids=["no reason", "nobody", "for ever", "ended", "from the future"],
)
def test_a_waiver_without_what_it_needs_is_none(desk: Desk, changes: dict[str, object]) -> None:
    given = dict(changes)
    if "days" in given:
        given["expires_at"] = desk.now + timedelta(days=int(str(given.pop("days"))))
    if "ahead" in given:
        given["approved_at"] = desk.now + timedelta(days=int(str(given.pop("ahead"))))
    with pytest.raises(UsageError):
        desk.waive(PAPER, **given)
    assert desk.state(PAPER) is State.MISSING
    assert desk.events("gate.waiver") == []


def test_an_empty_document_proves_nothing(desk: Desk) -> None:
    with pytest.raises(FormatError):
        desk.bring(PAPER, b"")
    assert desk.state(PAPER) is State.MISSING


def test_a_clock_that_was_set_back_opens_nothing(desk: Desk) -> None:
    customer = desk.tenant("acme")
    desk.bring_all()
    desk.now += timedelta(days=400)
    desk.tenant("later")
    desk.now -= timedelta(days=400)
    with pytest.raises(CouldNotVerifyError):
        desk.require(customer)


def test_an_unknown_gate_is_said_to_be_none(desk: Desk) -> None:
    with pytest.raises(NotFoundError):
        desk.bring("dpiaa")


MORE = (
    '[[gate]]\nname = "{name}"\ntitle = "T"\nsource = "S"\ndays = 30\nwaivable = true\nproof = "document"\n'
)


def test_a_host_may_demand_more(tmp_path: Path) -> None:
    (tmp_path / "gates.toml").write_text(MORE.format(name="fire-drill"))
    names = [gate.name for gate in required_gates(tmp_path / "gates.toml")]
    assert names == [*(gate.name for gate in required_gates()), "fire-drill"]


@pytest.mark.parametrize(
    "content",
    [
        MORE.format(name="containment"),
        MORE.format(name="more") * 2,
        MORE.format(name="more").replace("30", "99999"),
        MORE.format(name="more").replace('proof = "document"', 'proof = "none"'),
        MORE.format(name="more") + "extra = 1\n",
        "gate = []\nskip = true\n",
        "gate = 3\n",
        "[[gate",
    ],
    ids=[
        "ours loosened",
        "twice",
        "for ever",
        "no proof",
        "unknown key",
        "unknown table",
        "no list",
        "no toml",
    ],
)
def test_a_host_cannot_demand_less(tmp_path: Path, content: str) -> None:
    (tmp_path / "gates.toml").write_text(content)
    with pytest.raises(FormatError):
        required_gates(tmp_path / "gates.toml")


def test_a_file_of_gates_that_is_not_there_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        required_gates(tmp_path / "gates.toml")
