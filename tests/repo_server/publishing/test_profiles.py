"""A profile pins published digests, and operators alone sign it."""

import pytest

from repo_server.db.models import ProfileRow, ReleaseRow
from repo_server.db.session import snapshot, transaction
from repo_server.publishing.profiles import draft_profile, load_profile, plan_profile, sign_profile
from repo_server.publishing.proposals import open_proposals
from signing.errors import (
    ConflictError,
    FormatError,
    NotEntitledError,
    NotFoundError,
    SkillRepoError,
    WrongSubjectError,
)
from signing.format.manifest import Kind
from signing.format.names import Pin
from signing.format.profile import Profile
from tests.support.world import World, now, skill_md


def drafted(world: World, pin: str, *skills: str, souls: tuple[str, ...] = ()) -> Profile:
    with transaction(world.repository.engine) as session:
        return draft_profile(
            world.repository,
            session,
            Pin.parse(pin),
            skills=[Pin.parse(item) for item in skills],
            souls=[Pin.parse(item) for item in souls],
            capabilities=["b", "a", "b"],
            now=now(),
        )


def signed(world: World, pin: str, *, by: str = "olga") -> None:
    with transaction(world.repository.engine) as session:
        sign_profile(world.repository, session, Pin.parse(pin), world.signers[by], now=now())


def test_a_profile_pins_the_digests_that_a_client_verifies(world: World) -> None:
    profile = drafted(world, "desk==1", "web-search==1.0")
    signed(world, "desk==1")
    world.publish()
    with (
        world.serve() as server,
        world.client(server.url, world.folder / "client").session(now()) as session,
    ):
        verified = session.profile(Pin.parse("desk==1"))
        release = session.release(Pin.parse("web-search==1.0"))
    assert verified.profile == profile
    assert profile.capabilities == ("a", "b")
    pinned = profile.skills[0]
    assert pinned.bundle_sha256 == release.bundle.target.sha256
    assert pinned.tree_sha256 == release.bundle.tree_sha256
    assert pinned.review_sha256 == release.review.target.sha256


def test_only_published_releases_can_be_pinned(world: World) -> None:
    world.review(world.import_skill("pdf-tools==1.0"))
    with pytest.raises(NotFoundError, match="not published"):
        drafted(world, "desk==1", "pdf-tools==1.0")


def test_a_soul_is_not_a_skill(world: World) -> None:
    world.publish_skill("calm==1.0", {"SKILL.md": skill_md("calm")}, kind=Kind.SOUL)
    with pytest.raises(WrongSubjectError, match="is a soul"):
        drafted(world, "desk==1", "calm==1.0")
    with pytest.raises(WrongSubjectError, match="not a soul"):
        drafted(world, "desk==1", "web-search==1.0", souls=("web-search==1.0",))
    assert drafted(world, "desk==1", "web-search==1.0", souls=("calm==1.0",)).souls[0].pin.name == "calm"


def test_one_name_cannot_be_pinned_twice(world: World) -> None:
    world.publish_skill("web-search==1.1")
    with pytest.raises(FormatError):
        drafted(world, "desk==1", "web-search==1.0", "web-search==1.1")


@pytest.mark.parametrize("who", ["alice", "online", "mallory"])
def test_only_operators_sign(world: World, who: str) -> None:
    drafted(world, "desk==1", "web-search==1.0")
    with pytest.raises(NotEntitledError):
        signed(world, "desk==1", by=who)
    assert world.publish().profiles == ()


def test_a_draft_may_change_until_it_is_published(world: World) -> None:
    world.publish_skill("web-search==1.1")
    drafted(world, "desk==1", "web-search==1.0")
    signed(world, "desk==1")
    changed = drafted(world, "desk==1", "web-search==1.1")
    with snapshot(world.repository.engine) as session:
        assert open_proposals(session, "profile:desk==1") == []
        assert load_profile(world.repository, session, Pin.parse("desk==1")) == changed
    assert world.publish().profiles == ()
    signed(world, "desk==1")
    assert [str(pin) for pin in world.publish().profiles] == ["desk==1"]
    with pytest.raises(ConflictError):
        drafted(world, "desk==1", "web-search==1.0")
    with pytest.raises(ConflictError):
        signed(world, "desk==1")


def test_drafting_the_same_again_changes_nothing(world: World) -> None:
    drafted(world, "desk==1", "web-search==1.0")
    signed(world, "desk==1")
    drafted(world, "desk==1", "web-search==1.0")
    assert [str(pin) for pin in world.publish().profiles] == ["desk==1"]
    drafted(world, "desk==1", "web-search==1.0")
    assert world.publish().profiles == ()


def test_drafts_stack_in_one_role_and_publish_in_order(world: World) -> None:
    for version in ("1", "2", "3"):
        drafted(world, f"desk=={version}", "web-search==1.0")
        signed(world, f"desk=={version}")
    assert [str(pin) for pin in world.publish().profiles] == ["desk==1", "desk==2", "desk==3"]


@pytest.mark.parametrize("column", ["bundle_sha256", "tree_sha256", "review_sha256"])
def test_a_digest_that_curators_did_not_sign_is_not_pinned(world: World, column: str) -> None:
    with transaction(world.repository.engine) as session:
        setattr(session.get_one(ReleaseRow, ("web-search", "1.0")), column, "0" * 64)
    drafted(world, "desk==1", "web-search==1.0")
    with pytest.raises(WrongSubjectError, match="is not what curators signed"):
        signed(world, "desk==1")
    with snapshot(world.repository.engine) as session:
        assert open_proposals(session, "profile:desk==1") == []


def test_a_draft_replaced_in_the_database_after_signing_is_not_published(world: World) -> None:
    drafted(world, "desk==1", "web-search==1.0")
    signed(world, "desk==1")
    other = drafted(world, "desk==2", "web-search==1.0")
    with transaction(world.repository.engine) as session:
        session.get_one(ProfileRow, ("desk", "1")).sha256 = world.repository.blobs.store(other.render())
    with pytest.raises(SkillRepoError):
        world.publish()
    with pytest.raises(SkillRepoError), transaction(world.repository.engine) as session:
        plan_profile(world.repository, session, Pin.parse("desk==1"), now=now())


def test_an_unknown_profile_is_not_found(world: World) -> None:
    with pytest.raises(NotFoundError):
        signed(world, "nothing==1")
