"""Directory: the file system through handles."""

import contextlib
import os
import socket
from pathlib import Path

import pytest

from repo_client import handles, syncing
from repo_client.entries import MissingPathError, UnsafePathError
from repo_client.handles import Directory
from repo_client.syncing import sync_tree
from signing.errors import ConflictError, FormatError, HostError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(autouse=True)
def no_descriptor_is_left_open():
    before = names(Path("/dev/fd"))
    yield
    assert names(Path("/dev/fd")) == before


@pytest.fixture
def folder(tmp_path):
    with Directory.open(tmp_path) as directory:
        yield directory


def permissions(path: Path) -> int:
    return path.lstat().st_mode & 0o7777


# --- opening and walking ---------------------------------------------------------------------------


def test_the_operators_path_may_not_be_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(UnsafePathError, match="link"):
        Directory.open(tmp_path / "link")


def test_a_missing_folder_is_missing_and_that_is_a_host_error(tmp_path, folder):
    with pytest.raises(MissingPathError):
        Directory.open(tmp_path / "absent")
    with pytest.raises(HostError, match="nothing is there"):
        folder.descend("absent")
    assert MissingPathError("x").exit_status == 6


@pytest.mark.parametrize(
    "path", ["", ".", "..", "/etc", "a//b", "a/", "a/./b", "a/../b", "a\0b", "a/\udfff\ud800"]
)
def test_a_path_that_is_not_plain_is_refused_before_anything_is_made(path, tmp_path, folder):
    with pytest.raises(UnsafePathError) as caught:
        folder.descend(path, create=True)
    assert (caught.value.code, caught.value.exit_status) == ("unsafe-path", 12)
    assert list(tmp_path.iterdir()) == []


def test_missing_folders_are_made_with_the_mode_whatever_the_umask(tmp_path, folder):
    before = os.umask(0o077)
    try:
        with folder.descend("usr/home/agent", create=True, mode=0o755) as home:
            assert home.label == f"{tmp_path}/usr/home/agent"
    finally:
        os.umask(before)
    assert {permissions(tmp_path / path) for path in ("usr", "usr/home", "usr/home/agent")} == {0o755}


def test_existing_folders_keep_their_mode(tmp_path, folder):
    (tmp_path / "usr").mkdir()
    (tmp_path / "usr").chmod(0o711)
    folder.descend("usr/home", create=True).close()
    assert permissions(tmp_path / "usr") == 0o711


def test_the_error_names_the_component_that_is_a_link(tmp_path, folder):
    (tmp_path / "usr/elsewhere").mkdir(parents=True)
    (tmp_path / "usr/home").symlink_to("elsewhere")
    with pytest.raises(UnsafePathError) as caught:
        folder.descend("usr/home/agent")
    assert caught.value.facts["component"] == "home"
    assert caught.value.where == f"{tmp_path}/usr/home"
    assert "/usr/home/agent" in caught.value.hint


def test_same_as_compares_the_folder_not_the_name(tmp_path, folder):
    with folder.descend("a", create=True) as first:
        (tmp_path / "a").rename(tmp_path / "b")
        with folder.descend("b") as moved, folder.descend("a", create=True) as new:
            assert first.same_as(moved)
            assert not first.same_as(new)


# --- files -----------------------------------------------------------------------------------------


