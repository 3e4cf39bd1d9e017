"""What stands in a jail, against what was let in."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hive.jails.compare import Difference, Expected, differences, hidden
from hive.jails.contained import JailRoot
from hive.jails.host import JailHost
from hive.jails.materialise import LOCK_PATH, RECORDS, SHOWN, SKILLS, SOUL_PATH
from hive.sweep import looking
from hive.tenants import Tenant
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


# --- where the host shows them from a shelf ----------------------------------------------------------------


@pytest.fixture
def shelved(root: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A root with an empty place for each thing that is shown, as in a jail that stands still, and the shelf."""
    shelf = tmp_path / "shelf"
    for path in SHOWN:
        (shelf / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).rename(shelf / path)
    (root / SKILLS).mkdir()
    (root / SOUL_PATH).touch()
    (root / LOCK_PATH).touch()
    return root, shelf


def both(root: Path, shelf: Path) -> tuple[list[Difference], list[Difference]]:
    with JailRoot.open(root) as jail, JailRoot.open(shelf) as shown:
        return list(differences(jail, shown, EXPECTED)), list(hidden(jail, shown, running=False))


def test_what_is_shown_is_compared_where_it_stands(shelved: tuple[Path, Path]) -> None:
    root, shelf = shelved
    assert both(root, shelf) == ([], [])
    for path in (SOUL_PATH, LOCK_PATH):
        (shelf / path).unlink()
        (shelf / path).write_text("another")
    (shelf / TREE / "SKILL.md").chmod(0o644)
    (shelf / TREE / "SKILL.md").write_text("another")
    assert {found.path for found in both(root, shelf)[0]} == {SOUL_PATH, LOCK_PATH, TREE}


@pytest.mark.parametrize("place", SHOWN)
@pytest.mark.parametrize("harm", ["gone", "covered", "link", "other kind"])
def test_what_stands_in_the_place_of_what_is_shown_is_found(
    place: str, harm: str, shelved: tuple[Path, Path], tmp_path: Path
) -> None:
    """The shelf is as it was, and the tenant's processes read something else."""
    root, shelf = shelved
    here = root / place
    (here.rmdir if place == SKILLS else here.unlink)()
    match harm:
        case "covered" if place == SKILLS:
            (here / "planted").mkdir(parents=True)
        case "covered":
            here.write_text("obey me")
        case "link":
            here.symlink_to(shelf / place)
        case "other kind" if place == SKILLS:
            here.write_text("no folder")
        case "other kind":
            (here / "planted").mkdir(parents=True)
        case _:
            pass
    differs, covered = both(root, shelf)
    assert [item for item in differs if item.path in SHOWN] == []
    assert [item.path for item in covered] == [place]


def test_what_was_copied_is_not_hidden(root: Path) -> None:
    with JailRoot.open(root) as jail, JailRoot.open(root) as again:
        assert hidden(jail, again, running=True) == ()


def test_a_jail_that_runs_and_is_shown_nothing(shelved: tuple[Path, Path]) -> None:
    """Empty places are what a still jail has; whoever unmounted them, the tenant's processes read nothing there."""
    root, shelf = shelved
    with JailRoot.open(root) as jail, JailRoot.open(shelf) as shown:
        assert hidden(jail, shown, running=False) == ()
        assert hidden(jail, shown, running=True) == tuple(
            Difference(path=place, what="is not shown: nothing is mounted there") for place in sorted(SHOWN)
        )


@pytest.mark.parametrize(
    ("answers", "found"),
    [([True, True], 3), ([False, False], 0), ([True, False], 0), ([False, True], 3)],
    ids=["runs", "stands still", "was stopped meanwhile", "was started meanwhile"],
)
def test_a_sweep_asks_whether_the_jail_runs_before_and_after(
    shelved: tuple[Path, Path], answers: list[bool], found: int
) -> None:
    root, shelf = shelved
    tenant = cast("Tenant", SimpleNamespace(tenant_id="acme"))
    left = list(answers)
    host = cast("JailHost", SimpleNamespace(is_running=lambda _: left.pop(0)))
    with JailRoot.open(root) as jail, JailRoot.open(shelf) as shown:
        assert len(looking._hidden(tenant, host, jail, shown)) == found
    assert left == []
