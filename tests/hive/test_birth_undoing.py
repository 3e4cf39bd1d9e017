"""What a failed birth leaves, by --on-failure: never one that runs, holds a secret, or whose agent is answered."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hive.agents.names import AgentId
from hive.agents.standing import load_present
from hive.birth import carry_out
from hive.birth.carry_out import birth
from hive.birth.journal import Journal
from hive.birth.undoing import OnFailure
from hive.db.models import BirthRow, TenantRow
from hive.db.session import snapshot, transaction
from hive.jails.directory import DirectoryHost
from hive.retiring import Retirer
from hive.tenants import TenantStatus
from hive.vault import env_file
from hive.vault.provision import Standing
from signing.errors import (
    ConflictError,
    DigestMismatchError,
    HostError,
    NotEntitledError,
    NotFoundError,
    SkillRepoError,
    TransportError,
    UsageError,
)
from signing.format.names import parse_tenant_id
from tests.attacks.scene import Scene, open_scene
from tests.support.bucketed import env_of, files_with, fill, provisioner_of, with_bucket
from tests.support.hive_desk import HiveDesk
from tests.support.hurry import in_a_hurry
from tests.support.world import World, jail_files, now

ACME = parse_tenant_id("acme")


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture
def scene(world: World, tmp_path: Path) -> Iterator[Scene]:
    """The tenant acme has a bucket."""
    with open_scene(world, tmp_path / "host") as scene:
        collection = fill(scene.mother.state, ACME)
        with transaction(scene.mother.engine) as session:
            session.get_one(TenantRow, ACME).collection_id = collection
        scene.mother = with_bucket(scene.mother)
        yield scene


def failing(
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    error: Exception,
    *,
    on_failure: OnFailure | None = None,
) -> SkillRepoError:
    """Let a birth fail with ``error`` right after ``name`` was done, and return what it raised."""
    genuine = getattr(owner, name)

    def done_and_failed(*args: Any, **named: Any) -> None:
        genuine(*args, **named)
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, done_and_failed)
        with pytest.raises(type(error)) as caught:
            birth(scene.mother, ACME, on_failure=on_failure)
    assert isinstance(caught.value, SkillRepoError)
    return caught.value


def assert_disarmed(scene: Scene) -> None:
    """Nothing runs, no secret stands in a jail, and nobody is answered or routed to."""
    mother = scene.mother
    assert scene.tenant().status is TenantStatus.FAILED
    assert not mother.host.is_running(ACME)
    assert not env_of(mother.state).exists()
    assert files_with(mother.state) == []
    assert provisioner_of(mother).standing(ACME) is Standing.NONE
    with snapshot(mother.engine) as session, pytest.raises((NotEntitledError, NotFoundError)):
        load_present(session, AgentId(ACME), look=True)


MOMENTS = {
    "skill": (carry_out, "install_skill"),
    "secrets": (env_file, "install"),
    "verify": (carry_out, "check_born"),
    "start": (DirectoryHost, "start"),
}
ERRORS = {"refused": DigestMismatchError, "failed": HostError, "away": TransportError}


@pytest.mark.parametrize(
    "on_failure", [None, OnFailure.KEEP, OnFailure.DESTROY], ids=["default", "keep", "destroy"]
)
@pytest.mark.parametrize(
    ("moment", "kind"),
    [
        pytest.param("skill", "failed", marks=pytest.mark.slow),
        pytest.param("secrets", "failed", marks=pytest.mark.slow),
        ("verify", "refused"),
        ("start", "failed"),
        pytest.param("start", "refused", marks=pytest.mark.slow),
        pytest.param("start", "away", marks=pytest.mark.slow),
    ],
)
def test_what_is_left_holds_no_secret_and_does_not_run(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, moment: str, kind: str, on_failure: OnFailure | None
) -> None:
    failing(scene, monkeypatch, *MOMENTS[moment], ERRORS[kind]("it went wrong"), on_failure=on_failure)
    assert_disarmed(scene)
    kept = on_failure is OnFailure.KEEP or (on_failure is None and kind != "refused")
    assert scene.mother.host.exists(ACME) == kept
    if kept:
        assert (scene.mother.state / "jails/acme/root/usr/home/agent/skills/web-search/SKILL.md").is_file()
    else:
        assert jail_files(scene.mother) == {}
    events = [record.event for record in scene.events()]
    assert events.count("birth.refused" if kind == "refused" else "birth.failed") == 1
    receipt = scene.born()
    assert receipt["continued"] == kept
    assert env_of(scene.mother.state).exists()


def test_it_says_what_became_of_the_jail(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    root = scene.mother.state / "jails/acme/root"
    kept = failing(
        scene, monkeypatch, *MOMENTS["verify"], DigestMismatchError("x"), on_failure=OnFailure.KEEP
    )
    assert kept.facts["jail"] == f"kept at {root}"
    gone = failing(scene, monkeypatch, *MOMENTS["verify"], HostError("x"), on_failure=OnFailure.DESTROY)
    assert gone.facts["jail"] == "removed"


def test_a_refusal_before_there_is_a_jail_says_nothing_of_one(scene: Scene) -> None:
    scene.server.lies["/metadata/timestamp.json"] = b"{}"
    with pytest.raises(SkillRepoError) as caught:
        birth(scene.mother, ACME, on_failure=OnFailure.KEEP)
    assert "jail" not in caught.value.facts
    assert_disarmed(scene)
    with snapshot(scene.mother.engine) as session:
        assert session.get(BirthRow, ACME) is None


def test_a_jail_that_cannot_be_disarmed_is_not_kept(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(env_file, "remove", lambda _: (_ for _ in ()).throw(HostError("immutable")))
        error = failing(scene, monkeypatch, *MOMENTS["start"], HostError("x"), on_failure=OnFailure.KEEP)
    assert error.facts["jail"] == "removed"
    assert not scene.mother.host.exists(ACME)
    assert files_with(scene.mother.state) == []
    scene.born()


def test_a_jail_that_cannot_be_undone_is_on_record(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first error is what is raised; where the jail is, and that it may hold secrets, is said and recorded."""
    with monkeypatch.context() as patch:
        for owner, name in ((env_file, "remove"), (DirectoryHost, "destroy")):
            patch.setattr(owner, name, lambda *_, **__: (_ for _ in ()).throw(HostError("a busy disk")))
        error = failing(scene, monkeypatch, *MOMENTS["verify"], DigestMismatchError("altered"))
    assert str(error) == "altered"
    assert error.facts["jail"].startswith("left at ")
    tenant = scene.tenant()
    assert tenant.status is TenantStatus.FAILED
    assert tenant.reason == "digest-mismatch: altered; its jail is left as it is: a busy disk"
    assert scene.events()[-1].event == "jail.left"
    assert not scene.mother.host.is_running(ACME)
    scene.born()


