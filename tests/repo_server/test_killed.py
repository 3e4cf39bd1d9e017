"""Killed at any step, the repository serves the last whole state, and the same command again completes.

Each test kills its command before the first durable step, the second, … until it comes to its end.
"""

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from repo_server.config import NAME, RepositoryConfig
from repo_server.db import log
from repo_server.db.models import CandidateRow
from repo_server.db.session import snapshot
from repo_server.publishing.ceremony import draft, sign_documents
from repo_server.publishing.install import install
from repo_server.repository import Repository
from signing.errors import NotFoundError
from signing.format.names import Pin
from signing.keys import HeldKey
from signing.metadata import Signatories, Topology
from tests.support.kill_at import Crashes
from tests.support.world import PASSPHRASE, PlainServer, World, now

pytestmark = pytest.mark.slow

OLD, NEW = Pin.parse("web-search==1.0"), Pin.parse("pdf-tools==1.0")
MOST_STEPS = 60


@pytest.fixture(scope="module")
def crashes() -> Iterator[Crashes]:
    with Crashes() as made:
        yield made


class Copies:
    """A fresh copy of one world for each kill, served under one address."""

    def __init__(self, world: World, server: PlainServer, folder: Path) -> None:
        self._world, self._server, self._folder = world, server, folder
        self.client_folder = folder / "client"

    @contextlib.contextmanager
    def one(self) -> Iterator[World]:
        shutil.rmtree(self._folder / "copy", ignore_errors=True)
        world = self._world.copy_to(self._folder / "copy")
        self._server.root = world.public
        try:
            yield world
        finally:
            world.close()

    def releases(self, *pins: Pin) -> set[Pin]:
        """Which of ``pins`` a new client gets, verified, with everything that vouches for them."""
        shutil.rmtree(self.client_folder, ignore_errors=True)
        return self.releases_again(*pins)

    def releases_again(self, *pins: Pin) -> set[Pin]:
        """The same, asked by a client that remembers what it saw last: no step back."""
        found = set()
        with self._world.client(self._server.url, self.client_folder).session(now()) as session:
            session.revocations()
            for pin in pins:
                with contextlib.suppress(NotFoundError):
                    found.add(session.release(pin).pin)
        return found


@pytest.fixture
def copies(world: World, tmp_path: Path) -> Iterator[Copies]:
    with world.serve() as server:
        yield Copies(world, server, tmp_path)


def sweep(check: Callable[[int], bool]) -> int:
    """Call ``check`` with 1, 2, … until it returns True: the command came to its end."""
    for at in range(1, MOST_STEPS):
        if check(at):
            return at - 1
    raise AssertionError(f"more than {MOST_STEPS} steps")


def test_publish_killed_anywhere(crashes: Crashes, world: World, copies: Copies) -> None:
    candidate = world.import_skill(str(NEW))
    world.review(candidate)
    for name in ("alice", "bob"):
        world.sign(candidate, by=name)
    served = []

    def check(at: int) -> bool:
        with copies.one() as copy:
            finished = crashes.run("publish", copy.folder, at=at)
            found = copies.releases(OLD, NEW)
            assert OLD in found
            served.append(NEW in found)
            if not finished and at % 2:
                assert crashes.run("publish", copy.folder, at=0)
                assert copies.releases_again(OLD, NEW) == {OLD, NEW}
                with snapshot(copy.repository.engine) as session:
                    events = [record.event for record in log.read(session)]
                    log.check(session)
                assert events.count("published") == 3
            return finished

    steps = sweep(check)
    assert steps >= 10
    assert served == sorted(served)  # from some step on it is the new state, and never the old one again
    assert not served[0]
    assert served[-1]


def test_refresh_killed_anywhere(crashes: Crashes, copies: Copies) -> None:
    def check(at: int) -> bool:
        with copies.one() as copy:
            finished = crashes.run("refresh", copy.folder, at=at)
            assert copies.releases(OLD) == {OLD}
            if not finished:
                assert crashes.run("refresh", copy.folder, at=0)
                assert copies.releases_again(OLD) == {OLD}
            return finished

    assert sweep(check) >= 4


def test_import_killed_anywhere(crashes: Crashes, world: World, copies: Copies) -> None:
    public = {path.name: path.read_bytes() for path in world.public.rglob("*") if path.is_file()}

    def candidates(copy: World) -> list[str]:
        with snapshot(copy.repository.engine) as session:
            log.check(session)
            return [row.state for row in session.query(CandidateRow) if row.name == "killed"]

    def check(at: int) -> bool:
        with copies.one() as copy:
            finished = crashes.run("stage", copy.folder, at=at)
            assert candidates(copy) in ([], ["staged"])
            if not finished:
                assert crashes.run("stage", copy.folder, at=0)
            assert candidates(copy) == ["staged"]
            assert {
                path.name: path.read_bytes() for path in copy.public.rglob("*") if path.is_file()
            } == public
            return finished

    assert sweep(check) >= 5


