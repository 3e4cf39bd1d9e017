"""Curators and operators come and leave: what they signed stays good, what they sign from then on is nothing."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, Root, Targets

from repo_client.client import RepoClient
from repo_server.db import log
from repo_server.db.models import CandidateRow, CandidateState
from repo_server.db.session import snapshot, transaction
from repo_server.publishing.builders import give_builder
from repo_server.publishing.ceremony import Documents
from repo_server.publishing.handing_over import draft_handover
from repo_server.publishing.next_people import BEFORE, WITHDRAWALS
from repo_server.publishing.next_root import (
    PREVIOUS,
    Succession,
    describe_next,
    merge_next,
    sign_next,
)
from repo_server.publishing.projection import project
from repo_server.publishing.proposals import open_proposals
from repo_server.publishing.renewals import give_renewal
from repo_server.publishing.state import current_root
from repo_server.publishing.withdrawals import keep_list, plan_list
from signing.errors import (
    BadSignatureError,
    ConflictError,
    FormatError,
    HostError,
    NotEntitledError,
    NotFoundError,
    SkillRepoError,
    ThresholdError,
)
from signing.format.digest import sha256_of
from signing.format.names import HolderName, Pin
from signing.format.withdrawal import Withdrawn
from signing.former import FIELD
from signing.keys import HeldKey
from signing.keystore import KEY_SUFFIX, SealedKeySigner, load_key, new_key
from signing.metadata import Signatories, build_target, parse, render
from signing.roles import PROFILES, REVOCATIONS, ROOT, SKILLS, TARGETS
from tests.repo_server.desk.scene import Scene
from tests.support.next_people import accept, drafted, hand_over, signed
from tests.support.publishing import keys_of, later, make_build, publish, remote_desk
from tests.support.withdrawing import draft as draft_withdrawal
from tests.support.withdrawing import reinstate, withdraw
from tests.support.withdrawing import sign as sign_withdrawal
from tests.support.world import CHEAP, PACKAGES, PASSPHRASE, World, now

PIN = Pin.parse("web-search==1.0")
Person = tuple[HeldKey, SealedKeySigner]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Reviewed by bob alone, who is going to leave."""
    world = World.build(tmp_path / "world", bins=2)
    candidate = world.import_skill(str(PIN))
    world.review(candidate, by="bob")
    for name in ("alice", "bob"):
        world.sign(candidate, by=name)
    world.publish()
    world.publish_profile("base==1", skills=[str(PIN)])
    return world


@pytest.fixture
def carol(stranger: Callable[[str], Person]) -> Person:
    return stranger("carol")


@pytest.fixture
def stranger(tmp_path: Path) -> Callable[[str], Person]:
    def make(name: str) -> Person:
        folder = tmp_path / "others" / name
        held = new_key(folder, HolderName(name), passphrase=PASSPHRASE, cost=CHEAP)
        return held, load_key(folder / f"{name}{KEY_SUFFIX}", passphrase=lambda _: PASSPHRASE)

    return make


def held(world: World, name: str) -> HeldKey:
    return world.signers[name].held


def look(client: RepoClient) -> tuple[str, ...]:
    """Fetch all that is published, and return who reviewed the skill."""
    with client.session(now()) as session:
        session.revocations()
        session.profile(Pin.parse("base==1"))
        return session.release(PIN).review.reviewers


def untouched(
    world: World, act: Callable[[], object], error: type[SkillRepoError], match: str | None = None
) -> None:
    before = world.metadata()
    with pytest.raises(error, match=match):
        act()
    assert world.metadata() == before


# --- the ordinary ways ------------------------------------------------------------------------------


