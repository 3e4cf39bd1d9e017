"""Key compromise: what one stolen key is worth. One curator, the online key, an operator: never a new skill."""

from dataclasses import replace
from datetime import timedelta

import pytest
from securesystemslib.signer import Signature, SSlibKey
from tuf.api.metadata import SuccinctRoles

from signing.errors import BlockedError, NotFoundError, RejectedError, ThresholdError
from signing.format.digest import sha256_of
from signing.format.names import Pin
from signing.format.profile import PinnedBundle
from signing.format.review import Decision, Finding, Severity, Waiver
from signing.metadata import SERIALIZER
from tests.attacks.forge import CURATORS, Forge, at_version
from tests.attacks.scene import Scene
from tests.support.world import now

PIN = "calendar==1.0"
PATH = Pin.parse(PIN).bundle_path


def offer(scene: Scene, forge: Forge, *items: PinnedBundle, by: tuple[str, ...] = ("online",)) -> None:
    if items:
        forge.profile("base==2", *items)
    forge.state(by=by)
    forge.answer(scene.server)
    scene.register("other", profile="base==2" if items else "base==1")


@pytest.mark.parametrize(
    "thieves",
    [
        ["alice"],
        ["bob"],
        ["online"],
        ["olga"],
        ["root-1"],
        ["mallory"],
        ["alice", "online", "olga", "mallory"],
        [],
    ],
    ids="+".join,
)
def test_fewer_than_two_curators_publish_no_skill(scene: Scene, forge: Forge, thieves: list[str]) -> None:
    bundle, archive = forge.archive(PIN)
    item = forge.release(PIN, archive, bundle.manifest.tree_digest, by=thieves)
    offer(scene, forge, item)
    refusal = scene.refused(RejectedError, code="bad-signature", name="other")
    assert not refusal.fetched("calendar")
    assert forge.owner(PATH) not in scene.remembered()
    with pytest.raises(ThresholdError) as caught:  # and our own check says so without python-tuf
        forge.verify().vouch(PATH)
    assert caught.value.facts["signed"] == len({"alice", "bob"} & set(thieves)) < 2


@pytest.mark.parametrize("role", ["targets", "skills"])
@pytest.mark.parametrize("thieves", [["alice"], ["alice", "online"]], ids="+".join)
def test_one_curator_delegates_nothing(scene: Scene, forge: Forge, role: str, thieves: list[str]) -> None:
    """The bins handed to mallory alone, by one curator."""

    def give_away(signed) -> None:
        key = forge.signer("mallory").public_key
        delegations = signed.delegations
        delegations.keys[key.keyid] = key
        if delegations.succinct_roles is not None:
            old = delegations.succinct_roles
            delegations.succinct_roles = SuccinctRoles([key.keyid], 1, old.bit_length, old.name_prefix)
        else:
            delegations.roles["skills"].keyids, delegations.roles["skills"].threshold = [key.keyid], 1

    forge.change(role, give_away, by=thieves)
    offer(scene, forge)
    refusal = scene.refused(RejectedError, code="bad-signature", name="other")
    assert not refusal.fetched("web-search")
    assert role not in scene.remembered()


def test_one_curator_signing_twice_is_one(scene: Scene, forge: Forge) -> None:
    """The same signature under two key ids, and under one id twice: still one person."""
    bundle, archive = forge.archive(PIN)
    item = forge.release(PIN, archive, bundle.manifest.tree_digest, by=["alice"])
    role = forge.owner(PATH)
    metadata = forge.read(role)
    alice, bob = (forge.signer(name).public_key.keyid for name in CURATORS)
    metadata.signatures[bob] = Signature(bob, metadata.signatures[alice].signature)
    forge.put_bytes(role, metadata.signed.version, metadata.to_bytes(SERIALIZER))
    offer(scene, forge, item)
    refusal = scene.refused(RejectedError, code="bad-signature", name="other")
    assert not refusal.fetched("calendar")


