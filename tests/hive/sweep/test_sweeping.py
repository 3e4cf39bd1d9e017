"""Sweeps over real births: what is found, what is done about it, and what is said of it once."""

import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, text

from hive import audit, optins
from hive.activation import ProvenActivation
from hive.birth.carry_out import birth
from hive.db.models import AuditRow, OptInRow
from hive.db.session import snapshot, transaction
from hive.db.sweep_tables import SweepFailureRow, SweepFindingRow, SweepRow
from hive.external import OptIn, read_external
from hive.retiring import RETIRING
from hive.sweep import acting, sweeping
from hive.sweep.actions import DEFAULTS, Action
from hive.sweep.findings import Found
from hive.sweep.notify import Notifier, Told
from hive.sweep.releasing import release_tenant
from hive.sweep.sweeper import Sweeper, Swept
from hive.sweep.sweeping import sweep
from hive.tenants import TenantStatus, Tier, load_row
from hive.vault.provision import Provisioner
from hive.vault.secret import Secret
from signing.errors import ConflictError, GateError, NotEntitledError
from signing.format.chain import BrokenChainError
from signing.format.names import parse_tenant_id
from signing.format.withdrawal import Withdrawn
from tests.attacks.scene import Scene, open_scene
from tests.support.harbour import open_harbour
from tests.support.hurry import in_a_hurry
from tests.support.packages import BASE, OLD_AGENT, VULNERABLE
from tests.support.withdrawing import publish_from, reinstate, withdraw
from tests.support.world import World

ACME = parse_tenant_id("acme")
SKILL = "root/usr/home/agent/skills/web-search"


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture
def scene(world: World, tmp_path: Path) -> Iterator[Scene]:
    with open_scene(world, tmp_path / "host") as scene:
        scene.born()
        yield scene


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """Where the notifier's command writes each message, one a line."""
    return tmp_path / "told"


@pytest.fixture
def sweeper(scene: Scene, told: Path) -> Sweeper:
    script = f"import sys; open({str(told)!r}, 'a').write(sys.stdin.read() + '\\n')"
    return sweeper_of(scene, Notifier(command=(sys.executable, "-c", script)))


def sweeper_of(scene: Scene, notifier: Notifier) -> Sweeper:
    mother = scene.mother
    return Sweeper(
        engine=mother.engine,
        client=mother.client,
        host=mother.host,
        provisioner=Provisioner(
            engine=mother.engine, host=mother.host, state=mother.state, owner=None, clock=mother.clock
        ),
        gates=mother.gates,
        policy=mother.policy,
        actions=DEFAULTS,
        notifier=notifier,
        clock=mother.clock,
    )


def after(sweeper: Sweeper, *, minutes: int) -> Sweeper:
    """The same sweeper, that much later."""
    moment = sweeper.clock() + timedelta(minutes=minutes)
    return replace(sweeper, clock=lambda: moment)


def jail(scene: Scene) -> Path:
    return scene.mother.state / "jails/acme"


def writable(path: Path) -> Path:
    path.chmod(path.stat().st_mode | stat.S_IWUSR)
    return path


def kinds(found: Swept) -> list[str]:
    return [finding.kind.value for finding in found.findings]


def only(found: list[Swept]) -> Swept:
    (item,) = found
    return item


