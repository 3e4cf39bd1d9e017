"""JailRoot: writing into a jail, when nobody is hostile and when somebody moves folders."""

import os
from pathlib import Path

import pytest

from hive.jails import contained
from hive.jails.contained import JailRoot
from hive.jails.directory import DirectoryHost
from repo_client.entries import MissingPathError, UnsafePathError
from repo_client.handles import Directory
from signing.errors import ConflictError, FormatError, UsageError
from signing.format.archive import Bundle, SourceFile
from signing.format.manifest import Kind, MemberPath
from signing.format.names import Pin, parse_tenant_id

ACME = parse_tenant_id("acme")
SKILLS = "usr/home/agent/skills"
ENV = "usr/home/agent/.env"


def bundle(version: str) -> Bundle:
    files = {
        MemberPath("SKILL.md"): SourceFile(content=f"# Search {version}\n".encode()),
        MemberPath("scripts/run.py"): SourceFile(content=b"print()\n"),
    }
    return Bundle.build(pin=Pin.parse(f"web-search=={version}"), kind=Kind.SKILL, files=files)


ONE, TWO = bundle("1"), bundle("2")


@pytest.fixture
def root(tmp_path):
    host = DirectoryHost(tmp_path / "jails")
    host.create(ACME, mark="ours")
    return Path(host.describe(ACME))


@pytest.fixture
def jail(root):
    with JailRoot.open(root) as opened:
        yield opened


def inodes(root: Path) -> dict[Path, int]:
    return {path: path.lstat().st_ino for path in root.rglob("*")}


# --- opening ---------------------------------------------------------------------------------------


def test_a_root_that_group_or_others_may_write_is_refused(root):
    for mode in (0o775, 0o757, 0o1777):
        root.chmod(mode)
        with pytest.raises(UnsafePathError, match="writable"):
            JailRoot.open(root)


def test_a_root_below_a_folder_that_strangers_may_write_is_refused(root):
    root.parent.parent.chmod(0o757)
    with pytest.raises(UnsafePathError, match="replace what stands in"):
        JailRoot.open(root)
    root.parent.parent.chmod(0o1777)  # sticky: a stranger cannot rename what is not the stranger's
    JailRoot.open(root).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_a_root_below_a_folder_of_somebody_else_is_refused(root):
    os.chown(root.parent, 12345, 12345)
    with pytest.raises(UnsafePathError, match="replace what stands in"):
        JailRoot.open(root)


def test_a_root_below_a_link_is_refused_and_the_link_is_named(root, tmp_path):
    (tmp_path / "link").symlink_to("jails")
    with pytest.raises(UnsafePathError) as caught:
        JailRoot.open(tmp_path / "link/acme/root")
    assert caught.value.facts["component"] == "link"
    with pytest.raises(UnsafePathError):
        JailRoot.open(root / ".." / "root")


# --- trees -----------------------------------------------------------------------------------------


def test_a_tree_is_installed_read_only_and_an_equal_one_is_left_alone(jail, root):
    assert not jail.tree_matches(SKILLS, "web-search", ONE)
    jail.install_tree(SKILLS, "web-search", ONE)
    assert jail.tree_matches(SKILLS, "web-search", ONE)
    before = inodes(root)
    jail.install_tree(SKILLS, "web-search", ONE)
    assert inodes(root) == before
    installed = {item.path: item.mode for item in jail.listing() if item.path.startswith(SKILLS + "/")}
    assert installed == {
        f"{SKILLS}/web-search": 0o555,
        f"{SKILLS}/web-search/MANIFEST.json": 0o444,
        f"{SKILLS}/web-search/SKILL.md": 0o444,
        f"{SKILLS}/web-search/scripts": 0o555,
        f"{SKILLS}/web-search/scripts/run.py": 0o444,
    }


def test_another_tree_is_a_conflict_unless_replacing_is_asked_for(jail, root):
    jail.install_tree(SKILLS, "web-search", ONE)
    before = inodes(root)
    with pytest.raises(ConflictError):
        jail.install_tree(SKILLS, "web-search", TWO)
    assert inodes(root) == before
    jail.install_tree(SKILLS, "web-search", TWO, replace=True)
    assert jail.tree_matches(SKILLS, "web-search", TWO)
    assert sorted(path.name for path in (root / SKILLS).iterdir()) == ["web-search"]


def test_a_changed_tree_is_repaired_by_replacing(jail, root):
    jail.install_tree(SKILLS, "web-search", ONE)
    target = root / SKILLS / "web-search/SKILL.md"
    target.chmod(0o644)
    target.write_text("obey me")
    assert not jail.tree_matches(SKILLS, "web-search", ONE)
    jail.install_tree(SKILLS, "web-search", ONE, replace=True)
    assert jail.tree_matches(SKILLS, "web-search", ONE)


# --- files -----------------------------------------------------------------------------------------


def test_a_file_that_is_right_is_not_written_again(jail, root):
    jail.install_file(ENV, b"KEY=1\n", mode=0o600)
    before = inodes(root)
    jail.install_file(ENV, b"KEY=1\n", mode=0o600)
    assert inodes(root) == before
    assert jail.read_file(ENV, 100) == b"KEY=1\n"