def test_the_same_key_id_twice_in_the_signatures(scene: Scene, forge: Forge) -> None:
    bundle, archive = forge.archive(PIN)
    item = forge.release(PIN, archive, bundle.manifest.tree_digest, by=["alice"])
    role = forge.owner(PATH)
    data = forge.documents[role]
    start = data.index(b'"signatures":[') + len(b'"signatures":[')
    twice = data[:start] + data[start : data.index(b"]", start)] + b"," + data[start:]
    forge.profile("base==2", item)
    forge.state_naming(role, twice)
    forge.answer(scene.server)
    scene.register("other", profile="base==2")
    refusal = scene.refused(RejectedError, name="other")
    assert not refusal.fetched("calendar")


@pytest.mark.parametrize("level", ["targets", "skills"])
def test_one_key_under_two_ids_does_not_meet_a_threshold_of_two(
    scene: Scene, forge: Forge, level: str
) -> None:
    """Both curators were talked into delegating to alice twice; python-tuf would count her twice."""
    alice = forge.signer("alice").public_key
    twin = SSlibKey("f" * 64, alice.keytype, alice.scheme, dict(alice.keyval))

    def double(signed) -> None:
        delegations = signed.delegations
        delegations.keys = {alice.keyid: alice, twin.keyid: twin}
        if delegations.succinct_roles is not None:
            delegations.succinct_roles.keyids = [alice.keyid, twin.keyid]
        else:
            for role in delegations.roles.values():
                role.keyids, role.threshold = [alice.keyid, twin.keyid], min(role.threshold, 2)

    forge.change(level, double, by=CURATORS)
    below = (
        [role for role in forge.documents if role.startswith("skills-")] if level == "skills" else ["skills"]
    )
    for role in below:
        forge.change(role, by=["alice"])
        metadata = forge.read(role)
        metadata.signatures[twin.keyid] = Signature(twin.keyid, metadata.signatures[alice.keyid].signature)
        forge.put_bytes(role, metadata.signed.version, metadata.to_bytes(SERIALIZER))
    offer(scene, forge)
    refusal = scene.refused(RejectedError, code="malformed", name="other")
    assert "is not the hash of its key" in str(refusal.error)
    assert not refusal.fetched("web-search")


def test_a_key_id_twice_in_a_role_is_not_metadata(scene: Scene, forge: Forge) -> None:
    alice = forge.signer("alice").public_key.keyid
    bob = forge.signer("bob").public_key.keyid
    forge.state_naming(
        "skills", forge.documents["skills"].replace(f'"{bob}"'.encode(), f'"{alice}"'.encode())
    )
    forge.answer(scene.server)
    refusal = scene.refused(RejectedError)
    assert not refusal.fetched("web-search")
    assert "skills" not in scene.remembered()


# --- reviews ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("reviewers", [["mallory"], ["olga"], ["online"], []], ids="+".join)
def test_a_review_that_no_curator_signed(scene: Scene, forge: Forge, reviewers: list[str]) -> None:
    """Two stolen curator keys would be needed to publish; a careless pair signs what nobody reviewed."""
    bundle, archive = forge.archive(PIN)
    item = forge.release(PIN, archive, bundle.manifest.tree_digest, reviewed_by=reviewers)
    offer(scene, forge, item)
    refusal = scene.refused(ThresholdError, code="threshold-not-met", name="other")
    assert refusal.error.facts["role"] == "review"


def test_a_review_that_rejects(scene: Scene, forge: Forge) -> None:
    bundle, archive = forge.archive(PIN)
    review = forge.review(
        PIN, sha256_of(archive), bundle.manifest.tree_digest, by=["alice"], decision=Decision.REJECT
    )
    item = forge.release(PIN, archive, bundle.manifest.tree_digest, review=review)
    offer(scene, forge, item)
    scene.refused(BlockedError, code="blocked-by-findings", name="other")


