"""A file is whole and on disk when `write_durably` returns, or it is as if nothing had happened."""

import errno
import os
import stat
from pathlib import Path

import pytest

from repo_server.storage.durable import make_folder_durably, write_durably
from signing.errors import HostError


class Disk:
    """Remembers what was flushed and renamed, in order; fails when told to."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, str]] = []
        self.fail_fsync: int | None = None
        self._fsync, self._rename = os.fsync, os.rename
        patch.setattr(os, "fsync", self.fsync)
        rename = self.rename

        def replace(path: Path, target: Path) -> None:
            rename(path, target)

        patch.setattr(Path, "replace", replace)

    def fsync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        self.events.append((f"fsync-{kind}", path.name if kind == "folder" else ""))
        if self.fail_fsync is not None:
            raise OSError(self.fail_fsync, os.strerror(self.fail_fsync))
        self._fsync(descriptor)

    def rename(self, path: Path, target: Path) -> None:
        self.events.append(("rename", target.name))
        self._rename(path, target)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to name descriptors")
    return Disk(monkeypatch)


def test_file_then_name_then_folder_are_on_disk_before_it_returns(disk: Disk, tmp_path: Path) -> None:
    write_durably(tmp_path / "file", b"new")
    assert disk.events == [("fsync-file", ""), ("rename", "file"), ("fsync-folder", tmp_path.name)]


def test_new_folders_are_on_disk_before_what_stands_in_them(disk: Disk, tmp_path: Path) -> None:
    write_durably(tmp_path / "a/b/file", b"new")
    assert disk.events == [
        ("fsync-folder", tmp_path.name),
        ("fsync-folder", "a"),
        ("fsync-file", ""),
        ("rename", "file"),
        ("fsync-folder", "b"),
    ]
    disk.events.clear()
    make_folder_durably(tmp_path / "a/b")
    assert disk.events == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_failing_disk_leaves_the_old_file_and_no_other(disk: Disk, tmp_path: Path, number: int) -> None:
    write_durably(tmp_path / "file", b"old")
    disk.fail_fsync = number
    with pytest.raises(HostError, match=os.strerror(number)):
        write_durably(tmp_path / "file", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"old"}


def test_an_interruption_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_durably(tmp_path / "file", b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_is_needed_is_an_error_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file/below", tmp_path / "file/deeper/below"):
        with pytest.raises(HostError):
            write_durably(path, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_where_the_file_should_be_is_an_error_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "name/child").mkdir(parents=True)
    with pytest.raises(HostError):
        write_durably(tmp_path / "name", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["name"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_mode_is_the_one_asked_for(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_durably(tmp_path / "public", b"")
        write_durably(tmp_path / "secret", b"", mode=0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "public").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    write_durably(tmp_path / "link", b"new")
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"
    assert not (tmp_path / "link").is_symlink()