def test_init_killed_anywhere(crashes: Crashes, world: World, tmp_path: Path) -> None:
    held = {
        name: HeldKey.parse((world.folder / f"people/{name}.pub.json").read_bytes())
        for name in ("root-1", "alice", "bob", "olga", "online")
    }
    topology = Topology(
        root=Signatories(keys=(held["root-1"],), threshold=1),
        curators=Signatories(keys=(held["alice"], held["bob"]), threshold=2),
        operators=Signatories(keys=(held["olga"],), threshold=1),
        online=held["online"],
        bins=2,
    )
    documents = draft(topology, now=now())
    for name in ("root-1", "alice", "bob", "olga"):
        documents, _ = sign_documents(documents, world.signers[name], now=now())
    folder = tmp_path / "start"
    shutil.copytree(world.folder / "people", folder / "people")
    (folder / "ceremony").mkdir()
    for role, data in documents.items():
        (folder / f"ceremony/{role}.json").write_bytes(data)

    def check(at: int) -> bool:
        shutil.rmtree(folder / "new", ignore_errors=True)
        finished = crashes.run("install", folder, at=at)
        if not finished:
            with pytest.raises(NotFoundError):
                Repository.open(folder / "new")
            if at % 3:  # what is left is much the same from step to step, and each repetition costs a second
                return False
            assert crashes.run("install", folder, at=0)
        if finished or at % 9 == 0:
            made = World(folder, Repository.open(folder / "new"), world.signers)
            with made.serve() as server:
                shutil.rmtree(folder / "client", ignore_errors=True)
                with made.client(server.url, folder / "client").session(now()) as session:
                    session.revocations()
            made.close()
        assert (folder / "new/keys/online.key.json").stat().st_mode & 0o777 == 0o600
        return finished

    assert sweep(check) >= 12


@pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed: no sweep over system calls"
)
def test_refresh_killed_at_every_system_call_that_makes_durable(copies: Copies, tmp_path: Path) -> None:
    """The same, without trusting our own count of steps: every rename and every flush, SQLite's too."""
    passphrase = tmp_path / "passphrase"
    passphrase.write_text(PASSPHRASE)
    passphrase.chmod(0o600)
    began, runs = time.monotonic(), 0
    for call in ("/^rename", "/^fsync$", "/^fdatasync$"):
        for number in range(1, 20):
            if time.monotonic() - began > 15:
                break
            with copies.one() as copy:
                shutil.copytree(copy.folder / "people", copy.repository.keys)
                command = [
                    *("strace", "-f", "-qq", "-o", str(tmp_path / "trace"), "-e", f"trace={call}"),
                    *("-e", f"inject={call}:signal=SIGKILL:when={number}"),
                    *(sys.executable, "-c", "from repo_server.cli import main; main()"),
                    *("--repo", str(copy.repository.folder), "--passphrase-file", str(passphrase), "refresh"),
                ]
                done = subprocess.run(command, capture_output=True, timeout=30, check=False)
                if b"ptrace" in done.stderr.lower():
                    pytest.skip(f"strace may not trace here: {done.stderr.decode()[:200]}")
                runs += 1
                assert copies.releases(OLD) == {OLD}
                if done.returncode == 0:
                    break
                assert done.returncode in {-9, 137}, done.stderr
                copy.refresh()
                assert copies.releases_again(OLD) == {OLD}
    assert runs >= 4


def test_init_killed_and_started_again_later(world: World, tmp_path: Path) -> None:
    """The second run signs other bytes under the versions of the first, whose files are there already."""
    documents = {
        role: (world.public / "metadata" / f"1.{role}.json").read_bytes()
        for role in (
            "root",
            "targets",
            "skills",
            "profiles",
            "revocations",
            *(f"skills-{n}" for n in range(4)),
        )
    }
    folder = tmp_path / "new"
    for later in (0, 90):
        repository = install(
            folder,
            config=RepositoryConfig(),
            documents=documents,
            online=world.signers["online"],
            now=now() + timedelta(seconds=later),
        )
        if later == 0:  # killed before the last step
            (folder / NAME).rename(folder / f"{NAME}.new")
            repository.engine.dispose()
    made = World(tmp_path, repository, world.signers)
    with made.serve() as server, made.client(server.url, tmp_path / "client").session(now()) as session:
        assert session.revocations().revocations.entries == ()
    made.close()
