"""Secrets are brought into a jail whose tenant prepared it: nothing outside is written, and nothing leaks out.

The tenant is root in its jail. It puts links, FIFOs and folders where the environment file will be, claims in its
passwd to be root, keeps a second name for the file, and moves its home away.
"""

import os
import stat
from pathlib import Path

import pytest

from hive.vault.provision import Standing
from repo_client.entries import UnsafePathError
from signing.errors import HostError, SkillRepoError
from tests.hive.vault.jailed import ACME, OWNER, Host


@pytest.fixture
def host(tmp_path):
    host = Host.make(tmp_path)
    host.register(ACME, collection_id="c-acme")
    host.vault.values["c-acme"] = {"KEY": "planted"}
    host.env().parent.mkdir(parents=True)
    yield host
    host.provisioner.engine.dispose()


@pytest.fixture
def outside(tmp_path):
    """A file of the host's, and how it stands."""
    path = tmp_path / "host-file"
    path.write_text("the host's own")
    path.chmod(0o640)
    return path


def state_of(path: Path):
    status = path.stat()
    return path.read_bytes(), status.st_mode, status.st_uid, status.st_gid


@pytest.mark.parametrize("kind", ["link", "dangling", "hard-link", "fifo", "other-file"])
def test_what_stands_in_the_way_is_replaced_and_the_host_s_file_stays(host, outside, kind):
    before = state_of(outside)
    if kind == "link":
        host.env().symlink_to(outside)
    elif kind == "dangling":
        host.env().symlink_to(outside.with_name("new-file-of-the-host"))
    elif kind == "hard-link":
        os.link(outside, host.env())
    elif kind == "fifo":
        os.mkfifo(host.env())
    else:
        host.env().write_text("KEY=mine\n")
    assert host.provision().changed
    status = host.env().lstat()
    assert (stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode)) == (stat.S_IFREG, 0o600)
    assert ((status.st_uid, status.st_gid), status.st_nlink) == (OWNER, 1)
    assert state_of(outside) == before
    assert sorted(path.name for path in outside.parent.iterdir() if path.is_file()) == [
        "hive.db",
        "hive.db-shm",
        "hive.db-wal",
        "hive.db-writers",
        "host-file",
    ]


def test_a_folder_in_the_file_s_place_is_refused_and_nothing_is_left(host):
    host.env().mkdir()
    with pytest.raises(UnsafePathError):
        host.provision()
    assert [path.name for path in host.env().parent.rglob("*")] == [".env"]
    assert host.provisioner.standing(ACME) is Standing.UNFINISHED
    assert host.provisioner.withdraw(ACME)
    assert host.provision().changed


@pytest.mark.parametrize("component", ["usr", "usr/home", "usr/home/agent"])
@pytest.mark.parametrize("deed", ["provision", "withdraw"])
def test_a_link_on_the_way_is_refused_and_what_it_leads_to_stays(host, tmp_path, component, deed):
    host.provision()
    elsewhere = tmp_path / "elsewhere"
    way = host.root() / component
    way.rename(elsewhere)
    way.symlink_to(elsewhere)
    victim = elsewhere / host.env().relative_to(way)
    before = state_of(victim)
    host.vault.values["c-acme"] = {"KEY": "other"}
    with pytest.raises(UnsafePathError):
        host.provision() if deed == "provision" else host.provisioner.withdraw(ACME)
    assert state_of(victim) == before
    if deed == "withdraw":  # what could not be removed is not called withdrawn
        assert host.recorded().state == "present"


def test_the_jail_s_passwd_has_no_say_in_who_owns_the_file(host):
    (host.root() / "etc").mkdir()
    (host.root() / "etc/passwd").write_text("agent:*:0:0::0:0:Agent:/:/bin/sh\n")
    host.provision()
    assert (host.env().stat().st_uid, host.env().stat().st_gid) == OWNER


def test_the_file_is_never_readable_by_others_not_even_while_it_is_written(host, monkeypatch):
    seen = []
    honest = os.write

    def watched(descriptor, data):
        if b"planted" in bytes(data):
            seen.append(os.fstat(descriptor).st_mode & 0o777)
        return honest(descriptor, data)

    monkeypatch.setattr(os, "write", watched)
    umask = os.umask(0)
    try:
        host.provision()
    finally:
        os.umask(umask)
    assert seen == [0o600]


def test_a_home_that_moves_away_while_it_is_written_is_noticed(host, monkeypatch):
    honest = os.rename

    def moving(*args, **kwargs):
        honest(*args, **kwargs)
        if args[1] == ".env":
            (host.root() / "usr/home/agent").rename(host.root() / "aside")
            (host.root() / "usr/home/agent").mkdir()

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", moving)
        with pytest.raises(UnsafePathError, match="moved away"):
            host.provision()
    assert host.provisioner.standing(ACME) is Standing.UNFINISHED


def test_a_file_that_is_changed_at_once_is_not_called_provisioned(host, monkeypatch):
    honest = os.rename

    def overwriting(*args, **kwargs):
        honest(*args, **kwargs)
        if args[1] == ".env":
            host.env().write_text("KEY=the tenant's\n")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", overwriting)
        with pytest.raises(UnsafePathError, match="not what was just written"):
            host.provision()
    assert [event for event, _ in host.events()][-1] == "secrets.refused"


def test_a_home_filled_with_names_does_not_keep_the_file_from_being_withdrawn(host, monkeypatch):
    host.provision()
    for number in range(30):
        (host.env().parent / f"f{number}").touch()
    monkeypatch.setattr("repo_client.handles.MAX_ENTRIES", 10)
    monkeypatch.setattr("repo_client.handles.Directory.entries.__kwdefaults__", {"limit": 10})
    with pytest.raises(SkillRepoError, match="more than 10"):
        host.provisioner.withdraw(ACME)
    assert not host.env().exists()


def test_two_jails_of_one_name_elsewhere_do_not_share_secrets(host, tmp_path):
    """The root is the host's, by tenant id; a folder beside it with a look-alike name is nobody's."""
    (tmp_path / "jails/acme2/root/usr/home/agent").mkdir(parents=True)
    host.provision()
    assert list((tmp_path / "jails").rglob(".env")) == [host.env()]


def test_a_file_that_cannot_be_given_to_its_owner_is_an_error_and_nothing_stays(host, monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refused)
    with pytest.raises(HostError, match="not permitted"):
        host.provision()
    assert list(host.env().parent.iterdir()) == []
    assert host.provisioner.standing(ACME) is Standing.UNFINISHED
