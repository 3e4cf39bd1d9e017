"""`hive sweep`, `status`, `release-tenant`, `policy explain` and `audit why`, as they are typed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hive import audit
from hive.certificate import issue
from hive.cli import cli
from hive.db.session import transaction
from hive.host_key import HostKey
from hive.policy import POLICY
from hive.tenants import TenantStatus, Tier
from signing.console import run
from signing.errors import RevokedError
from signing.format.birth import CertificateFile
from tests.attacks.scene import Scene, open_scene
from tests.support.hurry import in_a_hurry
from tests.support.withdrawing import reinstate, withdraw
from tests.support.world import World, now

SKILL = "usr/home/agent/skills/web-search/SKILL.md"


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture
def scene(world: World, tmp_path: Path) -> Iterator[Scene]:
    """The free tenant ``guest`` is born; gates are no matter to it."""
    with open_scene(world, tmp_path / "host") as scene:
        scene.register("guest", tier=Tier.FREE)
        scene.born("guest")
        yield scene


@pytest.fixture
def ask(scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """The command; returns exit status and what it answered."""
    state = scene.mother.state
    (tmp_path / "anchor").write_bytes(scene.world.anchor)
    options = ("--state", str(state), "--db", f"sqlite:///{state / 'hive.db'}", "--server", scene.server.url)

    def asking(*words: str) -> tuple[int, dict[str, Any]]:
        anchor = ("--trust-anchor", str(tmp_path / "anchor"))
        with pytest.raises(SystemExit) as ended:
            run(cli, "hive", ["--json", *options, *anchor, *words])
        return int(str(ended.value)), json.loads(capsys.readouterr().out)

    return asking


@pytest.fixture
def base(scene: Scene) -> tuple[str, str]:
    return ("--jail-root-base", str(scene.mother.state / "jails"))


def root(scene: Scene) -> Path:
    return scene.mother.state / "jails/guest/root"


def test_sweep_strict_status_and_release(scene: Scene, ask: Any, base: tuple[str, str]) -> None:
    status, said = ask("sweep", "--strict", *base)
    assert (status, said["tenants"][0]["findings"]) == (0, [])
    withdraw(scene.world, "web-search")
    status, said = ask("release-tenant", "guest", "--reason", "too early", *base)
    assert (status != 0, said["error"]["code"]) == (True, "conflict")
    status, said = ask("sweep", "--strict", *base)
    assert (status, scene.tenant("guest").status) == (12, TenantStatus.QUARANTINED)
    assert "revoked" in json.dumps(said["error"])
    status, said = ask("status")
    assert status == 0
    assert [item["kind"] for item in said["findings"]] == ["revoked"]
    assert any(line.startswith("guest: revoked web-search==1.0") for line in said["attention"])
    assert any(line.startswith("guest: quarantined: ") for line in said["attention"])
    status, said = ask("release-tenant", "guest", "--reason", "please", *base)
    assert (status, said["error"]["code"]) == (12, "not-entitled")
    reinstate(scene.world, "web-search", by="alice", reason="a mistake")
    reinstate(scene.world, "web-search", by="bob")
    status, said = ask("release-tenant", "guest", "--reason", "reinstated", *base)
    assert (status, said["status"]) == (0, "born")
    _, said = ask("status")
    assert said["findings"] == []


def test_status_of_a_host_that_was_never_swept(ask: Any) -> None:
    status, said = ask("status")
    assert (status, said["last_sweep"], said["policy_sha256"]) == (0, None, POLICY.sha256)
    assert any("never swept → hive sweep" in line for line in said["attention"])


@pytest.mark.parametrize("pause", ["5", "9s", "0m", "-1m", "1.5h", "5 m", "99999s", "5d", "\u0665m"])
def test_a_pause_that_is_none(ask: Any, base: tuple[str, str], pause: str) -> None:
    status, said = ask("sweep", f"--every={pause}", *base)
    assert status != 0
    assert said["error"]["code"] in {"malformed", "usage"}


def test_a_release_wants_a_reason(ask: Any, base: tuple[str, str]) -> None:
    assert ask("release-tenant", "guest", "--reason", " ", *base)[0] != 0


def test_explain_says_what_a_digest_is_and_what_admission_says_now(scene: Scene, ask: Any) -> None:
    admitted = next(record.facts for record in scene.events("guest") if record.event == "admission")
    status, said = ask("policy", "explain", admitted["tree_sha256"])
    assert (status, said["policy_of_this_host"]) == (0, False)
    assert {item["as"] for item in said["records"]} == {"tree"}
    assert [(item["tier"], item["admitted"]) for item in said["now"]] == [("paid", True), ("free", True)]
    withdraw(scene.world, "web-search")
    _, said = ask("policy", "explain", admitted["bundle_sha256"][:12])
    assert {(item["admitted"], item["code"]) for item in said["now"]} == {(False, "revoked")}
    scene.server.missing.add("/metadata/timestamp.json")
    _, said = ask("policy", "explain", admitted["review_sha256"])
    assert {item["admitted"] for item in said["now"]} == {False}


def test_explain_knows_what_was_refused(scene: Scene, ask: Any) -> None:
    withdraw(scene.world, "web-search")
    scene.refused(RevokedError)
    refusal = scene.events()[-1].facts["error"]["facts"]["evidence"]
    status, said = ask("policy", "explain", refusal["review_sha256"])
    assert status == 0
    assert [(item["event"], item["as"], item["pin"]) for item in said["records"]][-1] == (
        "birth.refused",
        "review",
        "web-search==1.0",
    )
    assert {item["code"] for item in said["now"]} == {"revoked"}


def test_a_file_with_the_name_of_a_pin_does_not_answer_for_it(
    scene: Scene, ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admitted = next(record.facts for record in scene.events("guest") if record.event == "admission")
    (tmp_path / "cwd").mkdir()
    (tmp_path / "cwd/web-search==1.0").write_bytes(b"something else")
    monkeypatch.chdir(tmp_path / "cwd")
    _, said = ask("policy", "explain", admitted["tree_sha256"])
    assert {item["admitted"] for item in said["now"]} == {True}


def test_explain_knows_the_policy_and_owns_to_what_it_does_not_know(ask: Any) -> None:
    status, said = ask("policy", "explain", POLICY.sha256)
    assert (status, said["policy_of_this_host"], said["now"]) == (0, True, [])
    status, said = ask("policy", "explain", "0" * 64)
    assert (status != 0, said["error"]["code"]) == (True, "not-found")
    for wrong in ("abc", "G" * 64, "A" * 64, "a" * 65):
        status, said = ask("policy", "explain", wrong)
        assert (status != 0, said["error"]["code"]) == (True, "malformed")


def test_the_hosts_policy_decides_what_policy_test_says(
    ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask("policy", "test", "web-search==1.0", "--tier", "paid")[0] == 0
    (tmp_path / "policy.toml").write_text('engines = ["somebody-elses-scanner"]\n')
    (tmp_path / "hive.toml").write_text(f'policy = "{tmp_path / "policy.toml"}"\n')
    monkeypatch.setenv("HIVE_CONFIG", str(tmp_path / "hive.toml"))
    status, said = ask("policy", "test", "web-search==1.0", "--tier", "paid")
    assert status != 0
    assert "somebody-elses-scanner" in said["error"]["message"]


def test_why_answers_for_each_kind_of_path(scene: Scene, ask: Any, base: tuple[str, str]) -> None:
    def why(path: str) -> tuple[bool, str]:
        status, said = ask("audit", "why", "guest", path, *base)
        assert status == 0
        return said["admitted"], said["why"]

    assert why(SKILL) == (True, "listed by the admitted tree")
    assert why(f"/{SKILL}")[0]
    for ours in ("usr/home/agent/SOUL.md", "var/db/clawdie/lock.json"):
        assert why(ours) == (True, "written by this host at the birth")
        place = root(scene) / ours
        place.chmod(0o644)
        place.write_text("changed")
        assert why(ours) == (False, "written by this host at the birth, and changed since: it is drift")
    assert not why("usr/home/agent/.env")[0]
    assert not why("usr/home/agent/notes.txt")[0]
    assert not why("usr/home/agent/skills/other/SKILL.md")[0]
    assert not why("usr/home/agent/skills/web-search/more.md")[0]
    file = root(scene) / SKILL
    file.chmod(0o644)
    file.write_text("changed")
    assert why(SKILL) == (False, "the file was changed after it was let in: it is drift")
    file.parent.chmod(0o755)
    file.unlink()
    assert why(SKILL) == (False, "there is no such file")
    file.symlink_to("/etc/passwd")
    admitted, said = why(SKILL)
    assert (admitted, "it is drift" in said) == (False, True)


def test_export_checkpoint_and_a_log_that_was_cut_off(scene: Scene, ask: Any, tmp_path: Path) -> None:
    status, said = ask("audit", "export", "--out", str(tmp_path / "log"))
    assert status == 0
    assert len((tmp_path / "log").read_bytes().splitlines()) == said["records"]
    copy = tmp_path / "log.checkpoint"
    assert ask("audit", "verify", "--checkpoint", str(copy))[0] == 0
    with transaction(scene.mother.engine) as session:
        connection = session.connection()
        connection.exec_driver_sql("DELETE FROM audit WHERE sequence = (SELECT max(sequence) FROM audit)")
        connection.exec_driver_sql("DELETE FROM checkpoints")
    status, said = ask("audit", "verify", "--checkpoint", str(copy))
    assert (status != 0, "audit" in json.dumps(said) or "log" in json.dumps(said)) == (True, True)


def test_a_certificate_is_written_once_it_was_issued(scene: Scene, ask: Any, tmp_path: Path) -> None:
    out = tmp_path / "certificate"
    status, said = ask("audit", "certificate", "guest", "--out", str(out))
    assert (status != 0, said["error"]["code"], out.exists()) == (True, "not-found", False)
    with transaction(scene.mother.engine) as session:
        issue(session, scene.tenant("guest"), HostKey.open(scene.mother.state), now=now())
    assert ask("audit", "certificate", "guest", "--out", str(out))[0] == 0
    assert CertificateFile.parse(out.read_bytes()).bom


def test_a_database_from_a_backup_is_resumed_on_record(scene: Scene, ask: Any, base: tuple[str, str]) -> None:
    assert ask("audit", "resume", "--reason", "nothing is wrong")[0] == 4
    assert ask("sweep", *base)[0] == 0
    assert ask("audit", "verify")[0] == 0
    with transaction(scene.mother.engine) as session:
        lost = audit.head(session)
        session.connection().exec_driver_sql(f"DELETE FROM audit WHERE sequence = {lost.sequence}")
        session.connection().exec_driver_sql("UPDATE tenants SET status = 'failed' WHERE tenant_id = 'guest'")
    for words in (("audit", "verify"), ("sweep", *base)):
        status, said = ask(*words)
        assert (status, said["error"]["code"]) == (11, "broken-chain")
        assert "hive audit resume" in said["error"]["hint"]
    assert ask("audit", "resume", "--reason", " ")[0] == 2
    status, said = ask("audit", "resume", "--reason", "the disk died; last night's backup")
    assert status == 0
    assert said["lost"] == f"record {lost.sequence} with the digest {lost.digest[:16]}"
    assert ask("audit", "verify")[0] == 0
    assert ask("sweep", *base)[0] == 0
    assert ask("audit", "resume", "--reason", "again")[0] == 4


def test_resuming_does_not_excuse_a_broken_chain(scene: Scene, ask: Any) -> None:
    with transaction(scene.mother.engine) as session:
        session.connection().exec_driver_sql("DELETE FROM audit WHERE sequence = 2")
    status, said = ask("audit", "resume", "--reason", "never mind")
    assert (status, said["error"]["code"]) == (11, "broken-chain")


def test_a_copy_of_the_database_is_verified_elsewhere_with_the_hosts_public_key(
    scene: Scene, ask: Any, tmp_path: Path
) -> None:
    public = tmp_path / "public.json"
    _, said = ask("audit", "key")
    public.write_text(said["public_key"])
    assert ask("audit", "checkpoint", "--out", str(tmp_path / "point"))[0] == 0
    elsewhere = ("--state", str(tmp_path / "auditor"))
    status, said = ask(*elsewhere, "audit", "verify")
    assert (status, said["error"]["code"]) == (7, "key-not-available")
    assert not (tmp_path / "auditor/host-key").exists()
    good = ("--host-key", str(public), "--checkpoint", str(tmp_path / "point"))
    assert ask(*elsewhere, "audit", "verify", *good)[0] == 0
    other = HostKey.open(tmp_path / "other").held
    (tmp_path / "other.json").write_bytes(other.render())
    assert ask(*elsewhere, "audit", "verify", "--host-key", str(tmp_path / "other.json"))[0] == 11
