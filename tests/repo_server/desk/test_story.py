"""The road of skills, profiles, renewals and withdrawals when repository and people are on different machines."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from repo_server.curation.candidates import find
from repo_server.db import log as records
from repo_server.db.models import CandidateRow, ReleaseRow
from repo_server.db.session import snapshot, transaction
from repo_server.publishing.profiles import draft_profile, load_profile, plan_profile, sign_profile
from repo_server.publishing.profiles import subject_of as profile_subject
from repo_server.publishing.renewals import give_renewal, plan_renewal
from repo_server.publishing.renewals import subject_of as renewal_subject
from repo_server.publishing.withdrawals import draft_withdrawal, give_list, keep_list, plan_list
from signing.errors import ConflictError, KeyAccessError, NotEntitledError, NotFoundError, ThresholdError
from signing.format.names import HolderName, Pin
from signing.format.review import Decision
from signing.format.withdrawal import Harm, Scope, Withdrawn
from tests.repo_server.desk.scene import Scene
from tests.support.world import now, skill_md


def test_two_curators_publish_from_their_own_machines(scene: Scene) -> None:
    alice = scene.desk("alice")
    candidate = scene.stage(
        alice, "notes==1.0", {"SKILL.md": skill_md("notes"), "scripts/a.sh": b"#!/bin/sh\n"}
    )
    assert scene.state_of(candidate) == "staged"
    scene.review(alice, candidate, by="alice")
    assert scene.state_of(candidate) == "reviewed"
    scene.sign(alice, candidate, by="alice")
    assert scene.state_of(candidate) == "reviewed"
    bob = scene.desk("bob")
    scene.sign(bob, candidate, by="bob")
    assert scene.state_of(candidate) == "signed"
    document = bob.publish(now=now())
    assert document["published"] == [{"kind": "release", "name": "notes", "version": "1.0"}]
    assert scene.state_of(candidate) == "published"
    after = scene.desk("alice")
    with snapshot(after.repository.engine) as session:
        names = list(session.scalars(select(ReleaseRow.name).order_by(ReleaseRow.name)))
    assert names == ["notes", "web-search"]


def test_the_second_curator_sees_the_files_and_seconds_the_review(scene: Scene) -> None:
    alice = scene.desk("alice")
    candidate = scene.stage(alice, "notes==1.0", {"SKILL.md": skill_md("notes"), "data.txt": b"x" * 1000})
    scene.review(alice, candidate, by="alice")
    bob = scene.desk("bob")
    scene.review(bob, candidate, by="bob")
    with snapshot(scene.world.repository.engine) as session:
        reviewed = [record for record in records.read(session) if record.event == "candidate.reviewed"]
    assert [record.facts["by"] for record in reviewed[-2:]] == ["alice", "bob"]
    fetched = {path.name for path in scene.place("bob").folder.glob("blobs/*/*")}
    assert len(fetched) >= 4  # the list, two files, the review; by their digests, on bob's machine


def test_a_new_version_is_compared_with_the_last_one(scene: Scene) -> None:
    from repo_server.curation.examination import examine

    alice = scene.desk("alice")
    candidate = scene.stage(alice, "web-search==1.1", {"SKILL.md": skill_md("web-search", "Do more.")})
    with snapshot(alice.repository.engine) as session:
        seen = examine(alice.repository, session, find(session, candidate))
    assert seen.previous == "1.0"
    assert "+Do more." in seen.text_diff
    assert "-Do the work." in seen.text_diff


def test_rejecting_from_elsewhere(scene: Scene) -> None:
    alice = scene.desk("alice")
    candidate = scene.stage(alice, "notes==1.0")
    scene.review(alice, candidate, by="alice", decision=Decision.REJECT)
    assert scene.state_of(candidate) == "rejected"


def test_a_profile_drafted_and_signed_from_elsewhere(scene: Scene) -> None:
    olga = scene.desk("olga")
    pin = Pin.parse("base==2")
    with transaction(olga.repository.engine) as session:
        draft_profile(
            olga.repository,
            session,
            pin,
            skills=[Pin.parse("web-search==1.0")],
            souls=[],
            capabilities=["work.general"],
            now=now(),
        )
    olga.hand_in_profile(pin)
    olga.prepare_proposals(profile_subject(pin))
    with transaction(olga.repository.engine) as session:
        plan_profile(olga.repository, session, pin, now=now())
        assert load_profile(olga.repository, session, pin).capabilities == ("work.general",)
        sign_profile(olga.repository, session, pin, scene.world.signers["olga"], now=now())
    olga.hand_in_signatures(profile_subject(pin), keyid=scene.world.signers["olga"].public_key.keyid)
    assert {"kind": "profile", "name": "base", "version": "2"} in olga.publish(now=now())["published"]


def test_a_drafted_profile_is_given_up_from_elsewhere(scene: Scene) -> None:
    olga, pin = scene.desk("olga"), Pin.parse("base==2")
    with transaction(olga.repository.engine) as session:
        draft_profile(
            olga.repository,
            session,
            pin,
            skills=[Pin.parse("web-search==1.0")],
            souls=[],
            capabilities=[],
            now=now(),
        )
    olga.hand_in_profile(pin)
    olga.drop_profile(pin, now=now())
    with pytest.raises(NotFoundError):
        olga.drop_profile(pin, now=now())
    with pytest.raises(ConflictError, match="published"):
        olga.drop_profile(Pin.parse("base==1"), now=now())


@pytest.mark.parametrize(("role", "by"), [("targets", ("alice", "bob")), ("revocations", ("bob",))])
def test_renewing_from_elsewhere(scene: Scene, role: str, by: tuple[str, ...]) -> None:
    for name in by:
        desk = scene.desk(name)
        desk.prepare_proposals(renewal_subject(role))
        with transaction(desk.repository.engine) as session:
            plan_renewal(desk.repository, session, role, now=now())
            give_renewal(desk.repository, session, role, scene.world.signers[name], now=now())
        keyid = scene.world.signers[name].public_key.keyid
        desk.hand_in_signatures(renewal_subject(role), keyid=keyid)
    assert desk.publish(now=now())["renewed"] == [role]


def test_revoking_from_elsewhere(scene: Scene) -> None:
    bob, signer = scene.desk("bob"), scene.world.signers["bob"]
    with transaction(bob.repository.engine) as session:
        scope = Scope(name=Pin.parse("web-search==1.0").name)
        draft = draft_withdrawal(
            bob.repository,
            session,
            scope,
            state=Withdrawn.REVOKED,
            severity=Harm.CRITICAL,
            reason="steals tokens",
            by=HolderName("bob"),
            now=now(),
        )
        subject = keep_list(bob.repository, session, draft.revocations.render(), now=now())
    bob.prepare_proposals(subject)
    name = subject.partition(":")[2]
    with transaction(bob.repository.engine) as session:
        plan_list(bob.repository, session, name, now=now())
        give_list(bob.repository, session, name, signer, entry=draft.entry, now=now())
    bob.hand_in_signatures(subject, keyid=signer.public_key.keyid)
    document = bob.publish(now=now())
    assert [item["state"] for item in document["withdrawals"]] == ["revoked"]
    after = scene.desk("alice")
    with snapshot(after.repository.engine) as session:
        assert session.get_one(ReleaseRow, ("web-search", "1.0")).state == "revoked"


def test_the_log_from_elsewhere_is_the_servers(scene: Scene) -> None:
    alice = scene.desk("alice")
    scene.stage(alice, "notes==1.0")
    alice.fetch_log()
    with snapshot(alice.repository.engine) as session:
        mine, head = records.read(session), records.check(session)
    with snapshot(scene.world.repository.engine) as session:
        theirs = records.check(session)
    assert head == theirs
    assert mine[-1].event == "desk.candidate"
    assert mine[-1].facts["name"] == "alice"


def test_nothing_to_publish_and_not_enough_signatures(scene: Scene) -> None:
    alice = scene.desk("alice")
    assert alice.publish(now=now())["published"] == []
    candidate = scene.stage(alice, "notes==1.0")
    scene.review(alice, candidate, by="alice")
    scene.sign(alice, candidate, by="alice")
    with pytest.raises(ThresholdError, match="1 of 2") as caught:
        alice.publish(now=now())
    assert caught.value.exit_status == 11
    assert "bob" in caught.value.hint
    assert scene.state_of(candidate) == "reviewed"


def test_a_server_without_the_online_key_says_so(scene: Scene) -> None:
    scene.online = False
    alice = scene.desk("alice")
    with pytest.raises(KeyAccessError, match="online key"):
        alice.publish(now=now())


def test_who_is_no_curator_approves_nothing(scene: Scene) -> None:
    mallory = scene.desk("mallory")
    candidate = scene.stage(mallory, "notes==1.0")
    with pytest.raises(NotEntitledError):
        scene.decide(mallory, candidate, by="mallory")
    assert scene.state_of(candidate) == "staged"


def test_an_upload_tells_how_far_it_is(scene: Scene) -> None:
    alice = scene.desk("alice")
    noise = b"".join(bytes([i * 7 % 256, i * 31 % 251]) for i in range(300_000))
    scene.stage(alice, "notes==1.0", {"SKILL.md": skill_md("notes"), "data.bin": noise})
    sent = [item for item, _ in scene.tell]
    totals = {total for _, total in scene.tell}
    assert sent == sorted(sent)
    assert len(sent) > 1 or sent[-1] < 65536
    assert totals == {sent[-1]}


def test_staging_the_same_twice_is_one_candidate(scene: Scene) -> None:
    alice, bob = scene.desk("alice"), scene.desk("bob")
    first = scene.stage(alice, "notes==1.0")
    assert scene.stage(bob, "notes==1.0") == first
    with snapshot(scene.world.repository.engine) as session:
        assert len([row for row in session.scalars(select(CandidateRow)) if row.name == "notes"]) == 1


def test_a_published_version_with_other_files_is_refused_before_anything_is_sent(scene: Scene) -> None:
    alice = scene.desk("alice")
    with pytest.raises(ConflictError, match="published with other files"):
        scene.stage(alice, "web-search==1.0", {"SKILL.md": skill_md("web-search", "Other.")})
    assert scene.tell == []


def test_the_state_is_sent_once(scene: Scene) -> None:
    seen: list[int] = []
    assert scene.app is not None
    scene.app.after_request(lambda response: (seen.append(response.status_code), response)[1])
    scene.desk("alice")
    first = len(seen)
    scene.desk("alice")
    assert seen[first] == 304


def test_time_passes_on_the_server(scene: Scene) -> None:
    """A waiver or a renewal is judged by the server's clock, whatever the curator's says."""
    alice = scene.desk("alice")
    candidate = scene.stage(alice, "notes==1.0")
    scene.decide(alice, candidate, by="alice")
    scene.clock = lambda: now() - timedelta(hours=2)
    from signing.errors import FormatError

    with pytest.raises(FormatError, match="to come"):
        alice.hand_in_review(candidate, replaces=None)
    assert scene.state_of(candidate) == "staged"
