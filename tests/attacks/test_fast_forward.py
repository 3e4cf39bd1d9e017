"""Fast-forward: whoever holds the online key for an hour signs version 1,000,000,000.

Honest versions are then "older" for every client that saw it. The harm is a standstill, never content; the way
out is a new root that names another online key: versions signed by the old one are forgotten.
"""

import pytest

from signing.errors import RejectedError, RollbackError, ThresholdError
from signing.keys import HOLDER_FIELD
from tests.attacks.forge import Forge, at_version
from tests.attacks.scene import Scene

FAR = 1_000_000_000


def far_away(scene: Scene, forge: Forge) -> None:
    forge.state(snapshot=[at_version(FAR)], timestamp=[at_version(FAR)])
    forge.answer(scene.server)
    scene.born()
    assert scene.remembered()["timestamp"] == scene.remembered()["snapshot"] == FAR
    scene.server.lies.clear()
    scene.register("other")


def rotate_online(forge: Forge, to: str) -> None:
    key = forge.signer(to).public_key

    def rotate(root) -> None:
        for role in ("timestamp", "snapshot"):
            for keyid in list(root.roles[role].keyids):
                root.revoke_key(keyid, role)
            root.add_key(key, role)

    assert key.unrecognized_fields[HOLDER_FIELD] == to
    forge.change("root", rotate, by=["root-1"])


def test_after_a_fast_forward_honest_states_are_refused(scene: Scene, forge: Forge) -> None:
    far_away(scene, forge)
    scene.world.refresh()
    refusal = scene.refused(RollbackError, code="rollback", name="other")
    assert not refusal.targets
    assert scene.remembered()["timestamp"] == FAR


def test_a_new_root_with_another_online_key_recovers(scene: Scene, forge: Forge) -> None:
    honest = scene.forge()
    far_away(scene, forge)
    rotate_online(honest, to="mallory")  # in this story mallory is the new operator of the service
    honest.state(by=["mallory"])
    honest.answer(scene.server)
    assert scene.born("other")["skills"] == ["web-search==1.0"]
    assert scene.remembered()["timestamp"] == honest.version("timestamp") < FAR
    assert scene.remembered()["root"] == 2


def test_the_stolen_key_is_worth_nothing_after_the_rotation(scene: Scene, forge: Forge) -> None:
    honest = scene.forge()
    rotate_online(honest, to="mallory")
    honest.state(by=["mallory"])
    honest.answer(scene.server)
    scene.born()
    scene.register("other")
    seen = scene.remembered()
    honest.state(by=["online"])
    honest.answer(scene.server)
    refusal = scene.refused(RejectedError, code="bad-signature", name="other")
    assert refusal.requests[-1] == "/metadata/timestamp.json"
    assert scene.remembered() == seen


def test_the_stolen_online_key_cannot_rotate_itself(scene: Scene, forge: Forge) -> None:
    rotate_online(forge, to="mallory")
    forge.change("root", by=["online"], bump=False)
    forge.state(by=["mallory"])
    forge.answer(scene.server)
    refusal = scene.refused(RejectedError, code="bad-signature")
    assert refusal.requests == ["/metadata/2.root.json"]
    assert scene.remembered() == {"root": 1}
    forge.roots = forge.roots[-1:]
    with pytest.raises(ThresholdError):  # and our own check says so without python-tuf
        forge.verify()


def test_a_fast_forwarded_bin_needs_both_curators(scene: Scene, forge: Forge) -> None:
    role = forge.owner("skills/web-search/1.0/web-search-1.0.tar.gz")
    forge.change(role, at_version(FAR), by=["alice"])
    forge.state()
    forge.answer(scene.server)
    refusal = scene.refused(RejectedError, code="bad-signature")
    assert not refusal.fetched("web-search")
    assert role not in scene.remembered()
