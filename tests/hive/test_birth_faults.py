"""Births that are killed, interrupted, refused or raced: resumed or visibly failed, and never half-active."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import pytest

from hive.birth.journal import Journal
from hive.db.models import StepState
from hive.tenants import TenantStatus
from signing.format.names import parse_tenant_id
from tests.attacks.scene import Scene, open_scene
from tests.support.world import World

ACME = parse_tenant_id("acme")


@pytest.fixture
def scene(world: World, tmp_path: Path) -> Iterator[Scene]:
    with open_scene(world, tmp_path / "host") as scene:
        yield scene


def everything(base: Path) -> dict[str, tuple[int, bytes | str]]:
    """Every name below ``base``, hidden ones too: its kind and mode, and its bytes."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(base.rglob("*")):
        content: bytes | str = b""
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file() and path.name != "birth":  # the mark beside the root is each birth's own
            content = path.read_bytes()
        found[str(path.relative_to(base))] = (path.lstat().st_mode, content)
    return found


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


@pytest.fixture
def killer(scene: Scene, tmp_path: Path) -> Iterator[Killer]:
    template, warm = tmp_path / "template", tmp_path / "warm"
    scene.mother.engine.dispose()
    shutil.copytree(scene.mother.state, template)
    anchor = scene.world.folder / "repo/trust-anchor.json"
    command = [sys.executable, "-m", "tests.support.kill_birth"]
    command += [str(anchor), scene.server.url, "acme", str(warm), "web-search==1.0"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        shutil.copytree(template, tmp_path / "births" / "none")
        yield Killer(scene, template, tmp_path / "births", process.stdin, process.stdout)
        process.stdin.close()
        process.wait(30)


@pytest.mark.parametrize("where", ["journal", "step", "disk"])
def test_a_birth_killed_anywhere_is_continued_to_the_same_jail(
    scene: Scene, killer: Killer, where: str
) -> None:
    scene.born()
    undisturbed = everything(scene.mother.state / "jails")
    number, killed = 1, 0
    while True:
        after, answer = killer.kill(where, number)
        if answer.startswith("done"):
            break
        assert answer == "killed", f"{where} {number}"
        killed += 1
        tenant = after.tenant()
        host, journal = after.mother.host, Journal(after.mother.engine, ACME)
        journalled = journal.state_of("create-jail")
        if tenant.status is TenantStatus.ACTIVE:  # killed after the last commit: all of it is there
            assert everything(after.mother.state / "jails") == undisturbed
        else:
            assert tenant.status in {TenantStatus.REGISTERED, TenantStatus.BIRTHING}
        assert not host.exists(ACME) or journalled in {StepState.STARTED, StepState.DONE}
        receipt = after.born()
        assert receipt["already"] or receipt["skills"] == ["web-search==1.0"]
        assert everything(after.mother.state / "jails") == undisturbed, f"{where} {number}"
        assert [event.event for event in after.events()].count("birth.active") == 1
        number += 1
    assert killed > 10
