"""`yank`, `quarantine`, `revoke`, `reinstate` as they are typed, and what `status`, `show` and `log` say of it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.session import Desk
from tests.cli.warm import WarmDesk
from tests.support.world import PASSPHRASE, World

OPTIONS = ("--repo", "repo", "--keys", "people", "--passphrase-file", "passphrase")
REPO = ("skillrepo", *OPTIONS)
REVOKE = (*REPO, "revoke", "--severity", "high", "--reason", "leaks the query", "--as", "alice")


@pytest.fixture
def warm(world: World) -> Iterator[WarmDesk]:
    """A repository of alice and bob with web-search==1.0 in the profile base==1, and the online key beside it."""
    folder = world.folder
    (folder / "passphrase").write_text(PASSPHRASE)
    (folder / "passphrase").chmod(0o600)
    shutil.copy(folder / "repo/trust-anchor.json", folder / "people")
    (folder / "repo/keys").mkdir()
    (folder / "people/online.key.json").rename(folder / "repo/keys/online.key.json")
    with WarmDesk(Desk(folder)) as warm:
        yield warm


def offered(folder: Path) -> list[str]:
    index = json.loads((folder / "repo/public/skills/.well-known/agent-skills/index.json").read_bytes())
    return [entry["name"] for entry in index["skills"]]


def test_from_a_revocation_to_a_reinstatement(warm: WarmDesk, world: World) -> None:
    revoked = warm.json(*REVOKE, "web-search==1.0")
    assert (revoked["published"], revoked["state"], revoked["severity"]) == (True, "revoked", "high")
    assert [item["pin"] for item in revoked["covers"]] == ["web-search==1.0"]
    assert revoked["profiles"] == ["base==1"]
    assert revoked["hidden_until"].endswith("Z")
    assert offered(world.folder) == []
    entry = revoked["withdrawal"]

    status = warm.json(*REPO, "status")
    (item,) = status["withdrawals"]
    assert (item["id"], item["scope"], item["by"]) == (entry, "web-search==1.0", "alice")
    assert "revoked, high  web-search==1.0" in warm.run(*REPO, "status", status=0).stdout
    shown = warm.json(*REPO, "show", "web-search==1.0")["releases"][0]
    assert shown["state"] == "revoked"
    assert shown["withdrawals"][0]["reason"] == "leaks the query"
    assert shown["review"]["decision"] == "approve"  # the evidence stays, and stays readable
    assert "REVOKED" in warm.run(*REPO, "show", "web-search==1.0", status=0).stdout

    first = warm.json(*REPO, "reinstate", entry[:12], "--reason", "a false alarm", "--as", "alice", "--yes")
    assert (first["lifted"], first["signed"], first["threshold"]) == (False, 1, 2)
    assert offered(world.folder) == []
    assert "alice would lift this; 1 more" in warm.run(*REPO, "status", status=0).stdout
    again = warm.json(*REPO, "reinstate", entry[:12], "--as", "alice", status=4)
    assert "signed this already" in again["error"]["message"]
    second = warm.run(*REPO, "reinstate", "web-search==1.0", "--as", "bob", status=0)
    assert "it is lifted" in second.stdout
    assert "a false alarm" in second.stderr
    assert offered(world.folder) == ["web-search"]
    assert warm.json(*REPO, "status")["withdrawals"] == []
    assert warm.json(*REPO, "show", "web-search==1.0")["releases"][0]["state"] == "published"


def test_what_is_asked_for_is_checked_first(warm: WarmDesk) -> None:
    before = warm.json(*REPO, "log", "--verify")
    assert warm.json(*REVOKE, "web-serach", status=3)["error"]["code"] == "not-found"
    warm.run(*REVOKE, status=2)
    warm.run(*REVOKE, "web-search", "--publisher", "clawhub:@owner", status=2)
    warm.run(*REVOKE, "Web-Search", status=10)
    warm.run(*REVOKE, "sha256:12", status=10)
    warm.run(*REVOKE, "--publisher", "owner", status=10)
    warm.run(*REPO, "revoke", "web-search", "--reason", "x", status=2)  # how bad?
    warm.run(*REPO, "yank", "web-search", status=2)  # why?
    warm.run(*REPO, "reinstate", "web-search", "--reason", "x", "--as", "alice", status=3)
    warm.run(*REVOKE, "web-search", "--as", "olga", status=12)
    assert warm.json(*REPO, "log", "--verify") == before
    done = warm.json(*REVOKE, "web-serach", "--unpublished")
    assert (done["published"], done["covers"]) == (True, [])
    assert warm.json(*REVOKE, "web-serach", "--unpublished", status=4)["error"]["code"] == "conflict"


def test_without_the_online_key_it_is_signed_and_said_aloud(warm: WarmDesk, world: World) -> None:
    key = world.folder / "repo/keys/online.key.json"
    key.rename(world.folder / "elsewhere")
    said = warm.run(*REPO, "quarantine", "web-search", "--reason", "looks odd", "--as", "alice", status=0)
    assert "NOT PUBLISHED" in said.stdout
    assert offered(world.folder) == ["web-search"]
    waiting = warm.json(*REPO, "status")["waiting"]
    assert [(item["signed"], item["missing"]) for item in waiting] == [(["alice"], [])]
    (world.folder / "elsewhere").rename(key)
    key.chmod(0o644)  # it is here and cannot be used: that is an error, and what was signed is kept
    refused = warm.json(*REVOKE, "web-search", status=7)
    assert "signed and kept, but NOT PUBLISHED" in refused["error"]["message"]
    assert offered(world.folder) == ["web-search"]
    key.chmod(0o600)
    said = warm.run(*REPO, "publish", status=0)
    assert "quarantined web-search (every version)" in said.stdout
    assert "revoked web-search (every version)" in said.stdout
    assert offered(world.folder) == []


def test_a_yank_says_who_goes_on(warm: WarmDesk, world: World) -> None:
    said = warm.run(*REPO, "yank", "web-search==1.0", "--reason", "old", "--as", "alice", status=0)
    assert "profiles that pin it go on with it: base==1" in said.stderr
    refused = warm.json(*REPO, "profile", "new", "base==2", "--skill", "web-search==1.0", status=12)
    assert refused["error"]["code"] == "yanked"
    assert "wait" not in refused["error"]["hint"]
    assert offered(world.folder) == []


def test_the_log_answers_questions(warm: WarmDesk) -> None:
    warm.run(*REVOKE, "web-search", status=0)
    warm.run(*REVOKE, "calendar", "--unpublished", status=0)

    def events(*words: str) -> list[str]:
        return [record["event"] for record in warm.json(*REPO, "log", *words)["records"]]

    everything = events()
    assert events("--since", "1h") == everything
    assert events("--since", "2999-01-01") == []
    assert events("--since", "2000-01-01T00:00:00Z") == everything
    warm.run(*REPO, "log", "--since", "yesterday", status=2)
    assert events("withdrawal") == ["withdrawal.signed"] * 2
    assert events("published").count("published") == len(events("published")) == 4
    about = events("web-search")
    assert {"candidate.imported", "candidate.reviewed", "candidate.signed", "withdrawal.signed"} <= set(about)
    assert about.count("withdrawal.signed") == 1
    assert events("web-search==1.0", "--since", "1h").count("candidate.signed") == 2
    assert "withdrawal.signed" not in events("web-search==2.0")
    assert set(events("base")) == {"profile.drafted", "profile.signed", "published"}
    candidate = warm.json(*REPO, "status")["candidates"][0]["candidate"]
    assert "candidate.reviewed" in events(candidate[:8])
    line = warm.run(*REPO, "log", "calendar", status=0).stdout
    assert "scope=calendar (every version)  by=alice  reason=leaks the query" in line


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        (("ab" * 32,), f"write sha256:{'ab' * 32}"),
        (("clawhub:@owner",), "--publisher clawhub:@owner"),
        (("web-search==1.0.0",), "published are: web-search==1.0;"),
        (("--publisher", "folder:@nobody"), "--unpublished"),
    ],
    ids=["a bare digest", "a publisher", "another spelling", "nobody's"],
)
def test_a_withdrawal_of_nothing_says_what_may_have_been_meant(
    warm: WarmDesk, world: World, given: tuple[str, ...], hint: str
) -> None:
    answer = warm.run(*REVOKE, *given, "--yes", status=None)
    assert answer.status in {2, 3}
    assert hint in answer.stderr
    assert warm.json(*REPO, "status")["withdrawals"] == []
    assert offered(world.folder) == ["web-search"]


def test_words_of_others_make_no_lines_of_their_own(warm: WarmDesk) -> None:
    """A reason with a line break in it must not look like a record, or like another withdrawal that was lifted."""
    reason = "leaks\n   99  2026-11-22T12:00:00Z  published  by=root-1"
    warm.json(
        *REPO, "revoke", "web-search", "--severity", "low", "--reason", reason, "--as", "alice", "--yes"
    )
    for verb in (["log"], ["status"], ["show", "web-search"]):
        text = warm.run(*REPO, *verb, status=0).stdout
        assert "leaks<U+000A>" in text
        assert not any(line.startswith("   99  ") for line in text.splitlines())


def test_status_says_what_became_of_a_candidate_and_show_what_was_decided(
    warm: WarmDesk, world: World
) -> None:
    candidate = world.import_skill("notes==1.0")
    assert warm.json(*REPO, "show", candidate)["review"] is None
    assert f"not yet: skillrepo review {candidate}" in warm.run(*REPO, "show", candidate, status=0).stdout
    world.review(candidate)
    assert warm.json(*REPO, "show", candidate)["review"]["decision"] == "approve"
    assert "approve by alice" in warm.run(*REPO, "show", candidate, status=0).stdout
    warm.json(*REVOKE, "web-search", "--yes")
    assert [item["withdrawn"] for item in warm.json(*REPO, "status")["candidates"]] == ["revoked", None]
    assert "web-search==1.0  REVOKED" in warm.run(*REPO, "status", status=0).stdout
