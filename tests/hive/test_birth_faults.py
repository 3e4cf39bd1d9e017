"""Births that are killed, interrupted, refused or raced: resumed or visibly failed, and never half-active."""

import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, Never

import pytest

from hive import optins, trust
from hive.birth import carry_out
from hive.birth.carry_out import birth
from hive.birth.journal import Journal
from hive.birth.ongoing import Ongoing
from hive.db.models import StepState
from hive.db.session import transaction
from hive.external import OptIn, read_external
from hive.jails.directory import DirectoryHost
from hive.tenants import TenantStatus, Tier, load_row
from signing.errors import (
    ConflictError,
    HostError,
    NotFoundError,
    RejectedError,
    RevokedError,
    RollbackError,
    SkillRepoError,
    TransportError,
)
from signing.format.names import Pin, parse_tenant_id
from tests.attacks.scene import Scene, open_scene
from tests.support.hurry import in_a_hurry
from tests.support.world import World, jail_files, now

ACME = parse_tenant_id("acme")
OUTSIDE = "csv-summarizer==1.0.1"
Tree = dict[str, tuple[int, bytes]]


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture
def scene(world: World, tmp_path: Path) -> Iterator[Scene]:
    with open_scene(world, tmp_path / "host") as scene:
        yield scene


def everything(base: Path) -> Tree:
    """Every name below ``base``, hidden ones too: its kind and mode, and its bytes."""
    found = {}
    for path in sorted(base.rglob("*")):
        content = b""
        if path.is_symlink():
            content = str(path.readlink()).encode()
        elif path.is_file():
            content = path.read_bytes()
        found[str(path.relative_to(base))] = (path.lstat().st_mode, content)
    return found


def jail_of(scene: Scene, name: str = "acme") -> Tree:
    """What the tenant would see; and nothing unfinished stands beside it."""
    base = scene.mother.state / "jails"
    assert not [path.name for path in base.iterdir() if path.name.startswith(".")]
    return everything(base / name / "root")


def undisturbed_jail(scene: Scene) -> Tree:
    """What the jail of the same tenant looks like on a host where nothing goes wrong."""
    other = replace(
        scene, mother=scene.world.mother(scene.server.url, scene.mother.state.parent / "undisturbed")
    )
    other.register("acme")
    other.born()
    return jail_of(other)


def revoke(scene: Scene) -> None:
    forge = scene.forge()
    forge.revoke(name="web-search")
    forge.state()
    forge.answer(scene.server)


def consent(scene: Scene, data: bytes) -> None:
    external = read_external(data)
    opt_in = OptIn(
        tenant_id=ACME,
        source="folder:elsewhere",
        pin=external.pin,
        bundle_sha256=external.sha256,
        owner="olga",
        reason="wanted",
        expires_at=now() + timedelta(days=1),
    )
    with transaction(scene.mother.engine) as session:
        optins.add(session, scene.mother.external_dir, scene.tenant(), data, opt_in=opt_in, now=now())


# --- killed ----------------------------------------------------------------------------------------


@dataclass
class Killer:
    """The process of `tests.support.kill_birth`, and fresh states for its births."""

    scene: Scene
    template: Path
    folder: Path
    words: IO[str]
    answers: IO[str]

    def kill(self, where: str, number: int) -> tuple[Scene, str]:
        """Let a birth on a fresh state die at ``number``; return the state as a scene, and how it ended."""
        state = self.folder / f"{where}-{number}"
        shutil.copytree(self.template, state)
        self.words.write(f"{state} {where} {number}\n")
        self.words.flush()
        answer = self.answers.readline().strip()
        mother = self.scene.world.mother(self.scene.server.url, state)
        return replace(self.scene, mother=mother), answer

    def kill_when_it_stands(self, part: str) -> Scene:
        """Let births die at later and later steps, until one leaves a jail that holds ``part``."""
        for number in range(5, 100):  # the jail is made at 2
            after, answer = self.kill("step", number)
            assert answer == "killed", f"no birth was killed with {part} in its jail"
            if (after.mother.state / "jails/acme/root" / part).exists():
                return after
        raise AssertionError