def messages(told: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []


def events(scene: Scene) -> list[str]:
    return [record.event for record in scene.events()]


def test_a_healthy_jail_has_no_findings_and_nothing_is_done(
    scene: Scene, sweeper: Sweeper, told: Path
) -> None:
    before = events(scene)
    found = only(sweep(sweeper))
    assert (found.findings, found.done, found.failed) == ((), (), ())
    assert scene.tenant().status is TenantStatus.BORN
    assert events(scene) == before
    assert messages(told) == []


@pytest.mark.parametrize("scope", ["name", "version", "digest"])
def test_what_is_revoked_shuts_the_tenant_out_and_is_told_once(
    scene: Scene, sweeper: Sweeper, told: Path, scope: str
) -> None:
    admitted = next(record.facts for record in scene.events() if record.event == "admission")
    what = {
        "name": "web-search",
        "version": "web-search==1.0",
        "digest": f"sha256:{admitted['tree_sha256']}",
    }
    withdraw(scene.world, what[scope])
    found = only(sweep(sweeper))
    assert kinds(found) == ["revoked"]
    assert found.done == (Action.UNROUTABLE, Action.STOP_JAIL, Action.NOTIFY)
    assert found.tenant.status is TenantStatus.QUARANTINED
    assert not scene.mother.host.is_running(ACME)
    (message,) = messages(told)
    assert message["tenant"] == "acme"
    assert [item["kind"] for item in message["new"]] == ["revoked"]
    again = only(sweep(sweeper))
    assert (kinds(again), again.new, again.done) == (["revoked"], (), ())
    assert len(messages(told)) == 1


def test_what_a_revoked_publisher_made_is_found(world: World, tmp_path: Path) -> None:
    publish_from(world, "csv-reader==1.0")
    world.publish_profile("base==9", skills=["csv-reader==1.0"])
    with open_scene(world, tmp_path / "other") as scene:
        scene.register("boat", profile="base==9")
        scene.born("boat")
        withdraw(world, "clawhub:@owner")
        found = sweep(sweeper_of(scene, Notifier()))
        assert [(item.tenant.tenant_id, kinds(item)) for item in found] == [("boat", ["revoked"])]
        assert scene.tenant("boat").status is TenantStatus.QUARANTINED


@pytest.mark.parametrize(
    ("state", "kind", "status"),
    [
        (Withdrawn.QUARANTINED, "quarantined", TenantStatus.QUARANTINED),
        (Withdrawn.YANKED, "yanked", TenantStatus.BORN),
    ],
    ids=["quarantined", "yanked"],
)
def test_milder_withdrawals(
    scene: Scene, sweeper: Sweeper, state: Withdrawn, kind: str, status: TenantStatus
) -> None:
    withdraw(scene.world, "web-search==1.0", state=state)
    found = only(sweep(sweeper))
    assert kinds(found) == [kind]
    assert scene.tenant().status is status
    assert scene.mother.host.is_running(ACME)


def _change(place: Path) -> None:
    writable(place / SKILL / "SKILL.md").write_text("changed")


def _add(place: Path) -> None:
    writable(place / "root/usr/home/agent/skills")
    (place / "root/usr/home/agent/skills/extra").mkdir()


def _remove(place: Path) -> None:
    writable(place / SKILL)
    (place / SKILL / "SKILL.md").unlink()


def _link(place: Path) -> None:
    writable(place / SKILL)
    (place / SKILL / "SKILL.md").unlink()
    (place / SKILL / "SKILL.md").symlink_to("/etc/passwd")


def _soul(place: Path) -> None:
    writable(place / "root/usr/home/agent")
    (place / "root/usr/home/agent/SOUL.md").unlink()


def _executable(place: Path) -> None:
    (place / SKILL / "SKILL.md").chmod(0o755)


DRIFTS = [
    (_change, "usr/home/agent/skills/web-search"),
    (_add, "usr/home/agent/skills/extra"),
    (_remove, "usr/home/agent/skills/web-search"),
    (_link, "usr/home/agent/skills/web-search"),
    (_soul, "usr/home/agent/SOUL.md"),
    (_executable, "usr/home/agent/skills/web-search"),
]


@pytest.mark.parametrize(("drift", "subject"), DRIFTS, ids=[drift.__name__ for drift, _ in DRIFTS])
def test_drift_is_found_and_the_agent_gets_no_more_work(
    scene: Scene, sweeper: Sweeper, drift: Callable[[Path], None], subject: str
) -> None:
    drift(jail(scene))
    found = only(sweep(sweeper))
    assert [(item.kind, item.subject) for item in found.findings] == [(Found.DRIFT, subject)]
    assert scene.tenant().status is TenantStatus.QUARANTINED
    assert "drift" in scene.tenant().reason


def test_a_jail_that_stands_still_is_said_and_its_drift_is_seen_as_well(
    scene: Scene, sweeper: Sweeper
) -> None:
    _change(jail(scene))
    scene.mother.host.stop(ACME, mark=str(scene.mother.host.mark_of(ACME)))
    assert kinds(only(sweep(sweeper))) == ["drift", "still"]


def test_a_jail_that_is_gone(scene: Scene, sweeper: Sweeper) -> None:
    scene.mother.host.destroy(ACME, mark=str(scene.mother.host.mark_of(ACME)))
    found = only(sweep(sweeper))
    assert [str(item) for item in found.findings] == ["strange: jail: there is none"]
    assert scene.tenant().status is TenantStatus.QUARANTINED


def test_another_births_jail_is_not_touched(scene: Scene, sweeper: Sweeper) -> None:
    host = scene.mother.host
    host.destroy(ACME, mark=str(host.mark_of(ACME)))
    host.create(ACME, mark="f" * 32)
    host.start(ACME, mark="f" * 32)
    stopping = replace(sweeper, actions={**DEFAULTS, Found.STRANGE: frozenset(Action)})
    found = only(sweep(stopping))
    assert [str(item) for item in found.findings] == ["strange: jail: it is not the one of this birth"]
    assert [problem.partition(":")[0] for problem in found.failed] == ["stop-jail"]
    assert host.is_running(ACME)
    assert scene.tenant().status is TenantStatus.QUARANTINED


LIES: dict[str, Callable[[Scene], None]] = {
    "garbage": lambda scene: scene.server.lies.update({"/metadata/timestamp.json": b"{"}),
    "away": lambda scene: scene.server.missing.add("/metadata/timestamp.json"),
    "expired": lambda scene: None,
    "rollback": lambda scene: None,
}


@pytest.mark.parametrize("lie", LIES)
def test_a_server_that_is_away_or_lies_is_a_finding_and_drift_is_still_found(
    scene: Scene, sweeper: Sweeper, lie: str
) -> None:
    old = scene.world.metadata()
    if lie == "rollback":
        scene.world.refresh()
        sweep(sweeper)
        scene.server.lies.update({"/metadata/timestamp.json": old["timestamp.json"]})
    LIES[lie](scene)
    later = scene.mother.clock() + timedelta(days=30 if lie == "expired" else 0)
    sweeper = replace(sweeper, clock=lambda: later)
    found = only(sweep(sweeper))
    assert set(kinds(found)) == {"unknown"}
    assert scene.tenant().status is TenantStatus.BORN
    _change(jail(scene))
    assert set(kinds(only(sweep(sweeper)))) == {"unknown", "drift"}
    assert scene.tenant().status is TenantStatus.QUARANTINED


def test_a_server_that_goes_away_takes_no_finding_back(scene: Scene, sweeper: Sweeper, told: Path) -> None:
    withdraw(scene.world, "web-search")
    sweep(sweeper)
    scene.server.missing.add("/metadata/timestamp.json")
    assert kinds(only(sweep(sweeper))) == ["revoked", "unknown"]
    assert "sweep.gone" not in events(scene)
    scene.server.missing.clear()
    assert kinds(only(sweep(sweeper))) == ["revoked"]
    assert [[item["kind"] for item in message["new"]] for message in messages(told)] == [
        ["revoked"],
        ["unknown"],
    ]


def test_what_is_gone_is_recorded_as_gone(scene: Scene, sweeper: Sweeper) -> None:
    withdraw(scene.world, "web-search", state=Withdrawn.YANKED)
    sweep(sweeper)
    reinstate(scene.world, "web-search", by="alice", reason="it was a mistake")
    reinstate(scene.world, "web-search", by="bob")
    assert only(sweep(sweeper)).findings == ()
    assert events(scene)[-1] == "sweep.gone"
    with snapshot(sweeper.engine) as session:
        (row,) = session.scalars(select(SweepFindingRow)).all()
        assert row.gone_at is not None


def test_an_action_that_fails_is_recorded_and_tried_again(
    scene: Scene, sweeper: Sweeper, told: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    withdraw(scene.world, "web-search")

    def broken(*_: object, **__: object) -> None:
        raise OSError("no")

    with monkeypatch.context() as patch:
        patch.setattr(type(scene.mother.host), "stop", broken)
        found = only(sweep(sweeper))
    assert found.failed == ("stop-jail: OSError",)
    assert found.done == (Action.UNROUTABLE, Action.NOTIFY)
    assert "sweep.failed" in events(scene)
    (paused,) = only(sweep(sweeper)).failed
    assert paused.startswith("stop-jail: OSError (1 times; again from ")
    again = only(sweep(after(sweeper, minutes=2)))
    assert events(scene)[-2:] == ["jail.stopped", "sweep.settled"]
    assert (again.done, again.failed) == ((Action.STOP_JAIL,), ())
    assert not scene.mother.host.is_running(ACME)


def test_people_who_could_not_be_told_are_told_later(scene: Scene, sweeper: Sweeper, told: Path) -> None:
    withdraw(scene.world, "web-search")
    found = only(sweep(replace(sweeper, notifier=Notifier(command=("/nowhere/at-all",)))))
    assert [problem.partition(":")[0] for problem in found.failed] == ["notify"]
    assert only(sweep(after(sweeper, minutes=2))).done == (Action.NOTIFY,)
    assert len(messages(told)) == 1


def test_a_notifier_that_is_away_for_long_is_two_records_and_fewer_and_fewer_tries(
    scene: Scene, sweeper: Sweeper, told: Path, tmp_path: Path
) -> None:
    tried = tmp_path / "tried"
    script = f"open({str(tried)!r}, 'a').write('x'); raise SystemExit(1)"
    away = replace(sweeper, notifier=Notifier(command=(sys.executable, "-c", script)))
    withdraw(scene.world, "web-search")
    for minutes in range(0, 60 * 12, 20):
        scene.world.refresh(at=after(sweeper, minutes=minutes).clock())
        found = only(sweep(after(away, minutes=minutes)))
        assert found.failed[0].startswith("notify: command: ended with 1")
    assert 6 <= len(tried.read_text()) <= 10
    assert [event for event in events(scene) if event.startswith("sweep.")] == ["sweep.found", "sweep.failed"]
    before = len(tried.read_text())
    _change(jail(scene))  # news are told at once, whatever the pause
    sweep(after(away, minutes=60 * 12))
    assert len(tried.read_text()) == before + 1
    assert only(sweep(after(sweeper, minutes=60 * 19))).done == (Action.NOTIFY,)
    assert events(scene)[-1] == "sweep.settled"
    with snapshot(sweeper.engine) as session:
        assert session.scalars(select(SweepFailureRow)).all() == []


def test_a_pause_reckoned_by_a_clock_that_ran_ahead_is_no_pause(
    scene: Scene, sweeper: Sweeper, told: Path
) -> None:
    withdraw(scene.world, "web-search")
    sweep(replace(sweeper, notifier=Notifier(command=("/nowhere/at-all",))))
    with transaction(sweeper.engine) as session:
        session.scalars(select(SweepFailureRow)).one().again_at += timedelta(days=3650)
    assert only(sweep(sweeper)).done == (Action.NOTIFY,)


def test_what_failed_and_is_not_wanted_any_more_is_settled(scene: Scene, sweeper: Sweeper) -> None:
    withdraw(scene.world, "web-search")
    sweep(replace(sweeper, notifier=Notifier(command=("/nowhere/at-all",))))
    reinstate(scene.world, "web-search", by="alice", reason="it was a mistake")
    reinstate(scene.world, "web-search", by="bob")
    sweep(sweeper)
    assert [(r.event, r.facts.get("done")) for r in scene.events()][-1] == ("sweep.settled", False)


def test_whoever_was_told_one_way_is_not_told_again(scene: Scene, sweeper: Sweeper, told: Path) -> None:
    half = replace(sweeper, notifier=replace(sweeper.notifier, webhook="http://127.0.0.1:9/hook"))
    withdraw(scene.world, "web-search")
    assert only(sweep(half)).failed[0].startswith("notify: webhook: ")
    sweep(after(half, minutes=30))
    assert len(messages(told)) == 1


def test_the_last_tenant_does_not_wait_for_the_chat_server_of_the_first(
    scene: Scene, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.register("boat")
    scene.born("boat")
    withdraw(scene.world, "web-search")
    standing: list[list[TenantStatus]] = []

    def tell(*_: object) -> Told:
        standing.append([scene.tenant(name).status for name in ("acme", "boat")])
        return Told(by=("command",), problems=())

    monkeypatch.setattr(Notifier, "tell", tell)
    sweep(sweeper)
    assert standing == [[TenantStatus.QUARANTINED] * 2] * 2


class _KilledError(BaseException):
    """Stands for kill −9: nothing in the code catches it."""


@pytest.mark.parametrize("place", ["quarantine", "_withdraw", "_stop", "_tell"])
def test_a_sweep_killed_in_the_middle_is_finished_by_the_next(
    scene: Scene, sweeper: Sweeper, told: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    withdraw(scene.world, "web-search")

    def killed(*_: object, **__: object) -> None:
        raise _KilledError

    with monkeypatch.context() as patch:
        patch.setattr(acting, place, killed)
        with pytest.raises(_KilledError):
            sweep(sweeper)
    assert messages(told) == []
    found = only(sweep(sweeper))
    assert found.failed == ()
    assert scene.tenant().status is TenantStatus.QUARANTINED
    assert not scene.mother.host.is_running(ACME)
    assert len(messages(told)) == 1
    with snapshot(sweeper.engine) as session:
        assert [
            row.finished_at is None for row in session.scalars(select(SweepRow).order_by(SweepRow.number))
        ] == [
            True,
            False,
        ]


def test_two_sweeps_at_once_record_a_finding_once(scene: Scene, sweeper: Sweeper) -> None:
    _change(jail(scene))
    with ThreadPoolExecutor(2) as pool:
        both = [future.result() for future in [pool.submit(sweep, sweeper) for _ in range(2)]]
    assert [kinds(only(found)) for found in both] == [["drift"], ["drift"]]
    assert events(scene).count("sweep.found") == 1
    assert events(scene).count("tenant.quarantined") == 1


def test_an_altered_log_stops_the_sweep_before_anything_is_done(scene: Scene, sweeper: Sweeper) -> None:
    _change(jail(scene))
    with transaction(sweeper.engine) as session:
        row = session.get_one(AuditRow, 2)
        row.record = row.record.replace(b"acme", b"boat")
    with pytest.raises(BrokenChainError):
        sweep(sweeper)
    assert scene.tenant().status is TenantStatus.BORN


def test_a_tenant_born_while_a_sweep_runs_is_left_to_the_next(
    scene: Scene, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.register("boat")
    look = sweeping.look_now

    def slow(*args: Any, **options: Any) -> Any:
        birth(scene.mother, parse_tenant_id("boat"))
        return look(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(sweeping, "look_now", slow)
        assert [item.tenant.tenant_id for item in sweep(sweeper)] == ["acme"]
    assert [(item.tenant.tenant_id, item.findings) for item in sweep(sweeper)] == [("acme", ()), ("boat", ())]


def test_what_was_found_about_a_retired_tenant_stands_no_more(scene: Scene, sweeper: Sweeper) -> None:
    _change(jail(scene))
    sweep(replace(sweeper, notifier=Notifier(command=("/nowhere/at-all",))))
    with transaction(sweeper.engine) as session:
        load_row(session, ACME).status = TenantStatus.RETIRED.value
    assert sweep(sweeper) == []
    with snapshot(sweeper.engine) as session:
        assert [row.gone_at is None for row in session.scalars(select(SweepFindingRow))] == [False]
        assert session.scalars(select(SweepFailureRow)).all() == []


def test_shut_gates_are_noted_and_the_jail_goes_on(scene: Scene, sweeper: Sweeper) -> None:
    with transaction(sweeper.engine) as session:
        session.execute(text("UPDATE gate_entries SET expires_at = approved_at"))
    assert kinds(only(sweep(sweeper))) == ["gates"]
    assert scene.tenant().status is TenantStatus.BORN


@pytest.mark.parametrize("status", [TenantStatus.BORN, TenantStatus.ACTIVE])
def test_a_mended_tenant_is_released_to_where_it_stood(
    scene: Scene, sweeper: Sweeper, status: TenantStatus
) -> None:
    if status is TenantStatus.ACTIVE:
        with transaction(sweeper.engine) as session:
            activation = ProvenActivation(gates=sweeper.gates, state=scene.mother.state)
            activation.activate(session, ACME, now=scene.mother.clock())
    withdraw(scene.world, "web-search")
    sweep(sweeper)
    with pytest.raises(NotEntitledError, match="revoked"):
        release_tenant(sweeper, ACME, reason="I want to")
    assert scene.tenant().status is TenantStatus.QUARANTINED
    assert not scene.mother.host.is_running(ACME)
    reinstate(scene.world, "web-search", by="alice", reason="it was a mistake")
    reinstate(scene.world, "web-search", by="bob")
    assert release_tenant(sweeper, ACME, reason="reinstated").status is status
    assert scene.mother.host.is_running(ACME)
    assert events(scene)[-1] == "tenant.released"
    assert only(sweep(sweeper)).findings == ()


def test_nobody_is_released_unseen_through_a_shut_gate_or_twice(scene: Scene, sweeper: Sweeper) -> None:
    with pytest.raises(ConflictError, match="not quarantined"):
        release_tenant(sweeper, ACME, reason="x")
    acting.quarantine(sweeper.engine, ACME, "by hand", now=scene.mother.clock())
    scene.server.missing.add("/metadata/timestamp.json")
    with pytest.raises(NotEntitledError, match="unknown"):
        release_tenant(sweeper, ACME, reason="x")
    scene.server.missing.clear()
    with transaction(sweeper.engine) as session:
        session.execute(text("UPDATE gate_entries SET expires_at = approved_at"))
    with pytest.raises(GateError):
        release_tenant(sweeper, ACME, reason="x")
    assert scene.tenant().status is TenantStatus.QUARANTINED


def test_a_consent_that_ended_or_was_withdrawn(world: World, tmp_path: Path) -> None:
    with open_scene(world, tmp_path / "free") as scene:
        scene.register("guest", tier=Tier.FREE)
        archive = scene.forge().archive("csv-summarizer==1.0.1")[1]
        external = read_external(archive)
        given = OptIn(
            tenant_id=parse_tenant_id("guest"),
            source="clawhub:@northwind-tools/csv-summarizer@1.0.1",
            pin=external.pin,
            bundle_sha256=external.sha256,
            owner="olga",
            reason="wanted",
            expires_at=scene.mother.clock() + timedelta(days=2),
        )
        with transaction(scene.mother.engine) as session:
            folder, tenant = scene.mother.external_dir, scene.tenant("guest")
            optins.add(session, folder, tenant, archive, opt_in=given, now=scene.mother.clock())
        scene.born("guest")
        quiet = sweeper_of(scene, Notifier())
        assert only(sweep(quiet)).findings == ()
        later = scene.mother.clock() + timedelta(days=3)
        scene.world.refresh(at=later)
        found = only(sweep(replace(quiet, clock=lambda: later)))
        assert "ended" in kinds(found)
        assert scene.tenant("guest").status is TenantStatus.QUARANTINED
        with transaction(scene.mother.engine) as session:
            session.execute(delete(OptInRow))
        found = only(sweep(replace(quiet, clock=lambda: later)))
        assert [item.detail for item in found.findings if item.kind is Found.ENDED] == [
            "the opt-in was withdrawn"
        ]


def test_who_is_released_with_altered_secrets_has_none(scene: Scene, sweeper: Sweeper) -> None:
    owner = (os.getuid() or 1001, os.getgid() or 1001)
    sweeper = replace(sweeper, provisioner=replace(sweeper.provisioner, owner=owner))
    sweeper.provisioner.provision(
        None,  # type: ignore[arg-type] - the tenant has no bucket, so no vault is asked
        ACME,
        own=lambda _: {"HIVE_URL": Secret(b"https://hive.example")},
    )
    env = jail(scene) / "root/usr/home/agent/.env"
    env.write_bytes(b"HIVE_URL=https://evil.example\n")
    assert kinds(only(sweep(sweeper))) == ["secrets"]
    release_tenant(sweeper, ACME, reason="it was me")
    assert not env.exists()
    assert only(sweep(sweeper)).findings == ()
    assert scene.tenant().status is TenantStatus.BORN


def test_nobody_is_released_whom_the_next_sweep_would_shut_out_again(scene: Scene, sweeper: Sweeper) -> None:
    strict = replace(sweeper, actions={**DEFAULTS, Found.YANKED: frozenset({Action.UNROUTABLE})})
    withdraw(scene.world, "web-search", state=Withdrawn.YANKED)
    sweep(strict)
    with pytest.raises(NotEntitledError, match="yanked"):
        release_tenant(strict, ACME, reason="x")
    assert scene.tenant().status is TenantStatus.QUARANTINED
    assert release_tenant(sweeper, ACME, reason="the policy was changed").status is TenantStatus.BORN


def test_altered_secrets_are_found_and_withdrawn_with_what_is_revoked(scene: Scene, sweeper: Sweeper) -> None:
    mother = scene.mother
    owner = (os.getuid() or 1001, os.getgid() or 1001)
    provisioner = Provisioner(
        engine=mother.engine, host=mother.host, state=mother.state, owner=owner, clock=mother.clock
    )
    provisioner.provision(
        None,  # type: ignore[arg-type] - the tenant has no bucket, so no vault is asked
        ACME,
        own=lambda _: {"HIVE_URL": Secret(b"https://hive.example")},
    )
    sweeper = replace(sweeper, provisioner=provisioner)
    assert only(sweep(sweeper)).findings == ()
    env = jail(scene) / "root/usr/home/agent/.env"
    env.write_bytes(env.read_bytes() + b"MORE=1\n")
    found = only(sweep(sweeper))
    assert [str(item) for item in found.findings] == ["secrets: usr/home/agent/.env: altered"]
    assert scene.tenant().status is TenantStatus.QUARANTINED
    assert env.exists()
    withdraw(scene.world, "web-search")
    assert Action.WITHDRAW_SECRETS in only(sweep(sweeper)).done
    assert not env.exists()


def test_a_host_without_a_user_for_agents_takes_secrets_away_all_the_same(
    scene: Scene, sweeper: Sweeper
) -> None:
    owner = (os.getuid() or 1001, os.getgid() or 1001)
    replace(sweeper.provisioner, owner=owner).provision(
        None,  # type: ignore[arg-type] - the tenant has no bucket, so no vault is asked
        ACME,
        own=lambda _: {"HIVE_URL": Secret(b"https://hive.example")},
    )
    env = jail(scene) / "root/usr/home/agent/.env"
    assert env.exists()
    withdraw(scene.world, "web-search")
    found = only(sweep(sweeper))
    assert Action.WITHDRAW_SECRETS in found.done
    assert found.failed == ()
    assert not env.exists()
    assert Action.WITHDRAW_SECRETS not in only(sweep(sweeper)).done


def test_a_vulnerable_package_is_told_and_shuts_nobody_out(world: World, tmp_path: Path) -> None:
    with open_harbour(world, tmp_path / "harbour") as harbour:
        harbour.arrange(BASE, OLD_AGENT)
        harbour.born()
        quiet = sweeper_of(harbour.scene, Notifier())
        assert only(sweep(quiet)).findings == ()
        harbour.shelf.advise(VULNERABLE)
        found = only(sweep(quiet))
        assert set(kinds(found)) == {"vulnerable"}
        assert harbour.scene.tenant("boat").status is TenantStatus.BORN


def test_a_tenant_that_is_being_retired_is_not_released(scene: Scene, sweeper: Sweeper) -> None:
    acting.quarantine(sweeper.engine, ACME, "being retired", now=scene.mother.clock())
    with transaction(sweeper.engine) as session:
        audit.append(session, event=RETIRING, facts={"tenant": ACME}, now=scene.mother.clock())
    with pytest.raises(ConflictError, match="being retired"):
        release_tenant(sweeper, ACME, reason="by mistake")
    assert scene.tenant().status is TenantStatus.QUARANTINED
