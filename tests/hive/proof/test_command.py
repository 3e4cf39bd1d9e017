"""`hive first-proof` as an operator uses it: on a new host, with its report, and what it says when something is left."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hive.jails.directory import DirectoryHost
from hive.proof import proving
from signing.errors import HostError
from signing.format.canonical import canonical
from signing.format.digest import sha256_of
from tests.support.hive_desk import HiveDesk
from tests.support.standin_bw import URL, StandInBw
from tests.support.world import World, now

pytestmark = pytest.mark.slow
WORDS = ("first-proof", "--profile", "base==1")


@pytest.fixture
def desk(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[HiveDesk]:
    with world.serve() as server:
        yield HiveDesk(tmp_path / "desk", world, server, capsys, monkeypatch)


def nothing_is_left(desk: HiveDesk, *, tenants: int) -> None:
    found = desk.json("list-tenants")["tenants"]
    assert [item["status"] for item in found] == ["retired"] * tenants
    assert not list((desk.folder / "jails").glob("*/root"))
    assert not list((desk.state / "proofs").glob("*/"))


def test_a_new_host_is_proven(desk: HiveDesk) -> None:
    desk.engine.dispose()
    for file in desk.folder.glob("hive.db*"):
        file.unlink()
    said = desk.hive(*WORDS)
    assert "  held: its owner is the user that agents have here, by number\n" in said
    assert "passed: proof1 lived here, and nothing is left of it but its records\n" in said
    nothing_is_left(desk, tenants=1)
    assert desk.json("audit", "verify")["ok"]


def test_the_report_is_evidence_for_a_gate(desk: HiveDesk) -> None:
    report = desk.folder / "report.json"
    answer = desk.json(*WORDS, "--report", str(report))
    data = report.read_bytes()
    assert canonical(json.loads(data)) == data
    assert answer["sha256"] == sha256_of(data)
    assert {key: answer[key] for key in answer if key not in {"ok", "sha256"}} == json.loads(data)
    assert b"planted" not in data
    ended = [record for record in desk.json("audit", "show")["records"] if record["event"] == "proof.ended"]
    assert ended[0]["facts"]["report_sha256"] == sha256_of(data)
    (desk.folder / "gates.toml").write_text(
        '[[gate]]\nname = "first-proof"\ntitle = "A first proof"\nsource = "ours"\ndays = 30\nwaivable = false\nproof = "document"\n'
    )
    desk.settings["gates"] = str(desk.folder / "gates.toml")
    today, later = f"{now():%Y-%m-%d}", f"{now() + timedelta(days=7):%Y-%m-%d}"
    registered = desk.json(
        "gates",
        "register",
        "first-proof",
        "--document",
        str(report),
        "--title",
        "first proof",
        "--approver",
        "olga",
        "--approved",
        today,
        "--expires",
        later,
    )
    assert registered["sha256"] == sha256_of(data)


def test_a_report_is_never_written_over(desk: HiveDesk) -> None:
    report = desk.folder / "report.json"
    report.write_text("of last year")
    assert desk.json(*WORDS, "--report", str(report), status=4)["error"]["code"] == "conflict"
    desk.hive(*WORDS, "--report", str(desk.folder / "nowhere/report.json"), status=6)
    assert report.read_text() == "of last year"
    nothing_is_left(desk, tenants=0)


def test_a_failed_proof_writes_no_report(desk: HiveDesk) -> None:
    report = desk.folder / "report.json"
    error = desk.json("first-proof", "--profile", "nowhere==1", "--report", str(report), status=3)["error"]
    assert error["facts"]["step"] == "birth"
    assert not report.exists()
    nothing_is_left(desk, tenants=1)


@pytest.mark.parametrize("missing", ["hive_url", "jail_uid", "server", "trust_anchor", "jail_root_base"])
def test_a_setting_that_every_tenant_needs(desk: HiveDesk, missing: str) -> None:
    del desk.settings[missing]
    assert desk.json(*WORDS, status=2)["error"]["code"] == "usage"
    if missing != "jail_root_base":
        nothing_is_left(desk, tenants=0)


@pytest.mark.parametrize(
    ("url", "status"),
    [("http://hive.example", 12), ("ftp://hive.example", 10), ("https://a:b@hive.example", 10)],
)
def test_an_address_at_which_no_agent_would_ask(desk: HiveDesk, url: str, status: int) -> None:
    desk.settings["hive_url"] = url
    desk.hive(*WORDS, status=status)
    nothing_is_left(desk, tenants=0)


def test_nothing_that_is_not_scratch(desk: HiveDesk) -> None:
    desk.tenant()
    error = desk.json("first-proof", "--tenant", "acme", status=12)["error"]
    assert error["code"] == "not-entitled"
    assert desk.status_of() == "registered"
    assert desk.json("vault", "list")["buckets"] == {"acme": ["ONE", "TWO"]}


def test_the_customers_bucket_stays_where_it_is(desk: HiveDesk) -> None:
    """The scratch tenant of an operator has a bucket in this host's sealed vault: a proof does not open it."""
    desk.hive(
        "register-tenant",
        "trial",
        "--tier",
        "free",
        "--profile",
        "base==1",
        "--scratch",
        "--collection-id",
        "c-trial",
    )
    desk.hive("vault", "set", "trial", "API_KEY", given="planted-key")
    document = desk.json("first-proof", "--tenant", "trial")
    assert document["steps"][1]["facts"]["names"] == ["SCRATCH_TEXT", "SCRATCH_TOKEN"]
    assert desk.json("vault", "list")["buckets"] == {"trial": ["API_KEY"]}


