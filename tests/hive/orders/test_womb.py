"""Ordered births and the hosts that make them, on both databases."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from hive.agents import jobs
from hive.agents.names import BIRTH, AgentId, JobId, parse_capability
from hive.agents.registry import grants_of
from hive.agents.rules import Rules
from hive.agents.states import JobState
from hive.birth.journal import Journal, TakenOverError
from hive.birth.undoing import OnFailure
from hive.config import HiveConfig
from hive.db.agent_tables import TokenRow
from hive.db.session import snapshot, transaction
from hive.jails.directory import DirectoryHost
from hive.orders import womb as womb_module
from hive.orders.needs import needs_of
from hive.orders.orders import check_claimed
from hive.tenants import TenantStatus, Tier
from hive.vault.own import own_variables
from signing.errors import ConflictError, GateError, HostError, NotEntitledError, NotFoundError, UsageError
from signing.format.names import parse_tenant_id
from signing.format.pkg.names import parse_abi
from tests.support.fleet import Fleet
from tests.support.withdrawing import withdraw
from tests.support.world import PACKAGES, PlainServer, World, now

ACME = parse_tenant_id("acme")


def test_an_ordered_birth_is_made_by_a_host(fleet: Fleet) -> None:
    job = fleet.order("acme", abi=PACKAGES.abi)
    assert fleet.womb("wombb").turn()
    tenant, shown = fleet.standing("acme"), fleet.shown(job)
    assert (tenant.status, tenant.host) == (TenantStatus.BORN, "wombb")
    assert (shown["state"], shown["host"], shown["attempts"]) == ("done", "wombb", 1)
    assert fleet.jails("acme") == ["wombb"]
    assert not fleet.womb("womba").turn()


def test_two_hosts_that_claim_at_once_make_each_birth_once(fleet: Fleet) -> None:
    names = ["acme", "boat", "coat", "dove"]
    for name in names[1:]:
        fleet.tenant(name)
    for name in names:
        fleet.order(name)
    together = threading.Barrier(2)

    def work(host: str) -> int:
        womb, count = fleet.womb(host), 0
        together.wait(10)
        while womb.turn():
            count += 1
        return count

    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(work, fleet.mothers))
    assert not [event for event in fleet.told if event["event"] not in {"claimed", "born"}]
    assert sum(counts) == len(names)
    for name in names:
        assert fleet.standing(name).status is TenantStatus.BORN
        assert fleet.jails(name) == [fleet.standing(name).host]
        assert fleet.events(name).count("birth.born") == 1


def test_a_birth_for_another_abi_waits_for_its_host(fleet: Fleet) -> None:
    job = fleet.order("acme", abi=parse_abi("FreeBSD:15:amd64"))
    assert not fleet.womb("womba").turn()
    assert fleet.shown(job)["state"] == "ready"
    assert fleet.jails("acme") == []


class Killed(BaseException):
    """The process is gone at this point: nothing after it runs."""


class Dying(DirectoryHost):
    """A host whose process is killed just before, or just after, the jail starts."""

    when = "before"

    def start(self, tenant: Any, *, mark: str) -> None:
        if self.when == "after":
            super().start(tenant, mark=mark)
        raise Killed


def _killed_on(fleet: Fleet, host: str, *, when: str = "before") -> None:
    dying = Dying(fleet.mothers[host].state / "jails")
    dying.when = when
    with pytest.raises(Killed):
        fleet.womb(host, host=dying).turn()


def test_a_host_dies_and_another_takes_over_only_when_the_lease_is_over(fleet: Fleet) -> None:
    job = fleet.order("acme")
    _killed_on(fleet, "womba", when="after")
    assert fleet.standing("acme").status is TenantStatus.BIRTHING
    other = fleet.womb("wombb")
    assert not other.turn()  # the lease holds
    assert fleet.jails("acme") == ["womba"]
    fleet.lease_ends(job)
    assert other.turn()
    tenant = fleet.standing("acme")
    assert (tenant.status, tenant.host) == (TenantStatus.BORN, "wombb")
    assert fleet.shown(job)["attempts"] == 2
    assert "birth.moved" in fleet.events("acme")
    # The first jail was started already; its host comes back, and removes it before it does anything else.
    assert fleet.mothers["womba"].host.is_running(ACME)
    assert not fleet.womb("womba").turn()
    assert fleet.jails("acme") == ["wombb"]
    assert fleet.events("acme").count("birth.born") == 1


def test_a_host_that_comes_back_goes_on_with_its_own(fleet: Fleet) -> None:
    job = fleet.order("acme")
    _killed_on(fleet, "womba")
    assert fleet.womb("womba").turn()  # its own lease ends with its new beginning
    assert (fleet.standing("acme").status, fleet.standing("acme").host) == (TenantStatus.BORN, "womba")
    assert [item["outcome"] for item in fleet.shown(job)["tries"]] == ["lost", "completed"]
    assert "birth.moved" not in fleet.events("acme")


def test_a_host_that_was_only_slow_finishes_nothing(fleet: Fleet) -> None:
    """It stands still in the middle of a birth for longer than its lease, while another host makes that birth."""
    job = fleet.order("acme")
    other = fleet.womb("wombb")

    class Slow(DirectoryHost):
        def start(self, tenant: Any, *, mark: str) -> None:
            fleet.lease_ends(job)
            assert other.turn()
            super().start(tenant, mark=mark)

    slow = Slow(fleet.mothers["womba"].state / "jails")
    fleet.womb("womba", host=slow).turn()
    tenant = fleet.standing("acme")
    assert (tenant.status, tenant.host) == (TenantStatus.BORN, "wombb")
    assert fleet.shown(job)["host"] == "wombb"
    assert fleet.shown(job)["state"] == "done"
    assert fleet.jails("acme") == ["wombb"]  # it removed its own, which ran for a moment
    assert [event["event"] for event in fleet.told] == ["claimed", "claimed", "born", "lost"]
    assert fleet.events("acme").count("birth.born") == 1


def test_a_lost_lease_begins_nothing(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host claims, stands still before it begins, and finds the order with another."""
    job = fleet.order("acme")
    other, genuine = fleet.womb("wombb"), womb_module.check_claimed
    overtaken = []

    def overtake(*given: Any, **more: Any) -> Any:
        found = genuine(*given, **more)
        if not overtaken:
            overtaken.append(True)
        return found

    def slow_birth(mother: Any, *given: Any, **more: Any) -> Any:
        if mother.here == "womba":
            fleet.lease_ends(job)
            assert other.turn()
        return genuine_birth(mother, *given, **more)

    genuine_birth = womb_module.birth
    monkeypatch.setattr(womb_module, "birth", slow_birth)
    fleet.womb("womba").turn()
    assert fleet.standing("acme").host == "wombb"
    assert fleet.jails("acme") == ["wombb"]
    assert not (fleet.mothers["womba"].state / "jails").exists()


