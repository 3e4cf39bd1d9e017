"""`hive policy test` of packages and of whole profiles: what a birth would say, without a tenant, and nothing is changed."""

import json
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from hive.cli import cli
from signing.console import run
from signing.format.digest import sha256_of
from tests.support.harbour import Harbour
from tests.support.packages import AGENT, BASE, OLD_AGENT, VULNERABLE, waiver
from tests.support.world import PACKAGES, jail_files

AGENT_PIN = f"{PACKAGES}:demo-agent"


@pytest.fixture
def ask(harbour: Harbour, capsys: pytest.CaptureFixture[str]) -> Any:
    """The command as it is typed; returns exit status and answer, and sees to it that nothing was decided for anybody."""
    state = harbour.scene.mother.state
    anchor = state / "anchor.json"
    anchor.write_bytes(harbour.scene.world.anchor)

    def asking(*words: str, tier: str = "paid", abi: str = PACKAGES.abi) -> tuple[int, dict[str, Any]]:
        options = (
            "--server",
            harbour.scene.server.url,
            "--trust-anchor",
            str(anchor),
            "--state",
            str(state / "policy"),
        )
        before = (len(harbour.scene.events("boat")), jail_files(harbour.scene.mother))
        with pytest.raises(SystemExit) as ended:
            run(cli, "hive", [*options, "--abi", abi, "--json", "policy", "test", "--tier", tier, *words])
        assert (len(harbour.scene.events("boat")), jail_files(harbour.scene.mother)) == before
        assert harbour.open_packages() == []
        return int(str(ended.value)), json.loads(capsys.readouterr().out)

    return asking


def test_a_package_that_would_be_admitted(harbour: Harbour, ask: Any) -> None:
    status, said = ask(AGENT_PIN)
    assert (status, said["verdict"], said["pin"], said["tier"]) == (
        0,
        "admitted",
        "demo-agent-1.2.1_1",
        "paid",
    )
    assert said["sha256"] == sha256_of(AGENT)
    assert (said["repository"], said["serial"], said["signed_by"]) == (str(PACKAGES), 1, ["builder"])
    assert said["needs"] == ["demo-base-1.0.0"]
    assert "tenant" not in said


def test_without_a_version_the_newest_is_meant(harbour: Harbour, ask: Any) -> None:
    harbour.shelf.publish([BASE, AGENT, OLD_AGENT], serial=2)
    assert ask(AGENT_PIN)[1]["pin"] == "demo-agent-1.2.1_1"
    assert ask(f"{AGENT_PIN}==1.2.0")[1]["pin"] == "demo-agent-1.2.0"


@pytest.mark.parametrize(
    ("what", "status", "code"),
    [
        (f"{AGENT_PIN}==9", 3, "not-found"),
        (f"{PACKAGES}:nginx", 3, "not-found"),
        ("FreeBSD:15:aarch64/quarterly:demo-agent", 11, "could-not-verify"),
        ("FreeBSD:14/latest:demo-agent", 10, "malformed"),
        ("demo-agent", 2, "usage"),
    ],
    ids=["no-such-version", "no-such-package", "no-such-repository", "no-repository", "a-bare-name"],
)
def test_what_is_not_there(ask: Any, what: str, status: int, code: str) -> None:
    found, said = ask(what)
    assert (found, said["error"]["code"]) == (status, code)


def test_a_vulnerable_package_and_who_waives_it(harbour: Harbour, ask: Any) -> None:
    shelf = harbour.shelf
    shelf.publish([BASE, OLD_AGENT], serial=2)
    shelf.advise(VULNERABLE)
    status, said = ask(AGENT_PIN)
    assert (status, said["error"]["code"]) == (12, "vulnerable-package")
    vid = said["error"]["facts"]["vid"]
    shelf.pin("risky==1", [BASE, OLD_AGENT])
    status, said = ask("--profile", "risky==1")
    assert (status, said["error"]["code"]) == (12, "vulnerable-package")
    shelf.pin("waived==1", [BASE, OLD_AGENT], waivers=[waiver("demo-agent-1.2.0", vid)])
    status, said = ask("--profile", "waived==1")
    assert status == 0
    (waived,) = [item for item in said["items"] if "waived" in item]
    assert (waived["pin"], waived["waived"][0]["vid"], waived["waived"][0]["owner"]) == (
        "demo-agent-1.2.0",
        vid,
        "olga",
    )


