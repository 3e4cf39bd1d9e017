"""A database that one host used becomes that of several: what stands is compared, and nobody touches another's jail."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hive.birth.carry_out import birth
from hive.cli import cli
from hive.here import ElsewhereError
from hive.retiring import Retirer
from hive.spawning import spawn, unspawn
from hive.sweep.actions import DEFAULTS
from hive.sweep.notify import Notifier
from hive.sweep.releasing import release_tenant
from hive.sweep.starting import start_tenant, who_stands_still
from hive.sweep.sweeper import Sweeper
from hive.sweep.sweeping import sweep
from hive.tenants import TenantStatus
from hive.vault.provision import Provisioner
from signing.errors import ConflictError, NotEntitledError, NotFoundError
from signing.format.names import parse_tenant_id
from tests.support.fleet import Fleet

ACME = parse_tenant_id("acme")


@pytest.fixture
def cluster() -> None:
    """SQLite only: what differs between the databases is tried in test_womb.py."""


def sweeper_of(fleet: Fleet, host: str) -> Sweeper:
    mother = fleet.mothers[host]
    return Sweeper(
        engine=mother.engine,
        client=mother.client,
        host=mother.host,
        provisioner=Provisioner(
            engine=mother.engine,
            host=mother.host,
            state=mother.state,
            owner=None,
            clock=mother.clock,
            here=mother.here,
        ),
        gates=mother.gates,
        policy=mother.policy,
        actions=DEFAULTS,
        notifier=Notifier(),
        clock=mother.clock,
        here=mother.here,
    )


def retirer_of(fleet: Fleet, host: str) -> Retirer:
    mother = fleet.mothers[host]
    return Retirer(
        engine=mother.engine, host=mother.host, state=mother.state, clock=mother.clock, here=mother.here
    )


@pytest.fixture
def before(fleet: Fleet) -> Fleet:
    """Acme was born when the first host had no name."""
    birth(replace(fleet.mothers["womba"], here=None), ACME)
    assert fleet.standing("acme").host is None
    return fleet


def test_a_host_takes_over_the_jails_that_stand_there(before: Fleet) -> None:
    with pytest.raises(ConflictError, match="acme"):
        before.join("wombb")  # the jail is not there
    assert before.join("womba").taken_over == (ACME,)
    assert before.standing("acme").host == "womba"
    assert before.join("womba").taken_over == ()
    assert before.join("wombb").taken_over == ()  # and now there is nothing to clear up


def test_another_birth_in_its_place_is_not_taken_over(before: Fleet) -> None:
    before.alter("UPDATE births SET mark = 'another'")
    with pytest.raises(ConflictError, match="acme"):
        before.join("womba")
    assert before.standing("acme").host is None


def test_a_spawned_jail_is_its_hosts(fleet: Fleet) -> None:
    first, second = fleet.mothers["womba"], fleet.mothers["wombb"]
    spawn(fleet.engine, first.host, first.state, ACME, now=first.clock(), here=first.here)
    for refused in (
        lambda: spawn(fleet.engine, second.host, second.state, ACME, now=second.clock(), here=second.here),
        lambda: unspawn(fleet.engine, second.host, second.state, ACME, now=second.clock(), here=second.here),
        lambda: birth(second, ACME),
    ):
        with pytest.raises(ElsewhereError, match="womba"):
            refused()
    assert fleet.jails("acme") == ["womba"]
    assert unspawn(fleet.engine, first.host, first.state, ACME, now=first.clock(), here=first.here)
    assert fleet.standing("acme").host is None


def test_nobody_touches_another_hosts_jail(fleet: Fleet) -> None:
    fleet.order("acme")
    fleet.womb("womba").turn()
    other = sweeper_of(fleet, "wombb")
    touches: list[Any] = [
        lambda: start_tenant(other, ACME),
        lambda: release_tenant(other, ACME, reason="x"),
        lambda: other.provisioner.withdraw(ACME),
        lambda: other.provisioner.standing(ACME),
        lambda: retirer_of(fleet, "wombb").retire(ACME, reason="x"),
        lambda: birth(fleet.mothers["wombb"], ACME),
    ]
    for touch in touches:
        with pytest.raises(ElsewhereError, match="womba"):
            touch()
    assert sweep(other) == []
    assert who_stands_still(other) == []
    (mine,) = sweep(sweeper_of(fleet, "womba"))
    assert (mine.tenant.tenant_id, mine.findings) == (ACME, ())
    assert fleet.standing("acme").status is TenantStatus.BORN
    assert fleet.mothers["womba"].host.is_running(ACME)
    assert retirer_of(fleet, "womba").retire(ACME, reason="done")
    assert fleet.jails("acme") == []


def test_who_was_never_born_is_ended_anywhere(fleet: Fleet) -> None:
    assert retirer_of(fleet, "wombb").retire(ACME, reason="changed their mind")
    assert fleet.standing("acme").status is TenantStatus.RETIRED


def test_a_sweep_removes_what_was_left(fleet: Fleet) -> None:
    """The first host comes back and sweeps, before any womb runs there."""
    from tests.hive.orders.test_womb import _killed_on

    job = fleet.order("acme")
    _killed_on(fleet, "womba", when="after")
    fleet.lease_ends(job)
    assert fleet.womb("wombb").turn()
    assert fleet.jails("acme") == ["womba", "wombb"]
    assert sweep(sweeper_of(fleet, "womba")) == []
    assert fleet.jails("acme") == ["wombb"]
    assert "jail.removed" in fleet.events("acme")


def test_a_name_is_freed_when_nobody_lives_there(fleet: Fleet) -> None:
    from hive.db.session import transaction
    from hive.here import check_host
    from hive.joining import leave

    fleet.order("acme")
    fleet.womb("womba").turn()
    here, now = fleet.mothers["womba"].here, fleet.mothers["womba"].clock()
    assert here is not None
    with pytest.raises(ConflictError, match="acme"), transaction(fleet.engine) as session:
        leave(session, here, reason="burned", now=now)
    retirer_of(fleet, "womba").retire(ACME, reason="burned")
    with transaction(fleet.engine) as session:
        leave(session, here, reason="burned", now=now)
    with pytest.raises(NotFoundError), transaction(fleet.engine) as session:
        leave(session, here, reason="burned", now=now)
    fleet.join("womba", keyid="e" * 64)
    with transaction(fleet.engine) as session, pytest.raises(NotEntitledError):
        check_host(session, here, f"{'womba':0<64}")


def test_orders_by_command(fleet: Fleet, tmp_path: Path, world: Any) -> None:
    anchor, settings = tmp_path / "anchor.json", tmp_path / "hive.toml"
    anchor.write_bytes(world.anchor)
    values = {
        "db": str(fleet.engine.url.database),
        "trust_anchor": str(anchor),
        "state": str(fleet.mothers["womba"].state),
        "jail_root_base": str(fleet.mothers["womba"].state / "jails"),
    }
    settings.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
    settings.chmod(0o600)

    def call(*words: str) -> tuple[int, Any]:
        done = CliRunner().invoke(cli, ["--config", str(settings), "--json", *words], standalone_mode=False)
        return done.exit_code, json.loads(done.stdout) if done.stdout else done.exception

    job = fleet.order("acme")
    _, listed = call("orders")
    assert [(item["order"], item["tenant_id"], item["state"]) for item in listed["orders"]] == [
        (job, "acme", "ready")
    ]
    fleet.womb("womba").turn()
    _, shown = call("orders", "show", job)
    assert [item["outcome"] for item in shown["tries"]] == ["completed"]
    assert isinstance(call("orders", "cancel", job)[1], ConflictError)
    assert isinstance(call("orders", "show", "j-00000000000000000000")[1], NotFoundError)
    # A host without a name is nobody once others have joined.
    assert "has no name" in str(call("sweep")[1])
    assert "which ABI" in str(call("order-birth", "acme")[1])
