"""The tenant plants links, FIFOs, sockets and folders where the host is going to write.

Each test asserts the error, that the outside is untouched (bytes, modes, owners, times), and
that nothing is left behind in the jail.
"""

import contextlib
import os
import socket
import stat
from pathlib import Path

import pytest

from hive.jails.contained import JailRoot
from hive.jails.directory import DirectoryHost
from repo_client.entries import MissingPathError, UnsafePathError
from repo_client.handles import Directory
from signing.errors import ConflictError, SkillRepoError
from signing.format.archive import Bundle, SourceFile
from signing.format.manifest import Kind, MemberPath
from signing.format.names import Pin, parse_tenant_id

HOME = "usr/home/agent"
SKILLS = f"{HOME}/skills"
BUNDLE = Bundle.build(
    pin=Pin.parse("web-search==1"),
    kind=Kind.SKILL,
    files={
        MemberPath("SKILL.md"): SourceFile(content=b"# Search\n"),
        MemberPath("scripts/run.py"): SourceFile(content=b"print()\n"),
    },
)


def snapshot(folder: Path) -> dict[str, tuple]:
    """Everything below ``folder`` that a write, chmod, chown, link or rename would change."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path)] = (
            content,
            status.st_mode,
            status.st_uid,
            status.st_gid,
            status.st_mtime_ns,
        )
    return found


@pytest.fixture
def root(tmp_path):
    host = DirectoryHost(tmp_path / "jails")
    host.create(parse_tenant_id("acme"), mark="ours")
    return tmp_path / "jails/acme/root"


@pytest.fixture
def outside(tmp_path):
    """The host's own files, laid out so that every path of the jail also resolves here."""
    folder = tmp_path / "outside"
    (folder / "usr/home/agent/skills/web-search").mkdir(parents=True)
    for path in ("home/agent/skills", "agent/skills", "skills"):
        (folder / path).mkdir(parents=True)
    (folder / "host-file").write_bytes(b"belongs to the host")
    (folder / "host-file").chmod(0o640)
    return folder


@pytest.fixture
def jail(root):
    with JailRoot.open(root) as opened:
        yield opened


OPERATIONS = {
    "install_file": lambda jail: jail.install_file(f"{SKILLS}/.env", b"KEY=1\n", mode=0o600),
    "install_tree": lambda jail: jail.install_tree(SKILLS, "web-search", BUNDLE),
    "replace_tree": lambda jail: jail.install_tree(SKILLS, "web-search", BUNDLE, replace=True),
    "read_file": lambda jail: jail.read_file(f"{SKILLS}/host-file", 100),
    "tree_matches": lambda jail: jail.tree_matches(SKILLS, "web-search", BUNDLE),
    "remove_tree": lambda jail: jail.remove_tree(f"{SKILLS}/web-search"),
}


# --- a component of the way --------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("spelling", [os.path.abspath, os.path.relpath], ids=["absolute", "relative"])
@pytest.mark.parametrize("component", ["usr", "usr/home", "usr/home/agent", "usr/home/agent/skills"])
def test_a_link_at_any_component_is_refused_by_name(component, spelling, operation, root, outside):
    planted = root / component
    planted.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(planted.parent):
        planted.symlink_to(spelling(outside))
    before, inside = snapshot(outside), snapshot(root)
    with JailRoot.open(root) as jail, pytest.raises(UnsafePathError) as caught:
        OPERATIONS[operation](jail)
    assert caught.value.facts["component"] == planted.name
    assert caught.value.exit_status == 12
    assert snapshot(outside) == before
    assert snapshot(root) == inside


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kind", ["file", "fifo", "socket", "dangling link", "link to itself"])
def test_something_that_is_no_folder_on_the_way_is_refused(kind, operation, jail, root, outside):
    (root / "usr").mkdir()
    plant(root / "usr/home", kind, outside)
    before, inside = snapshot(outside), snapshot(root)
    with pytest.raises(UnsafePathError) as caught:
        OPERATIONS[operation](jail)
    assert caught.value.facts["component"] == "home"
    assert snapshot(outside) == before
    assert snapshot(root) == inside


def plant(path: Path, kind: str, outside: Path) -> None:
    match kind:
        case "file":
            path.write_bytes(b"mine")
        case "hard link":
            path.hardlink_to(outside / "host-file")
        case "link":
            path.symlink_to(outside / "host-file")
        case "link to a folder":
            path.symlink_to(outside)
        case "dangling link":
            path.symlink_to(outside / "absent")
        case "link to itself":
            path.symlink_to(path.name)
        case "fifo":
            os.mkfifo(path)
        case "socket":
            # From inside the folder: a socket's path may have about 100 bytes only.
            with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path.name)


# --- the final name ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    ["file", "hard link", "link", "link to a folder", "dangling link", "link to itself", "fifo", "socket"],
)
def test_what_occupies_a_files_name_is_replaced_and_what_it_leads_to_untouched(kind, jail, root, outside):
    (root / HOME).mkdir(parents=True)
    target = root / HOME / ".env"
    plant(target, kind, outside)
    before = snapshot(outside)
    jail.install_file(f"{HOME}/.env", b"KEY=1\n", mode=0o600)
    status = target.lstat()
    assert (stat.S_ISREG(status.st_mode), status.st_mode & 0o7777, status.st_nlink) == (True, 0o600, 1)
    assert target.read_bytes() == b"KEY=1\n"
    assert snapshot(outside) == before
    assert [path.name for path in (root / HOME).iterdir()] == [".env"]