def test_an_old_list_of_vulnerabilities_admits_nothing(harbour: Harbour, ask: Any) -> None:
    harbour.shelf.advise(expires=timedelta(seconds=-1))
    assert ask(AGENT_PIN)[1]["error"]["code"] == "expired"
    assert ask("--profile", "base==2")[1]["error"]["code"] == "expired"


def test_a_revoked_package(harbour: Harbour, ask: Any) -> None:
    harbour.shelf.forge.revoke(sha256=sha256_of(AGENT))
    harbour.shelf.serve()
    for words in ((AGENT_PIN,), ("--profile", "base==2")):
        status, said = ask(*words)
        assert status == 11
        assert said["error"]["code"] == "revoked"


def test_altered_bytes_are_found_out(harbour: Harbour, ask: Any) -> None:
    altered = AGENT[:-1] + bytes([AGENT[-1] ^ 1])
    harbour.shelf.stock(altered, sha256=sha256_of(AGENT))
    for words in ((AGENT_PIN,), ("--profile", "base==2")):
        status, said = ask(*words)
        assert (status, said["error"]["code"]) == (11, "digest-mismatch")


def test_everything_that_a_profile_pins(harbour: Harbour, ask: Any) -> None:
    status, said = ask("--profile", "base==2")
    assert (status, said["verdict"], said["abi"]) == (0, "admitted", PACKAGES.abi)
    assert [(item["kind"], item["pin"]) for item in said["items"]] == [
        ("skill", "web-search==1.0"),
        ("package", "demo-base-1.0.0"),
        ("package", "demo-agent-1.2.1_1"),
    ]
    assert {item["verdict"] for item in said["items"]} == {"admitted"}
    # And what a birth gets is that lock.
    assert harbour.born()["lock_sha256"] == said["lock_sha256"]


@pytest.mark.parametrize("tier", ["paid", "free"])
def test_a_profile_for_another_abi(ask: Any, tier: str) -> None:
    status, said = ask("--profile", "base==2", tier=tier, abi="FreeBSD:15:amd64")
    assert (status, said["error"]["code"]) == (12, "not-entitled")


def test_a_package_set_that_does_not_close(harbour: Harbour, ask: Any) -> None:
    harbour.shelf.pin("open==1", [AGENT])
    status, said = ask("--profile", "open==1")
    assert (status, said["error"]["code"]) == (10, "malformed")


def test_one_thing_is_asked_at_a_time(ask: Any) -> None:
    assert ask()[0] == 2
    assert ask(AGENT_PIN, "--profile", "base==2")[0] == 2


def test_for_people_too(harbour: Harbour) -> None:
    state = harbour.scene.mother.state
    (state / "anchor.json").write_bytes(harbour.scene.world.anchor)
    words = ["--server", harbour.scene.server.url, "--trust-anchor", str(state / "anchor.json")]
    words += ["--state", str(state / "policy"), "--abi", PACKAGES.abi, "policy", "test", "--tier", "paid"]
    said = CliRunner().invoke(cli, [*words, AGENT_PIN], catch_exceptions=False)
    assert (
        f"admitted: demo-agent-1.2.1_1 of {PACKAGES} for the paid tier, once a profile pins it" in said.output
    )
    assert "needs demo-base-1.0.0" in said.output
    said = CliRunner().invoke(cli, [*words, "--profile", "base==2"], catch_exceptions=False)
    assert "admitted: everything that base==2 pins" in said.output
    assert "package demo-agent-1.2.1_1" in said.output
