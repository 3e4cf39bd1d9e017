"""Each thing that can be wrong, spoiled alone: the doctor says so, says how it is mended, and changes nothing."""

import json
import shutil
import socket
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from sqlalchemy import delete, func, select, text, update

from hive import audit, hosts, remembered_head, trust
from hive.agents.names import parse_agent_id
from hive.agents.token_file import load_token_key
from hive.agents.tokens import issue
from hive.checkpoints import checkpoint
from hive.cli import cli
from hive.db.gate_tables import HostRow
from hive.db.models import AuditRow, BirthRow, TenantRow
from hive.db.session import transaction
from hive.db.sweep_tables import SweepRow
from hive.doctor.all_checks import CHECKS
from hive.host_key import HostKey
from hive.hosts import Role
from hive.sweep import failures
from hive.vault import ledger
from signing.checkup import Outcome, examine
from signing.errors import HostError
from signing.format.names import parse_tenant_id
from tests.hive.doctor.conftest import Clinic
from tests.support.open_gates import open_required_gates
from tests.support.world import now

TROUBLE_FREE = {"audit": "warn", "hive": "warn", "gates": "warn", "policy": "warn", "vault": "warn"}


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def test_a_good_host_has_nothing_bad_and_is_left_as_it_was(clinic: Clinic) -> None:
    before = files_of(clinic.folder / "host")
    found = examine(CHECKS, clinic.host)
    assert [
        item.to_json() for item in found if item.said.outcome is Outcome.BAD and item.check != "space"
    ] == []
    warned = {item.check for item in found if item.said.outcome is Outcome.WARN}
    assert warned - {"space", "packages"} == set(TROUBLE_FREE)
    assert {item.check for item in found} == set(CHECKS)
    assert all(item.said.fix for item in found if item.said.outcome is not Outcome.OK)
    assert files_of(clinic.folder / "host") == before


@pytest.mark.parametrize(
    ("check", "path", "mode"),
    [
        ("settings", "hive.toml", 0o666),
        ("settings", "anchor.json", 0o664),
        ("private", "host", 0o755),
        ("private", "host/hive.db", 0o644),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value:o}",
)
def test_what_others_may_touch(clinic: Clinic, check: str, path: str, mode: int) -> None:
    assert clinic.outcome(check) == "ok"
    (clinic.folder / path).chmod(mode)
    assert clinic.outcome(check) == "bad"
    assert any(path.rpartition("/")[2] in said.says and "chmod" in said.fix for said in clinic.said(check))


@pytest.mark.parametrize("name", ["agent-token.key", "secrets.key", "host-key/seed", "vault/sealed.key"])
def test_a_key_that_others_may_read(clinic: Clinic, name: str) -> None:
    key = clinic.state / name
    key.parent.mkdir(exist_ok=True)
    key.unlink(missing_ok=True)
    key.write_bytes(b"hunter2" * 8)
    key.chmod(0o600)
    assert clinic.outcome("private") == "ok"
    key.chmod(0o640)
    assert clinic.outcome("private") == "bad"
    assert "hunter2" not in str(clinic.said("private"))
    key.unlink()
    key.symlink_to("/dev/null")
    assert clinic.outcome("private") == "bad"


def test_a_host_among_several(clinic: Clinic) -> None:
    """Who did not join, or lost its key, is nobody; and who lives on no host is swept by nobody."""
    assert clinic.outcome("place") == "ok"
    clinic.setting(host="womb1")
    assert "joined" in clinic.said("place")[0].says
    keyid = HostKey.open(clinic.state).held.keyid
    with transaction(clinic.scene.mother.engine) as session:
        hosts.put(session, "womb1", system="x", roles=[Role.WOMB], capabilities=[], note="", now=now())
        session.get_one(HostRow, "womb1").key_sha256 = keyid
    assert clinic.outcome("place") == "bad"
    assert "acme" in clinic.said("place")[0].says
    with transaction(clinic.scene.mother.engine) as session:
        session.get_one(TenantRow, "acme").host = "womb1"
    assert clinic.outcome("place") == "warn"
    clinic.setting(host=None)
    assert clinic.outcome("place") == "bad"  # others have joined, and this one has no name


