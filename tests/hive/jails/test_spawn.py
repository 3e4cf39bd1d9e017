"""`hive spawn-agent`: a tenant's jail without a birth."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hive import audit, spawning
from hive.birth.carry_out import birth
from hive.cli import cli
from hive.db.session import open_engine, snapshot, transaction
from hive.jails.directory import DirectoryHost
from hive.jails.host import JailHost
from hive.spawning import spawn, unspawn
from hive.tenants import TenantStatus, load_row
from repo_client.updater import locked
from signing.errors import ConflictError, HostError, NotFoundError, SkillRepoError, UsageError
from signing.format.names import TenantId, parse_tenant_id
from tests.support.bastille_machine import BastilleMachine
from tests.support.world import World, now, register_tenant

ACME = parse_tenant_id("acme")


class Place:
    """A registry with acme and other, and a host."""

    def __init__(self, folder: Path, host: JailHost) -> None:
        self.state, self.host = folder, host
        self.db = folder / "hive.db"
        self.engine = open_engine(f"sqlite:///{self.db}")
        for name in ("acme", "other"):
            run(["--db", str(self.db), "register-tenant", name, "--tier", "free", "--profile", "base==1"])

    def spawn(self, tenant: TenantId = ACME) -> spawning.Spawned:
        return spawn(self.engine, self.host, self.state, tenant, now=now())

    def unspawn(self, tenant: TenantId = ACME) -> bool:
        return unspawn(self.engine, self.host, self.state, tenant, now=now())

    def events(self) -> list[str]:
        with snapshot(self.engine) as session:
            audit.check(session)
            return [record.event for record in audit.read(session, tenant="acme")]

    def status(self, status: TenantStatus) -> None:
        with transaction(self.engine) as session:
            load_row(session, ACME).status = status.value


def run(words: list[str]) -> dict[str, Any]:
    result = CliRunner().invoke(cli, ["--json", *words])
    if result.exception is not None:
        raise result.exception
    return json.loads(result.stdout)  # type: ignore[no-any-return]


@pytest.fixture(params=["directory", "stand-in"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "directory":
        return Place(tmp_path, DirectoryHost(tmp_path / "jails"))
    return Place(tmp_path, BastilleMachine.make(tmp_path / "machine").host())


def test_a_jail_is_made_and_started_once(place: Place) -> None:
    first = place.spawn()
    assert (first.created, first.started) == (True, True)
    assert place.host.is_running(ACME)
    second = place.spawn()
    assert (second.created, second.started) == (False, False)
    assert first.jail_root == second.jail_root == place.host.describe(ACME)
    assert place.events() == ["tenant.registered", "jail.spawning", "jail.spawned"]
    with snapshot(place.engine) as session:
        assert load_row(session, ACME).status == TenantStatus.REGISTERED
    mark = place.host.mark_of(ACME)
    assert mark is not None
    place.host.stop(ACME, mark=mark)
    third = place.spawn()
    assert (third.created, third.started) == (False, True)


def test_removing_takes_what_was_spawned(place: Place) -> None:
    assert not place.unspawn()
    place.spawn()
    assert place.unspawn()
    assert not place.host.exists(ACME)
    assert not place.unspawn()
    assert place.spawn().created
    assert place.events()[-3:] == ["jail.unspawned", "jail.spawning", "jail.spawned"]


def test_somebody_elses_jail_is_neither_taken_nor_removed(place: Place) -> None:
    place.host.create(ACME, mark="0123456789abcdef")
    with pytest.raises(ConflictError, match="is there"):
        place.spawn()
    with pytest.raises(ConflictError):
        place.unspawn()
    assert place.host.mark_of(ACME) == "0123456789abcdef"
    assert not place.host.is_running(ACME)


def test_a_tenant_that_nobody_registered_has_no_jail(place: Place) -> None:
    ghost = parse_tenant_id("ghost")
    for attempt in (place.spawn, place.unspawn):
        with pytest.raises(NotFoundError):
            attempt(ghost)
    assert not place.host.exists(ghost)


@pytest.mark.parametrize(
    "status",
    [status for status in TenantStatus if status not in {TenantStatus.REGISTERED, TenantStatus.FAILED}],
)
def test_a_tenant_that_was_born_or_is_closed_is_not_spawned(status: TenantStatus, place: Place) -> None:
    """Nor started: a quarantined jail would run again."""
    place.status(status)
    with pytest.raises(ConflictError, match="belongs to its birth"):
        place.spawn()
    assert not place.host.exists(ACME)
    assert place.events() == ["tenant.registered"]


def test_a_birth_that_runs_is_not_disturbed(place: Place) -> None:
    with locked(place.state / "births/acme"):
        for attempt in (place.spawn, place.unspawn):
            with pytest.raises(ConflictError, match="in use by another process"):
                attempt()
    assert not place.host.exists(ACME)


@pytest.mark.parametrize("moment", ["create", "start"])
def test_a_spawn_that_was_cut_off_is_continued(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, DirectoryHost(tmp_path / "jails"))
    honest: Callable[..., None] = getattr(DirectoryHost, moment)

    def cut(*args: Any, **kwargs: Any) -> None:
        honest(*args, **kwargs)
        raise HostError("the power went away")

    monkeypatch.setattr(DirectoryHost, moment, cut)
    with pytest.raises(HostError):
        place.spawn()
    monkeypatch.undo()
    place.spawn()
    assert place.host.is_running(ACME)
    assert place.unspawn()


def test_a_birth_refuses_a_spawned_jail_and_says_how_to_go_on(world: World, tmp_path: Path) -> None:
    with world.serve() as server:
        mother = world.mother(server.url, tmp_path / "host")
        register_tenant(mother, "acme", profile="base==1")
        spawn(mother.engine, mother.host, mother.state, ACME, now=now())
        (tmp_path / "host/jails/acme/root/kept").write_text("somebody's")
        with pytest.raises(ConflictError) as caught:
            birth(mother, ACME)
        assert caught.value.hint.endswith("hive spawn-agent acme --remove")
        assert (tmp_path / "host/jails/acme/root/kept").read_text() == "somebody's"
        assert unspawn(mother.engine, mother.host, mother.state, ACME, now=now())
        birth(mother, ACME)
        with pytest.raises(ConflictError, match="belongs to its birth"):
            spawn(mother.engine, mother.host, mother.state, ACME, now=now())
        with pytest.raises(SkillRepoError):
            unspawn(mother.engine, mother.host, mother.state, ACME, now=now())
    assert mother.host.exists(ACME)


# --- the command ---------------------------------------------------------------------------------------


def words(place: Place, *more: str) -> list[str]:
    return [
        *("--db", str(place.db), "--state", str(place.state)),
        *("spawn-agent", "acme", "--jail-root-base", str(place.state / "jails"), *more),
    ]


@pytest.fixture
def plain(tmp_path: Path) -> Place:
    return Place(tmp_path, DirectoryHost(tmp_path / "jails"))


def test_the_command_in_its_whole_life(plain: Place) -> None:
    root = str(plain.state / "jails/acme/root")
    given = words(plain, "--jail-name", "acme", "--jail-root", root)
    expected = {"ok": True, "tenant_id": "acme", "jail": "acme", "jail_root": root}
    assert run(given) == {**expected, "created": True, "started": True}
    assert run(given) == {**expected, "created": False, "started": False}
    assert run(words(plain, "--remove", "--yes")) == {"ok": True, "tenant_id": "acme", "removed": True}
    assert run(words(plain, "--remove", "--yes"))["removed"] is False


@pytest.mark.parametrize(
    "more",
    [
        ("--jail-name", "other"),
        ("--jail-name", ""),
        ("--jail-root", "/"),
        ("--jail-root", "other/root"),
        ("--remove",),
    ],
    ids=" ".join,
)
def test_another_tenants_name_or_root_is_refused(more: tuple[str, ...], plain: Place) -> None:
    with pytest.raises(UsageError):
        run(words(plain, *more))
    assert not plain.host.exists(ACME)
    assert plain.events() == ["tenant.registered"]


def test_a_person_without_json_is_told_what_comes_next(plain: Place) -> None:
    result = CliRunner().invoke(cli, words(plain))
    assert result.exit_code == 0
    assert result.stdout.startswith("created and started: acme\n")
    assert "hive spawn-agent acme --remove" in result.stdout