def test_a_birth_that_was_taken_over_grants_nothing(fleet: Fleet) -> None:
    """The lock of the process that lost it may grant what that of the other does not."""
    first, second = Journal(fleet.engine, ACME), Journal(fleet.engine, ACME)
    here = fleet.mothers["womba"].here
    for journal in (first, second):
        journal.begin(jail_root="there", now=now(), here=here)
    second.enrol([parse_capability("web-search")], now=now())
    with pytest.raises(TakenOverError):
        first.enrol([parse_capability("mail")], now=now())
    with snapshot(fleet.engine) as session:
        assert grants_of(session, AgentId("acme")) == {"web-search"}


@pytest.mark.parametrize(
    "change",
    [
        'UPDATE jobs SET payload = \'{"tenant":"boat"}\'',
        "UPDATE birth_orders SET tenant_id = 'boat'",
        "UPDATE birth_orders SET audit_sequence = audit_sequence - 1",
        "DELETE FROM birth_orders",
        "UPDATE tenants SET tier = 'free' WHERE tenant_id = 'acme'",
        "UPDATE tenants SET profile = 'base==2' WHERE tenant_id = 'acme'",
        "DELETE FROM job_needs WHERE capability <> 'womb'",
    ],
    ids=["payload", "order", "record", "no-order", "tier", "profile", "needs"],
)
def test_an_altered_order_is_refused(fleet: Fleet, change: str) -> None:
    fleet.tenant("boat")
    job = fleet.order("acme", abi=PACKAGES.abi)
    fleet.alter(change)
    fleet.womb("womba").turn()
    row = fleet.job(job)
    assert row.state == "dead"
    assert row.reason.startswith("not-entitled: ")
    assert fleet.jails("acme") == fleet.jails("boat") == []
    assert "birth.begun" not in [*fleet.events("acme"), *fleet.events("boat")]