def test_keys_that_are_gone(clinic: Clinic) -> None:
    HostKey.open(clinic.state)
    assert clinic.outcome("keys") == "ok"
    seed = (clinic.state / "host-key/seed").read_bytes()
    (clinic.state / "host-key/seed").unlink()
    assert clinic.outcome("keys") == "bad"
    (clinic.state / "host-key/seed").write_bytes(seed)
    with transaction(clinic.scene.mother.engine) as session:
        issue(session, load_token_key(clinic.state), parse_agent_id("lane1"), now=clinic.host.now)
    assert clinic.outcome("keys") == "ok"
    (clinic.state / "agent-token.key").unlink()
    assert clinic.outcome("keys") == "bad"
    assert not (clinic.state / "agent-token.key").exists()


def test_no_database_is_bad_wherever_it_is_needed_and_none_is_made(clinic: Clinic) -> None:
    missing = clinic.folder / "elsewhere.db"
    clinic.setting(db=str(missing))
    for check in ("keys", "database", "audit", "clock", "anchor", "births", "tenants", "sweep", "gates"):
        assert clinic.outcome(check) == "bad", check
    assert not missing.exists()


@pytest.mark.parametrize(("version", "fix"), [("0003", "back it up"), ("0099", "install")])
def test_a_database_of_another_version_is_not_migrated(clinic: Clinic, version: str, fix: str) -> None:
    with transaction(clinic.scene.mother.engine) as session:
        session.execute(text("UPDATE alembic_version SET version_num = :new"), {"new": version})
    (said,) = clinic.said("database")
    assert said.outcome is Outcome.BAD
    assert fix in said.fix
    with closing(sqlite3.connect(clinic.state / "hive.db")) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchone() == (version,)


def test_the_password_of_a_database_is_not_said(clinic: Clinic) -> None:
    clinic.setting(db="postgresql+psycopg://hive:hunter2@127.0.0.1:9/hive")
    said = clinic.said("database")
    assert said[0].outcome is Outcome.BAD
    assert "hunter2" not in str(said)


def test_a_log_with_a_gap(clinic: Clinic) -> None:
    with transaction(clinic.scene.mother.engine) as session:
        session.execute(delete(AuditRow).where(AuditRow.sequence == 2))
    assert clinic.outcome("audit") == "bad"


def test_a_log_whose_end_was_cut_off(clinic: Clinic) -> None:
    with transaction(clinic.scene.mother.engine) as session:
        remembered_head.remember(clinic.state, audit.head(session))
    assert clinic.outcome("audit") == "warn"  # nobody signed it yet
    with transaction(clinic.scene.mother.engine) as session:
        newest = session.scalar(select(func.max(AuditRow.sequence)))
        session.execute(delete(AuditRow).where(AuditRow.sequence == newest))
    (said,) = clinic.said("audit")
    assert said.outcome is Outcome.BAD
    assert "hive audit resume" in said.fix


def test_a_log_that_nobody_signed_for_long(clinic: Clinic) -> None:
    assert "hive audit checkpoint" in clinic.said("audit")[-1].fix
    with transaction(clinic.scene.mother.engine) as session:
        checkpoint(session, HostKey.open(clinic.state), now=clinic.host.now)
    assert clinic.outcome("audit") == "ok"
    clinic.host = replace(clinic.host, now=clinic.host.now + timedelta(days=40), _opened=[])
    assert clinic.outcome("audit") == "warn"


def test_metadata_that_nobody_renews_is_told_before_it_ends(clinic: Clinic) -> None:
    assert clinic.outcome("server") == "ok"
    clinic.host = replace(clinic.host, now=clinic.host.now + timedelta(hours=13), _opened=[])
    said = clinic.said("server")
    assert [(item.outcome, "its timestamp metadata ends" in item.says) for item in said] == [
        (Outcome.WARN, True),
        (Outcome.OK, False),
    ]
    clinic.host = replace(clinic.host, now=clinic.host.now + timedelta(hours=13), _opened=[])
    assert clinic.outcome("server") == "bad"


def test_actions_of_sweeps_that_cannot_be_done(clinic: Clinic) -> None:
    error = HostError("webhook: answered 500")
    with transaction(clinic.scene.mother.engine) as session:
        failures.note_failed(session, parse_tenant_id("acme"), "notify", error, now=clinic.host.now)
    assert clinic.outcome("sweep") == "warn"
    with transaction(clinic.scene.mother.engine) as session:
        failures.note_failed(
            session, parse_tenant_id("acme"), "stop-jail", HostError("it still runs"), now=clinic.host.now
        )
    assert clinic.outcome("sweep") == "bad"
    assert any("it still runs" in said.says for said in clinic.said("sweep"))


