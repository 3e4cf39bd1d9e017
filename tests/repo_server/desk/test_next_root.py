"""Curators elsewhere when root is followed by another one, with another online key: their work goes on."""

import pytest

from repo_server.db.session import snapshot, transaction
from repo_server.publishing.next_root import accept_next_root, draft_next, sign_next
from repo_server.publishing.projection import project
from repo_server.publishing.state import current_root
from signing.errors import KeyAccessError
from signing.format.names import HolderName
from signing.keystore import KEY_SUFFIX, load_key, new_key
from tests.repo_server.desk.scene import Scene
from tests.support.world import CHEAP, PASSPHRASE, now


def test_what_was_begun_under_the_first_root_is_published_under_the_second(scene: Scene) -> None:
    world = scene.world
    world.signers = dict(world.signers)  # the key changes for this test only
    alice = scene.desk("alice")
    candidate = scene.stage(alice, "notes==1.0")
    scene.review(alice, candidate, by="alice")
    scene.sign(alice, candidate, by="alice")
    held = new_key(world.folder / "new", HolderName("online"), passphrase=PASSPHRASE, cost=CHEAP)
    signer = load_key(world.folder / f"new/online{KEY_SUFFIX}", passphrase=lambda _: PASSPHRASE)
    documents = sign_next(
        draft_next(world.anchor, online=held, now=now()), world.signers["root-1"], now=now()
    )
    with transaction(world.repository.engine) as session:
        accept_next_root(world.repository, session, documents, signer, now=now())
    with transaction(world.repository.engine) as session:
        project(world.repository, session)
    bob = scene.desk("bob")  # a mirror that begins now
    with snapshot(bob.repository.engine) as session:
        assert current_root(session).version == 2
    scene.sign(bob, candidate, by="bob")
    # The server still has the old key: nothing is published by it, and nothing is lost.
    before = world.metadata()
    with pytest.raises(KeyAccessError, match="another online key"):
        bob.publish(now=now())
    assert (scene.state_of(candidate), world.metadata()) == ("signed", before)
    world.signers["online"] = signer
    document = scene.desk("alice").publish(now=now())  # a mirror that has seen the first root
    assert document["published"] == [{"kind": "release", "name": "notes", "version": "1.0"}]
    with (
        world.serve() as server,
        world.client(server.url, world.folder / "client").session(now()) as session,
    ):
        assert session.standing().root == 2