def _asked_for(fleet: Fleet) -> JobId:
    """The agent of boat asked for the birth of acme, and an operator approved it."""
    fleet.tenant("boat")
    fleet.order("boat")
    assert fleet.womb("womba").turn()
    fleet.alter("UPDATE tenants SET status = 'active' WHERE tenant_id = 'boat'")
    asked = jobs.NewJob(kind=BIRTH, needs=needs_of(None), payload={"tenant": "acme"})
    with transaction(fleet.engine) as session:
        job, state = jobs.submit_from_agent(
            session, AgentId("boat"), asked, Rules(birth_depth=1, birth_budget=1), now=now()
        )
        assert state is JobState.HELD
        jobs.approve(session, jobs.load(session, job), by="olga", now=now())
    return job


def test_a_birth_that_an_agent_asked_for_is_made_as_it_was_approved(fleet: Fleet) -> None:
    job = _asked_for(fleet)
    assert fleet.womb("wombb").turn()
    assert fleet.job(job).state == "done"
    assert fleet.standing("acme").host == "wombb"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tenants SET tier = 'free' WHERE tenant_id = 'acme'",
        "UPDATE tenants SET profile = 'base==2' WHERE tenant_id = 'acme'",
        "UPDATE tenants SET scratch = NOT scratch WHERE tenant_id = 'acme'",
        "UPDATE replications SET child = 'boat'",
        "UPDATE replications SET approved_by = NULL",
        "UPDATE audit SET digest = 'x' WHERE sequence = (SELECT max(sequence) FROM audit)",
        "DELETE FROM audit WHERE sequence = (SELECT max(sequence) FROM audit)",
    ],
    ids=["tier", "profile", "scratch", "child", "approval", "record", "no-record"],
)
def test_an_approval_is_for_what_stood_then(fleet: Fleet, change: str) -> None:
    job = _asked_for(fleet)
    fleet.alter(change)
    with transaction(fleet.engine) as session, pytest.raises(NotEntitledError):
        check_claimed(session, job, fleet.mothers["wombb"].gates, abi=PACKAGES.abi, now=now())
    assert fleet.jails("acme") == []


def test_consent_of_a_paying_customer_is_refused_when_ordered_and_when_claimed(fleet: Fleet) -> None:
    consent = (
        "INSERT INTO opt_ins (tenant_id, source, name, version, bundle_sha256, owner, reason, expires_at, created_at)"
        " VALUES ('acme', 'x', 'shady', '1', '00', 'me', 'why', '2090-01-01 00:00:00', '2026-01-01 00:00:00')"
    )
    job = fleet.order("acme")
    fleet.alter(consent)
    fleet.womb("womba").turn()
    assert fleet.job(job).reason.startswith("not-first-party: ")
    with pytest.raises(Exception, match="not first-party"):
        fleet.order("acme")
    assert fleet.jails("acme") == []


def test_shut_gates_refuse_the_order_and_the_claim(fleet: Fleet) -> None:
    job = fleet.order("acme")
    fleet.alter("DELETE FROM gate_entries")
    fleet.womb("womba").turn()
    assert fleet.job(job).state == "dead"
    fleet.tenant("boat")
    with pytest.raises(GateError):
        fleet.order("boat")
    fleet.tenant("free", tier=Tier.FREE)
    fleet.order("free")
    assert fleet.womb("womba").turn()
    assert fleet.standing("free").status is TenantStatus.BORN


