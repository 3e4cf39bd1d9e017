"""`hive status` on a host with thirty tenants in every state: what hurts most first, each with what to do, on one screen."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from hive import audit, remembered_head
from hive.cli import cli
from hive.db.models import BirthRow
from hive.db.session import open_engine, transaction
from hive.db.sweep_tables import SweepFailureRow, SweepFindingRow, SweepRow
from hive.sweep.actions import Action
from hive.sweep.findings import Found
from hive.tenants import TenantStatus, Tier, load_row, register
from signing.console import run
from signing.format.chain import Head
from signing.format.digest import Sha256
from signing.format.names import Pin, parse_tenant_id
from tests.support.hurry import in_a_hurry
from tests.support.world import now

STATES = (
    *[(TenantStatus.ACTIVE, "")] * 18,
    *[(TenantStatus.RETIRED, "contract ended")] * 3,
    *[(TenantStatus.REGISTERED, "")] * 2,
    (TenantStatus.BIRTHING, ""),
    (TenantStatus.BORN, ""),
    (TenantStatus.BORN, "not activated: gate-shut: these gates are shut: dpia (expired)"),
    (TenantStatus.FAILED, "unreachable: cannot connect"),
    (TenantStatus.QUARANTINED, "revoked: web-search==1.0: by alice: leaks"),
    (TenantStatus.QUARANTINED, "being retired: contract ended"),
    (TenantStatus.QUARANTINED, "drift: " + "usr/home/agent/skills/x " * 40),
)


class Host:
    def __init__(self, folder: Path) -> None:
        self.state = folder
        self.engine: Engine = open_engine(f"sqlite:///{folder / 'hive.db'}")
        self.now = now()

    def fill(self) -> None:
        with transaction(self.engine) as session:
            for number, (status, reason) in enumerate(STATES):
                name = parse_tenant_id(f"t{number:02}")
                register(
                    session,
                    name,
                    tier=Tier.PAID,
                    profile=Pin.parse("base==1"),
                    collection_id=None,
                    scratch=False,
                    now=self.now,
                )
                row = load_row(session, name)
                row.status, row.reason = status.value, reason
                if status is not TenantStatus.REGISTERED:
                    audit.append(session, event="birth.born", facts={"tenant": name}, now=self.now)
                if status is TenantStatus.RETIRED:
                    audit.append(session, event="tenant.retired", facts={"tenant": name}, now=self.now)
                early = self.now - timedelta(hours=3)
                finished = None if status is TenantStatus.BIRTHING else early
                session.add(
                    BirthRow(
                        tenant_id=name,
                        jail_root="/jails",
                        mark="0" * 32,
                        claim="",
                        started_at=early,
                        finished_at=finished,
                    )
                )

    def swept(self, minutes: int, *, ended: bool = True) -> None:
        at = self.now - timedelta(minutes=minutes)
        with transaction(self.engine) as session:
            row = SweepRow(started_at=at, finished_at=at if ended else None, tenants=21, findings=3)
            session.add(row)

    def found(self, name: str, kind: Found, subject: str, detail: str) -> None:
        with transaction(self.engine) as session:
            session.add(
                SweepFindingRow(
                    tenant_id=name,
                    kind=kind.value,
                    subject=subject,
                    detail=detail,
                    first_seen=self.now,
                    last_seen=self.now,
                    told_at=None,
                    gone_at=None,
                )
            )

    def failed(self, name: str, action: Action, problem: str) -> None:
        with transaction(self.engine) as session:
            session.add(
                SweepFailureRow(
                    tenant_id=name,
                    action=action.value,
                    problem=problem,
                    tries=7,
                    first_at=self.now,
                    last_at=self.now,
                    again_at=self.now + timedelta(hours=1),
                )
            )

    def ask(self, capsys: pytest.CaptureFixture[str], *options: str) -> str:
        words = ["--db", f"sqlite:///{self.state / 'hive.db'}", "--state", str(self.state)]
        with pytest.raises(SystemExit) as ended:
            run(cli, "hive", [*options, *words, "status"])
        assert str(ended.value) == "0"
        return capsys.readouterr().out

    def attention(self, capsys: pytest.CaptureFixture[str]) -> list[str]:
        said: dict[str, Any] = json.loads(self.ask(capsys, "--json"))
        return list(said["attention"])


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with in_a_hurry():
        found = Host(tmp_path)
        found.fill()
        yield found
        found.engine.dispose()


def troubled(host: Host) -> None:
    host.swept(7)
    host.found("t27", Found.REVOKED, "web-search==1.0", "by alice: leaks")
    for number in range(12):
        host.found("t29", Found.DRIFT, f"usr/home/agent/skills/{number}", "was not let in")
    for number in range(18):
        host.found(f"t{number:02}", Found.UNKNOWN, "trust", "unreachable: cannot connect to the server")
        for gate in ("dpia", "dpa", "gdpr-records"):
            host.found(f"t{number:02}", Found.GATES, gate, "expired")
        host.failed(f"t{number:02}", Action.NOTIFY, "webhook: answered 500")
    host.failed("t27", Action.STOP_JAIL, "it still runs")


def test_thirty_tenants_fit_one_screen_and_each_trouble_says_what_to_do(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    troubled(host)
    lines = host.ask(capsys).splitlines()
    assert len(lines) <= 50
    assert max(len(line) for line in lines) <= 260
    troubles = [place for place, line in enumerate(lines) if line.startswith("  ") and "→" not in line]
    assert all("→" in lines[place + 1] for place in troubles)
    assert (
        "tenants   18 active, 1 birthing, 2 born, 1 failed, 3 quarantined, 2 registered, 3 retired" in lines
    )
    assert "sweep     7 minutes ago: 21 jails, 3 findings" in lines


def test_what_many_have_in_common_is_told_once(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    troubled(host)
    said = host.attention(capsys)
    assert [line.partition(" → ")[0] for line in said if "unreachable: cannot connect to" in line] == [
        "t00, t01, t02, t03, t04, t05 and 12 more: unknown trust: unreachable: cannot connect to the server"
    ]
    assert sum("answered 500" in line for line in said) == 1
    assert sum("shut (" in line for line in said) == 1  # not once for each tenant
    assert sum(line.startswith("t29: drift") for line in said) == 3
    assert "t29: and 9 more findings → hive --json status" in said


@pytest.mark.parametrize(
    ("about", "says", "way"),
    [
        ("t27", "revoked web-search==1.0: by alice: leaks", "hive retire-tenant t27"),
        ("t27", "quarantined: revoked", "hive release-tenant t27"),
        ("t27", "stop-jail cannot be done: it still runs (7 times; again from", "hive doctor"),
        ("t28", "quarantined: being retired", "hive retire-tenant t28 goes on"),
        ("t26", "failed: unreachable", "hive birth t26"),
        ("t25", "born, not activated: gate-shut", "its agent comes again by itself"),
        ("t24", "and its agent was never heard", "hive doctor"),
        ("t23", "its birth is unfinished since", "hive birth t23"),
        ("gates", "7 shut (7 missing): no paying customer is activated", "hive gates list"),
    ],
)
def test_every_trouble_has_its_way_out(
    host: Host, capsys: pytest.CaptureFixture[str], about: str, says: str, way: str
) -> None:
    troubled(host)
    assert [
        line
        for line in host.attention(capsys)
        if line.startswith(f"{about}: ") and says in line and way in line.partition("→")[2]
    ], host.attention(capsys)


def test_a_log_that_was_altered_does_not_take_the_screen_away(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.swept(7)
    remembered_head.remember(host.state, Head(sequence=1000, digest=Sha256("0" * 64)))
    assert host.attention(capsys)[0].startswith("audit log: ")
    with transaction(host.engine) as session:
        session.execute(text("DELETE FROM audit WHERE sequence = 7"))
    out = host.ask(capsys).splitlines()
    assert out[1].startswith("  audit log: record 8 does not follow")
    assert any("NOT INTACT" in line for line in out)
    assert any(line.startswith("tenants   18 active") for line in out)


@pytest.mark.parametrize(
    ("minutes", "ended", "says"),
    [
        (90, True, "sweep: the last one ended"),
        (40, False, "and did not end"),
        (-60, True, "clock: the last sweep ended"),
    ],
)
def test_sweeping_that_does_not_go_on_is_told(
    host: Host, capsys: pytest.CaptureFixture[str], minutes: int, ended: bool, says: str
) -> None:
    host.swept(minutes, ended=ended)
    assert any(says in line for line in host.attention(capsys))


def test_gates_that_cannot_be_read_are_told(
    host: Host, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "hive.toml").write_text('gates = "/nowhere/gates.toml"\n')
    monkeypatch.setenv("HIVE_CONFIG", str(tmp_path / "hive.toml"))
    assert any(line.startswith("gates: cannot be read") for line in host.attention(capsys))


def test_names_that_steer_a_terminal_do_not(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.found("t29", Found.DRIFT, "usr/home/agent/skills/\x1b[2J", "was not let in")
    assert "\x1b" not in host.ask(capsys)
