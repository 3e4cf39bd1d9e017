"""Several curators at once, over real HTTP: nothing is lost, and whoever comes too late is told so."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from repo_server.curation.candidates import find
from repo_server.curation.examination import load_review
from repo_server.db import log as records
from repo_server.db.session import snapshot, transaction
from repo_server.publishing.proposals import open_proposals, proposal_standing
from signing.errors import ConflictError
from signing.format.review import Decision
from tests.repo_server.desk.scene import Scene
from tests.support.world import now


def together(*works: Callable[[], object]) -> list[object]:
    """What each returned or raised, when all begin at the same moment."""
    gate = threading.Barrier(len(works))
    done: list[object] = [None] * len(works)

    def run(index: int) -> None:
        gate.wait(10)
        try:
            done[index] = works[index]()
        except Exception as error:  # noqa: BLE001 - it is the answer
            done[index] = error

    threads = [threading.Thread(target=run, args=[index]) for index in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return done


@pytest.mark.parametrize("turn", range(3))
def test_two_signatures_at_once_are_both_kept(scene: Scene, turn: int) -> None:
    alice = scene.desk("alice")
    candidate = scene.stage(alice, f"notes==1.{turn}")
    scene.review(alice, candidate, by="alice")
    subject = scene.give(alice, candidate, by="alice")
    bob = scene.desk("bob")
    scene.give(bob, candidate, by="bob")
    keys = {name: scene.world.signers[name].public_key.keyid for name in ("alice", "bob")}
    done = together(
        lambda: alice.hand_in_signatures(subject, keyid=keys["alice"]),
        lambda: bob.hand_in_signatures(subject, keyid=keys["bob"]),
    )
    assert done == [None, None]
    with snapshot(scene.world.repository.engine) as session:
        for row in open_proposals(session, subject):
            assert proposal_standing(session, row).signed == ("alice", "bob")
        assert records.check(session).sequence > 0
    assert scene.state_of(candidate) == "signed"


def test_two_who_approve_at_once(scene: Scene) -> None:
    """Each made a review of their own: one counts, the other is told to look again and then seconds it."""
    alice, bob = scene.desk("alice"), scene.desk("bob")
    candidate = scene.stage(alice, "notes==1.0")
    bob = scene.desk("bob")
    scene.decide(alice, candidate, by="alice", reason="read it all")
    scene.decide(bob, candidate, by="bob", reason="read it twice")
    done = together(
        lambda: alice.hand_in_review(candidate, replaces=None),
        lambda: bob.hand_in_review(candidate, replaces=None),
    )
    (late,) = [item for item in done if item is not None]
    assert isinstance(late, ConflictError)
    assert (late.code, late.exit_status) == ("conflict", 4)
    assert "review it again" in late.hint
    again = "bob" if done[1] is late else "alice"
    scene.review(scene.desk(again), candidate, by=again)
    with snapshot(scene.world.repository.engine) as session:
        envelope, _ = load_review(scene.world.repository, find(session, candidate))
    assert len(envelope.signatures) == 2


def test_a_rejection_does_not_overwrite_what_nobody_showed(scene: Scene) -> None:
    alice = scene.desk("alice")
    candidate = scene.stage(alice, "notes==1.0")
    bob = scene.desk("bob")
    scene.decide(bob, candidate, by="bob", decision=Decision.REJECT)
    scene.review(alice, candidate, by="alice")
    with pytest.raises(ConflictError, match="somebody else decided"):
        bob.hand_in_review(candidate, replaces=None)
    assert scene.state_of(candidate) == "reviewed"
    scene.review(scene.desk("bob"), candidate, by="bob", decision=Decision.REJECT)
    assert scene.state_of(candidate) == "rejected"


def test_staging_the_same_at_once(scene: Scene) -> None:
    alice, bob = scene.desk("alice"), scene.desk("bob")
    done = together(lambda: scene.stage(alice, "notes==1.0"), lambda: scene.stage(bob, "notes==1.0"))
    assert done[0] == done[1]
    assert scene.state_of(str(done[0])) == "staged"


@pytest.mark.slow
def test_publishing_while_somebody_signs(scene: Scene) -> None:
    """Either the signature came before, or it is refused; the other release is published either way."""
    alice, bob = scene.desk("alice"), scene.desk("bob")
    first = scene.stage(alice, "notes==1.0")
    scene.review(alice, first, by="alice")
    scene.sign(alice, first, by="alice")
    scene.sign(scene.desk("bob"), first, by="bob")
    second = scene.stage(bob, "other==1.0")
    scene.review(bob, second, by="bob")
    subject = scene.give(bob, second, by="bob")
    keyid = scene.world.signers["bob"].public_key.keyid
    done = together(
        lambda: scene.desk("alice").publish(now=now())["published"],
        lambda: bob.hand_in_signatures(subject, keyid=keyid),
    )
    assert done[0] == [{"kind": "release", "name": "notes", "version": "1.0"}]
    assert done[1] is None or isinstance(done[1], ConflictError)
    for name in ("alice", "bob"):
        scene.sign(scene.desk(name), second, by=name)
    published = scene.desk("bob").publish(now=now())["published"]
    assert published == [{"kind": "release", "name": "other", "version": "1.0"}]


def test_many_read_while_one_uploads(scene: Scene) -> None:
    alice = scene.desk("alice")
    tokens = [scene.token(f"reader-{number}") for number in range(6)]
    noise = b"".join(bytes([i * 7 % 256, i * 31 % 251]) for i in range(200_000))
    from tests.support.world import skill_md

    done = together(
        lambda: scene.stage(alice, "notes==1.0", {"SKILL.md": skill_md("notes"), "data.bin": noise}),
        *(lambda token=token: scene.client(token=token).ask("GET", "/state").status for token in tokens),
    )
    assert done[1:] == [200] * 6
    assert scene.state_of(str(done[0])) == "staged"


def test_who_looked_and_went_away_holds_nobody_up(scene: Scene) -> None:
    """A proposal that nobody signed is given up after an hour, when somebody else wants to sign."""
    alice = scene.desk("alice")
    candidate = scene.stage(alice, "notes==1.0")
    scene.review(alice, candidate, by="alice")
    bob = scene.desk("bob")
    bob.prepare_proposals("renewal:skills")
    with pytest.raises(ConflictError, match="has not signed"):
        scene.sign(alice, candidate, by="alice")
    with transaction(scene.world.repository.engine) as session:
        for row in open_proposals(session, "renewal:skills"):
            row.created_at -= timedelta(hours=2)
    scene.world.review(candidate, by="bob")  # the proposals of the candidate are made anew
    scene.sign(scene.desk("alice"), candidate, by="alice")
    with snapshot(scene.world.repository.engine) as session:
        assert not open_proposals(session, "renewal:skills")
        for row in open_proposals(session, f"candidate:{candidate}"):
            assert proposal_standing(session, row).signed == ("alice",)
