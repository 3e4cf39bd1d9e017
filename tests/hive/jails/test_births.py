"""Births on a host whose jails are Bastille's: the same steps, and packages streamed into a jail that runs for it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hive import tenants
from hive.birth.carry_out import birth
from hive.jails.bastille import BastilleHost
from hive.jails.materialise import SKILLS, install_skill, show_skills
from hive.packages.receipts import Placed
from hive.packages.running import Way
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


def test_skills_are_mounted_from_beside_the_root(
    world: World, tmp_path: Path, machine: BastilleMachine
) -> None:
    """Root in the jail cannot change them: they stand where it cannot reach, and come in read-only."""
    from hive.birth.admit_all import admit_all

    host: BastilleHost = machine.host()
    with world.serve() as server:
        mother = replace(world.mother(server.url, tmp_path / "host"), host=host)
        register_tenant(mother, "acme", profile="base==1")
        from hive.db.session import snapshot
        from hive.tenants import Tenant, load_row

        with snapshot(mother.engine) as session:
            tenant = Tenant.of(load_row(session, ACME))
        host.create(ACME, mark="ours")
        with admit_all(
            tenant,
            mother.client,
            opt_ins=[],
            external_dir=mother.external_dir,
            pantry=mother.pantry,
            clock=mother.clock,
        ) as admitted:
            [skill] = [item for item in admitted.admissions if item.pin.name == "web-search"]
            with host.open_shelf(ACME) as shelf:
                install_skill(shelf, skill)
                assert shelf.tree_matches(SKILLS, "web-search", skill.bundle)
        for _ in range(2):
            show_skills(host, ACME)
        host.start(ACME, mark="ours")
    jail = machine.prefix / "jails/acme"
    assert [str(jail / "shelf" / SKILLS), str(jail / "root" / SKILLS)] in machine.kernel["acme"]["mounts"]
    assert list((jail / "root" / SKILLS).iterdir()) == []
    assert (jail / "fstab").read_text().count("ro,nosuid,nosymfollow") == 1
    files = [*(jail / "shelf").rglob("*"), *(mother.state / "store").rglob("*")]
    assert all(path.stat().st_nlink == 1 for path in files if path.is_file())  # no hard link into the store