def test_a_sweep_that_did_not_end(clinic: Clinic) -> None:
    with transaction(clinic.scene.mother.engine) as session:
        begun = clinic.host.now - timedelta(hours=2)
        session.add(SweepRow(started_at=begun, finished_at=None, tenants=1, findings=0))
    assert clinic.outcome("sweep") == "bad"


def test_a_key_that_signed_and_is_gone(clinic: Clinic) -> None:
    with transaction(clinic.scene.mother.engine) as session:
        checkpoint(session, HostKey.open(clinic.state), now=clinic.host.now)
    assert clinic.outcome("keys") == "ok"
    shutil.rmtree(clinic.state / "host-key")
    assert clinic.outcome("keys") == "bad"
    assert clinic.outcome("audit") == "bad"
    assert not (clinic.state / "host-key").exists()


def test_a_key_of_secrets_that_is_gone(clinic: Clinic) -> None:
    with transaction(clinic.scene.mother.engine) as session:
        ledger.intend(
            session,
            parse_tenant_id("acme"),
            collection_id=None,
            names=["A"],
            digest="0" * 64,
            now=clinic.host.now,
        )
    (clinic.state / "secrets.key").write_bytes(b"x" * 32)
    assert clinic.outcome("keys") == "ok"
    (clinic.state / "secrets.key").unlink()
    assert clinic.outcome("keys") == "bad"


def test_gates_that_are_shut_or_end_soon(clinic: Clinic) -> None:
    assert clinic.outcome("gates") == "warn"
    assert all("hive gates" in said.fix for said in clinic.said("gates"))
    open_required_gates(clinic.scene.mother.engine, clinic.state, now=clinic.host.now)
    assert clinic.outcome("gates") == "ok"
    clinic.host = replace(clinic.host, now=clinic.host.now + timedelta(days=10), _opened=[])
    assert any("ends" in said.says for said in clinic.said("gates"))


