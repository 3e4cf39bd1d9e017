"""The server is the attacker: what it shows is refused, nothing is signed, and what was seen stays seen."""

import base64
import copy
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tuf.api.metadata import Metadata, TargetFile, Targets
from werkzeug.wrappers import Response

from repo_server.curation.candidates import find, load_tree
from repo_server.curation.tree import SourceTree
from repo_server.db.models import CandidateRow
from repo_server.db.session import snapshot, transaction
from repo_server.desk.mirror import Mirror
from repo_server.desk.seen import remember
from repo_server.publishing.releases import load_reviewed, plan_signature
from signing.errors import (
    BadSignatureError,
    ConflictError,
    CouldNotVerifyError,
    DigestMismatchError,
    FormatError,
    NotFoundError,
    RejectedError,
    RollbackError,
    SkillRepoError,
    WrongSubjectError,
)
from signing.format.canonical import canonical
from signing.format.digest import sha256_of
from tests.repo_server.desk.liar import Liar
from tests.repo_server.desk.scene import Scene
from tests.support.world import World, now, skill_md

State = dict[str, Any]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def row(state: State, table: str, **wanted: object) -> dict[str, Any]:
    found = [item for item in state[table] if all(item[key] == value for key, value in wanted.items())]
    return dict_of(found[0])


def dict_of(value: Any) -> dict[str, Any]:
    assert isinstance(value, dict)
    return value


def hide_release(state: State) -> State:
    return {**state, "releases": []}


def hide_release_and_candidate(state: State) -> State:
    return {**state, "releases": [], "candidates": []}


def other_bundle(state: State) -> State:
    state["releases"][0]["bundle_sha256"] = "0" * 64
    return state


def other_kind(state: State) -> State:
    state["releases"][0]["kind"] = "soul"
    return state


def other_tree(state: State) -> State:
    state["releases"][0]["tree_sha256"] = "0" * 64
    return state


def other_review(state: State) -> State:
    state["candidates"][0]["review_sha256"] = "0" * 64
    return state


def invented_release(state: State) -> State:
    state["releases"].append({**state["releases"][0], "version": "0.9"})
    return state


def hide_profile(state: State) -> State:
    return {**state, "profiles": []}


def profile_of_other_pins(state: State) -> State:
    state["profiles"][0]["sha256"] = "0" * 64
    return state


def draft_called_published(state: State) -> State:
    state["profiles"].append({**state["profiles"][0], "version": "7"})
    return state


@pytest.mark.parametrize(
    "lie",
    [
        hide_release,
        hide_release_and_candidate,
        other_bundle,
        other_kind,
        other_tree,
        other_review,
        invented_release,
        hide_profile,
        profile_of_other_pins,
        draft_called_published,
    ],
    ids=lambda lie: lie.__name__,
)
def test_rows_that_are_not_what_was_signed(lying: Scene, liar: Liar, lie: Callable[[State], State]) -> None:
    liar.lies["/state"] = lie
    with pytest.raises(WrongSubjectError):
        lying.desk("alice")
    assert not lying.place("alice").seen.exists()


def altered_bin(state: State) -> State:
    for item in state["metadata"]:
        if item["role"].startswith("skills-"):
            metadata = Metadata[Targets].from_bytes(base64.b64decode(item["content"]))
            metadata.signed.targets["skills/evil/1/evil-1.tar.gz"] = TargetFile(
                1, {"sha256": "0" * 64}, "skills/evil/1/evil-1.tar.gz"
            )
            item["content"] = b64(metadata.to_bytes())
            break
    return state


def unsigned_revocations(state: State) -> State:
    item = row(state, "metadata", role="revocations")
    document = json.loads(base64.b64decode(item["content"]))
    document["signatures"] = []
    item["content"] = b64(json.dumps(document).encode())
    return {**state, "metadata": [*(i for i in state["metadata"] if i["role"] != "revocations"), item]}


def test_metadata_that_nobody_signed(lying: Scene, liar: Liar) -> None:
    for lie in (altered_bin, unsigned_revocations):
        liar.lies["/state"] = lie
        with pytest.raises(BadSignatureError):
            lying.desk("alice")
    assert not lying.place("alice").seen.exists()


