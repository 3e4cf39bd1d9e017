"""What ordinary agents find: the newest skills, the digests of the files that are there."""

import hashlib
import json
from typing import Any
from urllib.parse import urljoin

import pytest

from signing.format.manifest import Kind
from tests.support.world import World, skill_md


def index(world: World, which: str) -> dict[str, Any]:
    document = json.loads((world.public / ".well-known" / which / "index.json").read_bytes())
    assert isinstance(document, dict)
    return document


def v1_files(world: World, name: str) -> dict[str, bytes]:
    folder = world.public / ".well-known/skills" / name
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_digests_of_v2_are_those_of_the_files(world: World) -> None:
    world.publish_skill("pdf-tools==1.0")
    document = index(world, "agent-skills")
    assert document["$schema"].endswith("/0.2.0/schema.json")
    assert [entry["name"] for entry in document["skills"]] == ["pdf-tools", "web-search"]
    for entry in document["skills"]:
        path = urljoin("/.well-known/agent-skills/index.json", entry["url"])
        data = (world.public / path.removeprefix("/")).read_bytes()
        assert entry["digest"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
        assert entry["type"] == "archive"
        assert entry["description"] == "Does the work."


def test_the_files_of_v1_exist_and_are_those_of_the_release(world: World) -> None:
    (entry,) = index(world, "skills")["skills"]
    assert sorted(entry["files"]) == ["SKILL.md", "scripts/run.sh"]
    assert v1_files(world, "web-search") == {
        "SKILL.md": skill_md("web-search"),
        "scripts/run.sh": b"#!/bin/sh\nexit 0\n",
    }


def test_souls_are_not_offered(world: World) -> None:
    world.publish_skill("calm==1.0", {"SKILL.md": skill_md("calm")}, kind=Kind.SOUL)
    for which in ("agent-skills", "skills"):
        assert [entry["name"] for entry in index(world, which)["skills"]] == ["web-search"]
    assert not (world.public / ".well-known/skills/calm").exists()


def test_the_newest_version_wins_by_its_meaning(world: World) -> None:
    for version in ("1.9", "1.10", "1.2"):
        body = f"This is {version}."
        world.publish_skill(f"web-search=={version}", {"SKILL.md": skill_md("web-search", body=body)})
    (entry,) = index(world, "agent-skills")["skills"]
    assert "/1.10/" in entry["url"]
    assert b"This is 1.10." in v1_files(world, "web-search")["SKILL.md"]


@pytest.mark.parametrize(
    ("old", "new"),
    [("notes", "notes/first.md"), ("notes/first.md", "notes"), ("a/b/c.md", "a/b")],
)
def test_a_file_may_become_a_folder_in_the_next_version(world: World, old: str, new: str) -> None:
    text = skill_md("web-search")
    world.publish_skill("web-search==1.1", {"SKILL.md": text, old: b"old\n"})
    world.publish_skill("web-search==1.2", {"SKILL.md": text, new: b"new\n"})
    assert v1_files(world, "web-search") == {"SKILL.md": text, new: b"new\n"}
    (entry,) = index(world, "skills")["skills"]
    assert sorted(entry["files"]) == sorted(["SKILL.md", new])


def test_files_that_the_next_version_dropped_are_not_served(world: World) -> None:
    world.publish_skill("web-search==1.1", {"SKILL.md": skill_md("web-search")})
    assert set(v1_files(world, "web-search")) == {"SKILL.md"}
    assert not (world.public / ".well-known/skills/web-search/scripts").exists()


def test_descriptions_travel_as_they_are(world: World) -> None:
    text = 'Rücken "und" <b>Brust</b> & mehr'
    front = f"---\nname: umlaut\ndescription: '{text}'\n---\nText.\n".encode()
    world.publish_skill("umlaut==1.0", {"SKILL.md": front})
    entry = next(e for e in index(world, "agent-skills")["skills"] if e["name"] == "umlaut")
    assert entry["description"] == text