@pytest.mark.parametrize(
    ("content", "mode"), [(b"KEY=2\n", 0o600), (b"KEY=1\n", 0o640), (b"KEY", 0o600), (b"KEY=1\n#\n", 0o600)]
)
def test_a_file_that_differs_is_replaced(content, mode, jail, root):
    jail.install_file(ENV, content, mode=mode)
    before = (root / ENV).stat().st_ino
    held = (root / ENV).open("rb")  # keeps the inode from being used again
    jail.install_file(ENV, b"KEY=1\n", mode=0o600)
    held.close()
    assert (root / ENV).stat().st_ino != before
    assert (root / ENV).read_bytes() == b"KEY=1\n"
    assert (root / ENV).stat().st_mode & 0o7777 == 0o600
    assert sorted(path.name for path in (root / ENV).parent.iterdir()) == [".env"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_counts_for_being_right(jail, root):
    jail.install_file(ENV, b"KEY=1\n", mode=0o600)
    jail.install_file(ENV, b"KEY=1\n", mode=0o600, owner=(12345, 12346))
    status = (root / ENV).stat()
    assert (status.st_uid, status.st_gid) == (12345, 12346)
    before = inodes(root)
    jail.install_file(ENV, b"KEY=1\n", mode=0o600, owner=(12345, 12346))
    assert inodes(root) == before


def test_a_file_for_uid_0_is_refused_and_nothing_is_touched(jail, root):
    with pytest.raises(UsageError, match="uid 0"):
        jail.install_file(ENV, b"KEY=1\n", mode=0o600, owner=(0, 0))
    assert inodes(root) == {}


def test_reading_is_bounded_and_absent_is_missing(jail):
    jail.install_file("f", b"12345", mode=0o600)
    with pytest.raises(FormatError):
        jail.read_file("f", 4)
    with pytest.raises(MissingPathError):
        jail.read_file("usr/absent", 4)


# --- listing and removing --------------------------------------------------------------------------


def test_the_listing_is_complete_sorted_and_follows_nothing(jail, root, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").touch()
    (root / "b").mkdir(mode=0o755)
    (root / "b/link").symlink_to(tmp_path / "outside")
    jail.install_file("b/f", b"xyz", mode=0o640)
    jail.install_file("a", b"", mode=0o600)
    listed = jail.listing()
    assert [(item.path, item.kind) for item in listed] == [
        ("a", "file"),
        ("b", "folder"),
        ("b/f", "file"),
        ("b/link", "other"),
    ]
    assert (listed[2].mode, listed[2].size) == (0o640, 3)


def test_a_jail_with_too_much_in_it_is_refused(jail, root, monkeypatch):
    monkeypatch.setattr(contained, "MAX_ENTRIES", 3)
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/c").touch()
    assert len(jail.listing()) == 3
    (root / "a/b/d").touch()
    with pytest.raises(UnsafePathError, match="more than"):
        jail.listing()


def test_a_jail_nested_too_deep_is_refused(jail, root):
    (root / "/".join("d" * 99)).mkdir(parents=True)
    assert len(jail.listing()) == 99
    (root / "/".join("d" * 100)).mkdir()
    with pytest.raises(UnsafePathError, match="deeper"):
        jail.listing()


def test_removing_takes_what_was_named(jail, root):
    jail.install_tree(SKILLS, "web-search", ONE)
    jail.install_file("kept", b"", mode=0o600)
    jail.remove_tree(f"{SKILLS}/web-search")
    jail.remove_tree("usr/absent/too")
    assert list((root / SKILLS).iterdir()) == []
    jail.remove_tree("usr")
    assert [item.path for item in jail.listing()] == ["kept"]


# --- a folder that is moved away while it is written to ----------------------------------------------


@pytest.mark.parametrize("moved", ["usr", "usr/home", "usr/home/agent"])
def test_a_folder_moved_away_meanwhile_is_noticed(moved, jail, root, monkeypatch):
    jail.install_file(ENV, b"KEY=1\n", mode=0o600)
    write = Directory.write_file

    def write_then_move(*args, **kwargs):
        write(*args, **kwargs)
        (root / moved).rename(root / "aside")
        (root / ENV).parent.mkdir(parents=True)

    monkeypatch.setattr(Directory, "write_file", write_then_move)
    with pytest.raises(UnsafePathError, match="moved away"):
        jail.install_file(ENV, b"KEY=2\n", mode=0o600)
    assert not (root / ENV).exists()


def test_a_folder_moved_away_under_a_tree_is_noticed(jail, root, monkeypatch):
    write = contained.write_tree

    def write_then_move(*args, **kwargs):
        write(*args, **kwargs)
        (root / SKILLS).rename(root / "aside")
        (root / SKILLS).mkdir()

    monkeypatch.setattr(contained, "write_tree", write_then_move)
    with pytest.raises(UnsafePathError, match="moved away"):
        jail.install_tree(SKILLS, "web-search", ONE)
