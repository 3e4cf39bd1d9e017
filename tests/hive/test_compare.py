"""What stands in a jail, against what was let in."""

from pathlib import Path

import pytest

from hive.jails.compare import Difference, Expected, differences
from hive.jails.contained import JailRoot
from hive.jails.materialise import LOCK_PATH, RECORDS, SKILLS, SOUL_PATH
from signing.format.archive import Bundle, SourceFile
from signing.format.digest import sha256_of
from signing.format.manifest import Kind, MemberPath, Mode
from signing.format.names import Pin

BUNDLE = Bundle.build(
    pin=Pin.parse("web-search==1.0"),
    kind=Kind.SKILL,
    files={
        MemberPath("SKILL.md"): SourceFile(content=b"---\nname: web-search\n---\n", mode=Mode.PLAIN),
        MemberPath("scripts/run.sh"): SourceFile(content=b"#!/bin/sh\n", mode=Mode.EXECUTABLE),
    },
)
EXPECTED = Expected(
    skills={"web-search": BUNDLE.manifest.tree_digest},
    files={SOUL_PATH: sha256_of(b"soul"), LOCK_PATH: sha256_of(b"lock")},
    records=frozenset({"demo"}),
)
TREE = f"{SKILLS}/web-search"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir(mode=0o755)
    with JailRoot.open(root) as jail:
        jail.install_tree(SKILLS, "web-search", BUNDLE)
        jail.install_file(SOUL_PATH, b"soul", mode=0o444)
        jail.install_file(LOCK_PATH, b"lock", mode=0o444)
        jail.install_file(f"{RECORDS}/demo.json", b"{}", mode=0o444)
    return root


def compare(root: Path) -> list[Difference]:
    with JailRoot.open(root) as jail:
        return list(differences(jail, jail, EXPECTED))


def paths(root: Path) -> list[str]:
    return [found.path for found in compare(root)]


def test_a_jail_as_it_was_born_has_no_difference(root: Path) -> None:
    assert compare(root) == []


def test_the_tenants_own_home_is_its_own(root: Path) -> None:
    (root / "usr/home/agent/notes.txt").write_text("mine")
    (root / "usr/home/agent/.env").write_text("A=1")
    (root / "etc").mkdir()
    assert compare(root) == []


@pytest.mark.parametrize("harm", ["changed", "mode", "more", "gone", "link", "hard link"])
def test_a_tree_that_was_touched_differs(root: Path, harm: str) -> None:
    script = root / TREE / "scripts/run.sh"
    for path in (root / TREE, script.parent):
        path.chmod(0o755)
    match harm:
        case "changed":
            script.chmod(0o755)
            script.write_text("#!/bin/bad\n")
        case "mode":
            script.chmod(0o4755)
        case "more":
            (script.parent / "more.sh").write_text("")
        case "gone":
            script.unlink()
        case "link":
            script.unlink()
            script.symlink_to("/bin/sh")
        case _:
            (root / "twin").hardlink_to(script)
    assert paths(root) == [TREE]


def test_a_tree_behind_a_link_differs(root: Path, tmp_path: Path) -> None:
    (root / SKILLS).rename(root / "moved")
    (root / SKILLS).symlink_to(root / "moved")
    found = paths(root)
    assert TREE in found
    assert SKILLS in found


@pytest.mark.parametrize("path", [SOUL_PATH, LOCK_PATH])
@pytest.mark.parametrize("harm", ["changed", "gone", "link", "fifo-like folder"])
def test_a_file_of_the_hosts_that_was_touched_differs(root: Path, path: str, harm: str) -> None:
    file = root / path
    content = file.read_bytes()
    file.unlink()
    match harm:
        case "changed":
            file.write_text("another")
        case "link":
            (root / "real").write_bytes(content)
            file.symlink_to(root / "real")
        case "fifo-like folder":
            file.mkdir()
        case _:
            pass
    assert path in paths(root)


@pytest.mark.parametrize("path", [f"{SKILLS}/planted", "var/db/clawdie/planted", f"{RECORDS}/planted.json"])
def test_what_was_not_let_in_is_named(root: Path, path: str) -> None:
    (root / path).mkdir()
    assert compare(root) == [Difference(path=path, what="was not let in")]