@pytest.mark.parametrize("role", ["revocations", "profiles", "skills-1", "targets", "snapshot", "timestamp"])
def test_a_role_that_is_missing(lying: Scene, liar: Liar, role: str) -> None:
    def lie(state: State) -> State:
        return {**state, "metadata": [item for item in state["metadata"] if item["role"] != role]}

    liar.lies["/state"] = lie
    with pytest.raises((CouldNotVerifyError, NotFoundError)):
        lying.desk("alice")
    assert not lying.place("alice").seen.exists()


def test_another_repository_behind_the_same_name(
    lying: Scene, liar: Liar, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = World.build(tmp_path_factory.mktemp("other"))
    from repo_server.desk.state import Setting, render_state

    with snapshot(other.repository.engine) as session:
        theirs = render_state(session, Setting(dev=True, policy={}))
    other.close()
    liar.lies["/state"] = lambda _: theirs
    with pytest.raises(BadSignatureError):
        lying.desk("alice")


def version_column(state: State) -> State:
    row(state, "metadata", role="profiles")["version"] += 5
    return state


def unknown_role(state: State) -> State:
    state["metadata"].append({**row(state, "metadata", role="profiles"), "role": "extras"})
    return state


def twice(state: State) -> State:
    state["candidates"].append(state["candidates"][0])
    return state


def orphan(state: State) -> State:
    state["releases"][0]["candidate_id"] = "0" * 32
    return state


def unknown_key(state: State) -> State:
    return {**state, "extras": []}


def a_column_too_many(state: State) -> State:
    state["candidates"][0]["trust"] = "me"
    return state


def a_name_with_a_path(state: State) -> State:
    state["candidates"][0]["name"] = "../../etc"
    return state


def facts_that_are_none(state: State) -> State:
    state["candidates"][0]["resolved"] = "[1]"
    return state


def observations_that_are_none(state: State) -> State:
    state["candidates"][0]["observations"] = '[{"check":"x"}]'
    return state


def a_policy_with_a_path(state: State) -> State:
    return {**state, "policy": {"../keys": "AA=="}}


def bytes_that_are_none(state: State) -> State:
    state["metadata"][0]["content"] = "!"
    return state


def metadata_that_is_none(state: State) -> State:
    row(state, "metadata", role="profiles")["content"] = b64(b"{}")
    return state


def no_object(_: State) -> Any:
    return []


def not_canonical(state: State) -> bytes:
    return json.dumps(state, indent=1).encode()


def no_json(_: State) -> bytes:
    return b"<html>log in</html>"


@pytest.mark.parametrize(
    "lie",
    [
        version_column,
        twice,
        orphan,
        unknown_key,
        a_column_too_many,
        a_name_with_a_path,
        facts_that_are_none,
        observations_that_are_none,
        a_policy_with_a_path,
        bytes_that_are_none,
        metadata_that_is_none,
        no_object,
        not_canonical,
        no_json,
    ],
    ids=lambda lie: lie.__name__,
)
def test_states_of_another_shape(lying: Scene, liar: Liar, lie: Callable[[State], Any]) -> None:
    liar.lies["/state"] = lie
    with pytest.raises(FormatError):
        lying.desk("alice")
    assert not lying.place("alice").seen.exists()


def test_a_role_that_nobody_delegates(lying: Scene, liar: Liar) -> None:
    liar.lies["/state"] = unknown_role
    with pytest.raises(RejectedError):
        lying.desk("alice")
    assert not lying.place("alice").seen.exists()


def test_a_state_without_bound(lying: Scene, liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repo_server.desk.mirror.MAX_STATE_BYTES", 5_000)
    with pytest.raises(FormatError, match="more than 5000 bytes"):
        lying.desk("alice")


def test_an_older_state_than_one_already_seen(lying: Scene, liar: Liar) -> None:
    kept: list[State] = []
    liar.lies["/state"] = lambda state: kept.append(copy.deepcopy(state)) or state
    lying.desk("alice")
    old = kept[0]
    lying.world.publish_skill("notes==1.0")
    lying.desk("alice")
    seen = lying.place("alice").seen.read_bytes()
    liar.lies["/state"] = lambda _: old
    with pytest.raises(RollbackError, match="was seen here already"):
        lying.desk("alice")
    assert lying.place("alice").seen.read_bytes() == seen
    assert liar.count("POST") == 0


def test_the_old_state_is_refused_also_when_the_cache_is_gone(lying: Scene, liar: Liar) -> None:
    import shutil

    kept: list[State] = []
    liar.lies["/state"] = lambda state: kept.append(copy.deepcopy(state)) or state
    lying.desk("alice")
    lying.world.publish_skill("notes==1.0")
    lying.desk("alice")
    shutil.rmtree(lying.place("alice").folder)
    liar.lies["/state"] = lambda _: kept[0]
    with pytest.raises(RollbackError):
        lying.desk("alice")


def test_nothing_changed_is_no_answer_to_somebody_who_knows_nothing(lying: Scene, liar: Liar) -> None:
    liar.lies["/state"] = lambda _: Response(status=304)
    with pytest.raises(FormatError, match="not asked that"):
        lying.desk("alice")


def test_a_role_that_was_given_up_is_not_missed(tmp_path: Path) -> None:
    """Whether a role is delegated is said by targets, whose version is remembered too; whoever comes back goes on."""
    path, anchor = tmp_path / "seen.json", b"anchor"
    remember(path, {"root": 1, "targets": 4, "pkg-a": 9}, anchor=anchor)
    remember(path, {"root": 1, "targets": 5}, anchor=anchor)
    with pytest.raises(RollbackError):
        remember(path, {"root": 1, "targets": 4, "pkg-a": 9}, anchor=anchor)
    # Hidden for a moment, it is not forgotten: else it could be shown older the next time.
    with pytest.raises(RollbackError):
        remember(path, {"root": 1, "targets": 6, "pkg-a": 8}, anchor=anchor)
    remember(path, {"root": 1, "targets": 6, "pkg-a": 10}, anchor=anchor)
    with pytest.raises(CouldNotVerifyError):
        remember(path, {"root": 1, "targets": 6}, anchor=b"another")


def test_a_memory_that_is_damaged_stops_everything(lying: Scene) -> None:
    lying.desk("alice")
    lying.place("alice").seen.write_bytes(b"{}")
    with pytest.raises(CouldNotVerifyError, match="memory"):
        lying.desk("alice")
    assert lying.place("alice").seen.read_bytes() == b"{}"


def test_a_mixed_state(lying: Scene, liar: Liar) -> None:
    kept: list[State] = []
    liar.lies["/state"] = lambda state: kept.append(copy.deepcopy(state)) or state
    lying.desk("alice")
    lying.world.refresh()
    old = [item for item in kept[0]["metadata"] if item["role"] == "timestamp"]
    lying.world.publish_skill("notes==1.0")

    def mixed(state: State) -> State:
        others = [item for item in state["metadata"] if item["role"] != "timestamp"]
        return {**state, "metadata": [*others, *old]}

    liar.lies["/state"] = mixed
    with pytest.raises(RollbackError, match="mixed"):
        lying.desk("alice")


# ------------------------------------------------------------------------------------- proposals and files


def changed_proposal(change: Callable[[Targets], None]) -> Callable[[State], State]:
    def lie(state: State) -> State:
        for item in state["proposals"]:
            metadata = Metadata[Targets].from_bytes(base64.b64decode(item["content"]))
            change(metadata.signed)
            item["content"] = b64(metadata.to_bytes())
        return state

    return lie


def one_target_more(signed: Targets) -> None:
    path = "skills/evil/1/evil-1.tar.gz"
    signed.targets[path] = TargetFile(1, {"sha256": "0" * 64}, path)


def other_bytes(signed: Targets) -> None:
    for target in signed.targets.values():
        target.hashes["sha256"] = "0" * 64


def another_end(signed: Targets) -> None:
    signed.expires += timedelta(days=3650)


@pytest.mark.parametrize("change", [one_target_more, other_bytes, another_end], ids=lambda c: c.__name__)
def test_a_proposal_that_is_not_what_was_reviewed(
    lying: Scene, liar: Liar, change: Callable[[Targets], None]
) -> None:
    alice = lying.desk("alice")
    candidate = lying.stage(alice, "notes==1.0")
    lying.review(alice, candidate, by="alice")
    liar.lies["/state"] = changed_proposal(change)
    with pytest.raises(WrongSubjectError):
        lying.sign(alice, candidate, by="alice")
    assert liar.count("/signatures") == 0


def test_a_proposal_without_one_of_the_targets(lying: Scene, liar: Liar) -> None:
    alice = lying.desk("alice")
    candidate = lying.stage(alice, "notes==1.0")
    lying.review(alice, candidate, by="alice")

    liar.lies["/state"] = changed_proposal(lambda signed: signed.targets.clear())
    with pytest.raises(WrongSubjectError):
        lying.sign(alice, candidate, by="alice")
    assert liar.count("/signatures") == 0


def test_a_file_with_other_bytes(lying: Scene, liar: Liar) -> None:
    alice = lying.desk("alice")
    candidate = lying.stage(alice, "notes==1.0")
    bob = lying.desk("bob")
    liar.lies["/blobs/"] = lambda _: b"something else"
    liar.lies["/bundle"] = lambda _: Response(status=404)
    with snapshot(bob.repository.engine) as session, pytest.raises(SkillRepoError):
        load_tree(bob.repository, find(session, candidate))
    del liar.lies["/bundle"]
    with snapshot(bob.repository.engine) as session, pytest.raises(DigestMismatchError):
        load_tree(bob.repository, find(session, candidate))
    liar.lies.clear()
    with snapshot(bob.repository.engine) as session:  # nothing wrong was kept
        assert isinstance(load_tree(bob.repository, find(session, candidate)), SourceTree)


def test_a_damaged_cache_is_fetched_again(lying: Scene) -> None:
    alice = lying.desk("alice")
    candidate = lying.stage(alice, "notes==1.0")
    bob = lying.desk("bob")
    with snapshot(bob.repository.engine) as session:
        load_tree(bob.repository, find(session, candidate))
        for path in list(lying.place("bob").folder.glob("blobs/*/*")):
            path.chmod(0o644)
            path.write_bytes(b"damaged")
        assert load_tree(bob.repository, find(session, candidate)).skill_md == skill_md("notes")


def test_a_candidate_that_is_not_what_was_imported(lying: Scene, liar: Liar) -> None:
    alice = lying.desk("alice")
    candidate = lying.stage(alice, "notes==1.0")
    other = lying.stage(alice, "web-search==1.1", {"SKILL.md": skill_md("web-search", "Harmless.")})

    def swapped(state: State) -> State:
        row_of(state, candidate)["tree_sha256"] = row_of(state, other)["tree_sha256"]
        return state

    def row_of(state: State, wanted: str) -> dict[str, Any]:
        return next(item for item in state["candidates"] if item["id"] == wanted)

    liar.lies["/state"] = swapped
    bob = lying.desk("bob")
    with snapshot(bob.repository.engine) as session, pytest.raises(DigestMismatchError, match="not what was"):
        load_tree(bob.repository, find(session, candidate))


def test_a_list_of_files_that_is_none(lying: Scene, liar: Liar) -> None:
    from repo_server.curation.candidates import _identity

    alice = lying.desk("alice")
    candidate = lying.stage(alice, "notes==1.0")
    for content in (b"1", b'[{"path":"SKILL.md"}]', b"[1]", b'{"a":1}'):

        def lie(state: State, content: bytes = content) -> State:
            item = next(found for found in state["candidates"] if found["id"] == candidate)
            item["tree_sha256"] = sha256_of(content)
            parts = (item["name"], item["version"], item["kind"], item["tree_sha256"])
            item["id"] = _identity(*parts, item["source"], item["address"])
            return state

        liar.lies = {"/state": lie}
        bob = lying.desk("bob")
        bundle = lying.client().ask("GET", f"/candidates/{candidate}/bundle").body
        liar.lies |= {"/bundle": lambda _, b=bundle: b, "/blobs/": lambda _, c=content: c}
        with snapshot(bob.repository.engine) as session:
            found = session.scalars(select(CandidateRow).where(CandidateRow.name == "notes")).one()
            with pytest.raises(RejectedError):
                load_tree(bob.repository, found)


def test_an_upload_that_becomes_another_candidate(lying: Scene, liar: Liar) -> None:
    alice = lying.desk("alice")
    liar.lies["/desk/candidates"] = lambda said: {**said, "candidate": "0" * 32}
    with pytest.raises(FormatError, match="another candidate"):
        lying.stage(alice, "notes==1.0")


@pytest.mark.parametrize(
    "answer",
    [[], {}, {"published": "all"}, {"published": [{"kind": 1}]}],
    ids=["list", "empty", "text", "number"],
)
def test_answers_to_publishing_of_another_shape(lying: Scene, liar: Liar, answer: Any) -> None:
    alice = lying.desk("alice")
    liar.lies["/publish"] = lambda _: answer
    with pytest.raises(FormatError):
        alice.publish(now=now())


def test_a_log_without_end(lying: Scene, liar: Liar) -> None:
    alice = lying.desk("alice")
    liar.lies["/log"] = lambda said: {"records": said["records"] or kept["records"]}
    kept: dict[str, Any] = json.loads(json.dumps(first_page(lying)))
    with pytest.raises(FormatError, match="do not follow"):
        alice.fetch_log()


def first_page(scene: Scene) -> Any:
    return scene.client().ask("GET", "/log?after=0").json("log")


def test_a_changed_log_breaks_its_chain(lying: Scene, liar: Liar) -> None:
    from repo_server.db import log as records
    from signing.format.chain import BrokenChainError

    def lie(said: Any) -> Any:
        for item in said["records"][:1]:
            item["record"] = b64(base64.b64decode(item["record"]).replace(b"created", b"crested"))
        return said

    alice = lying.desk("alice")
    liar.lies["/log"] = lie
    alice.fetch_log()
    with snapshot(alice.repository.engine) as session, pytest.raises(BrokenChainError):
        records.check(session)


def test_the_state_of_a_release_is_read_from_the_signed_list(lying: Scene, liar: Liar) -> None:
    def lie(state: State) -> State:
        state["releases"][0]["state"] = "revoked"
        return state

    liar.lies["/state"] = lie
    alice = lying.desk("alice")
    from repo_server.db.models import ReleaseRow

    with snapshot(alice.repository.engine) as session:
        assert session.get_one(ReleaseRow, ("web-search", "1.0")).state == "published"


def test_a_base_that_is_gone_is_a_conflict_and_not_a_signature(lying: Scene, liar: Liar) -> None:
    """The server proposes, the curator signs, and the server has something else by then."""
    alice = lying.desk("alice")
    candidate = lying.stage(alice, "notes==1.0")
    lying.review(alice, candidate, by="alice")
    subject = lying.give(alice, candidate, by="alice")
    lying.world.review(candidate, by="bob")  # a signature more changes the review, and so the proposal
    with pytest.raises(ConflictError) as caught:
        alice.hand_in_signatures(subject, keyid=lying.world.signers["alice"].public_key.keyid)
    assert caught.value.exit_status == 4
    assert caught.value.hint


def test_an_anchor_of_another_repository(lying: Scene, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = World.build(tmp_path_factory.mktemp("other"))
    with pytest.raises(BadSignatureError):
        lying.desk("alice", anchor=other.anchor)
    other.close()


def test_the_mirror_is_empty_after_a_refusal(lying: Scene, liar: Liar) -> None:
    mirror = Mirror(lying.client(), lying.place("alice"), anchor=lying.world.anchor)
    mirror.refresh()
    liar.lies["/state"] = hide_profile
    with pytest.raises(WrongSubjectError):
        mirror.refresh()
    with transaction(mirror.repository.engine) as session:
        assert session.scalars(select(CandidateRow)).all() == []
        with pytest.raises(NotFoundError):
            plan_signature(
                session,
                find(session, "web-search"),
                load_reviewed(mirror.repository, session, find(session, "web-search"), now=now()),
                now=now(),
            )
    mirror.close()


def test_lies_in_words_are_shown_for_what_they_are(lying: Scene, liar: Liar) -> None:
    alice = lying.desk("alice")
    problem = {
        "type": "x",
        "title": "x",
        "status": 409,
        "code": "conflict",
        "detail": "x",
        "error": {
            "code": "conflict",
            "message": "a\u202eb\x1b[2K" + "c" * 5_000,
            "hint": "\x07",
            "facts": {"self": "1", "message": "2", "good": "\x1b", "x" * 50: "y"},
        },
    }
    liar.lies["/publish"] = lambda _: Response(
        canonical(problem), status=409, mimetype="application/problem+json"
    )
    with pytest.raises(ConflictError) as caught:
        alice.publish(now=now())
    assert str(caught.value).startswith("a<U+202E>b<U+001B>[2Kc")
    assert len(str(caught.value)) < 2_000
    assert caught.value.hint == "<U+0007>"
    assert caught.value.facts == {"good": "<U+001B>"}
