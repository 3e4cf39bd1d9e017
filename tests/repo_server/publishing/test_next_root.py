"""The next root: signed by the old holders and the new ones, by nobody else, and followed by every client."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Root

from repo_client.client import RepoClient
from repo_server.db import log
from repo_server.db.session import snapshot, transaction
from repo_server.publishing.ceremony import Documents
from repo_server.publishing.next_root import (
    PREVIOUS,
    Succession,
    accept_next_root,
    check_next_root,
    describe_next,
    draft_next,
    merge_next,
    sign_next,
)
from repo_server.publishing.online import OnlineState
from repo_server.publishing.projection import project
from repo_server.publishing.state import current
from signing.errors import (
    BadSignatureError,
    ConflictError,
    ExpiredError,
    FormatError,
    KeyAccessError,
    NotEntitledError,
    SkillRepoError,
    ThresholdError,
)
from signing.format.names import HolderName
from signing.keys import HeldKey
from signing.keystore import KEY_SUFFIX, SealedKeySigner, load_key, new_key
from signing.metadata import Signatories, parse, render
from signing.roles import ROOT, SNAPSHOT, TIMESTAMP
from tests.attacks.forge import Forge
from tests.support.world import CHEAP, PASSPHRASE, World, now


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World.build(tmp_path / "world", bins=2)
    world.publish_skill("web-search==1.0")
    return world


@pytest.fixture
def stranger(tmp_path: Path) -> Callable[[str], tuple[HeldKey, SealedKeySigner]]:
    def make(name: str) -> tuple[HeldKey, SealedKeySigner]:
        held = new_key(tmp_path / "others", HolderName(name), passphrase=PASSPHRASE, cost=CHEAP)
        path = tmp_path / "others" / f"{name}{KEY_SUFFIX}"
        return held, load_key(path, passphrase=lambda _: PASSPHRASE)

    return make


def published(world: World) -> bytes:
    with snapshot(world.repository.engine) as session:
        return current(session, ROOT).content


def drafted(world: World, **changes: Any) -> dict[str, bytes]:
    return draft_next(published(world), now=now(), **changes)


def signed(world: World, documents: Documents, *signers: SealedKeySigner) -> Documents:
    for signer in signers or (world.signers["root-1"],):
        documents = sign_next(documents, signer, now=now())
    return documents


def accept(world: World, documents: Documents, online: SealedKeySigner | None = None) -> OnlineState | None:
    with transaction(world.repository.engine) as session:
        state = accept_next_root(
            world.repository, session, documents, online or world.signers["online"], now=now()
        )
    with transaction(world.repository.engine) as session:
        project(world.repository, session)
    return state


def root_seen(client: RepoClient, at: datetime | None = None) -> int:
    with client.session(at or now()) as session:
        return session.standing().root


def state(world: World) -> Mapping[str, bytes]:
    return world.metadata()


def altered(documents: Documents, change: Callable[[Root], None]) -> dict[str, bytes]:
    metadata = parse(documents[ROOT], Root, where=ROOT)
    change(metadata.signed)
    return {**documents, ROOT: render(metadata)}


def test_another_year(world: World, tmp_path: Path) -> None:
    """Nobody changes; clients that have seen the first root follow, and clients that begin now too."""
    with world.serve() as server:
        seen = world.client(server.url, tmp_path / "seen")
        assert root_seen(seen) == 1
        result = accept(world, signed(world, drafted(world)))
        assert result is not None
        assert (result.snapshot, result.timestamp) == (3, 3)
        for client in (seen, world.client(server.url, tmp_path / "fresh")):
            assert root_seen(client) == 2
    with snapshot(world.repository.engine) as session:
        record = log.read(session)[-1]
    assert record.event == "root.published"
    assert record.facts["signed_by"] == ["root-1"]
    assert record.facts["online_changed"] is False


def test_the_first_root_ends_and_clients_with_a_next_one_live_on(world: World, tmp_path: Path) -> None:
    late = now() + timedelta(days=364)
    with transaction(world.repository.engine) as session:
        documents = draft_next(current(session, ROOT).content, now=late)
    documents = sign_next(documents, world.signers["root-1"], now=late)
    with transaction(world.repository.engine) as session:
        accept_next_root(world.repository, session, documents, world.signers["online"], now=late)
    root = parse(published(world), Root, where=ROOT).signed
    assert root.expires > now() + timedelta(days=700)
    assert parse(documents[PREVIOUS], Root, where=ROOT).signed.expires < now() + timedelta(days=366)


def test_an_online_key_that_was_stolen_signs_nothing_more(
    world: World, tmp_path: Path, stranger: Callable[[str], tuple[HeldKey, SealedKeySigner]]
) -> None:
    held, signer = stranger("online")
    with world.serve() as server:
        client = world.client(server.url, tmp_path / "client")
        root_seen(client)
        documents = signed(world, drafted(world, online=held))
        assert any("online LEAVES" in line for line in describe_next(documents))
        before = state(world)
        with pytest.raises(KeyAccessError):
            accept(world, documents)  # by the old key
        assert state(world) == before
        accept(world, documents, signer)
        assert root_seen(client) == 2
        # A host of ours that still has the old key signs nothing by it: the tree stays one that clients follow.
        before = state(world)
        with pytest.raises(KeyAccessError, match="another online key"):
            world.refresh()
        assert state(world) == before
        assert root_seen(client) == 2
        # The thief signs one more timestamp of what is published: nobody follows.
        forge = Forge(world)
        forge.state(by=["online"])
        forge.answer(server)
        with pytest.raises(BadSignatureError):
            root_seen(client)


def test_other_holders_of_root(
    world: World, tmp_path: Path, stranger: Callable[[str], tuple[HeldKey, SealedKeySigner]]
) -> None:
    (rita, rita_signs), (ruth, ruth_signs) = stranger("rita"), stranger("ruth")
    documents = drafted(world, root=Signatories(keys=(rita, ruth), threshold=2))
    old_only = signed(world, documents)
    for incomplete, missing in (
        (old_only, ("rita", "ruth")),
        (signed(world, old_only, rita_signs), ("ruth",)),
        (signed(world, documents, rita_signs, ruth_signs), ("root-1",)),
    ):
        before = state(world)
        with pytest.raises(ThresholdError) as refused:
            accept(world, incomplete)
        assert f"(missing: {', '.join(missing)})" in (refused.value.hint or "")
        assert state(world) == before
    apart = merge_next(old_only, signed(world, documents, rita_signs))
    whole = merge_next(apart, signed(world, documents, ruth_signs))
    with world.serve() as server:
        client = world.client(server.url, tmp_path / "client")
        root_seen(client)
        accept(world, whole)
        assert root_seen(client) == 2
    # Who left signs no root any more.
    following = draft_next(published(world), now=now())
    with pytest.raises(NotEntitledError):
        sign_next(following, world.signers["root-1"], now=now())


def test_published_twice_is_once(world: World) -> None:
    documents = signed(world, drafted(world))
    assert accept(world, documents) is not None
    before = state(world)
    assert accept(world, documents) is None
    assert state(world) == before


def test_a_signature_that_came_late_makes_no_other_root(
    world: World, stranger: Callable[[str], tuple[HeldKey, SealedKeySigner]]
) -> None:
    """Killed after the database, and meanwhile one more holder signed the folder: what is published is published."""
    (rita, rita_signs), (ruth, ruth_signs) = stranger("rita"), stranger("ruth")
    documents = drafted(world, root=Signatories(keys=(rita, ruth), threshold=1))
    enough = signed(world, documents, world.signers["root-1"], rita_signs)
    assert accept(world, enough) is not None
    before = state(world)
    assert accept(world, signed(world, enough, ruth_signs)) is None
    assert state(world) == before


def test_under_a_root_that_has_ended_nothing_is_signed(world: World) -> None:
    """Or the clock is ahead: what it signed would be good for as long, in the hands of whoever freezes clients."""
    before = state(world)
    with pytest.raises(ExpiredError, match="root ended"):
        world.refresh(at=now() + timedelta(days=366))
    assert state(world) == before


def test_a_root_of_yesterday_is_not_published_over_a_newer_one(world: World) -> None:
    first, second = signed(world, drafted(world)), signed(world, drafted(world))
    accept(world, first)
    before = state(world)
    stale = {
        **second,
        ROOT: altered(second, lambda root: setattr(root, "expires", root.expires - timedelta(1)))[ROOT],
    }
    stale = signed(world, {**stale, ROOT: _unsigned(stale[ROOT])})
    with pytest.raises(ConflictError, match="another root was published"):
        accept(world, stale)
    assert state(world) == before


def _unsigned(data: bytes) -> bytes:
    metadata = parse(data, Root, where=ROOT)
    metadata.signatures.clear()
    return render(metadata)


def no_curators(root: Root) -> None:
    root.roles["targets"].threshold = 1


def own_curator(root: Root) -> None:
    root.roles["targets"].keyids = list(root.roles["root"].keyids)
    root.roles["targets"].threshold = 1


def two_online(root: Root) -> None:
    root.roles[TIMESTAMP].keyids = [*root.roles[TIMESTAMP].keyids, root.roles[ROOT].keyids[0]]


def apart(root: Root) -> None:
    root.roles[SNAPSHOT].keyids = list(root.roles[ROOT].keyids)


def online_is_root(root: Root) -> None:
    for role in (SNAPSHOT, TIMESTAMP):
        root.roles[role].keyids = list(root.roles[ROOT].keyids)


def spare_key(root: Root) -> None:
    root.roles[ROOT].keyids = root.roles[ROOT].keyids[:1]
    root.unrecognized_fields["more"] = "said"


def the_first_again(root: Root) -> None:
    """Another one with its number; the very same bytes would be what is published already."""
    root.version, root.expires = 1, root.expires - timedelta(minutes=5)


@pytest.mark.parametrize(
    "change",
    [
        no_curators,
        own_curator,
        two_online,
        apart,
        online_is_root,
        spare_key,
        lambda root: setattr(root, "version", 3),
        the_first_again,
        lambda root: setattr(root, "expires", root.expires + timedelta(days=30)),
        lambda root: setattr(root, "expires", root.expires - timedelta(days=400)),
        lambda root: setattr(root, "consistent_snapshot", False),
    ],
    ids=[
        "fewer-curators",
        "other-curators",
        "two-online-keys",
        "snapshot-by-another",
        "online-is-root",
        "more-is-said",
        "skips-one",
        "same-again",
        "too-long",
        "ended",
        "no-consistent-snapshots",
    ],
)
def test_a_draft_that_does_more_is_signed_by_nobody(world: World, change: Callable[[Root], None]) -> None:
    documents = altered(drafted(world), change)
    with pytest.raises(FormatError):
        sign_next(documents, world.signers["root-1"], now=now())
    before = state(world)
    with pytest.raises((FormatError, ConflictError)):
        accept(world, documents)
    assert state(world) == before


def test_a_forged_old_root_does_not_make_a_forgery_look_small(
    world: World, stranger: Callable[[str], tuple[HeldKey, SealedKeySigner]]
) -> None:
    """The old root names a thief already, so the new one seems to change nothing."""
    held, thief = stranger("thief")
    forged = parse(published(world), Root, where=ROOT)
    forged.signed.add_key(held.to_tuf(), ROOT)
    forged.signed.roles[ROOT].threshold = 2
    forged.sign(thief, append=True)
    with pytest.raises(BadSignatureError):
        draft_next(render(forged), now=now())
    following = parse(drafted(world)[ROOT], Root, where=ROOT)
    following.signed.add_key(held.to_tuf(), ROOT)
    with pytest.raises(BadSignatureError):
        sign_next({PREVIOUS: render(forged), ROOT: render(following)}, world.signers["root-1"], now=now())


@pytest.mark.parametrize("name", ["alice", "olga", "online", "builder"])
def test_nobody_else_signs_it(world: World, name: str) -> None:
    with pytest.raises(NotEntitledError):
        sign_next(drafted(world), world.signers[name], now=now())


def test_copies_of_two_drafts_are_not_merged(world: World) -> None:
    one = signed(world, drafted(world))
    other = draft_next(published(world), now=now() + timedelta(hours=1))
    with pytest.raises(FormatError, match="not copies"):
        merge_next(one, other)


def test_a_damaged_copy_takes_no_good_signature_away(world: World) -> None:
    good = signed(world, drafted(world))
    metadata = parse(good[ROOT], Root, where=ROOT)
    for signature in metadata.signatures.values():
        signature.signature = "00" * 64
    damaged = {**good, ROOT: render(metadata)}
    assert Succession.of(merge_next(good, damaged)).standings()[0].complete
    assert Succession.of(merge_next(damaged, good)).standings()[0].complete
    with pytest.raises(ThresholdError):
        check_next_root(damaged, now=now())


@pytest.mark.parametrize("extra", [{}, {"root": b"{}"}, {"previous-root": b"{}", "root": b"[]"}, {"x": b""}])
def test_what_is_no_next_root(extra: dict[str, bytes]) -> None:
    with pytest.raises(FormatError):
        Succession.of(extra)


def test_a_client_that_is_shown_a_root_by_the_new_holders_only_stays(
    world: World, tmp_path: Path, stranger: Callable[[str], tuple[HeldKey, SealedKeySigner]]
) -> None:
    """Who has the server, and keys of their own: served, and followed by nobody."""
    held, thief = stranger("thief")
    following = parse(drafted(world)[ROOT], Root, where=ROOT)
    following.signed.roles[ROOT].keyids = []
    following.signed.add_key(held.to_tuf(), ROOT)
    following.sign(thief)
    with world.serve() as server:
        client = world.client(server.url, tmp_path / "client")
        root_seen(client)
        server.lies["/metadata/2.root.json"] = render(following)
        with pytest.raises(BadSignatureError):
            root_seen(client)
        del server.lies["/metadata/2.root.json"]
        assert root_seen(client) == 1


def test_an_ended_root_is_refused_by_clients(world: World, tmp_path: Path) -> None:
    with world.serve() as server, pytest.raises(SkillRepoError) as refused:
        root_seen(world.client(server.url, tmp_path / "client"), now() + timedelta(days=366))
    assert isinstance(refused.value, ExpiredError)