@pytest.mark.parametrize("problem", [HostError("no space"), ConflictError("no space")], ids=["full", "busy"])
def test_a_database_that_fails_keeps_no_secret_in_the_jail(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, problem: SkillRepoError
) -> None:
    """It cannot be called failed; it is not routable as it is, and what was started is stopped."""
    with monkeypatch.context() as patch:
        for name in ("check_mine", "failed"):
            patch.setattr(Journal, name, lambda *_, **__: (_ for _ in ()).throw(problem))
        error = failing(scene, monkeypatch, *MOMENTS["start"], HostError("first"))
    assert str(error) == "first"
    assert error.facts["unrecorded"] == "no space"
    assert scene.tenant().status is TenantStatus.BIRTHING
    assert not scene.mother.host.is_running(ACME)
    assert files_with(scene.mother.state) == []
    scene.born()


@pytest.mark.parametrize("on_failure", [None, *OnFailure])
def test_a_jail_of_somebody_else_is_left_alone(scene: Scene, on_failure: OnFailure | None) -> None:
    scene.mother.host.create(ACME, mark="theirs")
    scene.mother.host.start(ACME, mark="theirs")
    env_of(scene.mother.state).parent.mkdir(parents=True)
    env_of(scene.mother.state).write_text("their own")
    before = jail_files(scene.mother)
    with pytest.raises(ConflictError):
        birth(scene.mother, ACME, on_failure=on_failure)
    assert jail_files(scene.mother) == before
    assert scene.mother.host.is_running(ACME)


def test_whoever_was_taken_over_undoes_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = carry_out.install_lock

    def overtaken(*args: Any) -> None:
        monkeypatch.undo()
        genuine(*args)
        Journal(scene.mother.engine, ACME).begin(jail_root=scene.mother.host.describe(ACME), now=now())
        raise HostError("and then it fails")

    monkeypatch.setattr(carry_out, "install_lock", overtaken)
    with pytest.raises(HostError):
        birth(scene.mother, ACME, on_failure=OnFailure.DESTROY)
    assert scene.mother.host.exists(ACME)
    assert scene.tenant().status is TenantStatus.BIRTHING


