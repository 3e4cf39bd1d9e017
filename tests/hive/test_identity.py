"""Identity: layers resolved into one SOUL.md, the same bytes every time, traceable line by line."""

from collections.abc import Iterator
from datetime import datetime

import pytest

from hive.admission import Admission, admit
from hive.identity import resolve_identity
from hive.policy import POLICY
from repo_client.client import Session
from signing.errors import FormatError, WrongSubjectError
from signing.format.manifest import Kind
from signing.format.names import Pin
from signing.format.profile import PinnedBundle
from tests.attacks.scene import Scene, open_scene
from tests.support.world import World, jail_files, now, skill_md

BASE, HOUSE = "base-soul==1.0", "house-soul==2.0"


@pytest.fixture(scope="module")
def scene(_world_template: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("identity")
    world = _world_template.copy_to(folder / "world")
    for pin, body in ((BASE, "Be kind."), (HOUSE, "  Answer in Slovene.\n\nAlways.  \n\n")):
        name = pin.partition("==")[0]
        world.publish_skill(pin, {"SKILL.md": skill_md(name, body)}, kind=Kind.SOUL)
    world.publish_profile("souls==1", skills=["web-search==1.0"], souls=[HOUSE, BASE])
    world.publish_profile("souls==2", skills=["web-search==1.0"], souls=[BASE, HOUSE])
    with open_scene(world, folder / "host") as scene:
        yield scene
    world.close()


@pytest.fixture
def moment() -> datetime:
    return now()


def layer(scene: Scene, session: Session, pin: str, kind: Kind = Kind.SOUL) -> Admission:
    release = session.release(Pin.parse(pin))
    pinned = PinnedBundle(
        pin=release.pin,
        bundle_sha256=release.bundle.target.sha256,
        tree_sha256=release.bundle.tree_sha256,
        review_sha256=release.review.target.sha256,
    )
    return admit(
        release,
        tenant=scene.tenant(),
        pinned=pinned,
        kind=kind,
        revocations=session.revocations(),
        opt_ins=(),
        policy=POLICY,
        now=now(),
    )


def test_layers_are_resolved_in_order_and_name_their_digests(scene: Scene, moment: datetime) -> None:
    with scene.mother.client.session(moment) as session:
        base, house = layer(scene, session, BASE), layer(scene, session, HOUSE)
    text = resolve_identity([base, house]).decode()
    assert text.index("Be kind.") < text.index("Answer in Slovene.")
    assert text.endswith("Always.\n")
    for admission in (base, house):
        assert f"layer {admission.pin} tree sha256:{admission.tree_sha256}" in text
    assert "description:" not in text  # front matter is for catalogues
    assert resolve_identity([base, house]) == resolve_identity([base, house])
    assert resolve_identity([base, house]) != resolve_identity([house, base])


def test_no_layers_give_a_header_and_nothing_else() -> None:
    text = resolve_identity([]).decode()
    assert text.startswith("<!--")
    assert text.split("-->")[1].strip() == ""


def test_a_skill_is_no_layer(scene: Scene, moment: datetime) -> None:
    with scene.mother.client.session(moment) as session:
        skill = layer(scene, session, "web-search==1.0", Kind.SKILL)
        soul = layer(scene, session, BASE)
    with pytest.raises(WrongSubjectError):
        resolve_identity([soul, skill])


ODD = [b"\xff\xfe", b"no front matter", b"", b"---\nname: x\n", b"----\nx\n---\n"]


def test_a_layer_that_is_no_text_with_front_matter(scene: Scene, moment: datetime) -> None:
    """Reviews refuse such a layer; should one get through, the birth says so instead of guessing."""
    forge = scene.forge()
    for number, content in enumerate(ODD):
        bundle, archive = forge.archive(f"odd-soul=={number}", {"SKILL.md": content}, kind=Kind.SOUL)
        forge.release(f"odd-soul=={number}", archive, bundle.manifest.tree_digest, custom={"kind": "soul"})
    forge.state()
    forge.answer(scene.server)
    with scene.mother.client.session(moment) as session:
        layers = [layer(scene, session, f"odd-soul=={number}") for number in range(len(ODD))]
    for odd in layers:
        with pytest.raises(FormatError):
            resolve_identity([odd])


def test_a_birth_leaves_the_resolved_identity_read_only(scene: Scene) -> None:
    scene.server.lies.clear()
    scene.metadata.rename(scene.metadata.with_name("before"))  # the forged states of the tests above
    scene.register("soulful", profile="souls==1")
    scene.register("ordered", profile="souls==2")
    receipt = scene.born("soulful")
    scene.born("ordered")
    files = jail_files(scene.mother)
    first = files["soulful/root/usr/home/agent/SOUL.md"].decode()
    second = files["ordered/root/usr/home/agent/SOUL.md"].decode()
    assert receipt["souls"] == [HOUSE, BASE]
    assert first.index("Slovene") < first.index("kind.")
    assert second.index("kind.") < second.index("Slovene")
    soul = scene.mother.state / "jails/soulful/root/usr/home/agent/SOUL.md"
    assert soul.stat().st_mode & 0o777 == 0o444
    assert not [path for path in files if "base-soul" in path or "house-soul" in path]