def test_a_curator_leaves_and_another_comes(world: World, tmp_path: Path, carol: Person) -> None:
    """Who knew the repository follows, who is new begins; the review by bob counts, a new signature of his does not."""
    with world.serve() as server:
        seen = world.client(server.url, tmp_path / "seen")
        assert look(seen) == ("bob",)
        hand_over(world, world.signers["alice"], carol[1], curators=[held(world, "alice"), carol[0]])
        for client in (seen, world.client(server.url, tmp_path / "fresh")):
            assert look(client) == ("bob",)
        candidate = world.import_skill("second==1.0")
        untouched(world, lambda: world.review(candidate, by="bob"), NotEntitledError)
        world.signers["carol"] = carol[1]
        world.review(candidate, by="carol")
        world.sign(candidate, by="alice")
        untouched(world, lambda: world.sign(candidate, by="bob"), NotEntitledError)
        untouched(world, world.publish, ThresholdError)
        world.sign(candidate, by="carol")
        world.publish()
        with seen.session(now()) as session:
            assert session.release(Pin.parse("second==1.0")).review.reviewers == ("carol",)
    with snapshot(world.repository.engine) as session:
        record = next(item for item in log.read(session) if item.event == "root.published")
    assert record.facts["curators"] == sorted([held(world, "alice").keyid, carol[0].keyid])
    assert record.facts["former_curators"] == [held(world, "bob").keyid]
    assert record.facts["distrusted"] == []


def test_a_lost_key_is_replaced_by_the_same_person_s_new_one(
    world: World, tmp_path: Path, stranger: Callable[[str], Person]
) -> None:
    """Two of two curators, and one key in the river: without root's holders nothing could be published any more."""
    new_bob, signs = stranger("bob")
    hand_over(world, world.signers["alice"], signs, curators=[held(world, "alice"), new_bob])
    world.signers["bob"] = signs
    world.publish_skill("second==1.0")
    with world.serve() as server:
        assert look(world.client(server.url, tmp_path / "client")) == ("bob",)


def test_a_stolen_key_vouches_for_nothing_that_it_alone_reviewed(
    world: World, tmp_path: Path, stranger: Callable[[str], Person]
) -> None:
    new_bob, signs = stranger("bob")
    changes: dict[str, Any] = {"curators": [held(world, "alice"), new_bob], "distrust": ["bob"]}
    with snapshot(world.repository.engine) as session:
        handover = draft_handover(
            world.repository,
            session,
            curators=Signatories(keys=(held(world, "alice"), new_bob), threshold=2),
            operators=None,
            distrusted=["bob"],
            now=now(),
        )
    assert handover.unreviewed == (str(PIN),)
    documents = drafted(world, **changes)
    assert any("bob LEAVES AND IS NOT TRUSTED" in line for line in describe_next(documents))
    accept(world, signed(world, documents, world.signers["alice"], signs))
    with world.serve() as server:
        client = world.client(server.url, tmp_path / "client")
        with client.session(now()) as session, pytest.raises(ThresholdError):
            session.release(PIN)


def test_operators_change(world: World, tmp_path: Path, stranger: Callable[[str], Person]) -> None:
    omar, signs = stranger("omar")
    documents = drafted(world, operators=[omar])
    assert set(documents) == {ROOT, PREVIOUS, TARGETS, PROFILES, f"{BEFORE}{TARGETS}", f"{BEFORE}{PROFILES}"}
    accept(world, signed(world, documents, world.signers["alice"], world.signers["bob"], signs))
    with world.serve() as server:
        assert look(world.client(server.url, tmp_path / "client")) == ("bob",)
    untouched(world, lambda: world.publish_profile("base==2", skills=[str(PIN)]), NotEntitledError)
    world.signers["olga"] = signs
    world.publish_profile("base==3", skills=[str(PIN)])


def test_a_key_turns_out_to_be_stolen_later(world: World, tmp_path: Path, carol: Person) -> None:
    hand_over(world, world.signers["alice"], carol[1], curators=[held(world, "alice"), carol[0]])
    documents = drafted(world, distrust=["bob"])
    roles = {TARGETS, REVOCATIONS}
    assert set(documents) == {ROOT, PREVIOUS, WITHDRAWALS, *roles, *(f"{BEFORE}{role}" for role in roles)}
    assert any("bob IS NOT TRUSTED ANY MORE" in line for line in describe_next(documents))
    accept(world, signed(world, documents, world.signers["alice"], carol[1]))
    with world.serve() as server:
        client = world.client(server.url, tmp_path / "client")
        with client.session(now()) as session, pytest.raises(ThresholdError):
            session.release(PIN)


