"""What a hostile root in one jail can do to sweeps: nothing to other tenants, and little to the log."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from hive.db.session import transaction
from hive.sweep import sweeping
from hive.sweep.findings import Found
from hive.sweep.notify import Notifier
from hive.sweep.sweeper import Sweeper
from hive.sweep.sweeping import sweep
from hive.tenants import TenantStatus
from signing.errors import HostError
from signing.format.names import parse_tenant_id
from tests.attacks.scene import Scene, open_scene
from tests.hive.sweep.test_sweeping import sweeper_of
from tests.support.hurry import in_a_hurry
from tests.support.withdrawing import withdraw
from tests.support.world import World

SKILLS = "usr/home/agent/skills"


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture
def scene(world: World, tmp_path: Path) -> Iterator[Scene]:
    """Two tenants are born; ``acme``, which is swept first, is hostile."""
    with open_scene(world, tmp_path / "host") as scene:
        scene.born()
        scene.register("zoo")
        scene.born("zoo")
        root = scene.mother.state / "jails/acme/root"
        for path in (root / SKILLS, *(root / SKILLS).rglob("*")):
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
        yield scene


@pytest.fixture
def sweeper(scene: Scene) -> Sweeper:
    return sweeper_of(scene, Notifier())


def _bytes_name(skills: Path) -> None:
    (skills / os.fsdecode(b"\xff\xfe")).mkdir()


def _steering_name(skills: Path) -> None:
    (skills / "\x1b[2J\n\r\u202eevil").mkdir()


def _longest_name(skills: Path) -> None:
    (skills / ("x" * 255)).write_text("")


def _fifo(skills: Path) -> None:
    os.mkfifo(skills / "pipe")


def _fifo_as_skill(skills: Path) -> None:
    (skills / "web-search/SKILL.md").unlink()
    os.mkfifo(skills / "web-search/SKILL.md")


def _holes(skills: Path) -> None:
    with (skills / "web-search/SKILL.md").open("wb") as file:
        file.truncate(50 << 30)


def _holes_in_the_list(skills: Path) -> None:
    with (skills / "web-search/MANIFEST.json").open("wb") as file:
        file.truncate(50 << 30)


def _many(skills: Path) -> None:
    for number in range(3000):
        (skills / f"{number:05}").symlink_to("/etc/passwd")


def _deep(skills: Path) -> None:
    here = os.open(skills / "web-search", os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def _link_for_the_folder(skills: Path) -> None:
    skills.rename(skills.with_name("aside"))
    skills.symlink_to("/etc")


def _file_for_the_folder(skills: Path) -> None:
    skills.rename(skills.with_name("aside"))
    skills.write_text("")


def _hard_link(skills: Path) -> None:
    (skills.parent / "notes").hardlink_to(skills / "web-search/SKILL.md")


ATTACKS = [
    _bytes_name,
    _steering_name,
    _longest_name,
    _fifo,
    _fifo_as_skill,
    _holes,
    _holes_in_the_list,
    _many,
    _deep,
    _link_for_the_folder,
    _file_for_the_folder,
    _hard_link,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.__name__ for attack in ATTACKS])
def test_a_hostile_jail_is_found_out_and_the_others_are_swept(
    scene: Scene, sweeper: Sweeper, attack: Callable[[Path], None]
) -> None:
    attack(scene.mother.state / "jails/acme/root" / SKILLS)
    hostile, other = sweep(sweeper)
    assert {finding.kind for finding in hostile.findings} == {Found.DRIFT}
    assert hostile.failed == ()
    assert scene.tenant().status is TenantStatus.QUARANTINED
    assert (other.findings, other.failed) == ((), ())
    assert scene.tenant("zoo").status is TenantStatus.BORN
    assert len(scene.events()) < 100


def _mounted(place: Path, *options: str) -> None:
    done = subprocess.run(["mount", *options, str(place)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


@pytest.mark.parametrize(
    "place",
    [
        SKILLS,
        f"{SKILLS}/web-search",
        f"{SKILLS}/web-search/scripts",
        f"{SKILLS}/more",
        "var/db/clawdie",
        "usr/home/agent",
    ],
)
@pytest.mark.parametrize("shown", ["an empty one", "the same once more"])
def test_a_mount_in_the_way_is_drift_and_not_looked_through(
    scene: Scene, sweeper: Sweeper, tmp_path: Path, place: str, shown: str
) -> None:
    """Even what shows the very same bytes: they are not the jail's, and may be others a moment later."""
    here = scene.mother.state / "jails/acme/root" / place
    here.mkdir(exist_ok=True)
    if shown == "an empty one":
        _mounted(here, "-t", "tmpfs", "tmpfs")
    else:
        shutil.copytree(here, tmp_path / "shown")
        _mounted(here, "--bind", str(tmp_path / "shown"))
    try:
        hostile, other = sweep(sweeper)
    finally:
        subprocess.run(["umount", str(here)], check=True)
    assert {finding.kind for finding in hostile.findings} == {Found.DRIFT}
    assert scene.tenant().status is TenantStatus.QUARANTINED
    assert (other.findings, other.failed) == ((), ())


