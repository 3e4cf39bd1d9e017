"""`revoke package:NAME==VERSION` as it is typed: what it covers, whom it stops, and what it has nothing to do with."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from repo_server.db.session import snapshot
from repo_server.pkgrepo.advisories import sign_advisories, take_advisories
from repo_server.publishing.withdrawals import in_force
from tests.cli.session import Desk
from tests.cli.warm import WarmDesk
from tests.support.packages import HARMLESS
from tests.support.publishing import copy_fixture, publish
from tests.support.world import PASSPHRASE, World, now

OPTIONS = ("--repo", "repo", "--keys", "people", "--passphrase-file", "passphrase")
REPO = ("skillrepo", *OPTIONS)
REVOKE = (*REPO, "revoke", "--severity", "high", "--reason", "phones home", "--as", "alice", "--yes")
PROFILE = (*REPO, "profile", "new", "--skill", "web-search==1.0")
PACKAGE = ("--package", "FreeBSD:14:amd64/latest:demo-agent")
WAIVER = "demo-agent-1.2.1_1=11111111-2222-3333-4444-555555555555"


@pytest.fixture
def warm(world: World, tmp_path: Path) -> Iterator[WarmDesk]:
    """A repository with web-search==1.0, demo-base 1.0.0 and demo-agent 1.2.1_1, and the online key beside it."""
    publish(world, copy_fixture(tmp_path / "build"))
    with snapshot(world.repository.engine) as session:
        metadata = sign_advisories(world.repository, session, HARMLESS, world.signers["alice"], now=now())
    take_advisories(world.repository, metadata, HARMLESS, world.signers["online"], now=now())
    folder = world.folder
    (folder / "passphrase").write_text(PASSPHRASE)
    (folder / "passphrase").chmod(0o600)
    shutil.copy(folder / "repo/trust-anchor.json", folder / "people")
    (folder / "repo/keys").mkdir()
    (folder / "people/online.key.json").rename(folder / "repo/keys/online.key.json")
    with WarmDesk(Desk(folder)) as warm:
        yield warm


def withdrawn(world: World) -> list[str]:
    with snapshot(world.repository.engine) as session:
        return [str(entry.scope) for entry in in_force(world.repository, session)]


def test_a_package_is_revoked_by_name_and_version(warm: WarmDesk, world: World) -> None:
    made = warm.json(*PROFILE, "boat==1", *PACKAGE)
    assert [item["name"] for item in made["packages"][0]["items"]] == ["demo-base", "demo-agent"]
    warm.run(*REPO, "profile", "sign", "boat==1", "--as", "olga", "--yes", status=0)

    revoked = warm.json(*REVOKE, "package:demo-agent==1.2.1_1")
    assert (revoked["published"], revoked["state"]) == (True, "revoked")
    assert revoked["scope"] == {"package": "demo-agent", "package_version": "1.2.1_1"}
    assert revoked["packages"] == ["demo-agent-1.2.1_1 in FreeBSD:14:amd64/latest"]
    assert (revoked["profiles"], revoked["covers"]) == (["boat==1"], [])
    assert withdrawn(world) == ["package demo-agent-1.2.1_1"]

    refused = warm.json(*PROFILE, "boat==2", *PACKAGE, status=11)
    assert refused["error"]["code"] == "revoked"
    again = warm.json(*REVOKE, "package:demo-agent==1.2.1_1", status=4)
    assert "revoked already" in again["error"]["message"]

    first = warm.json(
        *REPO,
        "reinstate",
        "package:demo-agent==1.2.1_1",
        "--reason",
        "a false alarm",
        "--as",
        "alice",
        "--yes",
    )
    assert (first["lifted"], first["signed"]) == (False, 1)
    warm.run(*REPO, "reinstate", "package:demo-agent==1.2.1_1", "--as", "bob", "--yes", status=0)
    assert withdrawn(world) == []
    warm.json(*PROFILE, "boat==2", *PACKAGE)


@pytest.mark.parametrize("what", ["package:demo-agent", "digest"])
def test_a_package_is_revoked_by_name_alone_and_by_digest(warm: WarmDesk, world: World, what: str) -> None:
    made = warm.json(*PROFILE, "boat==1", *PACKAGE)
    digest = made["packages"][0]["items"][1]["sha256"]
    revoked = warm.json(*REVOKE, what if what != "digest" else f"sha256:{digest}")
    both = ["demo-agent-1.2.0 in FreeBSD:14:amd64/latest", "demo-agent-1.2.1_1 in FreeBSD:14:amd64/latest"]
    assert revoked["packages"] == (both if what != "digest" else both[1:])
    assert warm.json(*PROFILE, "boat==2", *PACKAGE, status=11)["error"]["code"] == "revoked"
    assert len(withdrawn(world)) == 1


@pytest.mark.parametrize(
    ("what", "status", "hint"),
    [
        ("package:demo-agent==9.9", 3, "package:demo-agent==1.2.1_1"),
        ("package:demo-agent-1.2.1_1", 3, "package:demo-agent==1.2.1_1"),
        ("package:Demo-Agent", 3, "package:demo-agent==1.2.1_1"),
        ("package:nowhere", 3, "without package: it is a skill's name"),
        ("demo-agent", 3, "skillrepo status"),
        ("package:web-search", 3, "without package: it is a skill's name"),
        ("package:", 10, None),
        ("package:demo-agent==", 10, None),
        ("package:demo-agent==1.0-2", 10, None),
        ("package:../demo", 10, None),
    ],
)
def test_a_package_that_is_not_there_withdraws_nothing(
    warm: WarmDesk, world: World, what: str, status: int, hint: str | None
) -> None:
    error = warm.json(*REVOKE, what, status=status)["error"]
    assert hint is None or hint in error["hint"]
    assert withdrawn(world) == []


def test_a_skill_and_a_package_of_one_name_are_two_things(warm: WarmDesk, world: World) -> None:
    warm.json(*REVOKE, "package:web-search", "--unpublished")
    assert withdrawn(world) == ["package web-search (every version)"]
    assert warm.json(*REPO, "show", "web-search==1.0")["releases"][0]["state"] == "published"
    warm.json(*REVOKE, "demo-agent", "--unpublished")
    warm.json(*PROFILE, "boat==1", *PACKAGE)  # neither speaks of what this pins


def test_the_options_of_a_waiver_belong_together(warm: WarmDesk) -> None:
    owner, why = ("--waive-owner", "olga"), ("--waive-reason", "not reachable")
    until = ("--waive-until", "2036-12-01T00:00:00Z")
    given = ("--waive-vulnerability", WAIVER)
    for words in ((*given, *owner, *why), (*given, *owner, *until), (*given, *why, *until), (*owner, *why)):
        warm.run(*PROFILE, "boat==1", *PACKAGE, *words, status=2)
    for bad in ("demo-agent-1.2.1_1", "demo-agent-1.2.1_1=vid"):
        asked = ("--waive-vulnerability", bad, *owner, *why, *until)
        answer = warm.run(*PROFILE, "boat==1", *PACKAGE, *asked, status=None)
        assert answer.status in {2, 10}
    made = warm.json(*PROFILE, "boat==1", *PACKAGE, *given, *owner, *why, *until)
    assert [item["owner"] for item in made["waivers"]] == ["olga"]


@pytest.mark.parametrize(
    "word", ["demo-agent", "FreeBSD:14:amd64/latest", "latest:demo-agent", "FreeBSD:14:amd64:demo"]
)
def test_a_package_is_named_with_its_repository(warm: WarmDesk, word: str) -> None:
    answer = warm.run(*PROFILE, "boat==1", "--package", word, status=None)
    assert answer.status in {2, 10}
