"""What a holder of root knows by themselves: whoever brings the folder decides nothing about it."""

from datetime import timedelta

import pytest
from tuf.api.metadata import Root

from repo_server.publishing.known_root import check_known
from repo_server.publishing.next_root import PREVIOUS, draft_next, sign_next
from signing.errors import BadSignatureError, CouldNotVerifyError, RollbackError
from signing.keystore import SealedKeySigner
from signing.metadata import parse, render
from signing.roles import ROOT
from tests.support.world import World, now


@pytest.fixture
def holder(world: World) -> SealedKeySigner:
    return world.signers["root-1"]


def following(world: World, published: bytes, *names: str, days: int = 0) -> bytes:
    """The next root after ``published``, signed by ``names``."""
    documents = draft_next(published, now=now() + timedelta(days=days))
    for name in names or ("root-1",):
        documents = {
            **documents,
            **sign_next(documents, world.signers[name], now=now() + timedelta(days=days)),
        }
    return documents[ROOT]


def after(old: bytes) -> dict[str, bytes]:
    return draft_next(old, now=now())


def forged(world: World, *, version: int) -> bytes:
    """A root that a thief made from nothing and signed with a key of their own, naming the victim among others."""
    root = parse(world.anchor, Root, where=ROOT)
    thief = world.signers["mallory"]
    root.signed.version = version
    root.signed.add_key(thief.public_key, ROOT)
    root.signatures.clear()
    root.sign(thief)
    return render(root)


def test_what_follows_a_known_root_is_signed(world: World, holder: SealedKeySigner) -> None:
    two = following(world, world.anchor)
    three = following(world, two)
    key = holder.public_key
    check_known(after(world.anchor), key, known=[world.anchor])
    check_known(after(world.anchor), key, known=[])  # their own signature stands on it
    check_known(after(two), key, known=[world.anchor])  # one further than what they brought
    check_known(after(two), key, known=[world.anchor, two])
    check_known(after(three), key, known=[world.anchor])  # and further, by their own signature
    check_known({PREVIOUS: world.anchor, ROOT: two}, key, known=[world.anchor, two])  # the same once more


@pytest.mark.parametrize("version", [1, 2, 5])
def test_a_root_from_nothing_is_followed_by_nobodys_signature(
    world: World, holder: SealedKeySigner, version: int
) -> None:
    """It agrees with itself, and its successor changes nothing: the eyes see no change, and what they know does."""
    documents = after(forged(world, version=version))
    sign_next(documents, holder, now=now())  # by the folder alone there is nothing wrong
    with pytest.raises((BadSignatureError, CouldNotVerifyError)):
        check_known(documents, holder.public_key, known=[world.anchor])
    with pytest.raises(CouldNotVerifyError, match="nothing that root-1 knows"):
        check_known(documents, holder.public_key, known=[])


def test_who_joins_brings_the_anchor(world: World) -> None:
    joins = world.signers["mallory"].public_key
    with pytest.raises(CouldNotVerifyError, match="nothing that mallory knows"):
        check_known(after(world.anchor), joins, known=[])
    check_known(after(world.anchor), joins, known=[world.anchor])


def test_a_second_successor_of_an_old_root_is_signed_by_nobody(world: World, holder: SealedKeySigner) -> None:
    """It would be a second chain for every client that begins at the anchor."""
    two = following(world, world.anchor)
    other = draft_next(world.anchor, now=now() + timedelta(days=1))
    with pytest.raises(RollbackError, match="knows root 2"):
        check_known(other, holder.public_key, known=[world.anchor, two])
    # And what follows such a second one, which others signed, neither.
    with pytest.raises(BadSignatureError, match="is not the root 2"):
        check_known(after(following(world, world.anchor, days=1)), holder.public_key, known=[two])


def test_a_namesakes_signature_is_not_the_holders(world: World, holder: SealedKeySigner) -> None:
    root = parse(forged(world, version=4), Root, where=ROOT)
    named = root.signed.keys[world.signers["mallory"].public_key.keyid]
    named.unrecognized_fields.update(holder.public_key.unrecognized_fields)
    root.signatures.clear()
    root.sign(world.signers["mallory"])
    with pytest.raises(CouldNotVerifyError):
        check_known(after(render(root)), holder.public_key, known=[])