def test_what_a_hostile_jail_makes_come_and_go_fills_no_log(scene: Scene, sweeper: Sweeper) -> None:
    """New names for every sweep, for a day: bounded records, and the tenant stays shut out."""
    skills = scene.mother.state / "jails/acme/root" / SKILLS
    moment = scene.mother.clock()
    for number in range(40):
        moment += timedelta(minutes=10)
        for name in range(30):
            (skills / f"{number}-{name}").symlink_to("/")
        hostile, _ = sweep(replace(sweeper, clock=lambda at=moment: at))  # type: ignore[misc]
        assert Found.DRIFT in {finding.kind for finding in hostile.findings}
        for name in range(30):
            (skills / f"{number}-{name}").unlink()
    told = [record.event for record in scene.events()]
    assert told.count("sweep.found") <= 60  # 12_00 names came and went
    assert told.count("sweep.gone") <= 60
    assert told.count("tenant.quarantined") == 1
    assert scene.tenant().status is TenantStatus.QUARANTINED


def test_a_bad_line_fills_no_log(scene: Scene, sweeper: Sweeper) -> None:
    moment = scene.mother.clock()
    for number in range(20):
        moment += timedelta(minutes=5)
        if number % 2:
            scene.server.missing.add("/metadata/timestamp.json")
        else:
            scene.server.missing.clear()
        found = sweep(replace(sweeper, clock=lambda at=moment: at))  # type: ignore[misc]
        assert [bool(item.findings) for item in found] == [bool(number % 2)] * 2
    told = [record.event for record in scene.events()]
    assert (told.count("sweep.found"), told.count("sweep.gone")) == (1, 0)
    scene.server.missing.clear()
    sweep(replace(sweeper, clock=lambda: moment + timedelta(hours=2)))
    assert [record.event for record in scene.events()].count("sweep.gone") == 1


