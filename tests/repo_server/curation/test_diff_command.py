"""`skillrepo diff`: a candidate against what is published, and any two of a skill's versions."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from repo_server.cli import cli
from signing.errors import NotFoundError, UsageError
from tests.support.world import World, skill_md

NEW = {
    "SKILL.md": skill_md("pdf-tools", body="Do the work.\n\nThen look at https://new.example.net/list."),
    "references/more.md": b"More.\n",
}
HOSTILE = NEW | {"references/more.md": "More\u202e.\n".encode()}


def run(world: World, *words: str) -> str:
    done = CliRunner().invoke(
        cli, ["--repo", str(world.repository.folder), "diff", *words], standalone_mode=False
    )
    if done.exception is not None:
        raise done.exception
    return done.stdout


def answer(world: World, *words: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run(world, *words, "--json"))
    return document


@pytest.fixture
def candidate(world: World) -> str:
    world.publish_skill("pdf-tools==1.0")
    return world.import_skill("pdf-tools==1.1", HOSTILE)


def test_a_candidate_is_compared_with_what_was_published_last(world: World, candidate: str) -> None:
    said = answer(world, candidate)
    assert (said["ok"], said["old"], said["new"]) == (True, "pdf-tools==1.0", "pdf-tools==1.1")
    added = {(change["kind"], change["entry"]) for change in said["surface_changes"] if change["added"]}
    assert ("hosts", "new.example.net") in added
    assert "new file 0644 references/more.md" in said["diff"]
    text = run(world, "pdf-tools")
    assert text.startswith("pdf-tools==1.0 -> pdf-tools==1.1\n")
    assert "+ hosts new.example.net" in text
    assert "+More<U+202E>." in text
    assert "\u202e" not in text


def test_two_releases_and_a_release_with_a_candidate(world: World, candidate: str) -> None:
    one = answer(world, "pdf-tools==1.0", candidate)
    assert (one["old"], one["new"]) == ("pdf-tools==1.0", "pdf-tools==1.1 (staged)")
    world.publish_skill("pdf-tools==1.2", NEW)
    forth, back = (
        answer(world, "pdf-tools==1.0", "pdf-tools==1.2"),
        answer(world, "pdf-tools==1.2", "pdf-tools==1.0"),
    )
    assert "new file 0644 references/more.md" in forth["diff"]
    assert forth["surface_changes"] == one["surface_changes"]
    assert {(c["entry"], c["added"]) for c in forth["surface_changes"]} == {
        (c["entry"], not c["added"]) for c in back["surface_changes"]
    }
    assert "the files are the same" in run(world, "pdf-tools==1.2", "pdf-tools==1.2")


def test_a_first_version_is_compared_with_nothing(world: World) -> None:
    said = answer(world, world.import_skill("other==1.0"))
    assert said["old"] is None
    assert "new file 0644 SKILL.md" in said["diff"]


def test_what_cannot_be_compared_is_said(world: World, candidate: str) -> None:
    with pytest.raises(UsageError, match=r"pdf-tools==1\.0 is published") as caught:
        run(world, "pdf-tools==1.0")
    assert caught.value.hint == "skillrepo diff pdf-tools==OLD pdf-tools==1.0"
    with pytest.raises(UsageError, match="two at a time"):
        run(world, candidate, candidate, candidate)
    with pytest.raises(NotFoundError):
        run(world, "pdf-tools==9.9", candidate)