def test_who_comes_back_is_a_curator_and_no_former_one(world: World, carol: Person) -> None:
    hand_over(world, world.signers["alice"], carol[1], curators=[held(world, "alice"), carol[0]])
    documents = hand_over(
        world,
        world.signers["alice"],
        world.signers["bob"],
        curators=[held(world, "alice"), held(world, "bob")],
    )
    said = parse(documents[TARGETS], Targets, where=TARGETS).signed.unrecognized_fields[FIELD]
    assert list(said["curators"]) == [carol[0].keyid]


def test_what_bob_had_lifted_stays_lifted(world: World, tmp_path: Path, carol: Person) -> None:
    withdraw(world, str(PIN))
    reinstate(world, str(PIN), by="alice", reason="a false alarm")
    entry = reinstate(world, str(PIN), by="bob")
    documents = hand_over(world, world.signers["alice"], carol[1], curators=[held(world, "alice"), carol[0]])
    said = parse(documents[TARGETS], Targets, where=TARGETS).signed.unrecognized_fields[FIELD]
    assert said["lifted"] == [entry.id]
    with world.serve() as server, world.client(server.url, tmp_path / "client").session(now()) as session:
        found = session.revocations()
        bundle = session.bundle(PIN)
        digests = {"bundle_sha256": bundle.target.sha256, "tree_sha256": bundle.tree_sha256}
        assert found.covering(PIN, **digests) == ()
    # The same withdrawal once more is another entry: nothing that was confirmed lifts it.
    world.signers["bob"] = carol[1]
    withdraw(world, str(PIN), by="alice")
    with world.serve() as server, world.client(server.url, tmp_path / "later").session(now()) as session:
        assert session.revocations().covering(PIN, **digests)


def test_what_a_thief_had_lifted_is_in_force_again(
    world: World, tmp_path: Path, stranger: Callable[[str], Person]
) -> None:
    withdraw(world, str(PIN))
    reinstate(world, str(PIN), by="alice", reason="a false alarm")
    reinstate(world, str(PIN), by="bob")
    new_bob, signs = stranger("bob")
    changes: dict[str, Any] = {"curators": [held(world, "alice"), new_bob], "distrust": ["bob"]}
    documents = drafted(world, **changes)
    assert any("IN FORCE AGAIN" in line for line in describe_next(documents))
    accept(world, signed(world, documents, world.signers["alice"], signs))
    with world.serve() as server, world.client(server.url, tmp_path / "client").session(now()) as session:
        bundle = session.bundle(PIN)
        assert session.revocations().covering(
            PIN, bundle_sha256=bundle.target.sha256, tree_sha256=bundle.tree_sha256
        )


def test_what_a_thief_had_lifted_is_offered_to_nobody_any_more(
    world: World, stranger: Callable[[str], Person]
) -> None:
    """Neither by the indexes for ordinary agents, who verify nothing."""
    withdraw(world, str(PIN))
    reinstate(world, str(PIN), by="alice", reason="a false alarm")
    reinstate(world, str(PIN), by="bob")
    index = world.public / ".well-known/agent-skills/index.json"
    assert b"web-search" in index.read_bytes()
    new_bob, signs = stranger("bob")
    hand_over(
        world, world.signers["alice"], signs, curators=[held(world, "alice"), new_bob], distrust=["bob"]
    )
    assert b"web-search" not in index.read_bytes()
    assert not (world.public / ".well-known/skills/web-search").exists()