def test_a_birth_is_ordered_once(fleet: Fleet) -> None:
    job = fleet.order("acme")
    with pytest.raises(ConflictError, match=job):
        fleet.order("acme")
    fleet.womb("womba").turn()
    with pytest.raises(ConflictError, match="born"):
        fleet.order("acme")
    with pytest.raises(NotFoundError):
        fleet.order("nobody")


def test_a_profile_that_is_not_there_yet_is_asked_for_again(fleet: Fleet) -> None:
    fleet.tenant("boat", profile="gone==1")
    job = fleet.order("boat")
    womb = fleet.womb("womba")
    assert womb.turn()
    assert fleet.job(job).state == "ready"
    assert fleet.job(job).reason.startswith("not-found: ")
    assert fleet.standing("boat").status is TenantStatus.FAILED
    assert fleet.jails("boat") == []


def test_what_the_server_lacks_for_a_moment_is_tried_again(fleet: Fleet, server: PlainServer) -> None:
    job = fleet.order("acme")
    server.missing.add("/metadata/timestamp.json")
    womb = fleet.womb("womba")
    assert womb.turn()
    assert fleet.job(job).state == "ready"
    assert fleet.job(job).not_before > 0
    server.missing.clear()
    fleet.alter("UPDATE jobs SET not_before = 0")
    assert fleet.womb("wombb").turn()
    assert fleet.standing("acme").host == "wombb"


