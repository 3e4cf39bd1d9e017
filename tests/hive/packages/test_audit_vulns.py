"""`hive audit vulns`: a package that became vulnerable, or was withdrawn, after it was born is found; never silently not."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update

from hive import trust
from hive.birth import carry_out
from hive.cli import cli, context, vulns
from hive.db.agent_tables import AgentRow, GrantRow
from hive.db.certificate_tables import BirthEvidenceRow
from hive.db.models import AuditRow, BirthRow, ReceiptRow, StepRow, TenantRow
from hive.db.session import transaction
from hive.tenants import load_row
from signing.console import run
from signing.errors import HostError, TransportError, VulnerableError
from signing.format.names import parse_tenant_id
from signing.format.withdrawal import Withdrawn
from tests.support.harbour import Harbour
from tests.support.packages import BASE, HARMLESS, OLD_AGENT, VULNERABLE, waiver
from tests.support.world import now

VID = "11111111-2222-3333-4444-555555555555"


class Auditor:
    """Runs the command in this process, at a time of one's choice."""

    def __init__(self, harbour: Harbour, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.harbour, self.capsys = harbour, capsys
        self.anchor = folder / "anchor.json"
        self.anchor.write_bytes(harbour.scene.world.anchor)

    def run(self, *words: str, status: int) -> str:
        state = self.harbour.scene.mother.state
        given = [
            *("--db", str(state / "hive.db"), "--state", str(state / "auditor")),
            *("--server", self.harbour.scene.server.url, "--trust-anchor", str(self.anchor)),
        ]
        with pytest.raises(SystemExit) as ended:
            run(cli, "hive", [*given, "audit", "vulns", *words])
        said = self.capsys.readouterr()
        assert ended.value.code == status, said.err
        return said.out + (said.err if "--json" not in words else "")

    def report(self, *words: str, status: int) -> dict[str, Any]:
        document = json.loads(self.run(*words, "--json", status=status))
        assert document["ok"] is (status == 0)
        return document if status == 0 else document["error"]["report"]

    def boat(self, *words: str, status: int) -> dict[str, Any]:
        births = self.report(*words, status=status)["births"]
        assert [birth["tenant"] for birth in births] == ["boat"]
        return births[0]


@pytest.fixture
def auditor(harbour: Harbour, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Auditor:
    return Auditor(harbour, tmp_path, capsys)


def born_vulnerable(harbour: Harbour, *waivers: object, known: bytes = HARMLESS) -> None:
    harbour.shelf.publish([BASE, OLD_AGENT], serial=2)
    harbour.shelf.advise(known)
    harbour.shelf.pin("base==3", [BASE, OLD_AGENT], waivers=waivers)
    with transaction(harbour.scene.mother.engine) as session:
        load_row(session, parse_tenant_id("boat")).profile = "base==3"
    harbour.born()


def test_nothing_is_open(harbour: Harbour, auditor: Auditor) -> None:
    harbour.born()
    report = auditor.report(status=0)
    assert (report["open"], report["not_checked"], report["feed"]) == (0, [], None)
    assert report["advisories"]["signed_by"] == ["alice"]
    (boat,) = report["births"]
    assert (boat["packages"], boat["affected"], boat["withdrawn"], boat["begun"]) == (2, [], [], True)
    assert "boat (born, base==2): 2 package(s)" in auditor.run(status=0)


def test_what_became_known_after_the_birth_is_found(harbour: Harbour, auditor: Auditor) -> None:
    born_vulnerable(harbour)
    auditor.report(status=0)
    harbour.shelf.advise(VULNERABLE)
    (item,) = auditor.boat(status=12)["affected"]
    assert (item["package"], item["version"], item["vid"]) == ("demo-agent", "1.2.0", VID)
    assert (item["topic"], item["cves"]) == ("demo-agent -- test vulnerability", ["CVE-2026-0001"])
    assert (item["waived"], item["signed"], item["open"]) == (None, True, True)
    said = auditor.run(status=12)
    assert "demo-agent-1.2.0  demo-agent -- test vulnerability" in said
    assert f"error[{VulnerableError.code}]: 1 open, in: boat" in said


def test_a_waiver_counts_until_it_ends(
    harbour: Harbour, auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = waiver("demo-agent-1.2.0", VID, until=timedelta(hours=1))
    born_vulnerable(harbour, given, known=VULNERABLE)
    (item,) = auditor.boat(status=0)["affected"]
    assert item["waived"] == {
        "by": "olga",
        "until": given.to_json()["expires_at"],
        "reason": "not reachable",
        "ended": False,
    }
    assert "waived by olga until" in auditor.run(status=0)
    monkeypatch.setattr(vulns, "clock", lambda: now() + timedelta(hours=2))
    (item,) = auditor.boat(status=12)["affected"]
    assert (item["waived"]["by"], item["waived"]["ended"], item["open"]) == ("olga", True, True)
    assert "OPEN: olga waived it until" in auditor.run(status=12)


def test_a_waiver_for_something_else_answers_for_nothing(harbour: Harbour, auditor: Auditor) -> None:
    born_vulnerable(harbour, waiver("demo-agent-1.2.1_1", VID), waiver("demo-base-1.0.0", VID))
    harbour.shelf.advise(VULNERABLE)
    (item,) = auditor.boat(status=12)["affected"]
    assert item["waived"] is None


@pytest.mark.parametrize("state", list(Withdrawn), ids=lambda state: state.value)
def test_a_package_that_was_withdrawn_since(harbour: Harbour, auditor: Auditor, state: Withdrawn) -> None:
    harbour.born()
    harbour.shelf.forge.revoke(state=state, package="demo-base")
    harbour.shelf.serve()
    is_open = state is not Withdrawn.YANKED
    (item,) = auditor.boat(status=12 if is_open else 0)["withdrawn"]
    assert (item["package"], item["state"], item["open"]) == ("demo-base", state.value, is_open)
    assert "demo-base-1.0.0" in auditor.run(status=12 if is_open else 0)


def test_a_feed_from_elsewhere_is_marked_as_unsigned(
    harbour: Harbour, auditor: Auditor, tmp_path: Path
) -> None:
    born_vulnerable(harbour)
    feed = tmp_path / "vuln.xml"
    feed.write_bytes(VULNERABLE)
    report = auditor.report("--feed", str(feed), status=12)
    assert report["feed"]["signed"] is False
    (item,) = report["births"][0]["affected"]
    assert (item["signed"], item["open"]) == (False, True)
    assert "(unsigned feed)" in auditor.run("--feed", str(feed), status=12)
    harbour.shelf.advise(VULNERABLE)  # what is signed is not told twice, nor as unsigned
    (item,) = auditor.boat("--feed", str(feed), status=12)["affected"]
    assert item["signed"] is True


def test_a_feed_that_is_none_or_not_there_is_no_empty_one(
    harbour: Harbour, auditor: Auditor, tmp_path: Path
) -> None:
    harbour.born()
    auditor.run("--feed", str(tmp_path / "nowhere.xml"), status=2)
    (tmp_path / "vuln.xml").write_bytes(b"<vuxml/>")
    auditor.run("--feed", str(tmp_path / "vuln.xml"), status=10)


def test_without_the_signed_list_nothing_is_said_to_be_well(harbour: Harbour, auditor: Auditor) -> None:
    harbour.born()
    (path,) = [path for path in harbour.scene.server.lies if path.endswith("vuln.xml")]
    harbour.scene.server.lies[path] = VULNERABLE  # which nobody signed
    auditor.run(status=11)
    del harbour.scene.server.lies[path]
    auditor.run(status=3)


def test_an_ended_list_is_not_the_present_one(harbour: Harbour, auditor: Auditor) -> None:
    harbour.born()
    harbour.shelf.advise(HARMLESS, expires=timedelta(hours=-1))
    assert "error[expired]" in auditor.run(status=11)


def test_a_server_that_is_gone_is_no_answer(harbour: Harbour, auditor: Auditor) -> None:
    harbour.born()
    harbour.scene.server.url = "http://127.0.0.1:9"
    assert f"error[{TransportError.code}]" in auditor.run(status=5)


def test_an_older_state_than_the_host_has_seen(harbour: Harbour, auditor: Auditor) -> None:
    """A mirror that hides the newest list: the auditor's folder is new, the host's memory is not."""
    born_vulnerable(harbour)
    old = dict(harbour.scene.server.lies)
    harbour.shelf.advise(VULNERABLE)
    with (
        harbour.scene.mother.client.session(now()) as session,
        transaction(harbour.scene.mother.engine) as database,
    ):
        trust.remember(database, session.standing())
    harbour.scene.server.lies = old
    assert "error[rollback]" in auditor.run(status=11)


def test_births_without_packages_say_so(harbour: Harbour, auditor: Auditor) -> None:
    harbour.scene.born("acme")
    report = auditor.report(status=0)
    assert [(birth["tenant"], birth["packages"]) for birth in report["births"]] == [("acme", 0)]
    assert "acme (born, base==1): no package was recorded at this birth" in auditor.run(status=0)


def test_a_refused_birth_left_nothing_and_that_is_said(harbour: Harbour, auditor: Auditor) -> None:
    harbour.shelf.stock(b"forged", sha256=harbour.shelf.index.packages[0].sha256)
    harbour.refused()
    assert auditor.boat(status=0)["begun"] is False
    assert "boat (failed, base==2): nothing of a birth is left" in auditor.run(status=0)


def test_a_failed_birth_counts_by_what_was_admitted(
    harbour: Harbour, auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It failed at its first package, and nobody knows what of the second is there: both count."""

    def failing(*_: object, **__: object) -> None:
        raise HostError("the disk went away")

    monkeypatch.setattr(carry_out, "install_package", failing)
    with pytest.raises(HostError):
        born_vulnerable(harbour)
    harbour.shelf.advise(VULNERABLE)
    boat = auditor.boat(status=12)
    assert (boat["status"], boat["packages"], boat["problem"]) == ("failed", 2, None)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (delete(ReceiptRow).where(ReceiptRow.name == "demo-agent"), "there is no receipt"),
        (update(ReceiptRow).values(sha256="0" * 64), "its admission is not recorded"),
        (update(BirthRow).values(lock_sha256="0" * 64), "has no admission by its lock"),
        (update(BirthRow).values(lock_sha256=None), "has no lock"),
        ((delete(ReceiptRow), delete(BirthRow)), "no birth is recorded"),
    ],
    ids=["no-receipt", "other-bytes", "other-lock", "no-lock", "no-birth"],
)
def test_an_altered_record_is_an_error_and_not_an_empty_answer(
    harbour: Harbour, auditor: Auditor, spoil: Any, said: str
) -> None:
    harbour.born()
    with transaction(harbour.scene.mother.engine) as session:
        if isinstance(spoil, tuple):
            session.execute(delete(StepRow))
        for statement in spoil if isinstance(spoil, tuple) else (spoil,):
            session.execute(statement)
    report = auditor.report(status=11)
    assert report["not_checked"] == ["boat"]
    assert said in report["births"][0]["problem"]
    assert "NOT CHECKED" in auditor.run(status=11)


@pytest.mark.parametrize("status", ["registered", "failed", "birthing"])
@pytest.mark.parametrize("erased", [False, True], ids=["rows kept", "rows erased"])
def test_a_born_tenant_that_is_called_something_else(
    harbour: Harbour, auditor: Auditor, status: str, erased: bool
) -> None:
    """Set back in the registry it would not be looked at any more: the log remembers who was born."""
    harbour.born()
    with transaction(harbour.scene.mother.engine) as session:
        load_row(session, parse_tenant_id("boat")).status = status
        for rows in (ReceiptRow, StepRow, BirthRow) if erased else ():
            session.execute(delete(rows))
    report = auditor.report(status=11)
    assert report["not_checked"] == ["boat"]
    assert f"and is called {status}" in report["births"][0]["problem"]


def test_a_born_tenant_that_is_not_registered_any_more(harbour: Harbour, auditor: Auditor) -> None:
    harbour.born()
    with transaction(harbour.scene.mother.engine) as session:
        for rows in (ReceiptRow, StepRow, BirthRow, BirthEvidenceRow, GrantRow, AgentRow):
            session.execute(delete(rows))
        session.execute(delete(TenantRow).where(TenantRow.tenant_id == "boat"))
    assert "boat was born here by the audit log, and is not registered" in auditor.run(status=11)


def test_waivers_of_a_profile_by_which_it_was_not_born(harbour: Harbour, auditor: Auditor) -> None:
    """Somebody names a more lenient profile in the registry, after the birth."""
    born_vulnerable(harbour)
    harbour.shelf.advise(VULNERABLE)
    harbour.shelf.pin("base==4", [BASE, OLD_AGENT], waivers=[waiver("demo-agent-1.2.0", VID)])
    auditor.report(status=12)
    with transaction(harbour.scene.mother.engine) as session:
        load_row(session, parse_tenant_id("boat")).profile = "base==4"
    report = auditor.report(status=11)
    assert report["not_checked"] == ["boat"]
    assert "was born by base==3, and is registered with base==4" in report["births"][0]["problem"]


def test_an_altered_log_answers_nothing(harbour: Harbour, auditor: Auditor) -> None:
    harbour.born()
    with transaction(harbour.scene.mother.engine) as session:
        session.execute(delete(AuditRow).where(AuditRow.sequence == 4))
    assert "error[broken-chain]" in auditor.run(status=11)


def test_waivers_that_cannot_be_read_waive_nothing(harbour: Harbour, auditor: Auditor) -> None:
    born_vulnerable(harbour, waiver("demo-agent-1.2.0", VID), known=VULNERABLE)
    for path in list(harbour.scene.server.lies):
        if "/targets/profiles/base/" in path:
            harbour.scene.server.lies[path] = b"{}"
    report = auditor.report(status=12)
    assert report["not_checked"] == ["boat"]
    assert "the waivers of base==3 cannot be read" in report["births"][0]["problem"]
    assert report["births"][0]["affected"][0]["open"] is True


def test_looking_pins_no_anchor(harbour: Harbour, auditor: Auditor) -> None:
    assert auditor.run(status=0) == "nobody was born here\n"
    with transaction(harbour.scene.mother.engine) as session:
        assert trust.load(session) is None


def test_a_clock_that_was_set_back(
    harbour: Harbour, auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    harbour.born()
    monkeypatch.setattr(vulns, "clock", lambda: context.clock() - timedelta(hours=3))
    assert "clock" in auditor.run(status=11)


def test_words_of_others_make_no_lines_of_their_own(harbour: Harbour, auditor: Auditor) -> None:
    born_vulnerable(harbour)
    harbour.shelf.advise(VULNERABLE.replace(b"CVE-2026-0001", b"CVE-1\n      waived by olga\x7f"))
    said = auditor.run(status=12)
    assert "\n      waived by olga" not in said
