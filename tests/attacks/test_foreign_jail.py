"""A birth takes and removes only the jail that it made itself."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hive import audit
from hive.birth import carry_out
from hive.birth.carry_out import birth
from hive.birth.journal import Journal
from hive.certificate import BirthEvidence
from hive.db.session import snapshot, transaction
from hive.jails.directory import DirectoryHost
from hive.tenants import TenantStatus, load_row
from signing.errors import (
    ConflictError,
    CouldNotVerifyError,
    HostError,
    NotFoundError,
    RejectedError,
    SkillRepoError,
)
from signing.format.digest import Sha256
from signing.format.names import parse_tenant_id
from tests.attacks.scene import Scene
from tests.support.world import now

ACME = parse_tenant_id("acme")


def status(scene: Scene) -> str:
    with snapshot(scene.mother.engine) as session:
        return load_row(session, ACME).status


def test_somebody_elses_folder_is_neither_taken_nor_removed(scene: Scene) -> None:
    precious = scene.mother.state / "jails/acme/precious.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("data")
    with pytest.raises(ConflictError):
        birth(scene.mother, ACME)
    # A refusal that the server can cause at will must not remove what a conflict left alone.
    scene.server.lies["/metadata/timestamp.json"] = b"{}"
    with pytest.raises(RejectedError):
        birth(scene.mother, ACME)
    assert precious.read_text() == "data"
    assert status(scene) == TenantStatus.FAILED
    # The first attempt made nothing and is forgotten, so the second one is a birth of its own.
    events = [record.event for record in scene.events()]
    assert events == [
        "tenant.registered",
        "birth.begun",
        "admission",
        "birth.failed",
        "birth.begun",
        "birth.refused",
    ]


def test_a_jail_that_appears_during_admission_is_not_adopted(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = carry_out.admit_all

    def slow(*args: Any, **kwargs: Any) -> Any:
        scene.mother.host.create(ACME, mark="theirs")
        (scene.mother.state / "jails/acme/root/customer.db").write_text("data")
        return genuine(*args, **kwargs)

    monkeypatch.setattr(carry_out, "admit_all", slow)
    with pytest.raises(ConflictError):
        birth(scene.mother, ACME)
    assert status(scene) == TenantStatus.FAILED
    assert (scene.mother.state / "jails/acme/root/customer.db").read_text() == "data"


def test_an_unfinished_birth_is_not_continued_elsewhere(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_args: Any, **_kwargs: Any) -> None:
        raise HostError("the disk went away")

    monkeypatch.setattr(carry_out, "install_skill", die)
    with pytest.raises(HostError):
        birth(scene.mother, ACME)
    monkeypatch.undo()
    elsewhere = replace(scene.mother, host=DirectoryHost(scene.mother.state / "other"))
    with pytest.raises(ConflictError, match="unfinished birth of acme is at"):
        birth(elsewhere, ACME)
    assert not (scene.mother.state / "other").exists()
    assert birth(scene.mother, ACME)["status"] == "born"


def test_the_loser_of_two_state_folders_undoes_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes that share the database and no lock file: the one taken over can neither finish nor undo."""
    genuine = carry_out.admit_all

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.undo()
        assert birth(replace(scene.mother, state=scene.mother.state / "second"), ACME)["status"] == "born"
        genuine(*args, **kwargs)
        raise CouldNotVerifyError("and then it is refused")

    monkeypatch.setattr(carry_out, "admit_all", overtaken)
    with pytest.raises(SkillRepoError):
        birth(scene.mother, ACME)
    assert status(scene) == TenantStatus.BORN
    assert (scene.mother.state / "jails/acme/root/usr/home/agent/skills/web-search/SKILL.md").is_file()
    assert [record.event for record in scene.events()][-1] == "birth.born"


NOTHING = BirthEvidence(
    looked_at=now(),
    anchor_sha256=Sha256("0" * 64),
    versions={},
    roots=(),
    files={},
    profile=b"",
    skills={},
    written={},
)


def test_who_was_taken_over_cannot_write_the_journal(scene: Scene) -> None:
    first, second = (Journal(scene.mother.engine, ACME) for _ in range(2))
    first.begin(jail_root="/somewhere", now=now())
    second.begin(jail_root="/somewhere", now=now())
    attempts: list[Callable[[], None]] = [
        lambda: first.started("x", now=now()),
        lambda: first.finish(scene.tenant(), {}, NOTHING, now=now()),
        lambda: first.failed(HostError("x"), now=now()),
        first.forget,
    ]
    for attempt in attempts:
        with pytest.raises(ConflictError, match="took over"):
            attempt()
    assert status(scene) == TenantStatus.BIRTHING


def test_active_is_answered_with_the_jail_it_was_born_in(scene: Scene, tmp_path: Path) -> None:
    scene.born()
    with pytest.raises(ConflictError, match="was born at"):
        birth(replace(scene.mother, host=DirectoryHost(tmp_path / "nowhere")), ACME)
    (scene.mother.state / "jails/acme").rename(scene.mother.state / "jails/moved")
    with pytest.raises(HostError, match="gone"):
        birth(scene.mother, ACME)


@pytest.mark.parametrize("away", [False, True], ids=["asks again", "nobody answers"])
def test_admissions_grow_old(scene: Scene, monkeypatch: pytest.MonkeyPatch, away: bool) -> None:
    """A host (or server) so slow that 'now' is long ago does not act on what it admitted then."""
    genuine = carry_out.install_skill
    begun, waited = now(), timedelta()

    def slow(*args: Any) -> None:
        nonlocal waited
        waited = timedelta(minutes=20)
        if away:
            scene.server.missing |= {"/metadata/timestamp.json"}
        genuine(*args)

    mother = replace(scene.mother, clock=lambda: begun + waited)
    monkeypatch.setattr(carry_out, "install_skill", slow)
    if away:
        with pytest.raises(NotFoundError):
            birth(mother, ACME)
        assert status(scene) == TenantStatus.FAILED
        return
    assert birth(mother, ACME)["status"] == "born"
    decided = [record for record in scene.events() if record.event == "admission"]
    assert [record.facts.get("again", False) for record in decided] == [False, True]
    assert decided[1].time >= begun.replace(microsecond=0) + timedelta(minutes=20)


def test_a_clock_that_was_set_back_births_nothing(scene: Scene) -> None:
    scene.born()
    scene.register("later")
    scene.at(now() - timedelta(days=10))
    with pytest.raises(CouldNotVerifyError, match="clock"):
        birth(scene.mother, parse_tenant_id("later"))
    assert not scene.mother.host.exists(parse_tenant_id("later"))


def test_a_bug_of_ours_is_journalled_too(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_args: Any, **_kwargs: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(carry_out, "install_identity", bug)
    with pytest.raises(ZeroDivisionError):
        birth(scene.mother, ACME)
    assert status(scene) == TenantStatus.FAILED
    with transaction(scene.mother.engine) as session:
        assert audit.read(session)[-1].facts["error"]["message"] == "ZeroDivisionError during the birth"
    monkeypatch.undo()
    assert birth(scene.mother, ACME)["status"] == "born"