def test_a_file_is_written_with_its_mode_and_replaced_whole(tmp_path, folder):
    folder.write_file("f", b"one", mode=0o644)
    folder.write_file("f", b"two", mode=0o600, sync=False)
    assert (tmp_path / "f").read_bytes() == b"two"
    assert permissions(tmp_path / "f") == 0o600
    assert names(tmp_path) == ["f"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_is_set_before_the_file_has_its_name(tmp_path, folder):
    folder.write_file("f", b"x", mode=0o4600, owner=(12345, 12346))
    status = (tmp_path / "f").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (12345, 12346, 0o4600)


@pytest.mark.parametrize("failing", ["write", "fchmod", "fsync", "rename"])
def test_an_error_while_writing_leaves_the_old_file_and_no_temporary(failing, tmp_path, folder, monkeypatch):
    folder.write_file("f", b"old", mode=0o600)

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(handles.os, failing, full)
    with pytest.raises(HostError, match="No space left") as caught:
        folder.write_file("f", b"new", mode=0o600)
    monkeypatch.undo()
    assert caught.value.exit_status == 6
    assert names(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"old"


def test_short_writes_are_continued(tmp_path, folder, monkeypatch):
    write = os.write
    monkeypatch.setattr(handles.os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    folder.write_file("f", b"0123456789", mode=0o600)
    assert (tmp_path / "f").read_bytes() == b"0123456789"


def test_create_file_never_replaces(tmp_path, folder):
    (tmp_path / "dangling").symlink_to("outside")
    folder.create_file("f", b"x", 0o755)
    assert permissions(tmp_path / "f") == 0o755
    for name in ("f", "dangling"):
        with pytest.raises(ConflictError):
            folder.create_file(name, b"y", 0o644)
    assert (tmp_path / "f").read_bytes() == b"x"
    assert not (tmp_path / "outside").exists()


def test_reading_is_bounded(tmp_path, folder):
    (tmp_path / "f").write_bytes(b"12345")
    assert folder.read_file("f", max_bytes=5) == b"12345"
    with pytest.raises(FormatError, match="larger than 4"):
        folder.read_file("f", max_bytes=4)
    with pytest.raises(MissingPathError):
        folder.read_file("absent", max_bytes=4)


def test_a_hard_link_is_read_unless_one_link_is_asked_for(tmp_path, folder):
    (tmp_path / "f").write_bytes(b"x")
    os.link(tmp_path / "f", tmp_path / "g")
    assert folder.load_file("g", max_bytes=1).links == 2
    with pytest.raises(UnsafePathError, match="hard link"):
        folder.read_file("g", max_bytes=1, single_link=True)


@pytest.mark.parametrize("hidden", [False, True], ids=["seen by lstat", "put there after lstat"])
@pytest.mark.parametrize("kind", ["symlink", "dangling", "fifo", "socket", "folder"])
def test_only_regular_files_are_read_and_nothing_blocks(kind, hidden, tmp_path, folder, monkeypatch):
    (tmp_path / "target").write_bytes(b"secret")
    occupy(tmp_path / "name", kind)
    if hidden:
        monkeypatch.setattr(Directory, "find", lambda _self, _name: None)
    with pytest.raises(UnsafePathError, match="name"):
        folder.read_file("name", max_bytes=100)


def occupy(path: Path, kind: str) -> None:
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        # From inside the folder: a socket's path may have about 100 bytes only.
        with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    else:
        path.symlink_to("target" if kind == "symlink" else "absent")


# --- names -----------------------------------------------------------------------------------------


def test_entries_are_sorted_and_links_stand_for_themselves(tmp_path, folder):
    (tmp_path / "b").write_bytes(b"xyz")
    (tmp_path / "b").chmod(0o640)
    (tmp_path / "a").mkdir(mode=0o700)
    (tmp_path / "c").symlink_to("b")
    first, second, third = folder.entries()
    assert (first.name, first.kind, first.mode) == ("a", "folder", 0o700)
    assert (second.name, second.kind, second.mode, second.size) == ("b", "file", 0o640, 3)
    assert (third.name, third.kind) == ("c", "other")


def test_a_folder_with_more_names_than_the_limit_is_refused(tmp_path, folder):
    for number in range(4):
        (tmp_path / str(number)).touch()
    assert len(folder.entries(limit=4)) == 4
    with pytest.raises(UnsafePathError, match="more than 3"):
        folder.entries(limit=3)


def test_rename_replaces_only_when_told(tmp_path, folder):
    folder.create_file("a", b"a", 0o600)
    folder.create_file("b", b"b", 0o600)
    with pytest.raises(ConflictError):
        folder.rename("a", "b")
    assert (tmp_path / "b").read_bytes() == b"b"
    folder.rename("a", "b", replace=True)
    assert names(tmp_path) == ["b"]
    assert (tmp_path / "b").read_bytes() == b"a"


def test_make_folder_refuses_a_taken_name(folder):
    folder.make_folder("a", 0o750)
    with pytest.raises(ConflictError):
        folder.make_folder("a", 0o750)


# --- removal ---------------------------------------------------------------------------------------


def test_removal_follows_no_link_and_opens_read_only_folders(tmp_path, folder):
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o555)
    (tmp_path / "host-file").write_bytes(b"stays")
    tree = tmp_path / "tree"
    (tree / "inner").mkdir(parents=True)
    (tree / "link").symlink_to(outside)
    (tree / "inner/link").symlink_to(tmp_path / "host-file")
    os.link(tmp_path / "host-file", tree / "inner/twin")
    os.mkfifo(tree / "fifo")
    (tree / "inner").chmod(0o555)
    tree.chmod(0o555)
    folder.remove_tree("tree")
    folder.remove_tree("tree")  # absent is fine
    assert names(tmp_path) == ["host-file", "outside"]
    assert permissions(outside) == 0o555
    assert (tmp_path / "host-file").read_bytes() == b"stays"


def test_a_link_is_removed_and_not_what_it_points_to(tmp_path, folder):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    folder.remove_tree("link")
    assert names(tmp_path) == ["real"]


def test_a_tree_too_deep_for_descriptors_and_paths_is_still_removed(tmp_path, folder):
    (tmp_path / "deep").mkdir()
    with contextlib.chdir(tmp_path / "deep"):
        for _ in range(3000):
            Path("d").mkdir()
            os.chdir("d")
    folder.remove_tree("deep")
    assert names(tmp_path) == []


def test_a_folder_with_more_names_than_a_batch_is_removed(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(handles, "_REMOVE_BATCH", 3)
    (tmp_path / "tree").mkdir()
    for number in range(10):
        (tmp_path / "tree" / str(number)).touch()
    folder.remove_tree("tree")
    assert names(tmp_path) == []


def test_a_mounted_file_system_is_not_emptied(tmp_path, folder, monkeypatch):
    (tmp_path / "tree/mounted").mkdir(parents=True)
    (tmp_path / "tree/mounted/host-file").touch()
    fstat = os.fstat
    mounted = (tmp_path / "tree/mounted").stat().st_ino

    def other_device(descriptor):
        status = fstat(descriptor)
        if status.st_ino != mounted:
            return status
        fields = list(status)
        fields[2] += 1
        return os.stat_result(fields)

    monkeypatch.setattr(handles.os, "fstat", other_device)
    with pytest.raises(HostError, match="mounted"):
        folder.remove_tree("tree")
    assert (tmp_path / "tree/mounted/host-file").exists()


# --- durability ------------------------------------------------------------------------------------


def test_sync_tree_falls_back_to_every_name(tmp_path, folder, monkeypatch):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/f").touch()
    (tmp_path / "g").touch()
    synced = []
    monkeypatch.setattr(syncing, "_syncfs", lambda: None)
    monkeypatch.setattr(handles.os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    sync_tree(folder)
    wanted = [tmp_path / path for path in ("a/b/f", "a/b", "a", "g", ".")]
    assert synced == [path.stat().st_ino for path in wanted]


def test_sync_tree_reports_what_the_kernel_says(folder, monkeypatch):
    sync_tree(folder)
    monkeypatch.setattr(syncing, "_syncfs", lambda: lambda _descriptor: -1)
    with pytest.raises(HostError, match="cannot sync"):
        sync_tree(folder)
