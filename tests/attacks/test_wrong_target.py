"""Wrong target: correctly signed bytes, offered as something else than what they are.

TUF maps a path to a digest. That the bytes behind it *are* this release, profile or list is ours to compare: the
path, the signed ``custom`` and the manifest inside must say the same.
"""

import pytest

from signing.errors import CouldNotVerifyError, NotFoundError, RejectedError, RollbackError, WrongSubjectError
from signing.format.manifest import Kind
from signing.format.names import REVOCATIONS_PATH, Pin
from signing.format.profile import Profile
from signing.format.revocations import Revocations
from tests.attacks.forge import CURATORS, Forge
from tests.attacks.scene import Scene

PIN = "calendar==1.0"
PATH = Pin.parse(PIN).bundle_path


def birth_of_forged(scene: Scene, forge: Forge, *items) -> None:
    """Pin the forged releases in base==2, publish all of it, and let ``other`` ask for it."""
    forge.profile("base==2", *items)
    forge.state()
    forge.answer(scene.server)
    scene.register("other", profile="base==2")


@pytest.mark.parametrize("inside", ["web-search==1.0", "calendar==0.9", "calendar==2.0"])
def test_bytes_of_another_release_under_this_path(scene: Scene, forge: Forge, inside: str) -> None:
    bundle, archive = forge.archive(inside)
    item = forge.release(PIN, archive, bundle.manifest.tree_digest)
    birth_of_forged(scene, forge, item)
    refusal = scene.refused(WrongSubjectError, code="wrong-subject", name="other")
    assert refusal.fetched("calendar-1.0.tar.gz")
    assert not refusal.fetched("review.dsse.json")
    assert not list((scene.mother.state / "store").rglob("SKILL.md"))


@pytest.mark.parametrize(
    "custom",
    [
        {"name": "web-search"},
        {"version": "1.1"},
        {"kind": "soul"},
        {"tree_sha256": "0" * 64},
        {"name": None},
        {"kind": ["skill"]},
    ],
)
def test_signed_metadata_that_says_another_name(scene: Scene, forge: Forge, custom: dict) -> None:
    bundle, archive = forge.archive(PIN)
    item = forge.release(PIN, archive, bundle.manifest.tree_digest, custom=custom)
    birth_of_forged(scene, forge, item)
    scene.refused(WrongSubjectError, name="other")
    assert not list((scene.mother.state / "store").rglob("SKILL.md"))


def test_a_bundle_of_kind_soul_pinned_as_a_skill(scene: Scene, forge: Forge) -> None:
    bundle, archive = forge.archive(PIN, kind=Kind.SOUL)
    item = forge.release(PIN, archive, bundle.manifest.tree_digest, custom={"kind": "soul"})
    birth_of_forged(scene, forge, item)
    refusal = scene.refused(WrongSubjectError, name="other")
    assert "is a soul" in str(refusal.error)


def test_a_profile_of_another_name_or_version(scene: Scene, forge: Forge) -> None:
    """Operators signed it, for somebody with fewer skills; under base/2.json it is not base==2."""
    data = next((scene.world.public / "targets/profiles/base").glob("*.1.json")).read_bytes()
    honest = Profile.parse(data)
    forge.profile("other-name==2", *honest.skills, at="base==2")
    forge.profile("base==1", *honest.skills, at="base==3")
    forge.state()
    forge.answer(scene.server)
    for name, profile in (("one", "base==2"), ("two", "base==3")):
        scene.register(name, profile=profile)
        refusal = scene.refused(WrongSubjectError, code="wrong-subject", name=name)
        assert not refusal.fetched("web-search")


def test_a_profile_is_no_list_of_revocations(scene: Scene, forge: Forge) -> None:
    data = next((scene.world.public / "targets/profiles/base").glob("*.1.json")).read_bytes()
    forge.add(REVOCATIONS_PATH, data, by=["bob"])
    forge.state()
    forge.answer(scene.server)
    refusal = scene.refused(RejectedError, code="malformed")
    assert len(refusal.targets) == 1
    with pytest.raises(RejectedError):
        Profile.parse(Revocations().render())


@pytest.mark.parametrize(
    ("role", "by"), [("profiles", ["olga"]), ("revocations", ["bob"]), ("targets", CURATORS)]
)
def test_a_skill_named_by_a_role_that_does_not_own_its_path(
    scene: Scene, forge: Forge, role: str, by: list[str]
) -> None:
    """Operators (or one curator) name skills/… in their own role: the path decides who is asked."""
    bundle, archive = forge.archive(PIN)
    item = forge.release(PIN, archive, bundle.manifest.tree_digest, by=by, role=role)
    birth_of_forged(scene, forge, item)
    refusal = scene.refused(Exception, name="other")
    assert isinstance(refusal.error, NotFoundError | CouldNotVerifyError)
    assert not refusal.fetched("calendar")
    with pytest.raises(NotFoundError):  # our own check asks the bin, which does not name it
        forge.verify().vouch(PATH)


def test_a_bundle_in_another_bin(scene: Scene, forge: Forge) -> None:
    """Both curators signed it, into the wrong bin: whoever looks there looks in vain."""
    bundle, archive = forge.archive(PIN)
    wrong = next(
        role for role in sorted(forge.documents) if role.startswith("skills-") and role != forge.owner(PATH)
    )
    item = forge.release(PIN, archive, bundle.manifest.tree_digest, role=wrong)
    birth_of_forged(scene, forge, item)
    refusal = scene.refused(NotFoundError, code="not-found", name="other")
    assert not refusal.fetched("calendar")
    with pytest.raises(NotFoundError):
        forge.verify().vouch(PATH)


def test_a_review_of_another_release(scene: Scene, forge: Forge) -> None:
    """The honest review of web-search beside the calendar; its digest is even the one that is named."""
    honest = next(
        (scene.world.public / "targets/skills/web-search/1.0").glob("*.review.dsse.json")
    ).read_bytes()
    bundle, archive = forge.archive(PIN)
    item = forge.release(PIN, archive, bundle.manifest.tree_digest, review=honest)
    birth_of_forged(scene, forge, item)
    refusal = scene.refused(WrongSubjectError, code="wrong-subject", name="other")
    assert "is not about calendar==1.0" in str(refusal.error)


def test_a_review_that_the_bundle_does_not_name(scene: Scene, forge: Forge) -> None:
    bundle, archive = forge.archive(PIN)
    item = forge.release(PIN, archive, bundle.manifest.tree_digest, custom={"review_sha256": "0" * 64})
    birth_of_forged(scene, forge, item)
    refusal = scene.refused(WrongSubjectError, code="wrong-subject", name="other")
    assert "is not the review that calendar==1.0 names" in str(refusal.error)


def test_the_profile_pins_bytes_and_not_only_a_version(scene: Scene, forge: Forge) -> None:
    """Curators replaced the bytes of a published version: who pinned the old ones does not get the new ones."""
    other, archive = forge.archive(
        "web-search==1.0", {"SKILL.md": b"---\nname: web-search\ndescription: x\n---\nevil\n"}
    )
    forge.release("web-search==1.0", archive, other.manifest.tree_digest)
    forge.state()
    forge.answer(scene.server)
    refusal = scene.refused(WrongSubjectError, code="wrong-subject")
    assert "not the release that the profile pins" in str(refusal.error)
    assert not isinstance(refusal.error, RollbackError)
