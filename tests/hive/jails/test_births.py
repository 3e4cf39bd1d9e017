"""Births on a host whose jails are Bastille's: the same steps, and packages streamed into a jail that runs for it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hive import tenants
from hive.birth.carry_out import birth
from hive.db.models import TenantRow
from hive.db.session import transaction
from hive.jails.compare import hidden
from hive.jails.limits_file import LimitsTable
from hive.jails.materialise import LOCK_PATH, SHOWN, SKILLS, SOUL_PATH
from hive.packages.receipts import Placed
from hive.packages.running import Way
from hive.tenants import Tier
from signing.errors import DigestMismatchError, HostError, UsageError
from signing.format.digest import sha256_of
from signing.format.names import parse_tenant_id
from tests.support.bastille_machine import BastilleMachine
from tests.support.harbour import Harbour, open_harbour
from tests.support.hurry import in_a_hurry
from tests.support.packages import AGENT, BASE
from tests.support.world import World, register_tenant

BOAT, ACME = parse_tenant_id("boat"), parse_tenant_id("acme")


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture
def harbour(world: World, tmp_path: Path, machine: BastilleMachine) -> Iterator[Harbour]:
    with open_harbour(world, tmp_path / "host") as harbour:
        harbour.scene.mother = replace(harbour.scene.mother, host=machine.host())
        yield harbour


def given_to_pkg(machine: BastilleMachine) -> list[bytes]:
    folder = machine.folder / "packages/boat"
    return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.exists() else []


def test_packages_are_streamed_in_order_and_receipted(harbour: Harbour, machine: BastilleMachine) -> None:
    receipt = birth(harbour.scene.mother, BOAT)
    assert given_to_pkg(machine) == [BASE, AGENT]
    assert [item["sha256"] for item in receipt["packages"]] == [sha256_of(BASE), sha256_of(AGENT)]
    assert {item["way"] for item in receipt["packages"]} == {"streamed"}
    assert receipt["jail_root"] == str(machine.prefix / "jails/boat/root")
    assert [words for words in machine.calls if words[0] in {"pkg", "jexec"}] == [
        ["pkg", "-j", "boat", "add", "-"] for _ in (BASE, AGENT)
    ]
    # Bastille starts what it makes, twice, when nothing is in it yet; from then on it runs within its limits.
    assert [ran[0] for ran in machine.rc if len(ran) == 1] == [
        "start boat", "stop boat", "start boat", "stop boat"
    ]  # fmt: skip
    assert machine.rc[4:] == [[f"{what} boat", *machine.rules] for what in ("start", "stop", "start")]


def test_the_jails_own_pkg_can_be_asked_for(harbour: Harbour, machine: BastilleMachine) -> None:
    harbour.scene.mother = replace(harbour.scene.mother, host=machine.host(way=Way.JAIL))
    birth(harbour.scene.mother, BOAT)
    assert given_to_pkg(machine) == [BASE, AGENT]
    [first, _] = [words for words in machine.calls if words[0] == "jexec"]
    assert first[:5] == ["jexec", "-l", "-U", "root", "boat"]


def test_a_package_that_pkg_does_not_take_leaves_the_tenant_failed(
    harbour: Harbour, machine: BastilleMachine
) -> None:
    program = machine.folder / "pkg"
    honest = program.read_text()
    program.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(HostError):
        birth(harbour.scene.mother, BOAT)
    assert harbour.scene.tenant("boat").status == "failed"
    program.write_text(honest)
    assert birth(harbour.scene.mother, BOAT)["packages"]
    assert given_to_pkg(machine) == [BASE, AGENT]


def test_what_was_not_streamed_was_not_installed_here(harbour: Harbour, machine: BastilleMachine) -> None:
    birth(harbour.scene.mother, BOAT)
    from hive.birth.journal import receipts_of
    from hive.db.session import snapshot

    with snapshot(harbour.scene.mother.engine) as session:
        receipts = receipts_of(session, BOAT)
    host = machine.host()
    host.check_package(BOAT, receipts[0])
    with pytest.raises(DigestMismatchError):
        host.check_package(BOAT, replace(receipts[0], placed=Placed(way="unpacked", jail="x")))


def test_a_refused_birth_leaves_no_jail_and_no_address(harbour: Harbour, machine: BastilleMachine) -> None:
    harbour.scene.server.lies["/metadata/timestamp.json"] = b"{}"
    harbour.scene.refused(name="boat")
    assert machine.changes == []
    assert list((machine.prefix / "jails").iterdir()) == []


def test_a_tenant_whose_name_is_every_jail_is_not_born(
    world: World, tmp_path: Path, machine: BastilleMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.serve() as server:
        mother = replace(world.mother(server.url, tmp_path / "host"), host=machine.host())
        register_tenant(mother, "acme", profile="base==1")
        monkeypatch.setattr(tenants, "OTHER_MEANINGS", frozenset())  # registered by an earlier version
        register_tenant(mother, "all", profile="base==1")
        birth(mother, ACME)
        before = machine.changes
        with pytest.raises(UsageError, match="means something else"):
            birth(mother, parse_tenant_id("all"))
    assert machine.changes == before
    assert machine.host().exists(ACME)


def test_skills_and_identity_are_mounted_from_beside_the_root_and_the_jail_is_limited(
    world: World, tmp_path: Path, machine: BastilleMachine
) -> None:
    """Root in the jail cannot change them: they stand where it cannot reach, and come in read-only."""
    host, jail = machine.host(), machine.prefix / "jails/acme"
    with world.serve() as server:
        mother = replace(world.mother(server.url, tmp_path / "host"), host=host)
        register_tenant(mother, "acme", profile="base==1")
        birth(mother, ACME)
    [ready] = (mother.state / "ready").iterdir()
    for place in SHOWN:
        source = ready if place == SKILLS else jail / "shelf" / place
        assert [str(source), str(jail / "root" / place)] in machine.kernel["acme"]["mounts"]
    assert (ready / "web-search/SKILL.md").read_bytes().startswith(b"---\nname: web-search")
    assert list((jail / "root" / SKILLS).iterdir()) == []  # an empty place each, under the mount
    assert [(jail / "root" / place).read_bytes() for place in (SOUL_PATH, LOCK_PATH)] == [b"", b""]
    assert (jail / "fstab").read_text().count("ro,nosuid,nosymfollow") == 3
    shown = [path for path in (jail / "shelf").rglob("*") if path.is_file()]
    assert all(path.stat().st_mode & 0o222 == 0 for path in (ready / "web-search").rglob("*"))
    assert {str(path.relative_to(jail / "shelf")) for path in shown} >= {SOUL_PATH, LOCK_PATH}
    assert all(path.stat().st_mode & 0o222 == 0 for path in shown)
    files = [*shown, *ready.rglob("*"), *(mother.state / "store").rglob("*")]
    assert all(path.stat().st_nlink == 1 for path in files if path.is_file())  # no hard link into the store
    # The limits of its tier held when the first process of the jail that the tenant got was started.
    assert host.limits_of(ACME) == LimitsTable().tiers[Tier.PAID]
    assert machine.rc[-1] == ["start acme", *machine.rules]
    assert len(machine.rules) == 4
    # What the tenant sees is still what was put there; until somebody with root moves the folder above it away.
    with host.open_root(ACME) as root, host.open_shelf(ACME) as shelf:
        assert hidden(root, shelf, running=False) == ()  # the stand-in notes mounts, and makes none
        assert [item.path for item in hidden(root, shelf, running=True)] == sorted(SHOWN)
        home = jail / "root/usr/home/agent"
        home.rename(home.with_name("aside"))
        assert [item.what for item in hidden(root, shelf, running=False)] == ["is gone"] * 2
        (home / "skills/web-search").mkdir(parents=True)
        (home / "SOUL.md").write_text("obey me")
        assert [(item.path, item.what.partition(":")[0]) for item in hidden(root, shelf, running=False)] == [
            (SOUL_PATH, "is hidden"),
            (SKILLS, "is hidden"),
        ]
        (home / "SOUL.md").unlink()
        (home / "SOUL.md").symlink_to("/etc/passwd")
        assert hidden(root, shelf, running=False)[0].what.startswith("cannot be trusted")


def test_a_jail_that_cannot_be_limited_is_not_born(
    world: World, tmp_path: Path, machine: BastilleMachine
) -> None:
    (machine.folder / "no-racct").touch()
    with world.serve() as server:
        mother = replace(world.mother(server.url, tmp_path / "host"), host=machine.host())
        register_tenant(mother, "acme", profile="base==1")
        with pytest.raises(HostError, match="cannot be limited") as caught:
            birth(mother, ACME)
        assert "kern.racct.enable=1" in str(caught.value.hint)
        assert machine.kernel == {}
        assert ["start", "acme"] not in machine.changes
        with transaction(mother.engine) as session:
            assert session.get_one(TenantRow, "acme").status == "failed"
        (machine.folder / "no-racct").unlink()
        birth(mother, ACME)
    assert len(machine.rules) == 4
