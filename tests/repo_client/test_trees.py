"""Bundles as folders."""

import os
from pathlib import Path

import pytest

from repo_client import handles, trees
from repo_client.entries import UnsafePathError
from repo_client.handles import Directory
from repo_client.trees import tree_matches, write_tree
from signing.errors import ConflictError, HostError
from signing.format.archive import Bundle, SourceFile
from signing.format.manifest import Kind, MemberPath, Mode
from signing.format.names import Pin

FILES = {
    MemberPath("SKILL.md"): SourceFile(content=b"# Search\n"),
    MemberPath("scripts/deep/er/run.py"): SourceFile(content=b"print()\n", mode=Mode.EXECUTABLE),
    MemberPath("scripts/data.json"): SourceFile(content=b""),
}
BUNDLE = Bundle.build(pin=Pin.parse("web-search==1.2.0"), kind=Kind.SKILL, files=FILES)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path):
    with Directory.open(tmp_path) as directory:
        yield directory


def modes(root: Path) -> dict[str, int]:
    return {str(path.relative_to(root)): path.lstat().st_mode & 0o7777 for path in [root, *root.rglob("*")]}


def test_a_tree_holds_the_files_the_manifest_and_nothing_else(tmp_path, folder):
    write_tree(folder, "tree", BUNDLE, read_only=False)
    assert names(tmp_path) == ["tree"]
    assert (tmp_path / "tree/MANIFEST.json").read_bytes() == BUNDLE.manifest.render()
    assert (tmp_path / "tree/scripts/deep/er/run.py").read_bytes() == b"print()\n"
    assert modes(tmp_path / "tree") == {
        ".": 0o755,
        "MANIFEST.json": 0o644,
        "SKILL.md": 0o644,
        "scripts": 0o755,
        "scripts/data.json": 0o644,
        "scripts/deep": 0o755,
        "scripts/deep/er": 0o755,
        "scripts/deep/er/run.py": 0o755,
    }
    assert tree_matches(folder, "tree", BUNDLE)


def test_a_read_only_tree_is_read_only_throughout(tmp_path, folder):
    write_tree(folder, "tree", BUNDLE, read_only=True)
    found = modes(tmp_path / "tree")
    assert set(found.values()) == {0o444, 0o555}
    assert [path for path, mode in found.items() if mode == 0o444] == [
        path for path in found if path.endswith((".md", ".json"))
    ]
    assert tree_matches(folder, "tree", BUNDLE)
    folder.remove_tree("tree")
    assert names(tmp_path) == []


def test_a_taken_name_is_a_conflict_and_nothing_is_written(tmp_path, folder):
    (tmp_path / "tree").symlink_to("absent")
    with pytest.raises(ConflictError):
        write_tree(folder, "tree", BUNDLE, read_only=True)
    assert names(tmp_path) == ["tree"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "/a", "a\0"])
def test_a_name_that_is_not_plain_is_refused(name, tmp_path, folder):
    with pytest.raises(UnsafePathError):
        write_tree(folder, name, BUNDLE, read_only=True)
    with pytest.raises(UnsafePathError):
        tree_matches(folder, name, BUNDLE)
    assert names(tmp_path) == []


@pytest.mark.parametrize("failing", ["write", "fchmod", "rename"])
def test_an_error_leaves_nothing_behind(failing, tmp_path, folder, monkeypatch):
    calls = []
    real = getattr(os, failing)

    def full(*args, **kwargs):
        calls.append(args)
        # The second write fails, so that something is there to clean up; removal itself may use fchmod.
        if len(calls) == (1 if failing == "rename" else 2):
            raise OSError(28, "No space left on device")
        return real(*args, **kwargs)

    monkeypatch.setattr(handles.os, failing, full)
    with pytest.raises(HostError, match="No space left"):
        write_tree(folder, "tree", BUNDLE, read_only=True)
    assert names(tmp_path) == []


def test_the_whole_tree_is_on_disk_before_it_has_its_name(tmp_path, folder, monkeypatch):
    seen = []
    monkeypatch.setattr(trees, "sync_tree", lambda _tree: seen.append(names(tmp_path)))
    write_tree(folder, "tree", BUNDLE, read_only=True)
    assert len(seen) == 1
    assert seen[0][0].startswith(".new-")


def add_file(tree):
    (tree / "scripts/extra").touch()


def add_folder(tree):
    (tree / "scripts/empty").mkdir()


def remove_file(tree):
    (tree / "scripts/data.json").unlink()


def change_byte(tree):
    (tree / "SKILL.md").write_bytes(b"# search\n")


def lengthen(tree):
    (tree / "SKILL.md").write_bytes(b"# Search\n\n")


def change_manifest(tree):
    (tree / "MANIFEST.json").write_bytes(BUNDLE.manifest.render() + b"\n")


def drop_executable(tree):
    (tree / "scripts/deep/er/run.py").chmod(0o644)


def make_executable(tree):
    (tree / "SKILL.md").chmod(0o755)


def make_half_executable(tree):
    (tree / "SKILL.md").chmod(0o744)


def set_uid_bit(tree):
    (tree / "scripts/deep/er/run.py").chmod(0o4755)


def file_to_link(tree):
    (tree / "SKILL.md").rename(tree.parent / "outside.md")
    (tree / "SKILL.md").symlink_to("../outside.md")


def file_to_hard_link(tree):
    os.link(tree / "SKILL.md", tree.parent / "twin.md")


def folder_to_link(tree):
    (tree / "scripts").rename(tree.parent / "outside")
    (tree / "scripts").symlink_to("../outside")


def tree_to_link(tree):
    tree.rename(tree.parent / "outside")
    tree.symlink_to("outside")


def file_to_fifo(tree):
    (tree / "SKILL.md").unlink()
    os.mkfifo(tree / "SKILL.md")


def file_to_folder(tree):
    (tree / "SKILL.md").unlink()
    (tree / "SKILL.md").mkdir()


def remove_all(tree):
    tree.rename(tree.parent / "gone")


@pytest.mark.parametrize(
    "change",
    [
        add_file,
        add_folder,
        remove_file,
        change_byte,
        lengthen,
        change_manifest,
        drop_executable,
        make_executable,
        make_half_executable,
        set_uid_bit,
        file_to_link,
        file_to_hard_link,
        folder_to_link,
        tree_to_link,
        file_to_fifo,
        file_to_folder,
        remove_all,
    ],
)
def test_any_difference_is_no_match(change, tmp_path, folder):
    write_tree(folder, "tree", BUNDLE, read_only=False)
    change(tmp_path / "tree")
    assert not tree_matches(folder, "tree", BUNDLE)
