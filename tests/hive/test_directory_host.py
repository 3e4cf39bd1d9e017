"""DirectoryHost: jails as plain folders."""

import os
from pathlib import Path

import pytest

from hive.jails import directory
from hive.jails.directory import DirectoryHost
from hive.jails.host import JailHost
from repo_client.entries import UnsafePathError
from repo_client.handles import Directory
from signing.errors import ConflictError, HostError, NotFoundError
from signing.format.names import parse_tenant_id

ACME = parse_tenant_id("acme")
OTHER = parse_tenant_id("other")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def permissions(path: Path) -> int:
    return path.lstat().st_mode & 0o7777


@pytest.fixture
def base(tmp_path):
    return tmp_path / "var" / "jails"


@pytest.fixture
def host(base) -> JailHost:
    return DirectoryHost(base)


def test_a_host_without_its_folder_has_no_jails(host, base):
    assert not host.exists(ACME)
    with pytest.raises(NotFoundError):
        host.open_root(ACME)
    host.destroy(ACME, mark="ours")
    assert not base.exists()


def test_a_created_jail_has_exact_modes_whatever_the_umask(host, base):
    before = os.umask(0o077)
    try:
        host.create(ACME, mark="ours")
    finally:
        os.umask(before)
    assert host.exists(ACME)
    assert not host.exists(OTHER)
    assert host.describe(ACME) == f"{base}/acme/root"
    assert [permissions(base / path) for path in (".", "acme", "acme/root")] == [0o755, 0o750, 0o755]
    assert names(base) == ["acme"]


def test_creating_twice_is_a_conflict_and_changes_nothing(host, base):
    host.create(ACME, mark="ours")
    (base / "acme/root/kept").touch()
    with pytest.raises(ConflictError):
        host.create(ACME, mark="ours")
    assert names(base / "acme/root") == ["kept"]
    assert names(base) == ["acme"]


@pytest.mark.parametrize("moment", ["make_folder", "rename"])
def test_a_killed_create_left_nothing_that_counts_and_the_next_one_sweeps(moment, host, base, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(*_args, **_kwargs):
        raise Killed

    # A killed process cleans nothing up.
    monkeypatch.setattr(Directory, moment, kill if moment == "rename" else after(kill, Directory.make_folder))
    monkeypatch.setattr(Directory, "remove_tree", lambda _self, _name: None)
    with pytest.raises(Killed):
        host.create(ACME, mark="ours")
    monkeypatch.undo()
    [left] = names(base)
    assert left.startswith(".new-")
    assert not host.exists(ACME)
    host.create(OTHER, mark="ours")
    assert names(base) == ["other"]


def after(action, real):
    def wrapper(*args, **kwargs):
        real(*args, **kwargs)
        action()

    return wrapper


def test_a_failed_create_cleans_up_at_once(host, base, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise HostError("disk full")

    monkeypatch.setattr(Directory, "rename", refuse)
    with pytest.raises(HostError, match="disk full"):
        host.create(ACME, mark="ours")
    assert names(base) == []


def test_a_jail_without_its_root_is_no_jail_and_its_name_is_taken(host, base):
    (base / "acme").mkdir(parents=True)
    assert not host.exists(ACME)
    with pytest.raises(ConflictError):
        host.create(ACME, mark="ours")
    with pytest.raises(ConflictError, match="not made by this birth"):
        host.destroy(ACME, mark="ours")
    assert names(base) == ["acme"]


def test_a_jail_with_another_mark_is_left_alone(host, base):
    host.create(ACME, mark="theirs")
    (base / "acme/root/precious").write_text("data")
    assert host.mark_of(ACME) == "theirs"
    with pytest.raises(ConflictError):
        host.create(ACME, mark="ours")
    with pytest.raises(ConflictError, match="not made by this birth"):
        host.destroy(ACME, mark="ours")
    assert (base / "acme/root/precious").read_text() == "data"
    host.destroy(ACME, mark="theirs")
    assert host.mark_of(ACME) is None


@pytest.mark.parametrize("path", ["acme", "acme/root", "acme/birth"])
def test_a_link_in_place_of_a_jail_is_no_jail(path, host, base, tmp_path):
    (tmp_path / "outside/root").mkdir(parents=True)
    (tmp_path / "outside/birth").write_text("ours")
    (base / path).parent.mkdir(parents=True)
    (base / path).symlink_to(tmp_path / "outside" / ("birth" if path.endswith("birth") else ""))
    assert not host.exists(ACME)
    assert host.mark_of(ACME) is None
    with pytest.raises(ConflictError):
        host.destroy(ACME, mark="ours")
    assert names(tmp_path / "outside") == ["birth", "root"]


def test_destroying_takes_one_jail_and_is_idempotent(host, base):
    host.create(ACME, mark="ours")
    host.create(OTHER, mark="ours")
    tree = base / "acme/root/usr/home"
    tree.mkdir(parents=True)
    (tree / "f").touch()
    tree.chmod(0o555)
    host.destroy(ACME, mark="ours")
    host.destroy(ACME, mark="ours")
    assert not host.exists(ACME)
    assert names(base) == ["other"]


def test_an_interrupted_destroy_is_finished_by_the_next(host, base, monkeypatch):
    host.create(ACME, mark="ours")

    def fail(*_args):
        raise HostError("device busy")

    monkeypatch.setattr(directory, "_sweep", fail)
    with pytest.raises(HostError):
        host.destroy(ACME, mark="ours")
    monkeypatch.undo()
    assert not host.exists(ACME)  # from the first moment on
    [left] = names(base)
    assert left.startswith(".gone-")
    host.create(ACME, mark="ours")
    host.destroy(OTHER, mark="ours")
    assert names(base) == ["acme"]


def test_the_base_may_not_be_a_link_nor_below_one(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(UnsafePathError):
        DirectoryHost(tmp_path / "link").create(ACME, mark="ours")
    assert names(tmp_path / "real") == []
    below = DirectoryHost(tmp_path / "link" / "jails")
    below.create(ACME, mark="ours")
    with pytest.raises(UnsafePathError) as caught:
        below.open_root(ACME)
    assert caught.value.facts["component"] == "link"


def test_a_base_that_cannot_be_made_is_a_host_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="cannot make"):
        DirectoryHost(tmp_path / "file" / "jails").create(ACME, mark="ours")
