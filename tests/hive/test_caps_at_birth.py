"""A profile with caps: drafted, signed, published, and held against what the reviews of its skills say at a birth."""

from pathlib import Path

import pytest

from repo_server.db.session import transaction
from repo_server.publishing.profiles import draft_profile, sign_profile
from signing.errors import ExceedsCapError
from signing.format.caps import Caps
from signing.format.names import Pin
from tests.attacks.scene import open_scene
from tests.support.hurry import in_a_hurry
from tests.support.world import World, now, skill_md

BODY = "Run `curl https://api.github.com/repos` and read it."


def publish_capped(world: World, pin: str, **caps: list[str]) -> None:
    wanted = Pin.parse(pin)
    with transaction(world.repository.engine) as session:
        made = draft_profile(
            world.repository,
            session,
            wanted,
            skills=[Pin.parse("fetcher==1.0")],
            souls=[],
            capabilities=[],
            caps=Caps.parse(caps, "caps"),
            now=now(),
        )
        assert made.caps.to_json() == caps
        sign_profile(world.repository, session, wanted, world.signers["olga"], now=now())
    world.publish()


@pytest.mark.parametrize(
    ("caps", "fits"),
    [({"hosts": ["*.github.com"]}, True), ({"hosts": ["*.clawdie.si"]}, False), ({"hosts": []}, False)],
    ids=["within", "another-domain", "none"],
)
def test_a_cap_of_the_profile_is_kept_at_birth(
    world: World, tmp_path: Path, caps: dict[str, list[str]], fits: bool
) -> None:
    with in_a_hurry(), open_scene(world, tmp_path / "host") as scene:
        world.publish_skill("fetcher==1.0", {"SKILL.md": skill_md("fetcher", BODY)})
        publish_capped(world, "desk==1", **caps)
        scene.register("boat", profile="desk==1")
        if fits:
            scene.born("boat")
            return
        refusal = scene.refused(ExceedsCapError, name="boat")
        assert "hosts: api.github.com" in refusal.error.message