# --- retired or quarantined while a birth goes on, by a process with another state folder -------------------


@pytest.mark.parametrize("name", ["install_lock", "check_born", "show_shelf"])
def test_a_tenant_that_is_retired_meanwhile_is_not_born(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    genuine = getattr(carry_out, name)

    def retired(*args: Any, **named: Any) -> None:
        monkeypatch.undo()
        genuine(*args, **named)
        mother = scene.mother
        assert Retirer(
            engine=mother.engine, host=mother.host, state=mother.state / "second", clock=now
        ).retire(ACME, reason="left")

    monkeypatch.setattr(carry_out, name, retired)
    with pytest.raises(SkillRepoError):
        birth(scene.mother, ACME)
    assert (scene.tenant().status, scene.tenant().reason) == (TenantStatus.RETIRED, "left")
    assert "birth.born" not in [record.event for record in scene.events()]
    assert files_with(scene.mother.state) == []
    assert not scene.mother.host.exists(ACME)


def test_a_jail_that_is_made_after_its_tenant_was_retired_does_not_stay(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = DirectoryHost.create

    def late(host: DirectoryHost, *args: Any, **named: Any) -> None:
        monkeypatch.undo()
        mother = scene.mother
        second = Retirer(engine=mother.engine, host=mother.host, state=mother.state / "second", clock=now)
        assert second.retire(ACME, reason="left")
        genuine(host, *args, **named)

    monkeypatch.setattr(DirectoryHost, "create", late)
    with pytest.raises(ConflictError):
        birth(scene.mother, ACME, on_failure=OnFailure.KEEP)
    assert scene.tenant().status is TenantStatus.RETIRED
    assert not scene.mother.host.exists(ACME)


def test_a_retirement_at_its_beginning_is_no_birth(scene: Scene) -> None:
    """Never born, and the retirement was killed after its first commit: a birth says so, and is no bug of ours."""
    mother = scene.mother
    Retirer(engine=mother.engine, host=mother.host, state=mother.state, clock=now)._cut_off(ACME, "left")
    with pytest.raises(ConflictError, match="no birth of it is recorded"):
        birth(mother, ACME)
    assert scene.tenant().status is TenantStatus.QUARANTINED


# --- the command ----------------------------------------------------------------------------------------------


@pytest.fixture
def desk(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[HiveDesk]:
    with world.serve() as server:
        desk = HiveDesk(tmp_path / "desk", world, server, capsys, monkeypatch)
        desk.tenant()
        yield desk


def broken_lock(*_: object) -> None:
    raise DigestMismatchError("altered")


def test_the_option_goes_before_the_setting(desk: HiveDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry_out, "install_lock", broken_lock)
    root = desk.folder / "jails/acme/root"
    desk.settings["on_failure"] = "keep"
    error = desk.json("birth", "acme", status=11)["error"]
    assert (error["code"], error["facts"]["jail"]) == ("digest-mismatch", f"kept at {root}")
    assert root.is_dir()
    desk.hive("birth", "acme", "--on-failure", "destroy", status=11)
    assert "its jail: removed" in desk.err
    assert not root.exists()
    assert desk.secrets_in_jails() == []


@pytest.mark.parametrize("text", ["KEEP", "run", ""])
def test_a_setting_that_is_neither(desk: HiveDesk, text: str) -> None:
    desk.settings["on_failure"] = text
    assert desk.json("birth", "acme", status=UsageError.exit_status)["error"]["code"] == "usage"
    assert desk.status_of() == "registered"
    desk.hive("birth", "acme", "--on-failure", "other", status=2)


def test_a_kept_jail_gets_no_secrets_and_is_not_spawned(
    desk: HiveDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(carry_out, "install_lock", broken_lock)
        desk.hive("birth", "acme", "--on-failure", "keep", status=11)
    assert desk.host.exists(ACME)
    desk.hive("provision", "acme", status=12)
    desk.hive("spawn-agent", "acme", status=4)
    assert not desk.host.is_running(ACME)
    assert desk.secrets_in_jails() == []
    desk.hive("birth", "acme")
    assert desk.env().exists()