def test_what_was_confirmed_is_in_force_again_when_the_key_turns_out_to_be_stolen(
    world: World, tmp_path: Path, carol: Person
) -> None:
    withdraw(world, str(PIN))
    reinstate(world, str(PIN), by="alice", reason="a false alarm")
    entry = reinstate(world, str(PIN), by="bob")
    people = [held(world, "alice"), carol[0]]
    documents = drafted(world, curators=people)
    assert any(f"{entry.id[:12]} stays lifted" in line for line in describe_next(documents))
    accept(world, signed(world, documents, world.signers["alice"], carol[1]))
    documents = drafted(world, distrust=["bob"])
    assert {REVOCATIONS, WITHDRAWALS} <= set(documents)
    assert any(f"{entry.id[:12]} IS IN FORCE AGAIN" in line for line in describe_next(documents))
    accept(world, signed(world, documents, world.signers["alice"], carol[1]))
    with world.serve() as server, world.client(server.url, tmp_path / "client").session(now()) as session:
        bundle = session.bundle(PIN)
        assert session.revocations().covering(
            PIN, bundle_sha256=bundle.target.sha256, tree_sha256=bundle.tree_sha256
        )


def test_a_lower_threshold_lifts_nothing(world: World) -> None:
    """One of two has signed a reinstatement, and the other declined: nobody lifts it by changing the number."""
    withdraw(world, str(PIN))
    reinstate(world, str(PIN), by="alice", reason="a false alarm")
    people = [held(world, "alice"), held(world, "bob")]
    untouched(
        world, lambda: drafted(world, curators=people, threshold=1), FormatError, "would lift withdrawal"
    )


# --- signatures --------------------------------------------------------------------------------------


def test_nobody_is_missing(world: World, carol: Person) -> None:
    documents = drafted(world, curators=[held(world, "alice"), carol[0]])
    for signers, role in (
        ([carol[1]], "old root"),
        ([world.signers["root-1"], carol[1]], SKILLS),
        ([world.signers["root-1"], world.signers["alice"]], SKILLS),
    ):
        part: Documents = documents
        for signer in signers:
            part = sign_next(part, signer, now=now())
        lacking = {item.role for item in Succession.of(part).standings() if not item.complete}
        assert role in lacking
        untouched(world, lambda part=part: accept(world, part), ThresholdError)
    apart = merge_next(
        sign_next(documents, world.signers["alice"], now=now()),
        signed(world, documents, carol[1]),
    )
    assert all(item.complete for item in Succession.of(apart).standings())
    accept(world, apart)


@pytest.mark.parametrize("name", ["bob", "olga", "online", "builder", "mallory"])
def test_nobody_else_signs_it(world: World, carol: Person, name: str) -> None:
    documents = drafted(world, curators=[held(world, "alice"), carol[0]])
    with pytest.raises(NotEntitledError):
        sign_next(documents, world.signers[name], now=now())


def test_only_who_leaves_is_distrusted(world: World) -> None:
    with pytest.raises(NotFoundError, match="nobody who leaves"):
        drafted(world, distrust=["alice"])


def test_nothing_changes_for_nobody(world: World) -> None:
    documents = drafted(world, curators=[held(world, "bob"), held(world, "alice")])
    assert set(documents) == {ROOT, PREVIOUS}


def test_the_online_key_is_no_curator_s(world: World) -> None:
    with pytest.raises(FormatError, match="online key"):
        drafted(world, curators=[held(world, "alice"), held(world, "online")])


def test_what_a_replaced_builder_left_is_told_from_forgeries_when_its_curators_left_too(
    world: World, tmp_path: Path, carol: Person
) -> None:
    """Who appointed the old builder is in an older root: its successor goes on, here and over HTTP."""
    build = make_build(tmp_path / "one", {"demo": "1.0"})
    with Scene(world, tmp_path / "desk").serving() as scene:
        desk = remote_desk(scene, tmp_path / "host")
        assert publish(world, build, desk=desk).index.serial == 1
        for curator in ("alice", "bob"):
            with transaction(world.repository.engine) as session:
                key = held(world, "mallory")
                give_builder(world.repository, session, PACKAGES, key, world.signers[curator], now=now())
        world.publish()
        hand_over(world, world.signers["alice"], carol[1], curators=[held(world, "alice"), carol[0]])
        with snapshot(scene.desk("alice").repository.engine) as session:  # a mirror that begins now
            assert current_root(session).version == 2
        keys = keys_of(world, builder="mallory")
        again = publish(world, build, desk=desk, keys=keys, at=later(minutes=1))
    assert (again.state, again.index.serial, again.index.kept) == ("published", 2, ())


