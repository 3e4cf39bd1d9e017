"""`JailRoot.digests`: what a sweep reads of a jail that may be anything."""

import os
import socket
from contextlib import chdir
from pathlib import Path

import pytest

from hive.jails.contained import JailRoot
from hive.jails.digests import ReadBounds
from hive.jails.directory import DirectoryHost
from repo_client.entries import UnsafePathError
from signing.format.digest import sha256_of
from signing.format.names import parse_tenant_id

ACME = parse_tenant_id("acme")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    host = DirectoryHost(tmp_path / "jails")
    host.create(ACME, mark="ours")
    return Path(host.describe(ACME))


def test_every_file_below_the_folders_with_its_digest(root: Path) -> None:
    (root / "usr/a/deep").mkdir(parents=True)
    (root / "usr/a/deep/f").write_bytes(b"content")
    (root / "usr/a/deep/f").chmod(0o640)
    (root / "usr/b").mkdir()
    (root / "other").write_text("not asked for")
    with JailRoot.open(root) as jail:
        found = jail.digests(["usr/a", "usr/absent"])
        assert [(item.path, item.kind) for item in found] == [
            ("usr/a/deep", "folder"),
            ("usr/a/deep/f", "file"),
        ]
        [_, file] = found
        assert (file.sha256, file.size, file.mode) == (sha256_of(b"content"), 7, 0o640)
        assert (file.owner, file.links) == ((os.geteuid(), os.getegid()), 1)
        assert {item.path for item in jail.digests([""])} == {
            "other", "usr", "usr/a", "usr/a/deep", "usr/a/deep/f", "usr/b"
        }  # fmt: skip


def test_what_is_no_file_is_named_and_not_opened(root: Path, tmp_path: Path) -> None:
    (tmp_path / "host-file").write_text("the host's")
    (root / "link").symlink_to(tmp_path / "host-file")
    (root / "twin").hardlink_to(tmp_path / "host-file")
    os.mkfifo(root / "fifo")
    with chdir(root), socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    with JailRoot.open(root) as jail:
        found = {item.path: item for item in jail.digests([""])}
    assert {path: item.kind for path, item in found.items()} == {
        "link": "link", "twin": "file", "fifo": "other", "socket": "other"
    }  # fmt: skip
    assert found["link"].target == str(tmp_path / "host-file")
    assert found["link"].sha256 is None
    assert found["twin"].links == 2  # through the other name it is changed where nobody looks


def test_a_link_on_the_way_to_a_folder_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/f").touch()
    (root / "usr").symlink_to(tmp_path)
    with JailRoot.open(root) as jail, pytest.raises(UnsafePathError):
        jail.digests(["usr/outside"])


def test_a_file_of_a_petabyte_full_of_holes_has_no_digest(root: Path) -> None:
    with (root / "hole").open("wb") as hole:
        hole.truncate(1 << 40)
    with JailRoot.open(root) as jail:
        [found] = jail.digests([""])
    assert (found.size, found.sha256) == (1 << 40, None)


def test_a_file_that_grows_while_it_is_read_is_not_read_for_ever(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "f").write_bytes(b"x")
    honest = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, count: honest(descriptor, count) or b"x" * 1000)
    with JailRoot.open(root) as jail:
        [found] = jail.digests([""], bounds=ReadBounds(file_bytes=10_000))
    assert found.sha256 is None


def test_all_is_bounded(root: Path) -> None:
    for name in "abc":
        (root / name).write_bytes(b"x" * 1000)
    (root / "d/d/d").mkdir(parents=True)
    with JailRoot.open(root) as jail:
        assert len(jail.digests([""], bounds=ReadBounds(entries=6, total_bytes=3000, depth=4))) == 6
        for bounds in (ReadBounds(entries=5), ReadBounds(total_bytes=2999), ReadBounds(depth=3)):
            with pytest.raises(UnsafePathError):
                jail.digests([""], bounds=bounds)


def test_what_vanishes_while_it_is_looked_at_is_passed_over(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hive.jails import digests

    (root / "f").touch()
    (root / "g").touch()
    honest = digests.open_file

    def vanishing(folder: digests.Directory, name: str) -> int:
        (root / "f").unlink(missing_ok=True)
        return honest(folder, name)

    monkeypatch.setattr(digests, "open_file", vanishing)
    with JailRoot.open(root) as jail:
        assert [item.path for item in jail.digests([""])] == ["g"]