def test_a_database_that_is_away_ends_no_womb(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.order("acme")
    womb, away = fleet.womb("womba"), [True, True]

    def claim(*given: Any, **more: Any) -> Any:
        if away:
            away.pop()
            raise HostError("the database failed")
        womb.stop.set()
        return genuine(*given, **more)

    genuine = womb_module.routing.claim
    monkeypatch.setattr(womb_module.routing, "claim", claim)
    monkeypatch.setattr(womb_module, "_shortened", lambda _: 0.01)
    womb.run()
    assert [event["event"] for event in fleet.told] == ["trouble", "trouble", "claimed", "born"]


def test_one_womb_runs_on_a_host(fleet: Fleet) -> None:
    running, stop = threading.Event(), threading.Event()
    womb = fleet.womb("womba")
    womb.stop = stop
    womb.tell = lambda _: running.set()
    fleet.order("acme")
    thread = threading.Thread(target=womb.run)
    thread.start()
    assert running.wait(30)
    with pytest.raises(ConflictError):
        fleet.womb("womba").run(once=True)
    stop.set()
    thread.join(30)
    assert not thread.is_alive()


def test_nobody_makes_births_without_a_name(fleet: Fleet) -> None:
    with pytest.raises(HostError, match="no name"):
        fleet.womb("womba", here=None).turn()


def test_an_operators_birth_is_not_taken_over(fleet: Fleet) -> None:
    """`hive birth` on one host, killed; an order elsewhere does not move it."""
    from hive.birth.carry_out import birth

    mother = replace(fleet.mothers["womba"], host=Dying(fleet.mothers["womba"].state / "jails"))
    with pytest.raises(Killed):
        birth(mother, ACME)
    fleet.alter("UPDATE tenants SET status = 'failed' WHERE tenant_id = 'acme'")
    job = fleet.order("acme")
    other = fleet.womb("wombb")
    assert other.turn()
    assert fleet.job(job).reason.startswith("elsewhere: ")
    assert fleet.jails("acme") == ["womba"]
    assert not other.turn()  # it refused, and leaves it to who can
    assert fleet.womb("womba").turn()
    assert fleet.standing("acme").status is TenantStatus.BORN


class Failing(DirectoryHost):
    """A host on which no jail starts."""

    def start(self, tenant: Any, *, mark: str) -> None:
        raise HostError("it does not start")


def _with_token(fleet: Fleet, host: str) -> Any:
    """What brings the agent's token there, made with the key of that host."""
    config = HiveConfig(hive_url="https://hive.example", state=str(fleet.mothers[host].state), host=host)
    return lambda tenant: tuple(own_variables(config, fleet.engine, tenant, now=now()))


@pytest.mark.parametrize("on_failure", [OnFailure.DESTROY, OnFailure.KEEP], ids=["no-jail", "jail"])
def test_another_host_makes_its_own_token(fleet: Fleet, on_failure: OnFailure) -> None:
    """A birth failed after its token was brought; the host that tries next has another key for tokens."""
    job = fleet.order("acme")
    first = fleet.womb(
        "womba",
        host=Failing(fleet.mothers["womba"].state / "jails"),
        secrets=_with_token(fleet, "womba"),
    )
    first.on_failure = on_failure
    assert first.turn()
    assert fleet.job(job).reason.startswith("host-failed: it does not start")
    assert fleet.jails("acme") == ([] if on_failure is OnFailure.DESTROY else ["womba"])
    fleet.alter("UPDATE jobs SET not_before = 0")
    assert fleet.womb("wombb", secrets=_with_token(fleet, "wombb")).turn()
    assert (fleet.standing("acme").status, fleet.standing("acme").host) == (TenantStatus.BORN, "wombb")
    told = [event for event in fleet.events("acme") if event.startswith("birth.")]
    assert told.count("birth.failed") == 1
    with snapshot(fleet.engine) as session:
        token = session.get_one(TokenRow, "acme")
    assert (token.generation, token.revoked_at) == (2, None)


def test_the_token_of_a_lane_outlives_a_birth_of_that_name(fleet: Fleet) -> None:
    from hive.agents import registry, tokens

    with transaction(fleet.engine) as session:
        registry.enrol_lane(session, AgentId("mill"), [], now=now())
        token = tokens.issue(session, bytes(32), AgentId("mill"), now=now())
    fleet.tenant("mill")
    fleet.order("mill")
    fleet.womb("womba").turn()
    with transaction(fleet.engine) as session:
        assert tokens.authenticate(session, token.text) == "mill"


def test_a_cancelled_order_is_nobodys(fleet: Fleet) -> None:
    job = fleet.order("acme")
    with transaction(fleet.engine) as session:
        jobs.cancel(session, jobs.load(session, job), by="test", now=now())
    assert not fleet.womb("womba").turn()
    fleet.order("acme")
    assert fleet.womb("womba").turn()


def test_a_name_is_one_machines(fleet: Fleet) -> None:
    from hive.here import check_host

    with pytest.raises(NotEntitledError, match="another machine"):
        fleet.join("womba", keyid="e" * 64)
    with transaction(fleet.engine) as session:
        check_host(session, fleet.mothers["womba"].here, f"{'womba':0<64}")
        for keyid in (None, "e" * 64):
            with pytest.raises(NotEntitledError):
                check_host(session, fleet.mothers["womba"].here, keyid)
        with pytest.raises(UsageError):
            check_host(session, None, None)


def test_an_order_is_no_birth_by_the_log(fleet: Fleet) -> None:
    """What was ordered and nothing more is not swept, and not called a contradiction."""
    from hive.birth.recorded import recorded_births

    fleet.order("acme")
    with snapshot(fleet.engine) as session:
        assert recorded_births(session) == []
    fleet.womb("womba").turn()
    with snapshot(fleet.engine) as session:
        assert [birth.problem for birth in recorded_births(session)] == [""]


def test_a_revoked_skill_ends_the_order_for_good(fleet: Fleet, world: World) -> None:
    job = fleet.order("acme")
    withdraw(world, "web-search==1.0")
    assert fleet.womb("womba").turn()
    row = fleet.job(job)
    assert (row.state, row.reason.partition(":")[0]) == ("dead", "revoked")
    assert fleet.standing("acme").status is TenantStatus.FAILED
    assert fleet.standing("acme").host is None
    assert fleet.jails("acme") == []
    assert not fleet.womb("wombb").turn()