# --- meanwhile ---------------------------------------------------------------------------------------


def test_what_was_published_meanwhile_is_not_lost(world: World, carol: Person) -> None:
    documents = signed(
        world, drafted(world, curators=[held(world, "alice"), carol[0]]), world.signers["alice"], carol[1]
    )
    world.publish_skill("second==1.0")
    untouched(world, lambda: accept(world, documents), ConflictError, "published under")


def test_what_is_proposed_is_signed_anew_by_those_who_are_there_then(world: World, carol: Person) -> None:
    candidate = world.import_skill("second==1.0")
    world.review(candidate)
    for name in ("alice", "bob"):
        world.sign(candidate, by=name)
    with transaction(world.repository.engine) as session:
        give_renewal(world.repository, session, SKILLS, world.signers["alice"], now=now())
    hand_over(world, world.signers["alice"], carol[1], curators=[held(world, "alice"), carol[0]])
    with snapshot(world.repository.engine) as session:
        assert open_proposals(session) == []
        row = session.get(CandidateRow, candidate)
        assert row is not None
        assert row.state == CandidateState.REVIEWED
    world.sign(candidate, by="alice")
    world.signers["carol"] = carol[1]
    world.sign(candidate, by="carol")
    assert [str(item) for item in world.publish().releases] == ["second==1.0"]


def test_a_withdrawal_that_nobody_signed_holds_nothing_up(world: World, carol: Person) -> None:
    """It takes a token to leave it there, and no key."""
    unsigned = draft_withdrawal(world, str(PIN))
    with transaction(world.repository.engine) as session:
        subject = keep_list(world.repository, session, unsigned.revocations.render(), now=now())
        plan_list(world.repository, session, subject.partition(":")[2], now=now())
        assert open_proposals(session)
    hand_over(world, world.signers["alice"], carol[1], curators=[held(world, "alice"), carol[0]])
    with snapshot(world.repository.engine) as session:
        assert open_proposals(session) == []


