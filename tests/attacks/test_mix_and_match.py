"""Mix and match: parts of two honest states, combined into one that nobody ever published."""

import pytest

from signing.errors import DigestMismatchError, RejectedError, RollbackError
from tests.attacks.forge import CURATORS, Forge, at_version
from tests.attacks.scene import Scene

BUNDLE = "skills/web-search/1.0/web-search-1.0.tar.gz"


@pytest.mark.parametrize("role", ["targets", "skills", "profiles", "revocations", "bin"])
def test_a_role_of_another_state_is_refused(scene: Scene, forge: Forge, role: str) -> None:
    """Same version number, correctly signed, and not the bytes that the snapshot names."""
    role = forge.owner(BUNDLE) if role == "bin" else role
    version = forge.version(role)
    forge.change(
        role,
        lambda signed: setattr(signed, "expires", signed.expires.replace(hour=1)),
        by=["alice", "bob", "olga"],
        bump=False,
    )
    assert forge.version(role) == version
    forge.answer(scene.server)
    refusal = scene.refused(DigestMismatchError, code="digest-mismatch")
    assert refusal.requests[-1].endswith(f".{role}.json")
    assert role not in scene.remembered()
    assert not refusal.fetched("web-search")


def test_an_old_role_under_its_new_name_is_refused(scene: Scene) -> None:
    before = scene.world.metadata()
    scene.world.publish_profile("base==2", skills=["web-search==1.0"])
    names = sorted(
        (int(name.split(".")[0]), name) for name in scene.world.metadata() if name.endswith(".profiles.json")
    )
    (_, old), (_, new) = names[-2:]
    scene.server.lies[f"/metadata/{new}"] = before[old]
    refusal = scene.refused(RejectedError)
    assert isinstance(refusal.error, DigestMismatchError | RollbackError)
    assert "profiles" not in scene.remembered()


def test_a_snapshot_of_another_state_is_refused(scene: Scene, forge: Forge) -> None:
    version = forge.version("snapshot")
    forge.state(snapshot=[at_version(version), lambda signed: signed.meta.pop("revocations.json")])
    answer = forge.answers[f"/metadata/{version}.snapshot.json"]
    scene.server.lies[f"/metadata/{version}.snapshot.json"] = answer  # under the honest timestamp
    refusal = scene.refused(DigestMismatchError, code="digest-mismatch")
    assert refusal.requests[-1].endswith("snapshot.json")
    assert "snapshot" not in scene.remembered()


def test_a_version_that_the_snapshot_does_not_name_is_refused(scene: Scene, forge: Forge) -> None:
    """The bytes fit the digest, the number does not: the attacker holds the online key."""
    role = forge.owner(BUNDLE)
    number = forge.version(role) + 5
    forge.state(snapshot=[lambda signed: setattr(signed.meta[f"{role}.json"], "version", number)])
    forge.answers[f"/metadata/{number}.{role}.json"] = forge.documents[role]
    forge.answer(scene.server)
    refusal = scene.refused(RollbackError, code="rollback")
    assert role not in scene.remembered()
    assert not refusal.fetched("web-search")
    with pytest.raises(RollbackError):
        forge.verify().vouch(BUNDLE)


def test_metadata_of_one_role_is_not_that_of_another(scene: Scene, forge: Forge) -> None:
    """Two bins have the same holders: the snapshot's digest tells them apart."""
    bins = sorted(role for role in forge.documents if role.startswith("skills-"))
    mine = forge.owner(BUNDLE)
    other = next(role for role in bins if role != mine)
    scene.server.lies[f"/metadata/{forge.version(mine)}.{mine}.json"] = forge.documents[other]
    scene.refused(DigestMismatchError)
    assert mine not in scene.remembered()


def test_a_repository_of_the_same_people_is_another_repository(scene: Scene, forge: Forge) -> None:
    """All keys are right but root's: a second repository of the same curators is not this one."""
    forge.change("root", by=["alice"])
    forge.answer(scene.server)
    refusal = scene.refused(RejectedError, code="bad-signature")
    assert refusal.requests == ["/metadata/2.root.json"]
    assert scene.remembered() == {"root": 1}
    assert CURATORS == ("alice", "bob")