def test_one_tenant_that_cannot_be_looked_at_spares_no_other(
    scene: Scene, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    (scene.mother.state / "jails/zoo/root" / SKILLS / "more").mkdir()
    original = sweeping.record

    def broken(session: Any, tenant_id: str, *args: Any, **options: Any) -> Any:
        if tenant_id == "acme":
            raise ValueError(tenant_id)
        return original(session, tenant_id, *args, **options)  # type: ignore[arg-type]

    (scene.mother.state / "jails/acme/root" / SKILLS / "more").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(sweeping, "record", broken)
        first, second = sweep(sweeper)
    assert first.failed == ("look: ValueError",)
    # Cut off all the same: acting does not rest on bookkeeping.
    assert [item.tenant.status for item in (first, second)] == [TenantStatus.QUARANTINED] * 2
    assert "sweep.failed" in [record.event for record in scene.events()]
    assert sweep(sweeper)[0].failed == ()
    assert "sweep.settled" in [record.event for record in scene.events()]


def test_a_database_that_cannot_be_written_does_not_keep_a_jail_running(
    scene: Scene, sweeper: Sweeper
) -> None:
    """A jail has filled the disk: nothing can be recorded, and what is revoked is stopped all the same."""
    withdraw(scene.world, "web-search")
    sweep(replace(sweeper, actions=dict.fromkeys(Found, frozenset())))  # trust is up to date, nothing done
    engine = sweeper.engine

    def full(connection: Any, _record: object, _proxy: object = None) -> None:
        connection.execute("PRAGMA query_only = ON")

    engine.dispose()
    locks = scene.mother.state / "sweeps"
    shutil.rmtree(locks)
    locks.write_text("no room for a folder")
    event.listen(engine, "checkout", full)
    try:
        with pytest.raises(HostError):
            sweep(sweeper)
    finally:
        event.remove(engine, "checkout", full)
        engine.dispose()
    for name in ("acme", "zoo"):
        assert not scene.mother.host.is_running(parse_tenant_id(name))
        assert scene.tenant(name).status is TenantStatus.BORN  # which nobody could write
    assert [item.tenant.status for item in sweep(sweeper)] == [TenantStatus.QUARANTINED] * 2


def test_a_register_of_gates_that_was_altered_stops_no_sweep(scene: Scene, sweeper: Sweeper) -> None:
    with transaction(sweeper.engine) as session:
        session.execute(text("UPDATE gate_entries SET kind = 'blessing'"))
    (scene.mother.state / "jails/acme/root" / SKILLS / "more").mkdir()
    hostile, other = sweep(sweeper)
    assert [finding.kind.value for finding in hostile.findings] == ["drift", "gates"]
    assert [(item.subject, "cannot be read" in item.detail) for item in other.findings] == [
        ("register", True)
    ]
    assert scene.tenant().status is TenantStatus.QUARANTINED
    assert scene.tenant("zoo").status is TenantStatus.BORN


class _KilledError(BaseException):
    """Stands for kill −9: nothing in the code catches it."""


def test_a_sweep_killed_at_any_commit_is_finished_by_the_next(
    scene: Scene, sweeper: Sweeper, tmp_path: Path
) -> None:
    """Before each commit in turn, from the same beginning; what is left is whole, and nothing is told never."""
    told = tmp_path / "told"
    script = f"import sys; open({str(told)!r}, 'a').write(sys.stdin.read() + '\\n')"
    sweeper = replace(sweeper, notifier=Notifier(command=(sys.executable, "-c", script)))
    withdraw(scene.world, "web-search")
    engine, state = sweeper.engine, scene.mother.state
    engine.dispose()
    shutil.copytree(state, tmp_path / "before", symlinks=True)
    killed_at = 0
    while True:
        killed_at += 1
        left = [killed_at]

        def kill(_connection: object, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise _KilledError

        event.listen(engine, "commit", kill)
        try:
            sweep(sweeper)
            break
        except _KilledError:
            pass
        finally:
            event.remove(engine, "commit", kill)
        found = sweep(sweeper)
        assert [item.failed for item in found] == [(), ()]
        for name in ("acme", "zoo"):
            assert scene.tenant(name).status is TenantStatus.QUARANTINED
            assert not scene.mother.host.is_running(parse_tenant_id(name))
            events = [record.event for record in scene.events(name)]  # of a chain that is whole
            assert (events.count("sweep.found"), events.count("tenant.quarantined")) == (1, 1)
            assert f'"tenant": "{name}"' in told.read_text()
        engine.dispose()
        shutil.rmtree(state)
        shutil.copytree(tmp_path / "before", state, symlinks=True)
        told.unlink()
    assert killed_at > 10
