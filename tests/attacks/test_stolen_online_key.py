"""The online key is stolen, its thief signs version 2^31, and `root next` ends the story on every client and host.

The roots are those of `repo_server.publishing.next_root`, as holders make them; nothing of it is forged.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from hive import trust
from hive.db.session import snapshot
from repo_server.db.session import transaction
from repo_server.publishing.next_root import accept_next_root, draft_next, sign_next
from repo_server.publishing.projection import project
from signing.errors import BadSignatureError, RollbackError
from signing.format.names import HolderName
from signing.keystore import KEY_SUFFIX, SealedKeySigner, load_key, new_key
from tests.attacks.forge import Forge, at_version
from tests.attacks.scene import Scene
from tests.support.world import CHEAP, PASSPHRASE, World, now

FAR = (1 << 31) - 1


@pytest.fixture
def appoint(world: World, tmp_path: Path) -> Callable[[], SealedKeySigner]:
    """Another online key, appointed by a root that root-1 signs."""

    def appoint() -> SealedKeySigner:
        held = new_key(tmp_path / "new", HolderName("online"), passphrase=PASSPHRASE, cost=CHEAP)
        signer = load_key(tmp_path / f"new/online{KEY_SUFFIX}", passphrase=lambda _: PASSPHRASE)
        documents = draft_next(world.anchor, online=held, now=now())
        signed = sign_next(documents, world.signers["root-1"], now=now())
        with transaction(world.repository.engine) as session:
            accept_next_root(world.repository, session, signed, signer, now=now())
        with transaction(world.repository.engine) as session:
            project(world.repository, session)
        world.signers |= {"thief": world.signers["online"], "online": signer}
        return signer

    return appoint


@pytest.fixture
def world(world: World) -> World:
    world.signers = dict(world.signers)  # the key changes for this test only
    return world


def fast_forward(scene: Scene, forge: Forge, *, by: str = "online") -> None:
    forge.state(by=[by], snapshot=[at_version(FAR)], timestamp=[at_version(FAR)])
    forge.answer(scene.server)


def test_a_host_that_saw_the_thiefs_versions_gives_birth_again(
    scene: Scene, forge: Forge, appoint: Callable[[], SealedKeySigner]
) -> None:
    fast_forward(scene, forge)
    scene.born()
    assert scene.remembered()["timestamp"] == FAR
    scene.server.lies.clear()
    scene.register("stuck")
    scene.refused(RollbackError, name="stuck")
    appoint()
    scene.register("other")
    assert scene.born("other")["skills"] == ["web-search==1.0"]
    assert scene.remembered()["root"] == 2
    assert scene.remembered()["timestamp"] < FAR
    with snapshot(scene.mother.engine) as session:
        row = trust.load(session)
        assert row is not None
        assert (row.root_version, row.timestamp_version) == (2, scene.remembered()["timestamp"])
    # Everything goes on with the new key, and an older state of it is a rollback again.
    before = (scene.world.public / "metadata/timestamp.json").read_bytes()
    scene.world.refresh()
    scene.register("third")
    scene.born("third")
    scene.server.lies["/metadata/timestamp.json"] = before
    scene.register("fourth")
    scene.refused(RollbackError, name="fourth")


def test_the_old_key_signs_nothing_for_hosts_that_know_the_new_root(
    scene: Scene, forge: Forge, appoint: Callable[[], SealedKeySigner]
) -> None:
    scene.born()
    appoint()
    scene.register("other")
    scene.born("other")
    seen = scene.remembered()
    fast_forward(scene, forge, by="thief")
    scene.register("third")
    refusal = scene.refused(BadSignatureError, name="third")
    assert not refusal.targets
    assert scene.remembered() == seen


def test_a_client_that_lost_all_but_its_own_memory_follows_too(
    scene: Scene, forge: Forge, appoint: Callable[[], SealedKeySigner], tmp_path: Path
) -> None:
    """python-tuf's files gone, ours there: the versions of the stolen key bind nobody any more."""
    client = scene.world.client(scene.server.url, tmp_path / "client")
    fast_forward(scene, forge)
    with client.session(now()) as session:
        assert session.standing().timestamp == FAR
    scene.server.lies.clear()
    for role in ("timestamp", "snapshot"):
        (client.metadata_dir / f"{role}.json").unlink()
    with pytest.raises(RollbackError), client.session(now()):
        pass
    appoint()
    with client.session(now()) as session:
        standing = session.standing()
    assert (standing.root, standing.timestamp < FAR) == (2, True)