def test_a_hard_link_with_the_right_content_is_not_taken_for_right(jail, root, outside):
    """Who has another name for the file reads the secrets, and changes them, from there."""
    (outside / "twin").write_bytes(b"KEY=1\n")
    (outside / "twin").chmod(0o600)
    (root / HOME).mkdir(parents=True)
    (root / HOME / ".env").hardlink_to(outside / "twin")
    before = snapshot(outside)
    jail.install_file(f"{HOME}/.env", b"KEY=1\n", mode=0o600)
    assert (root / HOME / ".env").lstat().st_nlink == 1
    assert (outside / "twin").lstat().st_nlink == 1
    assert snapshot(outside) == before


def test_a_folder_in_a_files_place_is_a_clean_refusal(jail, root, outside):
    (root / HOME / ".env").mkdir(parents=True)
    before, inside = snapshot(outside), snapshot(root)
    with pytest.raises(UnsafePathError, match=r"folder stands at '\.env'"):
        jail.install_file(f"{HOME}/.env", b"KEY=1\n", mode=0o600)
    assert snapshot(outside) == before
    assert snapshot(root) == inside


def test_a_folder_that_gets_there_after_the_look_is_a_clean_refusal_too(jail, root, monkeypatch):
    (root / HOME / ".env").mkdir(parents=True)
    monkeypatch.setattr(Directory, "find", lambda _self, _name: None)
    with pytest.raises(UnsafePathError):
        jail.install_file(f"{HOME}/.env", b"KEY=1\n", mode=0o600)
    assert [path.name for path in (root / HOME).iterdir()] == [".env"]


@pytest.mark.parametrize("kind", ["hard link", "link", "link to a folder", "dangling link", "fifo", "socket"])
def test_reading_takes_only_a_regular_file_of_one_name(kind, jail, root, outside):
    plant(root / "name", kind, outside)
    before, inside = snapshot(outside), snapshot(root)
    with pytest.raises(UnsafePathError):
        jail.read_file("name", 100)
    assert snapshot(outside) == before
    assert snapshot(root) == inside


@pytest.mark.parametrize(
    "kind", ["file", "hard link", "link", "link to a folder", "dangling link", "fifo", "socket"]
)
def test_what_occupies_a_trees_name_is_a_conflict_and_replaced_when_asked(kind, jail, root, outside):
    (root / SKILLS).mkdir(parents=True)
    plant(root / SKILLS / "web-search", kind, outside)
    before, inside = snapshot(outside), snapshot(root)
    assert not jail.tree_matches(SKILLS, "web-search", BUNDLE)
    with pytest.raises(ConflictError):
        jail.install_tree(SKILLS, "web-search", BUNDLE)
    assert snapshot(root) == inside
    jail.install_tree(SKILLS, "web-search", BUNDLE, replace=True)
    assert jail.tree_matches(SKILLS, "web-search", BUNDLE)
    assert snapshot(outside) == before
    assert [path.name for path in (root / SKILLS).iterdir()] == ["web-search"]


@pytest.mark.parametrize("planted", ["SKILL.md", "scripts", "scripts/run.py"])
def test_an_equal_tree_behind_a_link_is_not_a_match(planted, jail, root, outside):
    jail.install_tree(SKILLS, "web-search", BUNDLE)
    tree = root / SKILLS / "web-search"
    for folder in (tree, tree / "scripts"):
        folder.chmod(0o755)
    (tree / planted).rename(outside / "moved")
    (tree / planted).symlink_to(outside / "moved")
    before = snapshot(outside)
    assert not jail.tree_matches(SKILLS, "web-search", BUNDLE)
    jail.install_tree(SKILLS, "web-search", BUNDLE, replace=True)
    assert jail.tree_matches(SKILLS, "web-search", BUNDLE)
    assert snapshot(outside) == before


def test_removing_and_destroying_follow_nothing(root, outside, tmp_path):
    (root / "usr").mkdir()
    for kind in ("hard link", "link", "link to a folder", "dangling link", "fifo", "socket"):
        plant(root / "usr" / kind, kind, outside)
        plant(root / kind, kind, outside)
    before = snapshot(outside)
    with JailRoot.open(root) as jail:
        jail.remove_tree("usr")
        jail.remove_tree("link to a folder")
    assert not (root / "usr").exists()
    assert snapshot(outside) == before
    DirectoryHost(tmp_path / "jails").destroy(parse_tenant_id("acme"), mark="ours")
    assert list((tmp_path / "jails").iterdir()) == []
    assert snapshot(outside) == before


# --- names -------------------------------------------------------------------------------------------

NOT_PLAIN = [
    "",
    ".",
    "..",
    "../outside",
    "/etc",
    "usr/../../outside",
    "usr//home",
    "usr/./home",
    "usr/",
    "a\0b",
]


@pytest.mark.parametrize("path", NOT_PLAIN)
def test_a_path_that_is_not_plain_touches_nothing(path, jail, root, outside):
    before, inside = snapshot(outside), snapshot(root)
    for attempt in (
        lambda: jail.install_file(f"{path}/f" if path else "/f", b"x", mode=0o600),
        lambda: jail.install_file(path, b"x", mode=0o600),
        lambda: jail.install_tree(path, "web-search", BUNDLE),
        lambda: jail.install_tree("usr", path, BUNDLE),
        lambda: jail.tree_matches(path, "web-search", BUNDLE),
        lambda: jail.read_file(path, 100),
        lambda: jail.remove_tree(path),
    ):
        with pytest.raises(UnsafePathError):
            attempt()
    assert snapshot(outside) == before
    assert snapshot(root) == inside


def test_names_that_would_speak_to_a_terminal_are_shown_escaped(jail):
    with pytest.raises(MissingPathError) as caught:
        jail.read_file("\x1b]0;owned\x07/f", 100)
    assert "\x1b" not in str(caught.value)
    assert isinstance(caught.value, SkillRepoError)