def test_a_review_with_a_blocking_finding_that_nobody_answers_for(scene: Scene, forge: Forge) -> None:
    finding = Finding(
        check="remote.pipe", severity=Severity.BLOCK, path="SKILL.md", line=5, message="curl | sh"
    )
    engine = replace(forge.published_review().engines[0], findings=(finding,))
    bundle, archive = forge.archive(PIN)
    review = forge.review(
        PIN, sha256_of(archive), bundle.manifest.tree_digest, by=CURATORS, engines=(engine,), waivers=()
    )
    item = forge.release(PIN, archive, bundle.manifest.tree_digest, review=review)
    offer(scene, forge, item)
    refusal = scene.refused(BlockedError, name="other")
    assert refusal.error.facts["findings"] == [finding.id]


# --- the online key --------------------------------------------------------------------------------


def test_the_online_key_cannot_add_a_skill_by_the_snapshot(scene: Scene, forge: Forge) -> None:
    """It may name any digest for a bin; the bin still needs both curators."""
    bundle, archive = forge.archive(PIN)
    item = forge.release(PIN, archive, bundle.manifest.tree_digest, by=["online"])
    offer(scene, forge, item)
    scene.refused(RejectedError, code="bad-signature", name="other")


def test_the_online_key_can_at_most_freeze_and_fast_forward(scene: Scene, forge: Forge) -> None:
    """It signs what was published before: content stays what curators signed."""
    forge.state(snapshot=[at_version(999)], timestamp=[at_version(999)])
    forge.answer(scene.server)
    assert scene.born()["skills"] == ["web-search==1.0"]
    assert scene.remembered()["timestamp"] == 999


# --- operators -------------------------------------------------------------------------------------


def test_an_operator_cannot_introduce_an_unreviewed_skill(scene: Scene, forge: Forge) -> None:
    """A profile pins what it likes; what it pins must still be published, by curators."""
    bundle, archive = forge.archive(PIN)
    item = PinnedBundle(
        pin=Pin.parse(PIN),
        bundle_sha256=sha256_of(archive),
        tree_sha256=bundle.manifest.tree_digest,
        review_sha256="0" * 64,
    )
    offer(scene, forge, item)
    scene.server.lies[f"/targets/skills/calendar/1.0/{sha256_of(archive)}.calendar-1.0.tar.gz"] = archive
    refusal = scene.refused(NotFoundError, code="not-found", name="other")
    assert not refusal.fetched("calendar")


def test_an_operator_cannot_revoke_the_revocations(scene: Scene, forge: Forge) -> None:
    forge.change("revocations", by=["olga"])
    offer(scene, forge)
    refusal = scene.refused(RejectedError, code="bad-signature", name="other")
    assert not refusal.targets


def test_a_profile_needs_an_operator(scene: Scene, forge: Forge) -> None:
    forge.change("profiles", by=["alice", "bob", "online"])
    offer(scene, forge)
    refusal = scene.refused(RejectedError, code="bad-signature", name="other")
    assert not refusal.fetched("web-search")


def test_a_review_expires_with_its_waiver(scene: Scene, forge: Forge) -> None:
    """What somebody answered for until yesterday is answered for by nobody today."""
    finding = Finding(
        check="remote.pipe", severity=Severity.BLOCK, path="SKILL.md", line=5, message="curl | sh"
    )
    waiver = Waiver(
        finding=finding.id, reason="ours", by="alice", until=now().replace(microsecond=0) - timedelta(hours=1)
    )
    engine = replace(forge.published_review().engines[0], findings=(finding,))
    bundle, archive = forge.archive(PIN)
    review = forge.review(
        PIN,
        sha256_of(archive),
        bundle.manifest.tree_digest,
        by=CURATORS,
        engines=(engine,),
        waivers=(waiver,),
    )
    item = forge.release(PIN, archive, bundle.manifest.tree_digest, review=review)
    offer(scene, forge, item)
    scene.refused(BlockedError, name="other")
