"""Two sweepers at once, on either database: nothing is doubled, nothing is lost, and the log has one chain."""

import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from hive import audit
from hive.birth.carry_out import birth
from hive.db.session import open_engine, snapshot
from hive.db.sweep_tables import SweepFindingRow, SweepRow
from hive.sweep import releasing
from hive.sweep.notify import Notifier
from hive.sweep.sweeper import Sweeper, Swept
from hive.sweep.sweeping import sweep
from hive.tenants import TenantStatus
from signing.errors import NotEntitledError
from signing.format.names import parse_tenant_id
from tests.attacks.scene import Scene, open_scene
from tests.hive.sweep.test_sweeping import jail, kinds, messages, sweeper_of
from tests.support import postgres
from tests.support.open_gates import open_gate
from tests.support.withdrawing import withdraw
from tests.support.world import World

NAMES = ("acme", "boat", "club")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres.running() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        engine = open_engine(f"sqlite:///{tmp_path / 'shared.db'}")
        yield engine
        engine.dispose()
        return
    name = f"sweeps{abs(hash(tmp_path)) % 10**8}"
    with postgres.database(request.getfixturevalue("server"), name) as url:
        engine = open_engine(url)
        yield engine
        engine.dispose()


@pytest.fixture
def scene(world: World, tmp_path: Path, engine: Engine) -> Iterator[Scene]:
    with open_scene(world, tmp_path / "host") as scene:
        gates = open_gate(engine, scene.mother.state)
        scene.mother = replace(scene.mother, engine=engine, gates=gates)
        for name in NAMES:
            scene.register(name)
            scene.born(name)
        yield scene


@pytest.fixture
def told(tmp_path: Path) -> Path:
    return tmp_path / "told"


@pytest.fixture
def sweeper(scene: Scene, told: Path) -> Sweeper:
    script = f"import sys; open({str(told)!r}, 'a').write(sys.stdin.read() + '\\n')"
    return sweeper_of(scene, Notifier(command=(sys.executable, "-c", script)))


def at_once(sweeper: Sweeper, times: int) -> list[list[Swept]]:
    with ThreadPoolExecutor(times) as pool:
        return [future.result() for future in [pool.submit(sweep, sweeper) for _ in range(times)]]


def log(sweeper: Sweeper) -> Counter[tuple[str, str]]:
    with snapshot(sweeper.engine) as session:
        audit.check(session)
        return Counter((r.event, str(r.facts.get("tenant"))) for r in audit.read(session))


def test_what_both_find_is_recorded_done_and_told_once(scene: Scene, sweeper: Sweeper, told: Path) -> None:
    withdraw(scene.world, "web-search")
    both = at_once(sweeper, 3)
    assert {tuple(kinds(item)) for found in both for item in found} == {("revoked",)}
    assert [item.failed for found in both for item in found] == [()] * 9
    said = log(sweeper)
    for name in NAMES:
        for once in ("sweep.found", "tenant.quarantined", "jail.stopped"):
            assert said[once, name] == 1, (once, name)
        assert scene.tenant(name).status is TenantStatus.QUARANTINED
        assert not scene.mother.host.is_running(parse_tenant_id(name))
    assert sorted(message["tenant"] for message in messages(told)) == sorted(NAMES)
    with snapshot(sweeper.engine) as session:
        assert len(session.scalars(select(SweepFindingRow)).all()) == 3
        assert [row.finished_at is None for row in session.scalars(select(SweepRow))] == [False] * 3


def test_a_sweep_beside_births_finds_nothing_wrong_with_them(scene: Scene, sweeper: Sweeper) -> None:
    """Registry and log are read from one state of the database: who is born meanwhile contradicts nothing."""
    scene.register("dock")
    read, births = audit.read, []

    def slow(session: object, **options: object) -> object:
        found = read(session, **options)  # type: ignore[arg-type]
        if not births:
            births.append(birth(scene.mother, parse_tenant_id("dock")))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hive.birth.recorded.audit.read", slow)
        found = sweep(sweeper)
    assert births
    assert [item.findings for item in found] == [()] * len(found)
    assert "dock" not in {item.tenant.tenant_id for item in found}
    assert [item.tenant.tenant_id for item in sweep(sweeper)] == [*NAMES, "dock"]


def test_a_release_beside_a_sweep_ends_in_quarantine(scene: Scene, sweeper: Sweeper) -> None:
    """What is revoked while somebody releases is found by one of the two."""
    (jail(scene) / "root/usr/home/agent/skills").chmod(0o755)
    (jail(scene) / "root/usr/home/agent/skills/more").mkdir()
    sweep(sweeper)
    (jail(scene) / "root/usr/home/agent/skills/more").rmdir()
    withdraw(scene.world, "web-search")
    with ThreadPoolExecutor(2) as pool:
        swept = pool.submit(sweep, sweeper)
        released = pool.submit(
            releasing.release_tenant, sweeper, parse_tenant_id("acme"), reason="it is empty now"
        )
        with pytest.raises(NotEntitledError):
            released.result()
        swept.result()
    assert scene.tenant().status is TenantStatus.QUARANTINED
    assert not scene.mother.host.is_running(parse_tenant_id("acme"))
    log(sweeper)
