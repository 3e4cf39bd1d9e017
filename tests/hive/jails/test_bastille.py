"""`BastilleHost` over a Bastille that is as careless as the real one, and one that goes wrong."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hive.jails.bastille import BastilleHost
from hive.jails.bastille_commands import Patience
from hive.jails.bastille_notes import GOING, MAKING
from hive.jails.limits import Limits
from hive.packages.commands import ENVIRONMENT
from repo_client.entries import UnsafePathError
from signing.errors import ConflictError, HostError, NotFoundError, UsageError
from signing.format.names import parse_tenant_id
from tests.support.bastille_machine import HURRIED, BastilleMachine

ACME, LONGER = parse_tenant_id("acme"), parse_tenant_id("acme2")
SKILLS = "usr/home/agent/skills"
# What a program in a jail says its release is, where nobody escapes it: the end of this jail, and another one.
GHOST = (
    '14.3","TAGS":"-"},{"JID":"-","NAME":"ghost","BOOT":"off","PRIO":"99","STATE":"Down","TYPE":"thin",'
    '"IP ADDRESS":"-","PORTS":"-","RELEASE":"x'
)


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def noted(machine: BastilleMachine, tenant: str = "acme") -> list[str]:
    return sorted(path.name for path in (machine.prefix / "hive/jails" / tenant).iterdir())


def addresses(machine: BastilleMachine) -> dict[str, str]:
    return {path.name: path.read_text() for path in (machine.prefix / "hive/addresses").iterdir()}


# --- what is called ------------------------------------------------------------------------------------


def test_a_jails_life_in_exact_words_without_our_environment(
    machine: BastilleMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SH", "/evil/shell")  # Bastille runs what this names
    monkeypatch.setenv("BW_SESSION", "secret")
    host = machine.host()
    host.create(ACME, mark="ours")
    host.start(ACME, mark="ours")
    host.limits(ACME, Limits(processes=7))
    host.stop(ACME, mark="ours")
    host.destroy(ACME, mark="ours")
    assert machine.changes == [
        ["create", "--no-boot", "acme", "14.3-RELEASE", "10.17.89.2", "lo1"],
        ["stop", "acme"],  # whatever --no-boot says, it was started
        ["start", "acme"],
        ["stop", "acme"],
        ["destroy", "-a", "-f", "-y", "acme"],
    ]
    assert [words[1:] for words in machine.calls if words[0] == "rctl" and len(words) > 2] == [
        ["-a", "jail:acme:maxproc:deny=7/jail"],
        ["-r", "jail:acme:maxproc:deny"],
    ]
    for environment in machine.environments:
        assert {key: environment.get(key) for key in ENVIRONMENT} == dict(ENVIRONMENT)
        assert set(environment) <= {*ENVIRONMENT, "PWD", "OLDPWD", "_", "SHLVL", "LC_CTYPE"}


def test_what_stands_beside_the_root_is_the_hosts(machine: BastilleMachine) -> None:
    machine.host().create(ACME, mark="ours")
    folder = machine.prefix / "jails/acme"
    assert (folder / "birth").read_text() == "ours"
    assert permissions(folder / "birth") == 0o400
    assert permissions(folder) == 0o700
    assert permissions(machine.prefix / "hive") == 0o700
    assert noted(machine) == []
    assert machine.kernel == {}


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("inherit", ["create", "--no-boot", "acme", "14.3-RELEASE", "inherit"]),
        ("vnet:em0:DHCP", ["create", "--no-boot", "-V", "acme", "14.3-RELEASE", "DHCP", "em0"]),
        (
            "bridge:br0:10.1.0.0/24",
            ["create", "--no-boot", "-B", "acme", "14.3-RELEASE", "10.1.0.2/24", "br0"],
        ),
    ],
)
def test_the_network_as_bastille_wants_it(network: str, words: list[str], machine: BastilleMachine) -> None:
    machine.host(network=network).create(ACME, mark="ours")
    assert machine.changes[0] == words


def test_addresses_are_each_tenants_own_and_come_back(machine: BastilleMachine) -> None:
    host = machine.host()  # a block with five addresses for jails
    names = [parse_tenant_id(f"t{number}") for number in range(5)]
    for name in names:
        host.create(name, mark="ours")
    assert addresses(machine) == {f"10.17.89.{number + 2}": name for number, name in enumerate(names)}
    with pytest.raises(HostError, match="no address is left"):
        host.create(ACME, mark="ours")
    assert not (machine.prefix / "jails/acme").exists()
    host.destroy(names[2], mark="ours")
    host.create(ACME, mark="ours")
    assert addresses(machine)["10.17.89.4"] == "acme"


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o751, 0o1750])
def test_a_prefix_with_another_mode_is_refused_with_its_mend(mode: int, machine: BastilleMachine) -> None:
    host = machine.host()
    host.create(ACME, mark="ours")
    before = len(machine.calls)
    machine.prefix.chmod(mode)
    attempts = [
        lambda: host.create(LONGER, mark="ours"),
        lambda: host.start(ACME, mark="ours"),
        lambda: host.destroy(ACME, mark="ours"),
    ]
    for attempt in attempts:
        with pytest.raises(HostError, match="0750 only") as caught:
            attempt()
        assert caught.value.hint == f"chmod 0750 {machine.prefix}"
    assert [words for words in machine.calls[before:] if words[0] == "bastille"] == []
    machine.prefix.chmod(0o750)
    assert host.exists(ACME)


@pytest.mark.parametrize("name", ["all", "help", "current", "debian12", "focal"])
def test_a_name_that_means_something_else_to_bastille_is_never_said(
    name: str, machine: BastilleMachine
) -> None:
    """`bastille destroy -a -f -y all` destroys every jail."""
    host, tenant = machine.host(), parse_tenant_id(name)
    host.create(ACME, mark="ours")
    host.start(ACME, mark="ours")
    before = len(machine.changes)
    with pytest.raises(UsageError, match="means something else"):
        host.create(tenant, mark="ours")
    # Even where somebody made a folder that looks like one of ours.
    folder = machine.prefix / "jails" / name
    (folder / "root").mkdir(parents=True)
    (folder / "jail.conf").touch()
    (folder / "birth").write_text("ours")
    for attempt in (host.destroy, host.start):
        with pytest.raises(UsageError, match="means something else"):
            attempt(tenant, mark="ours")
    assert machine.changes[before:] == []
    assert list(machine.kernel) == ["acme"]


# --- names that Bastille would guess -------------------------------------------------------------------


@pytest.mark.parametrize("left", ["empty", "no root", "half"])
def test_half_a_jail_is_not_taken_for_the_one_whose_name_it_begins(
    left: str, machine: BastilleMachine
) -> None:
    """Without a jail.conf Bastille does not know it, and would destroy acme2 in its place."""
    host = machine.host()
    host.create(LONGER, mark="theirs")
    host.start(LONGER, mark="theirs")
    machine.misbehave(create="half-silent")
    with pytest.raises(HostError):
        host.create(ACME, mark="ours")
    machine.misbehave()
    # As a kill would leave it: nothing was cleaned up.
    folder = machine.prefix / "jails/acme"
    (folder / ("root" if left == "half" else "")).mkdir(parents=True)
    (machine.prefix / "hive/jails/acme" / MAKING).write_text("ours")
    assert not host.exists(ACME)
    assert host.mark_of(ACME) == "ours"
    for attempt in (host.start, host.limits_of):
        with pytest.raises(NotFoundError):
            attempt(ACME, mark="ours") if attempt == host.start else attempt(ACME)
    host.destroy(ACME, mark="ours")
    assert not folder.exists()
    assert list(machine.kernel) == ["acme2"]
    assert host.exists(LONGER)


def test_a_jail_that_somebody_else_made_is_neither_taken_nor_removed(machine: BastilleMachine) -> None:
    host = machine.host()
    folder = machine.outsider("acme")
    before = machine.changes
    assert not host.exists(ACME)
    assert host.mark_of(ACME) is None
    with pytest.raises(ConflictError, match="is there"):
        host.create(ACME, mark="ours")
    with pytest.raises(ConflictError, match="not made by this birth"):
        host.destroy(ACME, mark="ours")
    with pytest.raises(ConflictError, match="not made by this birth"):
        host.stop(ACME, mark="ours")
    assert machine.changes == before
    assert (folder / "jail.conf").is_file()
    assert list(machine.kernel) == ["acme"]


def test_a_jail_that_somebody_makes_in_the_same_moment_is_left_alone(
    machine: BastilleMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, honest = machine.host(), BastilleHost._make

    def overtaken(*args: object) -> None:
        machine.outsider("acme")
        honest(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(BastilleHost, "_make", overtaken)
    with pytest.raises(ConflictError, match="already"):
        host.create(ACME, mark="ours")
    assert list(machine.kernel) == ["acme"]
    assert host.mark_of(ACME) is None
    assert addresses(machine) == {}
    with pytest.raises(ConflictError):
        host.destroy(ACME, mark="ours")
    assert (machine.prefix / "jails/acme/jail.conf").is_file()


def test_a_jail_of_this_name_that_runs_elsewhere_is_not_stopped(machine: BastilleMachine) -> None:
    host = machine.host()
    host.create(ACME, mark="ours")
    (machine.folder / "kernel.json").write_text('{"acme": {"jid": 9, "path": "/somewhere", "mounts": []}}')
    before = machine.changes
    for attempt in (host.start, host.stop, host.destroy):
        with pytest.raises(HostError, match="runs at /somewhere"):
            attempt(ACME, mark="ours")
    with pytest.raises(HostError, match="runs at /somewhere"):
        host.is_running(ACME)
    assert machine.changes == before


# --- Bastille that goes wrong --------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["nothing", "fail", "half", "half-silent", "late", "garbage"])
def test_a_create_that_goes_wrong_leaves_nothing_and_the_next_one_works(
    how: str, machine: BastilleMachine
) -> None:
    host = machine.host()
    machine.misbehave(create=how)
    with pytest.raises(HostError):
        host.create(ACME, mark="ours")
    assert not host.exists(ACME)
    assert host.mark_of(ACME) is None
    assert machine.kernel == {}
    assert not (machine.prefix / "jails/acme").exists()
    assert addresses(machine) == {}
    machine.misbehave()
    host.create(ACME, mark="other")
    assert host.mark_of(ACME) == "other"


@pytest.mark.parametrize("how", ["nothing", "fail", "half"])
def test_a_jail_that_could_not_be_stopped_does_not_count_as_made(how: str, machine: BastilleMachine) -> None:
    host = machine.host()
    machine.misbehave(stop=how, destroy=how, jail="nothing")
    with pytest.raises(HostError):
        host.create(ACME, mark="ours")
    assert not host.exists(ACME)
    assert host.mark_of(ACME) == "ours"  # so the same birth clears it away
    machine.misbehave()
    host.create(ACME, mark="ours")
    assert host.exists(ACME)
    assert machine.kernel == {}


@pytest.mark.parametrize("how", ["nothing", "fail", "half", "half-silent", "late"])
def test_a_start_that_goes_wrong_is_an_error(how: str, machine: BastilleMachine) -> None:
    host = machine.host()
    host.create(ACME, mark="ours")
    machine.misbehave(start=how)
    with pytest.raises(HostError):
        host.start(ACME, mark="ours")
    assert not host.is_running(ACME)  # not half started, without its limits
    machine.misbehave()
    host.start(ACME, mark="ours")
    assert host.is_running(ACME)


@pytest.mark.parametrize("how", ["nothing", "fail", "half", "half-silent", "late"])
def test_a_jail_is_stopped_whatever_bastille_says(how: str, machine: BastilleMachine) -> None:
    host = machine.host()
    host.create(ACME, mark="ours")
    host.start(ACME, mark="ours")
    machine.misbehave(stop=how)
    host.stop(ACME, mark="ours")
    assert machine.kernel == {}
    assert (["jail", "-R", "acme"] in machine.calls) == (how != "late")


@pytest.mark.parametrize("how", ["nothing", "fail"])
def test_a_jail_that_cannot_be_stopped_at_all_is_an_error(how: str, machine: BastilleMachine) -> None:
    host = machine.host()
    host.create(ACME, mark="ours")
    host.start(ACME, mark="ours")
    machine.misbehave(stop=how, jail=how)
    for attempt in (host.stop, host.destroy):
        with pytest.raises(HostError):
            attempt(ACME, mark="ours")
    assert host.is_running(ACME)


def test_a_tenant_that_lets_its_shutdown_hang_is_stopped_all_the_same(machine: BastilleMachine) -> None:
    """Stopping runs the jail's rc.shutdown: a quarantine that waits for it would be the tenant's to decide."""
    host = machine.host(patience=Patience(stop=0.5))
    host.create(ACME, mark="ours")
    host.start(ACME, mark="ours")
    machine.misbehave(stop="hang")
    begun = time.monotonic()
    host.stop(ACME, mark="ours")
    assert machine.kernel == {}
    assert time.monotonic() - begun < 15


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="mounting takes root, and these words Linux"
)
@pytest.mark.parametrize("planted", [False, True])
def test_what_a_forced_stop_leaves_mounted_is_unmounted(
    planted: bool, machine: BastilleMachine, tmp_path: Path
) -> None:
    host = shelved(machine)
    host.start(ACME, mark="ours")
    place, elsewhere = machine.prefix / "jails/acme/root" / SKILLS, tmp_path / "elsewhere/agent/skills"
    elsewhere.mkdir(parents=True)
    mounts = [place, elsewhere]
    for path in mounts:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "tmpfs", path], capture_output=True, text=True, check=False
        )
        if made.returncode != 0:
            pytest.skip(f"this machine lets nobody mount: {made.stderr.strip()}")
    machine.misbehave(stop="nothing")
    try:
        if planted:  # the mount moved away with its folder; a link in its place leads to one of the host's
            home = machine.prefix / "jails/acme/root/usr/home"
            home.rename(home.with_name("aside"))
            home.symlink_to(tmp_path / "elsewhere")
            mounts[0] = home.with_name("aside") / "agent/skills"
            with pytest.raises(UnsafePathError):
                host.stop(ACME, mark="ours")
        else:
            host.stop(ACME, mark="ours")
        assert machine.kernel == {}
        assert [path.is_mount() for path in mounts] == [planted, True]
    finally:
        for path in mounts:
            subprocess.run(["umount", path], capture_output=True, check=False)


@pytest.mark.parametrize("how", ["nothing", "fail", "half", "half-silent", "late"])
def test_a_destroy_that_goes_wrong_is_continued_by_the_next(how: str, machine: BastilleMachine) -> None:
    host = machine.host()
    host.create(ACME, mark="ours")
    host.start(ACME, mark="ours")
    machine.misbehave(destroy=how)
    if how == "late":
        host.destroy(ACME, mark="ours")
    else:
        with pytest.raises(HostError, match="is not destroyed"):
            host.destroy(ACME, mark="ours")
        assert not host.exists(ACME)
        assert host.mark_of(ACME) == "ours"
        with pytest.raises(ConflictError):
            host.destroy(ACME, mark="theirs")
        with pytest.raises(ConflictError):
            host.create(ACME, mark="theirs")
        machine.misbehave()
        host.destroy(ACME, mark="ours")
    assert host.mark_of(ACME) is None
    assert not (machine.prefix / "jails/acme").exists()
    assert noted(machine) == []
    assert addresses(machine) == {}


@pytest.mark.parametrize("how", ["garbage", "fail", "nothing"])
def test_a_jls_that_does_not_answer_is_no_answer(how: str, machine: BastilleMachine) -> None:
    host = machine.host()
    host.create(ACME, mark="ours")
    machine.misbehave(jls=how)
    before = machine.changes
    for attempt in (host.start, host.stop, host.destroy):
        with pytest.raises(HostError):
            attempt(ACME, mark="ours")
    with pytest.raises(HostError):
        host.is_running(ACME)
    assert machine.changes == before


@pytest.mark.parametrize("command", ["create", "start", "jls"])
@pytest.mark.parametrize("how", ["hang", "flood"])
def test_a_command_without_end_is_ended(how: str, command: str, machine: BastilleMachine) -> None:
    if command != "create":
        machine.host().create(ACME, mark="ours")
    machine.misbehave(**{command: how})
    host, begun = machine.host(patience=HURRIED), time.monotonic()
    with pytest.raises(HostError, match=r"too long|too much"):
        host.create(ACME, mark="ours") if command == "create" else host.start(ACME, mark="ours")
    assert time.monotonic() - begun < 15
    assert host.exists(ACME) == (command != "create")


# --- mounts --------------------------------------------------------------------------------------------


def shelved(machine: BastilleMachine) -> BastilleHost:
    host = machine.host()
    host.create(ACME, mark="ours")
    with host.open_shelf(ACME) as shelf:
        shelf.install_file(f"{SKILLS}/f", b"skill", mode=0o444)
    host.mount_read_only(ACME, host.shelf(ACME) / SKILLS, SKILLS)
    return host


def test_the_shelf_is_mounted_read_only_at_every_start(machine: BastilleMachine) -> None:
    host = shelved(machine)
    host.mount_read_only(ACME, host.shelf(ACME) / SKILLS, SKILLS)
    jail = machine.prefix / "jails/acme"
    lines = (jail / "fstab").read_text().splitlines()
    assert lines[1:] == [f"{jail}/shelf/{SKILLS} {jail}/root/{SKILLS} nullfs ro,nosuid,nosymfollow 0 0"]
    for _ in range(2):
        host.start(ACME, mark="ours")
        assert machine.kernel["acme"]["mounts"][1] == [f"{jail}/shelf/{SKILLS}", f"{jail}/root/{SKILLS}"]
        host.stop(ACME, mark="ours")
    assert not any(words[:1] == ["mount"] for words in machine.changes)


def test_nothing_is_mounted_into_a_running_jail(machine: BastilleMachine) -> None:
    host = machine.host()
    host.create(ACME, mark="ours")
    host.open_shelf(ACME).close()
    host.start(ACME, mark="ours")
    before = (machine.prefix / "jails/acme/fstab").read_bytes()
    with pytest.raises(ConflictError, match="runs"):
        host.mount_read_only(ACME, host.shelf(ACME), SKILLS)
    assert (machine.prefix / "jails/acme/fstab").read_bytes() == before


@pytest.mark.parametrize("planted", ["usr/home", "usr/home/agent", SKILLS, "dev"])
def test_a_link_where_the_host_would_mount_stops_the_start(
    planted: str, machine: BastilleMachine, tmp_path: Path
) -> None:
    """A tenant who had root can rename a folder above a mount point, stop, and have the host mount elsewhere."""
    host = shelved(machine)
    host.start(ACME, mark="ours")
    host.stop(ACME, mark="ours")
    outside = tmp_path / "outside"
    (outside / "agent/skills").mkdir(parents=True)
    (outside / "skills").mkdir()
    root = machine.prefix / "jails/acme/root"
    (root / planted).rename(root / "aside")
    (root / planted).symlink_to(outside)
    before = machine.changes
    with pytest.raises(UnsafePathError) as caught:
        host.start(ACME, mark="ours")
    assert caught.value.facts["component"] == planted.rpartition("/")[2]
    assert machine.changes == before
    assert machine.kernel == {}


def test_only_what_is_the_hosts_is_shown(machine: BastilleMachine, tmp_path: Path) -> None:
    host = machine.host()
    host.create(ACME, mark="ours")
    before = (machine.prefix / "jails/acme/fstab").read_bytes()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "with space").mkdir()
    own = Path(host.describe(ACME), "usr")
    for source in (tmp_path / "link", tmp_path / "open", tmp_path / "with space", own):
        with pytest.raises(UnsafePathError):
            host.mount_read_only(ACME, source, SKILLS)
    for place in ("../x", "/etc", "a b", "a\tb"):
        with pytest.raises(UnsafePathError):
            host.mount_read_only(ACME, tmp_path / "real", place)
    with pytest.raises(HostError):
        host.mount_read_only(ACME, tmp_path / "absent", SKILLS)
    assert (machine.prefix / "jails/acme/fstab").read_bytes() == before


def test_what_stands_in_the_jail_is_not_hidden_by_a_mount(machine: BastilleMachine, tmp_path: Path) -> None:
    host = machine.host()
    host.create(ACME, mark="ours")
    (tmp_path / "real").mkdir()
    with host.open_root(ACME) as root:
        root.install_file(f"{SKILLS}/f", b"x", mode=0o600)
    with pytest.raises(ConflictError, match="something stands"):
        host.mount_read_only(ACME, tmp_path / "real", SKILLS)
    for place in (".bastille", ".bastille/x"):
        with pytest.raises(ConflictError, match="is shown at"):
            host.mount_read_only(ACME, tmp_path / "real", place)


def test_a_list_of_mounts_with_a_place_outside_is_not_started(machine: BastilleMachine) -> None:
    host = shelved(machine)
    with (machine.prefix / "jails/acme/fstab").open("a") as fstab:
        fstab.write("/etc /mnt nullfs rw 0 0\n")
    with pytest.raises(Exception, match="is not in the jail"):
        host.start(ACME, mark="ours")
    assert machine.kernel == {}


# --- what is listed ------------------------------------------------------------------------------------


def test_a_jail_that_forges_the_list_is_not_believed(machine: BastilleMachine) -> None:
    host = machine.host()
    host.create(ACME, mark="ours")
    host.start(ACME, mark="ours")
    assert [(jail.name, jail.running) for jail in host.bastille.listed()] == [("acme", True)]
    (machine.folder / "forged").mkdir()
    for forged in (
        GHOST,
        '"',
        "x" * 2000,
        '14.3","NAME":"other',
    ):
        (machine.folder / "forged/acme").write_text(forged)
        if "ghost" in forged:
            # Nothing tells this one from the truth; so nothing is decided by the list.
            assert [jail.name for jail in host.bastille.listed()] == ["acme", "ghost"]
            assert not host.exists(parse_tenant_id("ghost"))
            continue
        with pytest.raises(HostError, match="cannot be believed"):
            host.bastille.listed()
    assert host.is_running(ACME)


def test_nothing_but_the_list_needs_the_list(machine: BastilleMachine) -> None:
    host = shelved(machine)
    host.start(ACME, mark="ours")
    host.stop(ACME, mark="ours")
    host.destroy(ACME, mark="ours")
    assert not [words for words in machine.calls if words[:2] == ["bastille", "list"]]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_a_prefix_that_a_stranger_owns_is_refused(machine: BastilleMachine) -> None:
    host = machine.host()
    host.create(ACME, mark="ours")
    os.chown(machine.prefix / "jails", 12345, 12345)
    with pytest.raises(UnsafePathError, match="replace what stands in"):
        host.open_root(ACME)


def test_a_going_jail_is_none(machine: BastilleMachine) -> None:
    host = machine.host()
    host.create(ACME, mark="ours")
    (machine.prefix / "hive/jails/acme" / GOING).write_text("ours")
    assert not host.exists(ACME)
    with pytest.raises(NotFoundError):
        host.open_root(ACME)
