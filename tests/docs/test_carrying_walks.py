"""The walks of docs/air-gap.md, restore.md and mirrors.md are typed as they stand there, in a development repository."""

import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.docs.walking import Typed, differences, section_of, typed_in, walk

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("bash") is None, reason="bash is not installed; the pages are written for it"
    ),
]

DOCS = Path(__file__).parents[2] / "docs"
SKILL = "---\nname: {name}\ndescription: Counts words.\n---\nCount the words of a text and say how many.\n"
PUBLISH = """
mkdir -p {name} && cat > {name}/SKILL.md <<'END'
{text}END
skillrepo import ./{name} --version 1.0
skillrepo review {name} --approve --reason "read it" --as curator-1
skillrepo sign {name} --as curator-1 && skillrepo sign {name} --as curator-2
skillrepo publish
"""


def publish(name: str) -> Typed:
    return Typed(PUBLISH.format(name=name, text=SKILL.format(name=name)), ())


FOUND = [
    Typed("skillrepo init repo --dev && cp repo/trust-anchor.json trust-anchor.json", ()),
    publish("word-count"),
]


def environment_of(folder: Path) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "SKILLREPO_REPO": "repo",
    }


@pytest.fixture(scope="module")
def _published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every walk begins with: a development repository with one skill."""
    folder = tmp_path_factory.mktemp("published")
    status, _, everything = walk(FOUND, cwd=folder, environment=environment_of(folder), seconds=240)
    assert status == 0, everything
    return folder


@pytest.fixture
def place(_published: Path, tmp_path: Path) -> Path:
    shutil.copytree(_published, tmp_path, dirs_exist_ok=True, symlinks=True)
    return tmp_path


def typed_through(place: Path, before: list[Typed], page: list[Typed]) -> str:
    environment = environment_of(place)
    status, said, everything = walk([*before, *page], cwd=place, environment=environment, seconds=240)
    assert status == 0, everything
    wrong = {
        typed.command: missing
        for typed, answer in zip(page, said[len(before) :], strict=True)
        if (missing := differences(typed, answer))
    }
    assert wrong == {}, everything
    return everything


def test_an_archive_is_carried_as_the_page_says(place: Path) -> None:
    page = typed_in(section_of(DOCS / "air-gap.md", "## The walk"))
    assert len(page) >= 8
    typed_through(place, [], page)
    folder = place
    assert (folder / "skills/word-count/SKILL.md").read_text() == SKILL.format(name="word-count")
    assert (folder / "mirror/current/skills/metadata/timestamp.json").is_file()
    assert (folder / "out/monday.tar").stat().st_size > 10_000


def test_an_old_database_goes_on_as_the_page_says(place: Path) -> None:
    page = DOCS / "restore.md"
    backup = re.findall(r"```sh\n(.*?)```", section_of(page, "## What is kept"), re.DOTALL)
    assert len(backup) == 1
    before = [
        Typed(f"mkdir backup\n{backup[0]}\numask 022", ()),
        publish("later-one"),
        Typed("skillrepo replicate replica", ()),
        Typed("rm -rf repo/repository.db* repo/blobs && cp -R backup/. repo/", ()),
    ]
    typed = typed_in(section_of(page, "## The walk"))
    assert [one.command for one in typed][2] == "skillrepo resume --from replica"
    # What the page shows as refused ends with a status of its own, and so does a doctor who finds something.
    refused = ("skillrepo publish", "skillrepo doctor --quiet")
    forgiving = [
        replace(one, command=f"{one.command} || echo 'status' $?") if one.command in refused else one
        for one in typed
    ]
    said = typed_through(place, before, forgiving)
    assert "status 11" in said
    client = [
        Typed("skillrepo-client --metadata-dir c init trust-anchor.json", ()),
        Typed("skillrepo-client --metadata-dir c --from repo/public get later-one==1.0 --dest got", ()),
    ]
    typed_through(place, client, [])
    assert (place / "got/later-one/SKILL.md").is_file()


def test_without_a_copy_as_the_page_says(place: Path) -> None:
    typed_through(place, [], typed_in(section_of(DOCS / "restore.md", "## Without any copy")))


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed; its lines were not typed")
def test_a_copy_by_rsync_as_the_page_says(place: Path) -> None:
    section = section_of(DOCS / "mirrors.md", "## Making a copy")
    folder = place
    ours = [
        replace(one, command=one.command.replace("/srv/mirror", "copied"), seen=())
        for one in typed_in(section)
    ]
    lines = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)[0]
    lines = re.sub(r"src=\S+ dst=\S+", "src=repo/public dst=synced; mkdir -p synced/skills", lines)
    get = "skillrepo-client --metadata-dir {0}.c init trust-anchor.json; skillrepo-client --metadata-dir {0}.c --from {0} get word-count==1.0 --dest {0}.got"
    typed_through(
        place,
        [*ours, Typed(lines, ()), *(Typed(get.format(name), ()) for name in ("copied", "synced"))],
        [],
    )
    assert (folder / "synced.got/word-count/SKILL.md").is_file()
    assert (folder / "copied.got/word-count/SKILL.md").is_file()
