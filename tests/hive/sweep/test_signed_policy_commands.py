"""Commands on a host that goes by a signed policy, as they are typed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hive.cli import cli
from hive.policy_file import parse_policy
from hive.tenants import TenantStatus, Tier
from signing.console import run
from signing.format.digest import sha256_of
from tests.attacks.scene import Scene, open_scene
from tests.support.hurry import in_a_hurry
from tests.support.signed_policy import DEMANDING, PolicyPlace
from tests.support.withdrawing import reinstate, withdraw
from tests.support.world import World, jail_files

POLICY_SHA256 = parse_policy(DEMANDING.encode(), where="policy").policy.sha256


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@dataclass
class Shell:
    scene: Scene
    place: PolicyPlace
    settings: Path
    capsys: pytest.CaptureFixture[str]

    def name(self, *, signatures: bool = True, policy: bool = True) -> None:
        """Write the settings file."""
        state = self.scene.mother.state
        lines = [f'state = "{state}"', f'db = "sqlite:///{state / "hive.db"}"']
        lines += [f'server = "{self.scene.server.url}"', f'trust_anchor = "{state / "anchor"}"']
        lines += [f'jail_root_base = "{state / "jails"}"']
        lines += [f'policy = "{self.place.policy}"'] if policy else []
        lines += [f'policy_signatures = "{self.place.signatures}"'] if signatures else []
        self.settings.write_text("\n".join(lines) + "\n")

    def ask(self, *words: str) -> tuple[int, dict[str, Any]]:
        with pytest.raises(SystemExit) as ended:
            run(cli, "hive", ["--json", "--config", str(self.settings), *words])
        said = self.capsys.readouterr()
        self.noted = said.err
        return int(str(ended.value)), json.loads(said.out)

    def spoil(self) -> None:
        """Somebody demands less than the operators signed."""
        self.place.policy.write_text("")


@pytest.fixture
def shell(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    with open_scene(world, tmp_path / "host") as scene:
        scene.register("guest", tier=Tier.FREE)
        (scene.mother.state / "anchor").write_bytes(world.anchor)
        shell = Shell(scene, PolicyPlace(tmp_path, world.signers), tmp_path / "hive.toml", capsys)
        shell.place.sign(serial=4)
        shell.name()
        yield shell


def test_a_birth_goes_by_the_signed_policy_and_its_records_name_it(shell: Shell) -> None:
    status, said = shell.ask("birth", "guest")
    assert (status, said["status"]) == (0, "born")
    decisions = [record.facts for record in shell.scene.events("guest") if record.event == "admission"]
    assert {facts["policy_sha256"] for facts in decisions} == {POLICY_SHA256}


@pytest.mark.parametrize(
    ("seen", "trouble"),
    [
        *((seen, trouble) for seen in (False, True) for trouble in ("altered", "unsigned", "stranger")),
        *((True, trouble) for trouble in ("setting-gone", "no-policy", "older")),
    ],
    ids=lambda value: value if isinstance(value, str) else "seen" if value else "never-seen",
)
def test_no_birth_goes_by_another(shell: Shell, seen: bool, trouble: str) -> None:
    if seen:
        assert shell.ask("sweep")[0] == 0
    match trouble:
        case "altered":
            shell.spoil()
        case "unsigned":
            shell.place.signatures.unlink()
        case "setting-gone":
            shell.name(signatures=False)
        case "no-policy":
            shell.name(signatures=False, policy=False)
        case "stranger":
            shell.place.sign("", serial=9, by=("mallory", "alice", "bob"))
        case "older":
            shell.place.sign("", serial=3)
    for words in (("birth", "guest"), ("birth", "guest", "--plan")):
        status, said = shell.ask(*words)
        assert (status, said["ok"]) == (11, False)
    assert shell.scene.tenant("guest").status is TenantStatus.REGISTERED
    assert jail_files(shell.scene.mother) == {}
    status, said = shell.ask("policy", "test", "web-search==1.0", "--tier", "paid")
    assert (status, said["ok"]) == (11, False)
    shell.name()
    shell.place.sign(serial=10)
    assert shell.ask("birth", "guest")[0] == 0


def test_show_says_whose_it_is(shell: Shell) -> None:
    status, said = shell.ask("policy", "show")
    assert (status, said["demanded"], said["seen_serial"]) == (0, True, None)
    assert (said["signed"]["serial"], said["signed"]["signed_by"]) == (4, ["olga"])
    assert said["policy_sha256"] == POLICY_SHA256
    assert said["policy_file_sha256"] == sha256_of(DEMANDING.encode())
    assert shell.ask("policy", "show")[1]["seen_serial"] is None  # asking remembers nothing
    shell.ask("sweep")
    assert shell.ask("policy", "show")[1]["seen_serial"] == 4
    shell.place.sign(serial=4, life=timedelta(days=3))
    status, said = shell.ask("policy", "show")
    assert (status, said["error"]["code"]) == (11, "rollback")


def test_show_before_there_is_anything(shell: Shell, tmp_path: Path) -> None:
    shell.settings.write_text(f'state = "{tmp_path / "new"}"\ndb = "{tmp_path / "new.db"}"\n')
    status, said = shell.ask("policy", "show")
    assert (status, said["policy_file"], said["signed"], said["demanded"]) == (0, None, None, False)
    assert not (tmp_path / "new.db").exists()


def test_explain_knows_the_file_and_answers_from_the_log_when_it_is_spoiled(shell: Shell) -> None:
    shell.ask("birth", "guest")
    digest = sha256_of(DEMANDING.encode())
    status, said = shell.ask("policy", "explain", digest)
    assert (status, said["policy_of_this_host"]) == (0, True)
    assert [(item["event"], item["as"]) for item in said["records"]] == [("policy.accepted", "policy_file")]
    tree = next(
        facts.facts["tree_sha256"] for facts in shell.scene.events("guest") if facts.event == "admission"
    )
    assert {item["admitted"] for item in shell.ask("policy", "explain", tree)[1]["now"]} == {True}
    shell.spoil()
    status, said = shell.ask("policy", "explain", tree)
    assert (status, {item["admitted"] for item in said["now"]}) == (0, {False})
    assert said["records"]
    status, said = shell.ask("policy", "explain", digest)
    assert (status, said["policy_of_this_host"]) == (0, False)


def test_sweeps_go_on_and_nothing_is_given_back(shell: Shell) -> None:
    shell.ask("birth", "guest")
    shell.spoil()
    withdraw(shell.scene.world, "web-search")
    status, said = shell.ask("sweep")
    assert (status, [item["kind"] for item in said["tenants"][0]["findings"]]) == (0, ["revoked"])
    assert "digest-mismatch" in shell.noted
    assert shell.scene.tenant("guest").status is TenantStatus.QUARANTINED
    reinstate(shell.scene.world, "web-search", by="alice", reason="a mistake")
    reinstate(shell.scene.world, "web-search", by="bob")
    status, said = shell.ask("release-tenant", "guest", "--reason", "reinstated")
    assert (status, said["error"]["code"]) == (11, "digest-mismatch")
    assert shell.scene.tenant("guest").status is TenantStatus.QUARANTINED
    shell.place.sign(serial=5)
    assert shell.ask("release-tenant", "guest", "--reason", "reinstated")[0] == 0


def test_status_says_what_is_wrong(shell: Shell) -> None:
    status, said = shell.ask("status")
    assert (status, said["policy_sha256"]) == (0, None)
    assert any("not verified here yet" in line for line in said["attention"])
    shell.ask("sweep")
    status, said = shell.ask("status")
    assert (status, said["policy_sha256"]) == (0, POLICY_SHA256)
    assert any("has to be signed again before" in line for line in said["attention"])  # it is for a day
    shell.place.sign(serial=5, life=timedelta(days=90))
    shell.ask("sweep")
    assert not any("signed" in line for line in shell.ask("status")[1]["attention"])
    shell.spoil()
    status, said = shell.ask("status")
    assert (status, said["policy_sha256"]) == (0, None)
    assert any("nothing is born" in line for line in said["attention"])


def test_an_unsigned_policy_is_allowed_on_record_only(shell: Shell) -> None:
    shell.ask("sweep")
    words = ("policy", "allow-unsigned", "--reason", "the operators are away")
    status, said = shell.ask(*words, "--yes")
    assert (status, said["error"]["code"]) == (2, "usage")  # the settings name signatures
    shell.name(signatures=False)
    for wrong in (
        words,
        ("policy", "allow-unsigned", "--reason", " ", "--yes"),
        ("policy", "allow-unsigned", "--yes"),
    ):
        assert shell.ask(*wrong)[0] == 2  # nobody is there to ask, or says why
    assert shell.ask("birth", "guest")[0] == 11
    status, said = shell.ask(*words, "--yes")
    assert (status, said["demanded"], said["seen_serial"]) == (0, False, 4)
    shell.place.policy.write_text("")
    assert shell.ask("birth", "guest")[0] == 0
    assert shell.ask(*words, "--yes")[0] == 3
    shell.name()
    assert shell.ask("birth", "acme")[0] == 11
