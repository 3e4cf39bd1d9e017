"""A build host that is killed while it publishes to a repository elsewhere, over real HTTP; and its settings there.

The service is told at which request it kills the client: while a piece is under way, when a piece has arrived and nobody
heard of it, when everything is sent and nothing decided, and when it is decided and nobody heard of it.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from repo_server.db import log
from repo_server.db.models import PackageSerialRow
from repo_server.db.session import snapshot
from repo_server.pkgrepo.uploads import FOLDER
from repo_server.tokens import Scope
from signing.format.digest import sha256_of
from signing.format.pkg.archive import read_package
from tests.cli.session import BIN, Desk
from tests.repo_server.desk.liar import Liar
from tests.repo_server.desk.scene import Scene
from tests.support.publishing import make_build, write_data
from tests.support.world import PACKAGES, PASSPHRASE, World

pytestmark = pytest.mark.slow

PIECE = 8 << 20
CATALOGUE = 100_000  # more than catalogue and index of three packages
WHERE = ("--abi", PACKAGES.abi, "--channel", PACKAGES.channel)
_UPLOAD = re.compile(r"PUT .*/uploads/([0-9a-f]{64})")


def secret(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def pkg_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    desk = Desk(folder)
    env = {"SKILLREPO_PASSPHRASE_FILE": str(secret(folder / "passphrase", PASSPHRASE))}
    desk.run("skillrepo", "--keys", "k", "pkg", "key", "new", "pkg-14", "--kind", "ecdsa", env=env)
    return folder / "k/pkg-14.pkg.key"


@dataclass
class Host:
    """A build host: keys, anchor, token, and a command that somebody may kill."""

    folder: Path
    scene: Scene
    pkg_key: Path
    process: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        world = self.scene.world
        (self.folder / "keys").mkdir(parents=True)
        shutil.copy(world.folder / "people/builder.key.json", self.folder / "keys")
        (self.folder / "keys/trust-anchor.json").write_bytes(world.anchor)
        secret(self.folder / "passphrase", PASSPHRASE)
        secret(
            self.folder / "token", self.scene.token("builder", scope=Scope.parse(f"publish-pkg:{PACKAGES}"))
        )

    @property
    def settings(self) -> dict[str, str]:
        return {
            "SKILLREPO_REPO": self.scene.url,
            "SKILLREPO_KEYS": str(self.folder / "keys"),
            "SKILLREPO_AS": "builder",
            "SKILLREPO_PASSPHRASE_FILE": str(self.folder / "passphrase"),
            "SKILLREPO_TOKEN_FILE": str(self.folder / "token"),
            "SKILLREPO_PKG_KEY": str(self.pkg_key),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "XDG_STATE_HOME": str(self.folder / "state"),
        }

    def words(self, build: Path) -> tuple[str, ...]:
        return ("skillrepo", "pkg", "publish", "--packages", str(build), *WHERE)

    def killed(self, build: Path) -> None:
        """Publish until somebody kills it."""
        words = self.words(build)
        self.process = subprocess.Popen(
            [str(BIN / words[0]), *words[1:]],
            env=Desk(self.folder).environment(self.settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        said = self.process.communicate(timeout=120)
        assert self.process.returncode == -signal.SIGKILL, said

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)

    def publish(self, build: Path, *, status: int = 0, **settings: str) -> dict[str, Any]:
        return Desk(self.folder).json(*self.words(build), status=status, env={**self.settings, **settings})


@dataclass
class Killer(Liar):
    """Kills the client at the n-th request of one kind: ``during`` its body, or ``after`` it was done."""

    host: Host | None = None
    at: tuple[str, str, int] | None = None
    bodies: int = 0
    one_by_one: threading.Lock = field(default_factory=threading.Lock)
    running: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.running += 1
        try:
            with self.one_by_one:
                return self._answer(environ, start_response)
        finally:
            self.running -= 1

    def settle(self) -> None:
        """Wait until nothing is under way any more that the dead client had asked for."""
        quiet = 0
        while quiet < 10:
            time.sleep(0.05)
            quiet = 0 if self.running else quiet + 1

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        line = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        kind = "piece" if line.startswith("PUT ") else "build" if line.endswith("/builds") else "other"
        moment, wanted, left = self.at or ("", "", 0)
        mine = self.host is not None and kind == wanted
        if mine and left == 1 and moment == "during":
            environ["wsgi.input"] = Cut(environ["wsgi.input"], self._kill)
        answer = list(super().__call__(environ, start_response))
        if kind == "piece":
            self.bodies += int(environ.get("CONTENT_LENGTH") or 0)
        if mine:
            self.at = (moment, wanted, left - 1)
            if left == 1 and moment == "after":
                self._kill()
        return answer

    def _kill(self) -> None:
        assert self.host is not None
        self.host.kill()
        self.at = None


@dataclass
class Cut:
    """A body of which half comes, and then its sender is dead."""

    stream: Any
    kill: Any
    read_once: bool = False

    def read(self, count: int = -1) -> bytes:
        if self.read_once:
            return b""
        self.read_once = True
        data: bytes = self.stream.read(min(count, 4096) if count > 0 else 4096)
        self.kill()
        return data[: len(data) // 2]

    def readline(self, *_: Any) -> bytes:
        return b""


@pytest.fixture
def world(tmp_path: Path, _world_template: World) -> Iterator[World]:
    world = _world_template.copy_to(tmp_path / "world")
    yield world
    world.close()


@pytest.fixture
def killer() -> Killer:
    return Killer()


@pytest.fixture
def host(world: World, tmp_path: Path, killer: Killer, pkg_key: Path) -> Iterator[Host]:
    with Scene(world, tmp_path / "people").serving(killer.wrap) as scene:
        killer.host = Host(tmp_path / "host", scene, pkg_key)
        yield killer.host


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """Two small packages, and one of three pieces."""
    folder, large = tmp_path / "build", random.Random(7).randbytes(2 * PIECE + 70_000)
    make_build(folder, {"large": "1.0"}, payload=large)
    make_build(folder, {"demo": "1.0", "base": "2.0"})
    entries = []
    for path in sorted((folder / "All").iterdir()):
        with path.open("rb") as stream:
            compact = json.loads(read_package(stream, where=path.name).compact_bytes)
        place, data = f"All/{path.name}", path.read_bytes()
        facts = {"sum": sha256_of(data), "path": place, "repopath": place, "pkgsize": len(data)}
        entries.append({**compact, **facts})
    write_data(folder, entries)
    return folder


def serials(world: World) -> list[int]:
    with snapshot(world.repository.engine) as session:
        log.check(session)
        return sorted(session.scalars(select(PackageSerialRow.serial)))


def served(world: World) -> bool:
    return (world.repository.pkg_root / PACKAGES.abi / PACKAGES.channel).exists()


def published(world: World) -> int:
    with snapshot(world.repository.engine) as session:
        return [record.event for record in log.read(session)].count("packages.published")


def pieces(asked: Iterable[str]) -> list[str]:
    return [match[1] for line in asked if (match := _UPLOAD.match(line))]


@pytest.mark.parametrize(
    "at",
    [("during", "piece", 1), ("after", "piece", 2), ("during", "piece", 4), ("after", "piece", 5)],
    ids=["in-the-first-piece", "after-the-second", "in-the-fourth", "after-the-fifth"],
)
def test_killed_in_the_middle_of_an_upload_and_run_again(
    host: Host, killer: Killer, build: Path, at: tuple[str, str, int]
) -> None:
    world = host.scene.world
    killer.at = at
    host.killed(build)
    killer.settle()
    assert (serials(world), served(world)) == ([], False)  # nothing of it is to be seen
    parts = {path.name: path.stat().st_size for path in (world.repository.folder / FOLDER).glob("*/*")}
    whole = {name.partition(".")[0] for name in parts if name.endswith(".done")}
    here = sum(int(name.split(".")[1]) if name.endswith(".done") else size for name, size in parts.items())
    assert parts
    killer.asked.clear()
    killer.bodies = 0
    done = host.publish(build)
    assert (done["state"], done["serial"], done["pkg_site_checked"]) == ("published", 1, True)
    # What came whole is not sent again, and of what came half only the rest; the catalogue is dated anew.
    assert not whole & set(pieces(killer.asked))
    total = sum(path.stat().st_size for path in (build / "All").iterdir())
    assert total - here <= killer.bodies <= total - here + CATALOGUE
    assert serials(world) == [1]
    again = host.publish(build)
    assert (again["state"], again["serial"], again["sent"]) == ("unchanged", 1, 0)
    assert published(world) == 1


@pytest.mark.parametrize(("moment", "serial"), [("during", []), ("after", [1])], ids=["undecided", "decided"])
def test_killed_while_the_build_is_decided(
    host: Host, killer: Killer, build: Path, moment: str, serial: list[int]
) -> None:
    world = host.scene.world
    killer.at = (moment, "build", 1)
    host.killed(build)
    killer.settle()
    assert (serials(world), served(world)) == (serial, bool(serial))
    killer.bodies = 0
    done = host.publish(build)
    assert (done["state"], done["serial"]) == ("unchanged" if serial else "published", 1)
    assert killer.bodies <= CATALOGUE  # no package is sent again
    assert (serials(world), published(world)) == ([1], 1)


# --- where the packages are looked at --------------------------------------------------------------


def test_the_package_site_is_named_by_a_variable(world: World, host: Host, tmp_path: Path) -> None:
    build = make_build(tmp_path / "one", {"demo": "1.0"})
    other = f"{host.scene.url.replace('127.0.0.1', 'localhost')}/pkg"
    done = host.publish(build, SKILLREPO_PKG_SITE=other)
    assert (done["state"], done["pkg_site_checked"]) == ("published", True)
    index = (world.repository.pkg_root / PACKAGES.abi / PACKAGES.channel / "repo.json").read_bytes()
    assert b'"repository":"localhost"' in index  # the first index bears the name of the site


def test_a_package_site_that_serves_something_else_is_noticed(
    world: World, host: Host, tmp_path: Path
) -> None:
    """The variable is not decoration: what it names is what is looked at, and a build that is not there is no success."""
    build = make_build(tmp_path / "one", {"demo": "1.0"})
    refused = host.publish(build, status=3, SKILLREPO_PKG_SITE=f"{host.scene.url}/skills")
    assert refused["error"]["code"] == "not-found"
    assert serials(world) == [1]  # it was taken; run again with the right site it is found published
    assert host.publish(build)["state"] == "unchanged"


def test_a_host_that_is_not_called_skills_needs_the_variable(host: Host, tmp_path: Path) -> None:
    build = make_build(tmp_path / "one", {"demo": "1.0"})
    refused = host.publish(build, status=2, SKILLREPO_REPO="https://repo.example")
    assert "where does repo.example serve packages?" in refused["error"]["message"]
    assert "--pkg-site" in refused["error"]["hint"]