def test_a_root_is_not_there_before_what_fits_it(
    world: World, tmp_path: Path, carol: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients look for the next root by its name, whatever the timestamp says."""
    documents = signed(
        world, drafted(world, curators=[held(world, "alice"), carol[0]]), world.signers["alice"], carol[1]
    )

    def full(*_: object, **__: object) -> int:
        raise HostError("the disk is full")

    with world.serve() as server:
        client = world.client(server.url, tmp_path / "client")
        assert look(client) == ("bob",)
        with monkeypatch.context() as patch:
            patch.setattr("repo_server.publishing.projection.project_packages", full)
            with pytest.raises(HostError):
                accept(world, documents)
        assert look(client) == ("bob",)
        with transaction(world.repository.engine) as session:
            project(world.repository, session)
        assert look(client) == ("bob",)
        with client.session(now()) as session:
            assert session.standing().root == 2


def test_a_withdrawal_that_waits_is_not_lost(world: World, carol: Person) -> None:
    people = [held(world, "alice"), carol[0]]
    documents = signed(world, drafted(world, curators=people), world.signers["alice"], carol[1])
    sign_withdrawal(world, draft_withdrawal(world, str(PIN)), by="bob")
    untouched(world, lambda: accept(world, documents), ConflictError, "a withdrawal is signed")
    untouched(world, lambda: drafted(world, curators=people), ConflictError, "a withdrawal is signed")
    world.publish()
    hand_over(world, world.signers["alice"], carol[1], curators=people)


# --- forged drafts -----------------------------------------------------------------------------------


def change(documents: Documents, role: str, edit: Callable[[Targets], object]) -> dict[str, bytes]:
    metadata = parse(documents[role], Targets, where=role)
    edit(metadata.signed)
    metadata.signatures.clear()
    return {**documents, role: render(metadata)}


def bin_of(documents: Mapping[str, bytes]) -> str:
    """A bin that names something."""
    return next(
        role
        for role in documents
        if role.startswith("skills-") and parse(documents[role], Targets, where=role).signed.targets
    )


def drop_a_release(documents: Documents) -> dict[str, bytes]:
    return change(documents, bin_of(documents), lambda targets: targets.targets.popitem())


def smuggle_a_release(documents: Documents) -> dict[str, bytes]:
    path = "skills/evil/1.0/evil-1.0.tar.gz"
    return change(
        documents, bin_of(documents), lambda t: t.targets.update({path: build_target(path, b"evil", {})})
    )


def clear_the_withdrawals(documents: Documents) -> dict[str, bytes]:
    empty = b'{"entries":[],"schema":"https://skills.clawdie.si/schema/revocations/v1"}'
    later = change(
        documents,
        REVOCATIONS,
        lambda t: t.targets.update({"revocations.json": build_target("revocations.json", empty)}),
    )
    return {**later, WITHDRAWALS: empty}


def another_list(documents: Documents) -> dict[str, bytes]:
    return {**documents, WITHDRAWALS: documents[WITHDRAWALS].replace(b"v1", b"v2")}


def no_list(documents: Documents) -> dict[str, bytes]:
    return {role: data for role, data in documents.items() if role != WITHDRAWALS}


def skip_a_version(documents: Documents) -> dict[str, bytes]:
    return change(documents, SKILLS, lambda targets: setattr(targets, "version", targets.version + 1))


def fewer_bins(documents: Documents) -> dict[str, bytes]:
    def edit(targets: Targets) -> None:
        assert targets.delegations is not None
        assert targets.delegations.succinct_roles is not None
        targets.delegations.succinct_roles.threshold = 1

    return change(documents, SKILLS, edit)


def lower_threshold(documents: Documents) -> dict[str, bytes]:
    def edit(targets: Targets) -> None:
        assert targets.delegations is not None
        assert targets.delegations.roles is not None
        targets.delegations.roles[SKILLS].threshold = 1

    return change(documents, TARGETS, edit)


def another_builder(documents: Documents) -> dict[str, bytes]:
    def edit(targets: Targets) -> None:
        assert targets.delegations is not None
        assert targets.delegations.roles is not None
        role = next(name for name in targets.delegations.roles if name.startswith("pkg-"))
        targets.delegations.roles[role].keyids = list(targets.delegations.roles[SKILLS].keyids[:1])

    return change(documents, TARGETS, edit)


def stranger_as_former(documents: Documents) -> dict[str, bytes]:
    key = HeldKey(holder=HolderName("thief"), public="ab" * 32).to_tuf()

    def edit(targets: Targets) -> None:
        targets.unrecognized_fields[FIELD]["curators"][key.keyid] = key.to_dict()

    return change(documents, TARGETS, edit)


def lift_something(documents: Documents) -> dict[str, bytes]:
    return change(
        documents,
        TARGETS,
        lambda targets: targets.unrecognized_fields[FIELD].update(lifted=[sha256_of(b"entry")]),
    )


def say_more(documents: Documents) -> dict[str, bytes]:
    return change(documents, TARGETS, lambda targets: targets.unrecognized_fields.update(more="said"))


def without_a_bin(documents: Documents) -> dict[str, bytes]:
    role = bin_of(documents)
    return {name: data for name, data in documents.items() if name not in {role, f"{BEFORE}{role}"}}


def once_only(documents: Documents) -> dict[str, bytes]:
    return {name: data for name, data in documents.items() if name != f"{BEFORE}{SKILLS}"}


def profiles_too(documents: Documents) -> dict[str, bytes]:
    return {**documents, PROFILES: documents[SKILLS], f"{BEFORE}{PROFILES}": documents[f"{BEFORE}{SKILLS}"]}


def too_long(documents: Documents) -> dict[str, bytes]:
    return change(
        documents, SKILLS, lambda targets: setattr(targets, "expires", targets.expires.replace(year=2090))
    )


def before_is_unsigned(documents: Documents) -> dict[str, bytes]:
    return change(documents, f"{BEFORE}{SKILLS}", lambda _: None)


def before_is_forged(documents: Documents) -> dict[str, bytes]:
    """Both as it was and as it follows, so that nothing seems to change."""
    role = bin_of(documents)
    path = "skills/evil/1.0/evil-1.0.tar.gz"
    for name in (role, f"{BEFORE}{role}"):
        documents = change(
            documents, name, lambda t: t.targets.update({path: build_target(path, b"evil", {})})
        )
    return dict(documents)


def swapped_names(documents: Documents) -> dict[str, bytes]:
    """Every key id is as it was, and alice's key is bob's by name."""
    metadata = parse(documents[ROOT], Root, where=ROOT)
    keys = [
        key
        for key in metadata.signed.keys.values()
        if key.unrecognized_fields["x-skillrepo-holder"] == "alice"
    ]
    keys[0].unrecognized_fields["x-skillrepo-holder"] = "bob"
    return {**documents, ROOT: render(Metadata(metadata.signed))}


def other_curators_in_root(documents: Documents) -> dict[str, bytes]:
    metadata = parse(documents[ROOT], Root, where=ROOT)
    metadata.signed.roles[TARGETS].threshold = 1
    return {**documents, ROOT: render(Metadata(metadata.signed))}


FORGED = (
    drop_a_release,
    smuggle_a_release,
    clear_the_withdrawals,
    another_list,
    no_list,
    skip_a_version,
    fewer_bins,
    lower_threshold,
    another_builder,
    stranger_as_former,
    lift_something,
    say_more,
    without_a_bin,
    once_only,
    profiles_too,
    too_long,
    before_is_unsigned,
    before_is_forged,
    other_curators_in_root,
    swapped_names,
)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Person, dict[str, bytes]]:
    """A repository with a withdrawal, and the draft by which carol takes bob's place; nobody publishes it."""
    folder = tmp_path_factory.mktemp("honest")
    world = World.build(folder / "world", bins=2)
    world.publish_skill(str(PIN))
    withdraw(world, str(PIN))
    held_by_carol = new_key(folder, HolderName("carol"), passphrase=PASSPHRASE, cost=CHEAP)
    signs = load_key(folder / f"carol{KEY_SUFFIX}", passphrase=lambda _: PASSPHRASE)
    documents = drafted(world, curators=[held(world, "alice"), held_by_carol])
    return world, (held_by_carol, signs), documents


@pytest.mark.parametrize("forge", FORGED, ids=[item.__name__ for item in FORGED])
def test_a_forged_draft_is_signed_by_nobody(
    honest: tuple[World, Person, dict[str, bytes]], forge: Callable[[Documents], dict[str, bytes]]
) -> None:
    world, carol, documents = honest
    forged = forge(documents)
    assert forged != documents
    for signer in (world.signers["root-1"], world.signers["alice"], carol[1]):
        with pytest.raises((FormatError, BadSignatureError)):
            sign_next(forged, signer, now=now())
    # Even if all had signed it blindly: it is not published.
    blindly = dict(forged)
    for role, data in forged.items():
        if role == WITHDRAWALS or role.startswith(BEFORE):
            continue
        metadata = Metadata[Any].from_bytes(data)
        for signer in (world.signers["root-1"], world.signers["alice"], carol[1]):
            metadata.sign(signer, append=True)
        blindly[role] = render(metadata)
    untouched(world, lambda: accept(world, blindly), SkillRepoError)


def test_a_revoked_release_stays_revoked(world: World, tmp_path: Path, carol: Person) -> None:
    withdraw(world, str(PIN))
    hand_over(world, world.signers["alice"], carol[1], curators=[held(world, "alice"), carol[0]])
    with world.serve() as server, world.client(server.url, tmp_path / "client").session(now()) as session:
        bundle = session.bundle(PIN)
        found = session.revocations().covering(
            PIN, bundle_sha256=bundle.target.sha256, tree_sha256=bundle.tree_sha256
        )
    assert [entry.state for entry in found] == [Withdrawn.REVOKED]