@pytest.fixture
def killer(scene: Scene, tmp_path: Path) -> Iterator[Killer]:
    template = tmp_path / "template"
    scene.mother.engine.dispose()
    shutil.copytree(scene.mother.state, template)
    anchor = scene.world.folder / "repo/trust-anchor.json"
    command = [sys.executable, "-m", "tests.support.kill_birth"]
    command += [str(anchor), scene.server.url, "acme", str(tmp_path / "warm"), "base==1"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Killer(scene, template, tmp_path / "births", process.stdin, process.stdout)
        process.stdin.close()
        process.wait(30)


@pytest.mark.slow
# Around every call of the journal, so around every step; of the changes on the disk, which are many, every eighth.
@pytest.mark.parametrize(("where", "stride"), [("journal", 1), ("disk", 8)])
def test_a_birth_killed_anywhere_is_continued_to_the_same_jail(
    scene: Scene, killer: Killer, where: str, stride: int
) -> None:
    scene.born()
    undisturbed = jail_of(scene)
    number, killed = 1, 0
    while True:
        after, answer = killer.kill(where, number)
        if answer.startswith("done"):
            break
        assert answer == "killed", f"{where} {number}"
        killed += 1
        tenant, journal = after.tenant(), Journal(after.mother.engine, ACME)
        if tenant.status is TenantStatus.BORN:  # killed after the last commit: all of it is there
            assert jail_of(after) == undisturbed
        else:
            assert tenant.status in {TenantStatus.REGISTERED, TenantStatus.BIRTHING}
        if after.mother.host.exists(ACME):
            assert journal.state_of("create-jail") in {StepState.STARTED, StepState.DONE}
        receipt = after.born()
        assert receipt["already"] or receipt["skills"] == ["web-search==1.0"]
        assert jail_of(after) == undisturbed, f"{where} {number}"
        assert [event.event for event in after.events()].count("birth.born") == 1
        number += stride
    assert killed > 7


@pytest.mark.slow
def test_a_killed_birth_whose_skill_was_revoked_meanwhile(scene: Scene, killer: Killer) -> None:
    after = killer.kill_when_it_stands("usr/home/agent/skills/web-search")
    revoke(scene)
    after.refused(RevokedError, code="revoked")  # and the unfinished jail is gone
    assert not after.mother.host.exists(ACME)
    assert list((after.mother.state / "jails").iterdir()) == []


@pytest.mark.slow
def test_a_killed_birth_does_not_keep_a_withdrawn_bundle(scene: Scene, killer: Killer) -> None:
    """The jail holds a skill that nobody consents to any more: it is made anew, without it."""
    with transaction(scene.mother.engine) as session:
        load_row(session, ACME).tier = Tier.FREE.value
    consent(scene, scene.forge().archive(OUTSIDE)[1])
    scene.mother.engine.dispose()
    shutil.rmtree(killer.template)
    shutil.copytree(scene.mother.state, killer.template)
    after = killer.kill_when_it_stands("usr/home/agent/skills/csv-summarizer")
    with transaction(after.mother.engine) as session:
        optins.withdraw(session, after.tenant(), Pin.parse(OUTSIDE), now=now())
    assert after.born()["own_risk"] == []
    assert not [path for path in jail_files(after.mother) if "csv-summarizer" in path]


# --- interrupted -----------------------------------------------------------------------------------


def test_a_server_that_loses_a_file_leaves_a_failed_tenant_and_the_same_command_continues(
    scene: Scene,
) -> None:
    path = next(scene.world.public.rglob("*.web-search-1.0.tar.gz"))
    url = f"/{path.relative_to(scene.world.public)}"
    scene.server.missing.add(url)
    refusal = scene.refused(SkillRepoError)
    assert refusal.requests[-1] == url
    scene.server.missing.clear()
    assert scene.born()["status"] == "born"


def test_an_unreachable_server(scene: Scene, world: World) -> None:
    with world.serve() as gone:
        url = gone.url
    honest, scene.mother = scene.mother, replace(scene.mother, client=world.client(url, scene.mother.state))
    scene.refused(TransportError, code="unreachable")
    assert scene.server.requests == []
    scene.mother = honest
    scene.born()


def full_disk(patch: pytest.MonkeyPatch, number: int) -> None:
    """From now on the system refuses to change folders and files, and to read files."""

    def refuse(*_: object, **__: object) -> Never:
        raise OSError(number, os.strerror(number))

    for name in ("mkdir", "write", "rename", "read"):
        patch.setattr(os, name, refuse)


@pytest.mark.parametrize("step", ["install_skill", "install_identity", "install_lock", "check_born"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
def test_a_disk_that_fails_at_a_step(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    """The tenant is failed, visibly; nothing is active; room is made, and the same command continues."""
    with monkeypatch.context() as patch:
        honest = getattr(carry_out, step)

        def failing(*arguments: Any, **named: Any) -> None:
            with pytest.MonkeyPatch.context() as disk:
                full_disk(disk, number)
                honest(*arguments, **named)
            raise AssertionError("the disk was not asked")

        patch.setattr(carry_out, step, failing)
        with pytest.raises(HostError) as caught:
            birth(scene.mother, ACME)
    assert caught.value.code == "host-failed"
    tenant = scene.tenant()
    assert tenant.status is TenantStatus.FAILED
    assert tenant.reason.startswith("host-failed: ")
    assert scene.events()[-1].event == "birth.failed"
    assert scene.born()["continued"]
    assert jail_of(scene) == undisturbed_jail(scene)


def test_a_disk_that_fails_while_the_jail_is_made(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        honest = DirectoryHost.create

        def failing(*arguments: Any, **named: Any) -> None:
            with pytest.MonkeyPatch.context() as disk:
                full_disk(disk, errno.ENOSPC)
                honest(*arguments, **named)

        patch.setattr(DirectoryHost, "create", failing)
        refusal = scene.refused(HostError, code="host-failed")
    assert "No space" in str(refusal.error)
    scene.born()
    assert jail_of(scene) == undisturbed_jail(scene)


def test_a_base_below_a_file(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    scene.mother = replace(scene.mother, host=DirectoryHost(tmp_path / "file/jails"))
    with pytest.raises(SkillRepoError) as caught:
        birth(scene.mother, ACME)
    assert caught.value.code in {"host-failed", "unsafe-path"}
    assert scene.tenant().status in {TenantStatus.REGISTERED, TenantStatus.FAILED}


@pytest.mark.parametrize("part", ["metadata", "store", "births"])
def test_a_state_folder_in_whose_place_a_file_stands(scene: Scene, part: str) -> None:
    """An error of the host with a code, not a traceback; and no jail."""
    (scene.mother.state / part).write_bytes(b"")
    with pytest.raises(SkillRepoError) as caught:
        birth(scene.mother, ACME)
    assert caught.value.exit_status in {6, 12}
    assert scene.tenant().status is not TenantStatus.BORN
    assert jail_files(scene.mother) == {}
    (scene.mother.state / part).unlink()
    scene.born()


def test_a_bug_of_ours_is_no_birth(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Never:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(carry_out, "install_lock", broken)
        with pytest.raises(ZeroDivisionError):
            birth(scene.mother, ACME)
    assert scene.tenant().status is not TenantStatus.BORN
    assert scene.born()["continued"]
    assert jail_of(scene) == undisturbed_jail(scene)


@pytest.mark.parametrize("revoked", [False, True], ids=["nothing new", "revoked"])
def test_what_was_admitted_too_long_ago_is_not_acted_on(scene: Scene, revoked: bool) -> None:
    """A host that slept between the decision and the deed asks again, and acts on what it hears then."""
    begun, slept = now(), timedelta()

    def clock() -> datetime:
        nonlocal slept
        if not slept and scene.mother.host.exists(ACME):
            slept = timedelta(hours=1)
            if revoked:
                forge = scene.forge()
                forge.revoke(name="web-search")
                forge.state()
                forge.answer(scene.server)
        return begun + slept

    scene.mother = replace(scene.mother, clock=clock)
    if revoked:
        with pytest.raises(RejectedError) as caught:
            birth(scene.mother, ACME)
        assert caught.value.code == "revoked"
        assert scene.tenant().status is TenantStatus.FAILED
        assert not scene.mother.host.exists(ACME)
        return
    scene.born()
    decided = [record for record in scene.events() if record.event == "admission"]
    assert [record.facts.get("again", False) for record in decided] == [False, True]
    assert decided[1].time - decided[0].time >= timedelta(minutes=59)


# --- not ours --------------------------------------------------------------------------------------


def foreign_jail(scene: Scene, *, complete: bool) -> Tree:
    folder = scene.mother.state / "jails/acme" / ("root" if complete else "data")
    folder.mkdir(parents=True)
    (folder / "precious").write_bytes(b"somebody else's")
    return everything(scene.mother.state / "jails")


@pytest.mark.parametrize("complete", [True, False], ids=["a jail", "something else"])
def test_a_foreign_jail_of_the_same_name_is_left_alone(scene: Scene, complete: bool) -> None:
    before = foreign_jail(scene, complete=complete)
    for _ in range(3):  # a second try does not believe that the first one made it
        with pytest.raises(ConflictError) as caught:
            birth(scene.mother, ACME)
        assert caught.value.code == "conflict"
        assert everything(scene.mother.state / "jails") == before
    assert scene.tenant().status is not TenantStatus.BORN


@pytest.mark.parametrize("complete", [True, False], ids=["a jail", "something else"])
def test_a_foreign_jail_survives_a_refused_birth(scene: Scene, complete: bool) -> None:
    """First the name is taken, then the skill is revoked: what is not ours is not ours to clean up."""
    before = foreign_jail(scene, complete=complete)
    with pytest.raises(ConflictError):
        birth(scene.mother, ACME)
    revoke(scene)
    with pytest.raises((RevokedError, ConflictError)):
        birth(scene.mother, ACME)
    assert everything(scene.mother.state / "jails") == before


def test_a_foreign_jail_in_place_of_a_killed_one_is_left_alone(scene: Scene, killer: Killer) -> None:
    """Killed right before the jail was made; then somebody makes one of that name."""
    after, answer = killer.kill("step", 1)
    assert answer == "killed"
    assert Journal(after.mother.engine, ACME).state_of("create-jail") is StepState.STARTED
    before = foreign_jail(after, complete=True)
    with pytest.raises(ConflictError):
        birth(after.mother, ACME)
    assert everything(after.mother.state / "jails") == before
    revoke(scene)
    with pytest.raises((RevokedError, ConflictError)):
        birth(after.mother, ACME)
    assert everything(after.mother.state / "jails") == before


def test_a_link_in_place_of_a_jail(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "outside/root").mkdir(parents=True)
    (scene.mother.state / "jails").mkdir()
    (scene.mother.state / "jails/acme").symlink_to(tmp_path / "outside")
    with pytest.raises(SkillRepoError):
        birth(scene.mother, ACME)
    assert list((tmp_path / "outside/root").iterdir()) == []
    assert (scene.mother.state / "jails/acme").is_symlink()
    assert scene.tenant().status is not TenantStatus.BORN


# --- raced -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [False, True], ids=["at its beginning", "at a later look"])
def test_another_birth_that_looked_later_and_was_quicker_is_no_rollback(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """What this birth saw is older than what the other has told the host meanwhile: it looks once more, and goes on."""
    honest, offset, looked = Ongoing._note_admitted, timedelta(), []

    def later(ongoing: Ongoing, **facts: bool) -> None:
        nonlocal offset
        if ongoing.tenant.tenant_id == ACME:
            looked.append(ongoing.admitted.standing.timestamp)
            if len(looked) == 1 + again:
                scene.world.refresh()
                scene.born("beta")
            offset = timedelta(minutes=20 if again else 0)  # so that it looks again
        honest(ongoing, **facts)

    scene.mother = replace(scene.mother, clock=lambda: now() + offset)
    scene.register("beta")
    monkeypatch.setattr(Ongoing, "_note_admitted", later)
    assert scene.born()["status"] == "born"
    old, new = looked[0], looked[0] + 1
    assert looked == ([old, old, new] if again else [old, new])
    states = [item.facts["timestamp_version"] for item in scene.events() if item.event == "admission"]
    assert sorted(set(states)) == ([old, new] if again else [new])  # by what was refused nothing was admitted


def test_a_state_older_than_what_the_host_knows_is_refused_after_a_second_look(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another host of the same hive has seen a newer state; this one is served an old one, however often it looks."""
    honest, looked = Ongoing._note_admitted, []

    def later(ongoing: Ongoing, **facts: bool) -> None:
        standing = ongoing.admitted.standing
        looked.append(standing.timestamp)
        if len(looked) == 1:
            with transaction(scene.mother.engine) as session:
                trust.remember(session, replace(standing, timestamp=standing.timestamp + 1))
        honest(ongoing, **facts)

    monkeypatch.setattr(Ongoing, "_note_admitted", later)
    with pytest.raises(RollbackError):
        scene.born()
    assert len(looked) == 2
    assert scene.tenant().status is TenantStatus.FAILED
    assert not scene.mother.host.exists(ACME)
    assert [item.event for item in scene.events() if item.event == "admission"] == []


def test_two_births_of_one_tenant_at_once(scene: Scene) -> None:
    inside, go_on = threading.Event(), threading.Event()
    outcomes: list[object] = []
    honest = scene.mother.clock

    def slow_clock() -> datetime:
        inside.set()
        assert go_on.wait(30)
        return honest()

    slow = replace(scene.mother, clock=slow_clock)
    first = threading.Thread(target=lambda: outcomes.append(birth(slow, ACME)["status"]))
    first.start()
    assert inside.wait(30)
    with pytest.raises(ConflictError) as caught:
        birth(scene.mother, ACME)
    go_on.set()
    first.join(30)
    assert outcomes == ["born"]
    assert caught.value.code == "conflict"
    assert [event.event for event in scene.events()].count("birth.born") == 1


def test_births_of_four_tenants_at_once(scene: Scene) -> None:
    names = ["one", "two", "three", "four"]
    for name in names:
        scene.register(name)
    wrong: list[BaseException] = []

    def work(name: str) -> None:
        try:
            scene.born(name)
        except BaseException as error:  # noqa: BLE001 - any crash is what is looked for
            wrong.append(error)

    threads = [threading.Thread(target=work, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    lock = "var/db/clawdie/lock.json"  # the one file that knows whose jail it is
    first, *others = ({**jail_of(scene, name), lock: (0, b"")} for name in names)
    assert all(other == first for other in others)


def test_an_active_tenant_is_not_born_again(scene: Scene) -> None:
    scene.born()
    before, asked = everything(scene.mother.state / "jails"), len(scene.server.requests)
    events = [record.event for record in scene.events()]
    assert scene.born()["already"]
    assert everything(scene.mother.state / "jails") == before
    assert len(scene.server.requests) == asked
    assert [record.event for record in scene.events()] == events


def test_an_unknown_tenant(scene: Scene) -> None:
    with pytest.raises(NotFoundError):
        birth(scene.mother, parse_tenant_id("nobody"))
    assert scene.server.requests == []
    assert not (scene.mother.state / "jails").exists()
