"""A birth that brings secrets is killed everywhere: nothing half-done is answered, and no secret stands half-written.

After each kill: the tenant is not active and its agent not routable; the environment file is not there, or whole, 0600
and its user's; no planted secret stands anywhere else; the audit chain holds. The same command ends in the same jail.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from hive import audit
from hive.agents.errors import NotNowError
from hive.agents.names import AgentId
from hive.agents.standing import load_present
from hive.db.models import TenantRow
from hive.db.session import snapshot, transaction
from hive.tenants import TenantStatus
from hive.vault.provision import Standing
from signing.errors import NotEntitledError, NotFoundError
from signing.format.names import parse_tenant_id
from tests.attacks.scene import Scene, open_scene
from tests.support.bucketed import OWNER, PLANTED, env_of, files_with, fill, provisioner_of, with_bucket
from tests.support.world import World

pytestmark = pytest.mark.slow
ACME = parse_tenant_id("acme")
ENV = "jails/acme/root/usr/home/agent/.env"


@pytest.fixture
def scene(world: World, tmp_path: Path) -> Iterator[Scene]:
    with open_scene(world, tmp_path / "host") as scene:
        collection = fill(scene.mother.state, ACME)
        with transaction(scene.mother.engine) as session:
            session.get_one(TenantRow, ACME).collection_id = collection
        yield scene


def jail_of(state: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything that the tenant would see; nothing unfinished stands beside it."""
    base = state / "jails"
    assert [path.name for path in base.iterdir()] == ["acme"]
    return {
        str(path.relative_to(base)): (
            path.lstat().st_mode,
            path.lstat().st_uid,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted((base / "acme/root").rglob("*"))
    }


@contextmanager
def killer(scene: Scene, warm: Path) -> Iterator["subprocess.Popen[str]"]:
    anchor = scene.world.folder / "repo/trust-anchor.json"
    command = [sys.executable, "-m", "tests.support.kill_birth"]
    command += [str(anchor), scene.server.url, "acme", str(warm), "base==1"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as process:
        yield process
        pipe(process.stdin).close()
        process.wait(30)


def pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def assert_nothing_is_half_done(scene: Scene, whole: bytes) -> None:
    state, status = scene.mother.state, scene.tenant().status
    with snapshot(scene.mother.engine) as session:
        audit.check(session)
        if status is TenantStatus.BORN:
            assert not load_present(session, AgentId(ACME), look=True).routable  # it is not active
        else:
            assert status in {TenantStatus.REGISTERED, TenantStatus.BIRTHING}
            with pytest.raises((NotFoundError, NotNowError)):
                load_present(session, AgentId(ACME), look=True)
    env = env_of(state)
    if env.exists():
        facts = env.stat()
        assert (facts.st_mode & 0o7777, facts.st_uid, facts.st_gid) == (0o600, *OWNER)
        assert env.read_bytes() == whole
    # A write that was cut off leaves a temporary beside it, which nobody but root reads; and removes it next time.
    for name in files_with(state):
        path = state / name
        assert path.parent == env.parent, name
        assert path.stat().st_mode & 0o777 == 0o600
    if status is TenantStatus.BORN:
        assert files_with(state) == [ENV]


@pytest.mark.parametrize(("where", "stride"), [("commit", 1), ("step", 1), ("disk", 5)])
def test_a_birth_with_a_bucket_that_is_killed_anywhere(
    scene: Scene, tmp_path: Path, where: str, stride: int
) -> None:
    template = tmp_path / "template"
    scene.mother.engine.dispose()
    shutil.copytree(scene.mother.state, template)
    honest, scene.mother = scene.mother, with_bucket(scene.mother)
    assert scene.born()["secrets"] == ["HIVE_TOKEN", "HIVE_URL", "ONE", "TWO"]
    undisturbed, whole = jail_of(honest.state), env_of(honest.state).read_bytes()
    assert whole.count(PLANTED.encode()) == 2
    number, killed, written = 1, 0, 0
    with killer(scene, tmp_path / "warm") as process:
        while True:
            state = tmp_path / f"births/{where}-{number}"
            shutil.copytree(template, state)
            pipe(process.stdin).write(f"{state} {where} {number}\n")
            pipe(process.stdin).flush()
            answer = pipe(process.stdout).readline().strip()
            if answer.startswith("done"):
                break
            assert answer == "killed", f"{where} {number}"
            killed += 1
            mother = scene.world.mother(scene.server.url, state)
            after = replace(scene, mother=with_bucket(mother))
            assert_nothing_is_half_done(after, whole)
            written += env_of(state).exists()
            receipt = after.born()
            assert receipt["already"] or receipt["secrets"] == ["HIVE_TOKEN", "HIVE_URL", "ONE", "TWO"]
            assert jail_of(state) == undisturbed, f"{where} {number}"
            assert files_with(state) == [ENV]
            assert provisioner_of(mother).standing(ACME) is Standing.AS_WRITTEN
            assert [event.event for event in after.events()].count("birth.born") == 1
            mother.engine.dispose()
            shutil.rmtree(state)
            number += stride
    assert killed > 7
    assert written  # some were killed when the secrets stood already


def test_a_failed_birth_that_is_killed_while_it_is_wound_up(scene: Scene, tmp_path: Path) -> None:
    """It is called failed when its jail rests and holds no secret, and not before."""
    template = tmp_path / "template"
    scene.mother.engine.dispose()
    shutil.copytree(scene.mother.state, template)
    seen, number = set(), 1
    with killer(scene, tmp_path / "warm") as process:
        while True:
            state = tmp_path / f"births/undo-{number}"
            shutil.copytree(template, state)
            pipe(process.stdin).write(f"{state} undo {number}\n")
            pipe(process.stdin).flush()
            answer = pipe(process.stdout).readline().strip()
            mother = scene.world.mother(scene.server.url, state)
            after = replace(scene, mother=with_bucket(mother))
            status = after.tenant().status
            seen.add(status)
            if status is TenantStatus.FAILED:
                assert files_with(state) == []
                assert not mother.host.is_running(ACME)
            else:
                assert status is TenantStatus.BIRTHING
            with snapshot(mother.engine) as session:
                audit.check(session)
                with pytest.raises((NotEntitledError, NotNowError)):
                    load_present(session, AgentId(ACME), look=True)
            if answer.startswith("done"):
                assert status is TenantStatus.FAILED
                assert not mother.host.exists(ACME)
                break
            assert answer == "killed", number
            assert after.born()["status"] == "born"
            assert files_with(state) == [ENV]
            mother.engine.dispose()
            shutil.rmtree(state)
            number += 2
    assert number > 15
    assert seen == {TenantStatus.BIRTHING, TenantStatus.FAILED}
