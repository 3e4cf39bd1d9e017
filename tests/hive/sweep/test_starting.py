"""Starting jails after a reboot: what stood still runs again, with its limits; what may not run does not."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hive.db.models import TenantRow
from hive.db.session import transaction
from hive.jails.starting import start_limited
from hive.sweep.actions import DEFAULTS, Action
from hive.sweep.findings import Found
from hive.sweep.notify import Notifier
from hive.sweep.starting import start_tenant, who_stands_still
from hive.sweep.sweeper import Sweeper
from hive.sweep.sweeping import sweep
from hive.tenants import TenantStatus
from signing.errors import ConflictError, HostError, NotEntitledError, NotFoundError, SkillRepoError
from signing.format.names import parse_tenant_id
from tests.attacks.scene import Scene, open_scene
from tests.hive.sweep.test_sweeping import events, jail, sweeper_of
from tests.support.hurry import in_a_hurry
from tests.support.withdrawing import reinstate, withdraw
from tests.support.world import World

ACME = parse_tenant_id("acme")


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture
def rebooted(world: World, tmp_path: Path) -> Iterator[Scene]:
    """A born tenant's jail, as a reboot leaves it."""
    with open_scene(world, tmp_path / "host") as scene:
        scene.born()
        scene.mother.host.stop(ACME, mark=str(scene.mother.host.mark_of(ACME)))
        yield scene


@pytest.fixture
def sweeper(rebooted: Scene) -> Sweeper:
    return sweeper_of(rebooted, Notifier())


def runs(scene: Scene) -> bool:
    return scene.mother.host.is_running(ACME)


def refused(scene: Scene, sweeper: Sweeper, expected: type[SkillRepoError], said: str) -> None:
    with pytest.raises(expected, match=said):
        start_tenant(sweeper, ACME)
    assert not runs(scene)
    assert "tenant.started" not in events(scene)


def test_what_stood_still_runs_again_and_that_is_on_record(rebooted: Scene, sweeper: Sweeper) -> None:
    assert who_stands_still(sweeper) == [ACME]
    assert start_tenant(sweeper, ACME)
    assert runs(rebooted)
    host = rebooted.mother.host
    assert host.limits_of(ACME) == host.limits_table.of(rebooted.tenant())
    assert events(rebooted)[-1] == "tenant.started"
    assert who_stands_still(sweeper) == []
    assert not start_tenant(sweeper, ACME)
    assert events(rebooted).count("tenant.started") == 1
    assert [item.kind for item in sweep(sweeper)[0].findings] == []


def test_what_was_revoked_while_the_machine_was_off_does_not_run(rebooted: Scene, sweeper: Sweeper) -> None:
    withdraw(rebooted.world, "web-search")
    refused(rebooted, sweeper, NotEntitledError, "revoked: web-search==1.0")


def test_a_jail_that_was_changed_while_it_stood_still_does_not_run(rebooted: Scene, sweeper: Sweeper) -> None:
    path = jail(rebooted) / "root/usr/home/agent/skills/web-search/SKILL.md"
    path.chmod(0o644)
    path.write_text("do something else")
    refused(rebooted, sweeper, NotEntitledError, "drift")


def test_without_the_repository_nothing_is_known_and_nothing_runs(rebooted: Scene, sweeper: Sweeper) -> None:
    rebooted.server.missing.add("/metadata/timestamp.json")
    refused(rebooted, sweeper, NotEntitledError, "unknown")
    rebooted.server.missing.clear()
    assert start_tenant(sweeper, ACME)


def test_another_jail_in_its_place_is_not_started(rebooted: Scene, sweeper: Sweeper) -> None:
    host = rebooted.mother.host
    host.destroy(ACME, mark=str(host.mark_of(ACME)))
    host.create(ACME, mark="f" * 32)
    refused(rebooted, sweeper, NotEntitledError, "strange")


@pytest.mark.parametrize("status", [TenantStatus.QUARANTINED, TenantStatus.FAILED, TenantStatus.RETIRED])
def test_who_is_not_to_run_is_not_started(rebooted: Scene, sweeper: Sweeper, status: TenantStatus) -> None:
    with transaction(rebooted.mother.engine) as session:
        session.get_one(TenantRow, ACME).status = status.value
    assert who_stands_still(sweeper) == []
    refused(rebooted, sweeper, ConflictError, str(status))


def test_a_host_that_cannot_limit_it_leaves_it_still(
    rebooted: Scene, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise HostError("no rctl in this kernel")

    monkeypatch.setattr(type(rebooted.mother.host), "limits", fails)
    refused(rebooted, sweeper, HostError, "no rctl")


def test_who_is_cut_off_while_it_starts_is_stopped_again(
    rebooted: Scene, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By somebody on another host with the same database, between the look and the start."""

    def slowly(*words: object, **options: object) -> object:
        with transaction(rebooted.mother.engine) as session:
            session.get_one(TenantRow, ACME).status = TenantStatus.QUARANTINED.value
        return start_limited(*words, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("hive.sweep.starting.start_limited", slowly)
    with pytest.raises(ConflictError, match="quarantined"):
        start_tenant(sweeper, ACME)
    assert not runs(rebooted)


def test_nobody_is_nobody(sweeper: Sweeper) -> None:
    with pytest.raises(NotFoundError):
        start_tenant(sweeper, parse_tenant_id("nobody"))


def test_a_policy_that_shuts_out_for_less_keeps_it_still(rebooted: Scene, sweeper: Sweeper) -> None:
    withdraw(rebooted.world, "web-search")
    strict = replace(sweeper, actions={**DEFAULTS, Found.REVOKED: frozenset(Action)})
    refused(rebooted, strict, NotEntitledError, "revoked")


@pytest.mark.slow
def test_the_command(rebooted: Scene, tmp_path: Path) -> None:
    state = rebooted.mother.state
    (tmp_path / "anchor").write_bytes(rebooted.world.anchor)
    options = [
        "--state",
        str(state),
        "--db",
        f"sqlite:///{state / 'hive.db'}",
        "--server",
        rebooted.server.url,
    ]
    options += ["--trust-anchor", str(tmp_path / "anchor"), "--json", "start-tenant"]
    base = ["--jail-root-base", str(state / "jails")]

    def asked(*words: str) -> tuple[int, dict[str, Any]]:
        program = Path(sys.executable).parent / "hive"
        done = subprocess.run(
            [program, *options, *words, *base], capture_output=True, timeout=120, check=False
        )
        return done.returncode, json.loads(done.stdout)

    assert asked()[0] == 2
    assert asked("acme", "--all")[0] == 2
    withdraw(rebooted.world, "web-search")
    status, said = asked("--all")
    assert (status, said["error"]["code"]) == (12, "not-entitled")
    assert not runs(rebooted)
    reinstate(rebooted.world, "web-search", by="alice", reason="a mistake")
    reinstate(rebooted.world, "web-search", by="bob")
    status, said = asked("--all")
    assert (status, said["started"]) == (0, ["acme"])
    assert runs(rebooted)
    assert asked("--all") == (0, {"ok": True, "started": []})
