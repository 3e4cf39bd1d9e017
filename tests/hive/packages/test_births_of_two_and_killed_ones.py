"""Births with packages that are killed, and births that share one store."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hive.birth import carry_out
from hive.birth.journal import receipts_of
from hive.db.session import snapshot
from hive.tenants import TenantStatus
from signing.errors import HostError
from signing.format.names import parse_tenant_id
from tests.support.harbour import Harbour
from tests.support.packages import AGENT, BASE
from tests.support.world import PACKAGES

BOAT = parse_tenant_id("boat")
Tree = dict[str, tuple[int, bytes]]


def jail_of(harbour: Harbour, name: str = "boat") -> Tree:
    base = harbour.scene.mother.state / "jails"
    assert not [path.name for path in base.iterdir() if path.name.startswith(".")]
    found = {}
    for path in sorted((base / name / "root").rglob("*")):
        content = b""
        if path.is_symlink():
            content = str(path.readlink()).encode()
        elif path.is_file():
            content = path.read_bytes()
        found[str(path.relative_to(base))] = (path.lstat().st_mode, content)
    return found


@contextmanager
def killer(harbour: Harbour, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    anchor = harbour.scene.world.folder / "repo/trust-anchor.json"
    command = [sys.executable, "-m", "tests.support.kill_birth"]
    command += [str(anchor), harbour.scene.server.url, "boat", str(tmp_path / "warm"), "base==2"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


@pytest.mark.slow
@pytest.mark.parametrize(("where", "stride"), [("journal", 1), ("step", 1), ("disk", 6)])
def test_a_birth_killed_anywhere_is_continued_to_the_same_jail(
    harbour: Harbour, tmp_path: Path, where: str, stride: int
) -> None:
    template = tmp_path / "template"
    harbour.scene.mother.engine.dispose()
    shutil.copytree(harbour.scene.mother.state, template)
    receipt = harbour.born()
    undisturbed = jail_of(harbour)
    assert any(path.endswith("bin/demo-base") for path in undisturbed)
    number, killed = 1, 0
    with killer(harbour, tmp_path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        while True:
            state = tmp_path / f"births/{where}-{number}"
            shutil.copytree(template, state)
            process.stdin.write(f"{state} {where} {number}\n")
            process.stdin.flush()
            answer = process.stdout.readline().strip()
            if answer.startswith("done"):
                break
            assert answer == "killed", f"{where} {number}"
            killed += 1
            mother = replace(harbour.scene.world.mother(harbour.scene.server.url, state), abi=PACKAGES.abi)
            after = Harbour(replace(harbour.scene, mother=mother), harbour.shelf)
            assert after.scene.tenant("boat").status in set(TenantStatus) - {TenantStatus.FAILED}
            again = after.born()
            assert jail_of(after) == undisturbed, f"{where} {number}"
            with snapshot(mother.engine) as session:
                receipts = [item.to_json() for item in receipts_of(session, BOAT)]
            same = ("package", "sha256", "size", "serial", "way", "omitted", "record_sha256")
            assert [[item[key] for key in same] for item in receipts] == [
                [item[key] for key in same] for item in receipt["packages"]
            ]
            assert again["packages"] == receipts
            events = [event.event for event in after.scene.events("boat")]
            assert events.count("birth.born") == 1
            number += stride
    assert killed > 7


def test_two_births_share_the_store(harbour: Harbour) -> None:
    """At once, in two threads; each package is whole, the store too, and both jails are the same."""
    harbour.scene.register("raft", profile="base==2")
    problems: list[BaseException] = []

    def born(name: str) -> None:
        try:
            harbour.scene.born(name)
        except BaseException as error:  # noqa: BLE001 - a thread's error is the test's
            problems.append(error)

    threads = [threading.Thread(target=born, args=[name]) for name in ("boat", "raft")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []
    first, second = (
        {
            path.partition("/")[2]: found
            for path, found in jail_of(harbour, name).items()
            if "lock.json" not in path
        }
        for name in ("boat", "raft")
    )
    assert first == second
    assert sorted(path.read_bytes() for path in harbour.store.iterdir()) == sorted([BASE, AGENT])
    assert harbour.open_packages() == []


def test_a_birth_that_fails_half_way_holds_nothing_open(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise HostError("the disk went away")

    monkeypatch.setattr(carry_out, "install_lock", broken)
    with pytest.raises(HostError):
        harbour.born()
    assert harbour.open_packages() == []
    monkeypatch.undo()
    harbour.born()
    assert (
        len(harbour.events("package.installed")) == 4
    )  # both tries stand in the log; the receipts are the last's
    with snapshot(harbour.scene.mother.engine) as session:
        assert len(receipts_of(session, BOAT)) == 2