def test_a_database_whose_pages_are_damaged(clinic: Clinic) -> None:
    clinic.scene.mother.engine.dispose()
    with closing(sqlite3.connect(clinic.state / "hive.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.execute("PRAGMA journal_mode = DELETE")
    data = bytearray((clinic.state / "hive.db").read_bytes())
    data[8192:12288] = b"\xff" * 4096
    (clinic.state / "hive.db").write_bytes(data)
    assert clinic.outcome("database") == "bad"


def test_a_disk_that_is_nearly_full(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    def usage(free: int) -> Callable[[object], SimpleNamespace]:
        return lambda _: SimpleNamespace(free=free)

    for free, outcome in ((100 << 20, "bad"), (2 << 30, "warn"), (50 << 30, "ok")):
        monkeypatch.setattr(shutil, "disk_usage", usage(free))
        assert clinic.outcome("space") == outcome


def test_a_hive_that_is_to_listen_here_and_does_not(clinic: Clinic) -> None:
    clinic.setting(listen=f"unix:{clinic.folder / 'no.sock'}")
    assert clinic.outcome("listen") == "bad"


def test_every_check_has_a_test_in_which_it_is_not_well() -> None:
    """A check that nothing fails says "ok" for ever; each is named here by what this file spoils for it."""
    text = Path(__file__).read_text()
    for check in CHECKS:
        assert f'"{check}"' in text, check


def test_a_clock_that_was_set_back(clinic: Clinic) -> None:
    clinic.host = replace(clinic.host, now=clinic.host.now - timedelta(hours=1), _opened=[])
    assert clinic.outcome("clock") == "bad"


def test_another_anchor(clinic: Clinic) -> None:
    with transaction(clinic.scene.mother.engine) as session:
        trust.replace(session, "0" * 64, reason="test", now=clinic.host.now)  # type: ignore[arg-type]
    (said,) = clinic.said("anchor")
    assert said.outcome is Outcome.BAD
    assert "this host trusts" in said.says


def test_an_older_state_than_one_seen_is_bad_and_a_newer_one_is_not_remembered(clinic: Clinic) -> None:
    before = clinic.scene.remembered()
    clinic.scene.world.refresh()
    assert clinic.outcome("server") == "ok"
    assert clinic.scene.remembered() == before
    with transaction(clinic.scene.mother.engine) as session:
        row = trust.load(session)
        assert row is not None
        assert row.timestamp_version == before["timestamp"]
        row.timestamp_version += 100
    (said,) = clinic.said("server")
    assert said.outcome is Outcome.BAD
    assert said.says.startswith("rollback")


def test_a_server_that_is_not_there(clinic: Clinic) -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    client = clinic.scene.mother.client
    gone = replace(client, server=type(client.server).parse(f"http://127.0.0.1:{port}"))
    clinic.host = replace(clinic.host, open_client=lambda _: gone)
    (said,) = clinic.said("server")
    assert said.outcome is Outcome.BAD
    assert said.says.startswith("unreachable")


def test_jails_that_others_can_replace(clinic: Clinic) -> None:
    assert clinic.outcome("jails") == "ok"
    (clinic.state / "jails").chmod(0o777)
    assert clinic.outcome("jails") == "bad"
    (clinic.state / "jails").chmod(0o755)
    open_to_all = clinic.folder / "open"
    (open_to_all / "jails").mkdir(parents=True)
    open_to_all.chmod(0o777)
    anchor = open_to_all / "anchor.json"
    anchor.write_bytes(b"{}")
    clinic.setting(jail_root_base=str(open_to_all / "jails"), trust_anchor=str(anchor))
    assert "may replace" in str(clinic.said("settings"))
    assert clinic.outcome("jails") == "bad"


def test_bastille_that_is_not_as_it_has_to_be(clinic: Clinic) -> None:
    prefix = clinic.folder / "bastille"
    (prefix / "jails").mkdir(parents=True)
    prefix.chmod(0o755)
    clinic.setting(jail_host="bastille", jail_root_base=str(prefix / "jails"))
    assert clinic.outcome("jail-host") == "bad"  # no release
    clinic.setting(
        bastille_release="14.3-RELEASE", bastille_network="lo1:10.17.89.0/24", bastille="/nowhere/bastille"
    )
    (mode,) = clinic.said("jail-host")
    assert "chmod 0750" in mode.fix
    prefix.chmod(0o750)
    programs = clinic.said("jail-host")
    assert programs[0].outcome is Outcome.BAD
    assert "/nowhere/bastille" in programs[0].says


@pytest.mark.parametrize(
    ("check", "values", "outcome"),
    [
        ("jail-host", {"jail_host": "docker"}, "bad"),
        ("jail-user", {"jail_uid": "0"}, "bad"),
        ("jail-user", {"jail_uid": None, "jail_gid": None}, "warn"),
        ("jail-user", {"jail_gid": None}, "bad"),
        ("abi", {"abi": "FreeBSD"}, "bad"),
        ("packages", {"package_store_bytes": "lots"}, "bad"),
        ("packages", {"package_store_bytes": str(1 << 49)}, "warn"),
        ("hive", {"hive_url": "http://hive.example"}, "bad"),
        ("listen", {"listen": "0.0.0.0:80"}, "bad"),
        ("private", {"vault_credentials": "/nowhere/vault.toml"}, "bad"),
        ("settings", {"db": "postgresql+psycopg://hive:hunter2@127.0.0.1:9/hive"}, "bad"),
        ("vault", {"vault": "drawer"}, "bad"),
        ("vault", {"vault": "bw"}, "bad"),
        ("policy", {"policy": "/nowhere/policy.toml"}, "bad"),
        ("gates", {"gates": "/nowhere/gates.toml"}, "bad"),
        ("settings", {"gates": "/nowhere/gates.toml"}, "bad"),
    ],
    ids=lambda value: str(value) if not isinstance(value, dict) else "-".join(value),
)
def test_settings_that_are_wrong(
    clinic: Clinic, check: str, values: dict[str, str | None], outcome: str
) -> None:
    clinic.setting(**values)
    assert clinic.outcome(check) == outcome


def test_a_sweep_table_below_the_floor_and_a_command_that_is_not_there(clinic: Clinic) -> None:
    policy = clinic.folder / "policy.toml"
    policy.write_text('[sweep]\nrevoked = ["notify"]\n')
    clinic.setting(policy=str(policy))
    assert clinic.outcome("policy") == "bad"
    policy.write_text('[notify]\ncommand = ["/nowhere/tell"]\n')
    assert clinic.outcome("policy") == "bad"
    policy.write_text('[notify]\nwebhook = "https://chat.example/hive"\n')
    assert clinic.outcome("policy") == "ok"


def bw_saying(clinic: Clinic, words: str) -> None:
    program, credentials = clinic.folder / "bin/bw", clinic.folder / "vault.toml"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{words}\n")
    program.chmod(0o755)
    credentials.write_text(
        'client_id = "user.00000000-0000-4000-8000-000000000000"\nclient_secret = "hunter2"\npassword = "hunter3"\n'
    )
    credentials.chmod(0o600)
    clinic.setting(
        vault="bw",
        bw=str(program),
        vault_url="https://vault.example",
        vault_organization="00000000-0000-4000-8000-000000000000",
        vault_credentials=str(credentials),
    )


@pytest.mark.parametrize(
    ("words", "outcome"),
    [("echo 2026.7.0", "ok"), ("echo 2026.9.0", "bad"), ("exit 1", "bad")],
    ids=["known", "newer", "failing"],
)
def test_the_client_of_the_vault(clinic: Clinic, words: str, outcome: str) -> None:
    bw_saying(clinic, words)
    assert clinic.outcome("vault") == outcome
    assert not (clinic.state / "bw").exists()


def test_credentials_of_the_vault_that_others_may_read(clinic: Clinic) -> None:
    bw_saying(clinic, "echo 2026.7.0; touch ran")
    (clinic.folder / "vault.toml").chmod(0o644)
    said = clinic.said("vault")
    assert said[0].outcome is Outcome.BAD
    assert "hunter" not in str(said)


def answering(status: int) -> HTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None: ...

    return HTTPServer(("127.0.0.1", 0), Handler)


@pytest.mark.parametrize(
    ("status", "outcome"), [(401, "ok"), (200, "bad"), (404, "bad"), (503, "bad")], ids=str
)
def test_what_answers_at_hive_url(clinic: Clinic, status: int, outcome: str) -> None:
    with answering(status) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        clinic.setting(hive_url=f"http://127.0.0.1:{server.server_port}")
        assert clinic.outcome("hive") == outcome


def test_a_sweep_that_is_late_or_was_never_made(clinic: Clinic) -> None:
    late = clinic.host.now - timedelta(minutes=61)
    with transaction(clinic.scene.mother.engine) as session:
        session.execute(update(SweepRow).values(finished_at=late))
    assert clinic.outcome("sweep") == "bad"
    with transaction(clinic.scene.mother.engine) as session:
        session.execute(delete(SweepRow))
    assert clinic.outcome("sweep") == "bad"
    with transaction(clinic.scene.mother.engine) as session:
        session.execute(update(TenantRow).values(status="retired"))
    assert clinic.outcome("sweep") == "ok"


def test_births_and_tenants_that_need_somebody(clinic: Clinic) -> None:
    with transaction(clinic.scene.mother.engine) as session:
        row = session.scalars(select(BirthRow)).one()
        row.finished_at, row.started_at = None, clinic.host.now - timedelta(minutes=50)
    assert clinic.outcome("births") == "ok"
    with transaction(clinic.scene.mother.engine) as session:
        session.scalars(select(BirthRow)).one().started_at = clinic.host.now - timedelta(hours=2)
        session.execute(update(TenantRow).values(status="quarantined", reason="drift"))
    assert "hive birth acme" in clinic.said("births")[0].fix
    (said,) = clinic.said("tenants")
    assert (said.outcome, "acme is quarantined: drift" in said.says) == (Outcome.WARN, True)


def run(*arguments: str, settings: Path) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["--config", str(settings), *arguments], standalone_mode=False)
    assert done.exception is None, done.exception
    return done.return_value, done.stdout


def test_the_command_ends_with_6_when_anything_is_bad(clinic: Clinic) -> None:
    settings = clinic.folder / "hive.toml"
    config = clinic.host.config
    values = {
        name: getattr(config, name)
        for name in ("db", "state", "trust_anchor", "server", "jail_root_base", "abi")
    }
    settings.write_text("".join(f'{key} = "{value}"\n' for key, value in values.items()))
    assert run("doctor", settings=settings)[0] in {0, 6}  # 6 only where the disk of the test is full
    (clinic.state / "hive.db").chmod(0o666)
    status, out = run("--json", "doctor", "--quiet", settings=settings)
    document = json.loads(out)
    assert (status, document["ok"], document["error"]["code"]) == (6, False, "host-failed")
    assert {item["outcome"] for item in document["checks"]} <= {"warn", "bad"}
    assert [item["fix"] for item in document["checks"] if "hive.db" in item["says"]] != []


def test_settings_that_cannot_be_read_are_bad_and_the_rest_is_not_passed_over(tmp_path: Path) -> None:
    settings = tmp_path / "hive.toml"
    settings.write_text('passwrod = "hunter2"\n')
    status, out = run("--json", "doctor", settings=settings)
    document = json.loads(out)
    assert (status, document["ok"], document["counts"]["bad"]) == (6, False, 1)
    assert document["not_made"] == len(CHECKS) - 1
    assert "hunter2" not in out
