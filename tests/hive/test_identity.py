"""Identity: layers resolved into one SOUL.md, the same bytes every time, traceable line by line."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pytest

from hive.admission import Admission, admit
from hive.identity import resolve_identity
from hive.policy import POLICY
from repo_client.client import Session
from signing.errors import FormatError, WrongSubjectError
from signing.format.manifest import Kind
from signing.format.names import Pin
from signing.format.profile import Profile
from tests.attacks.scene import Scene, open_scene
from tests.support.hurry import in_a_hurry
from tests.support.world import World, jail_files, now, skill_md

BASE, HOUSE = "base-soul==1.0", "house-soul==2.0"


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


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


def layers_of(scene: Scene, session: Session, *pins: str, profile: str = "souls==1") -> list[Admission]:
    """Admit what a tenant of ``profile`` may have, each as the kind that it is."""
    verified = session.profile(Pin.parse(profile))
    tenant = replace(scene.tenant(), profile=Pin.parse(profile))
    admissions = []
    for pin in pins:
        release = session.release(Pin.parse(pin))
        admissions.append(
            admit(
                release,
                tenant=tenant,
                profile=verified,
                kind=release.bundle.bundle.manifest.kind,
                revocations=session.revocations(),
                opt_ins=(),
                policy=POLICY,
                now=now(),
            )
        )
    return admissions


def test_layers_are_resolved_in_order_and_name_their_digests(scene: Scene, moment: datetime) -> None:
    with scene.mother.client.session(moment) as session:
        base, house = layers_of(scene, session, BASE, HOUSE)
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
        soul, skill = layers_of(scene, session, BASE, "web-search==1.0")
    with pytest.raises(WrongSubjectError):
        resolve_identity([soul, skill])


ODD = [b"\xff\xfe", b"no front matter", b"", b"---\nname: x\n", b"----\nx\n---\n"]


def test_a_layer_that_is_no_text_with_front_matter(scene: Scene, moment: datetime) -> None:
    """Reviews refuse such a layer; should one get through, the birth says so instead of guessing."""
    forge = scene.forge()
    for number, content in enumerate(ODD):
        bundle, archive = forge.archive(f"odd-soul=={number}", {"SKILL.md": content}, kind=Kind.SOUL)
        pin, tree = f"odd-soul=={number}", bundle.manifest.tree_digest
        item = forge.release(pin, archive, tree, custom={"kind": "soul"})
        web_search = Profile.parse(
            next(scene.world.public.glob("targets/profiles/base/*.1.json")).read_bytes()
        )
        profile = Profile(
            pin=Pin.parse(f"odd=={number}"), skills=web_search.skills, souls=(item,), capabilities=()
        )
        forge.add(profile.pin.profile_path, profile.render(), by=["olga"])
    forge.state()
    forge.answer(scene.server)
    with scene.mother.client.session(moment) as session:
        for number in range(len(ODD)):
            layers = layers_of(scene, session, f"odd-soul=={number}", profile=f"odd=={number}")
            with pytest.raises(FormatError):
                resolve_identity(layers)


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