def test_what_is_left_is_said(desk: HiveDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise HostError("busy")

    with monkeypatch.context() as patch:
        patch.setattr(DirectoryHost, "destroy", broken)
        desk.hive(*WORDS, status=6)
    assert "not proven: end failed" in desk.err
    assert "left: the tenant proof1, quarantined" in desk.err
    assert f"left: a jail at {desk.folder / 'jails/proof1/root'}" in desk.err
    assert desk.json(*WORDS)["steps"][0]["facts"] == {"ended": ["proof1"]}
    nothing_is_left(desk, tenants=2)


def test_an_interrupted_proof(desk: HiveDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(proving, "see_registered", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        desk.hive(*WORDS, status=130)
    nothing_is_left(desk, tenants=1)


def test_a_name_that_is_none(desk: HiveDesk) -> None:
    desk.hive("first-proof", "--tenant", "../x", "--profile", "base==1", status=10)
    desk.hive("first-proof", "--profile", "base", status=10)
    desk.hive("first-proof", status=2)
    nothing_is_left(desk, tenants=0)


def test_a_bucket_that_was_set_aside_in_a_real_vault(desk: HiveDesk) -> None:
    (desk.folder / "bw").mkdir()
    bw = StandInBw(desk.folder / "bw")
    desk.settings |= {
        "vault": "bw",
        "vault_url": URL,
        "vault_organization": bw.organization,
        "vault_credentials": str(bw.credentials_file),
        "bw": str(bw.program),
    }
    assert "--collection-id" in desk.json(*WORDS, status=2)["error"]["hint"]
    real = bw.add_bucket("real", {"API_KEY": "planted-key"})
    aside = bw.add_bucket("trial", {"SCRATCH_A": "planted-a", "SCRATCH_B": "planted b"})
    # A customer's bucket: it is called otherwise than the tenant; and for one of its name, its variables are.
    desk.hive(*WORDS, "--tenant", "trial", "--collection-id", real, status=3)
    desk.hive(*WORDS, "--tenant", "real", "--collection-id", real, status=12)
    nothing_is_left(desk, tenants=0)
    bw.forget_calls()
    document = desk.json(*WORDS, "--tenant", "trial", "--collection-id", aside)
    assert document["settings"]["vault"] == "bw"
    assert document["steps"][1]["facts"]["names"] == ["SCRATCH_A", "SCRATCH_B"]
    assert "planted" not in json.dumps(document)
    assert bw.commands().count("sync") == 1
    nothing_is_left(desk, tenants=1)
