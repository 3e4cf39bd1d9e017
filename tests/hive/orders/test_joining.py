"""A database that one host used becomes that of several: what stands is compared, and nobody touches another's jail."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from hive.agents.errors import TokenRefusedError
from hive.agents.names import parse_agent_id
from hive.birth.carry_out import birth
from hive.cli import cli
from hive.db.session import transaction
from hive.here import ElsewhereError
from hive.jails.directory import DirectoryHost
from hive.joining import leave
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
from signing.errors import ConflictError, HostError, NotEntitledError, NotFoundError
from signing.format.names import TenantId, parse_tenant_id
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


class Stuck(DirectoryHost):
    """A host on which one jail cannot be removed."""

    def destroy(self, tenant: TenantId, *, mark: str) -> None:
        if tenant == ACME:
            raise HostError("a dataset is busy")
        super().destroy(tenant, mark=mark)


@pytest.mark.parametrize("by", ["womb", "sweep"])
def test_a_left_jail_that_cannot_be_removed_shields_no_other(fleet: Fleet, by: str) -> None:
    from tests.hive.orders.test_womb import Dying, Killed

    class DyingStuck(Stuck, Dying):
        when = "after"

    jails = fleet.mothers["womba"].state / "jails"
    for name in ("acme", "boat"):
        if name != "acme":
            fleet.tenant(name)
        job = fleet.order(name)
        with pytest.raises(Killed):
            fleet.womb("womba", host=DyingStuck(jails)).turn()
        fleet.lease_ends(job)
        assert fleet.womb("wombb").turn()
    host = Stuck(jails)
    fleet.mothers["womba"] = replace(fleet.mothers["womba"], host=host)
    host.start(ACME, mark=str(host.mark_of(ACME)))
    assert fleet.jails("boat") == ["womba", "wombb"]
    fleet.told.clear()
    if by == "sweep":
        with pytest.raises(HostError, match="'acme': a dataset is busy"):
            sweep(sweeper_of(fleet, "womba"))
    else:
        fleet.tenant("coat")
        fleet.order("coat")
        womb = fleet.womb("womba")
        assert womb.turn()  # said, and it keeps nobody from being born
        assert fleet.standing("coat").host == "womba"
        assert not womb.turn()
        said = [event["reason"] for event in fleet.told if event["event"] == "left"]
        assert len(said) == 1
        assert "'acme': a dataset is busy" in said[0]
    assert fleet.jails("boat") == ["wombb"]
    assert fleet.jails("acme") == ["womba", "wombb"]
    assert not host.is_running(ACME)
    assert ("jail.removed" in fleet.events("boat"), "jail.removed" in fleet.events("acme")) == (True, False)


def test_a_name_is_freed_when_nobody_lives_there(fleet: Fleet) -> None:
    from hive.here import check_host

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


def _let_go(fleet: Fleet, host: str) -> tuple[str, ...]:
    with transaction(fleet.engine) as session:
        return leave(session, parse_agent_id(host), reason="burned", now=fleet.mothers[host].clock())


def test_a_birth_that_a_gone_machine_left_begins_anew(fleet: Fleet, tmp_path: Path) -> None:
    """The next machine of that name neither goes on with the mark of the first, nor shields its jail."""
    from tests.hive.orders.test_womb import _killed_on

    job = fleet.order("acme")
    _killed_on(fleet, "womba", when="after")
    old = fleet.mothers["womba"]
    mark = old.host.mark_of(ACME)
    assert _let_go(fleet, "womba") == ("acme",)
    left = fleet.standing("acme")
    assert (left.status, left.host, left.reason) == (
        TenantStatus.FAILED,
        None,
        "its host womba is gone: burned",
    )
    assert (fleet.job(job).state, fleet.job(job).owner) == ("ready", None)  # nobody waits for its lease

    new = replace(old, state=tmp_path / "new", host=DirectoryHost(tmp_path / "new" / "jails"))
    fleet.mothers["womba"] = new
    fleet.join("womba", keyid="e" * 64)
    assert fleet.womb("womba").turn()
    assert (fleet.standing("acme").status, fleet.standing("acme").host) == (TenantStatus.BORN, "womba")
    assert new.host.mark_of(ACME) not in {mark, None}
    assert [item["outcome"] for item in fleet.shown(job)["tries"]] == ["lost", "completed"]

    # The first machine comes back under another name: what stands there was never that name's.
    fleet.mothers["wombc"] = replace(old, here=parse_agent_id("wombc"))
    fleet.join("wombc")
    assert fleet.jails("acme") == ["womba", "wombc"]
    assert old.host.is_running(ACME)
    assert not fleet.womb("wombc").turn()
    assert fleet.jails("acme") == ["womba"]
    assert {"birth.left", "jail.removed"} <= set(fleet.events("acme"))


def test_the_token_that_a_gone_machine_brought_is_refused(fleet: Fleet) -> None:
    from hive.agents import tokens
    from tests.hive.orders.test_womb import _killed_on

    fleet.order("acme")
    _killed_on(fleet, "womba")
    agent = parse_agent_id("acme")
    with transaction(fleet.engine) as session:
        token = tokens.issue(session, bytes(32), agent, now=fleet.mothers["womba"].clock())
        assert tokens.authenticate(session, token.text) == "acme"
    _let_go(fleet, "womba")
    with transaction(fleet.engine) as session, pytest.raises(TokenRefusedError):
        tokens.authenticate(session, token.text)


def test_a_kept_jail_and_an_operators_birth_are_left_too(fleet: Fleet) -> None:
    """Whoever began it: the machine is gone for good."""
    from tests.hive.orders.test_womb import Failing

    mother = replace(fleet.mothers["womba"], host=Failing(fleet.mothers["womba"].state / "jails"))
    with pytest.raises(HostError):
        birth(mother, ACME)
    assert (fleet.standing("acme").status, fleet.standing("acme").host) == (TenantStatus.FAILED, "womba")
    assert _let_go(fleet, "womba") == ("acme",)
    fleet.order("acme")
    assert fleet.womb("wombb").turn()
    assert (fleet.standing("acme").status, fleet.standing("acme").host) == (TenantStatus.BORN, "wombb")


@pytest.mark.parametrize(
    ("grants", "token", "named"),
    [
        (["web-search"], False, "a lane"),
        ([], False, "a lane"),
        (["womb", "web-search"], False, "a lane"),
        (["womb"], True, "a token"),
    ],
    ids=["lane", "empty-lane", "more-than-a-womb", "token"],
)
def test_the_name_of_a_lane_is_no_hosts(fleet: Fleet, grants: list[str], token: bool, named: str) -> None:
    """Or whoever holds that lane's token would claim births as the host."""
    from hive.agents import registry, tokens
    from hive.agents.names import parse_capability

    mill, now = parse_agent_id("mill"), fleet.mothers["womba"].clock()
    with transaction(fleet.engine) as session:
        registry.enrol_lane(session, mill, [parse_capability(name) for name in grants], now=now)
        if token:
            tokens.issue(session, bytes(32), mill, now=now)
    fleet.mothers["mill"] = replace(fleet.mothers["womba"], here=mill)
    with pytest.raises(ConflictError, match=named):
        fleet.join("mill")
    with transaction(fleet.engine) as session:
        assert registry.grants_of(session, mill) == set(grants)
        assert session.execute(text("SELECT count(*) FROM hosts WHERE host = 'mill'")).scalar() == 0
    if token:
        with transaction(fleet.engine) as session:
            tokens.revoke(session, mill, now=now)
        assert not fleet.join("mill").already


def test_a_host_that_was_given_a_token_does_not_join_again(fleet: Fleet) -> None:
    from hive.agents import tokens

    womba, now = parse_agent_id("womba"), fleet.mothers["womba"].clock()
    assert fleet.join("womba").already
    with transaction(fleet.engine) as session:
        tokens.issue(session, bytes(32), womba, now=now)
    with pytest.raises(ConflictError, match="a token"):
        fleet.join("womba")


def test_nothing_is_left_while_somebody_lives_there(fleet: Fleet) -> None:
    from tests.hive.orders.test_womb import _killed_on

    fleet.order("acme")
    fleet.womb("womba").turn()
    fleet.tenant("boat")
    job = fleet.order("boat")
    _killed_on(fleet, "womba")
    with pytest.raises(ConflictError, match="acme lives on womba"):
        _let_go(fleet, "womba")
    assert (fleet.standing("boat").status, fleet.standing("boat").host) == (TenantStatus.BIRTHING, "womba")
    assert fleet.job(job).state == "leased"


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
