"""`skillrepo refresh --every`: renewed for ever, by one of many, and said early when it cannot be."""

import contextlib
import json
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, Timestamp

from repo_server.db import log
from repo_server.db.session import snapshot
from repo_server.publishing.keeping_fresh import Keeper, Look, tell
from signing.errors import KeyAccessError
from signing.metadata import parse
from tests.support.world import PASSPHRASE, World, now

SIX = timedelta(hours=6)


@dataclass
class Clock:
    at: datetime

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.build(tmp_path / "world", bins=2)


@pytest.fixture
def clock() -> Clock:
    return Clock(now())


def keeper(world: World, clock: Clock, online: Signer | None = None) -> Keeper:
    return Keeper(
        repository=world.repository,
        online=lambda: online or world.signers["online"],
        every=SIX,
        clock=clock,
    )


def version(world: World) -> int:
    data = (world.public / "metadata/timestamp.json").read_bytes()
    return parse(data, Timestamp, where="timestamp").signed.version


def test_what_is_older_is_renewed_and_nothing_else(world: World, clock: Clock) -> None:
    keep = keeper(world, clock)
    assert keep.look().state is None
    clock.at += timedelta(hours=5, minutes=59)
    assert keep.look().state is None
    assert version(world) == 1
    clock.at += timedelta(minutes=1)
    look = keep.look()
    assert look.state is not None
    assert (look.failed, look.problems) == (False, ())
    assert version(world) == look.state.timestamp == 2
    assert keep.look().state is None


def test_a_month_of_looks_never_lets_a_client_see_it_end(world: World, clock: Clock) -> None:
    """However long the pause between two looks turns out, some of the day's hours are left."""
    keep, end = keeper(world, clock), clock.at + timedelta(days=9)
    while clock.at < end:
        clock.at += keep.look().pause
        data = (world.public / "metadata/timestamp.json").read_bytes()
        assert parse(data, Timestamp, where="timestamp").signed.expires - clock.at > timedelta(hours=16)
    assert 35 <= version(world) <= 38


def test_of_eight_on_one_database_one_signs(world: World, clock: Clock) -> None:
    clock.at += timedelta(hours=7)
    with ThreadPoolExecutor(8) as pool:
        looks = list(pool.map(lambda _: keeper(world, clock).look(), range(8)))
    assert sum(look.state is not None for look in looks) == 1
    assert not any(look.failed for look in looks)
    assert version(world) == 2
    with snapshot(world.repository.engine) as session:
        assert [record.event for record in log.read(session)].count("refreshed") == 1


def test_what_fails_is_tried_again_sooner_and_said_once_a_day(world: World, clock: Clock) -> None:
    def away() -> NoReturn:
        raise KeyAccessError("the online key is not at hand")

    keep = keeper(world, clock)
    keep.online = away
    clock.at += timedelta(hours=7)
    pauses, said = [], []
    for _ in range(8):
        look = keep.look()
        assert look.failed
        pauses.append(look.pause)
        said += list(keep.news(look))
        clock.at += look.pause
    assert [pause.total_seconds() / 60 for pause in pauses] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert said == ["cannot renew the timestamp: the online key is not at hand"]
    clock.at += timedelta(hours=24)
    assert list(keep.news(keep.look())) == said
    keep.online = lambda: world.signers["online"]
    look = keep.look()
    assert look.state is not None
    assert list(keep.news(look)) == []
    keep.online = away  # it returns: it is news
    assert list(keep.news(keep.look())) == said


def test_a_clock_that_was_ahead_is_followed_by_a_right_timestamp_at_once(world: World, clock: Clock) -> None:
    """What it signed lives for half a year; without another one nobody would renew anything until then."""
    keep, right = keeper(world, clock), clock.at
    clock.at += timedelta(days=180)
    assert keep.look().state is not None
    assert list(keep.news(Look(state=None, problems=("revocations expired",), pause=SIX))) != []
    clock.at = right + timedelta(minutes=5)
    look = keep.look()
    assert look.state is not None
    assert not look.failed
    for role in ("timestamp", f"{look.state.snapshot}.snapshot"):
        data = (world.public / f"metadata/{role}.json").read_bytes()
        expires = Metadata.from_bytes(data).signed.expires
        assert expires - clock.at < timedelta(days=31)
    assert version(world) == 3
    assert keep.look().state is None  # it is right now
    # What was said in the time that did not come is said again in this one.
    assert list(keep.news(Look(state=None, problems=("revocations expired",), pause=SIX))) != []


def test_a_host_that_kept_the_old_key_says_so_and_signs_nothing(world: World, clock: Clock) -> None:
    keep = keeper(world, clock, world.signers["mallory"])
    before = world.metadata()
    clock.at += timedelta(hours=7)
    look = keep.look()
    assert look.problems == ("cannot renew the timestamp: root appoints another online key than this one",)
    assert world.metadata() == before
    keep.online = lambda: world.signers["online"]
    assert keep.look().state is not None


def test_what_expires_soon_is_said_before_it_does(world: World, clock: Clock) -> None:
    keep = keeper(world, clock)
    clock.at += timedelta(days=21)
    look = keep.look()
    assert look.state is not None
    assert [problem.split(" ")[0] for problem in look.problems] == ["revocations"]
    assert list(keep.news(look)) == list(look.problems)
    clock.at += timedelta(hours=1)
    assert list(keep.news(keep.look())) == []


def test_a_bug_of_ours_is_not_the_end(world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = keeper(world, clock)

    def broken(*_: object, **__: object) -> NoReturn:
        raise ZeroDivisionError("passphrase is hunter2")

    monkeypatch.setattr("repo_server.publishing.keeping_fresh.refresh", broken)
    look = keep.look()
    assert look.problems == ("cannot renew the timestamp: ZeroDivisionError, a bug of ours",)


def test_a_program_is_told_and_what_it_does_stops_nothing(tmp_path: Path) -> None:
    program, heard = tmp_path / "tell", tmp_path / "heard"
    program.write_text(f"#!/bin/sh\ncat > {heard}\n")
    program.chmod(0o755)
    assert tell(program, ("revocations expires",)) == ""
    assert json.loads(heard.read_text()) == {"service": "skillrepo", "problems": ["revocations expires"]}
    program.write_text("#!/bin/sh\nexit 3\n")
    assert tell(program, ("x",)) == f"{program} ended with 3"
    assert "cannot run" in tell(tmp_path / "missing", ("x",))


@pytest.mark.slow
def test_as_a_service(world: World, tmp_path: Path) -> None:
    """Started, it renews what is old, tells, and ends cleanly; killed between two looks, it has broken nothing."""
    at = now() - timedelta(days=22)
    world = World.build(tmp_path / "old", bins=2, at=at)
    program, heard = tmp_path / "tell", tmp_path / "heard"
    program.write_text(f"#!/bin/sh\ncat > {heard}\n")
    program.chmod(stat.S_IRWXU)
    command = _command(world, tmp_path, "--every", "1m", "--tell", str(program))
    for signed, end, status in ((1, signal.SIGKILL, -9), (0, signal.SIGTERM, 0)):  # the second finds it done
        before = version(world)
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stderr is not None
            assert any("revocations expires" in line for line in process.stderr)
            _wait_for(heard.exists)
            process.send_signal(end)
            assert process.wait(30) == status
        assert version(world) == before + signed
        assert "revocations" in json.loads(heard.read_text())["problems"][0]
        heard.unlink()


@pytest.mark.slow
def test_its_numbers_are_asked_for_on_this_machine(world: World, tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = _command(world, tmp_path, "--every", "6h", "--metrics", f"127.0.0.1:{port}")
    said = [""]

    def looked() -> bool:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5) as reply,
        ):
            said[0] = reply.read().decode()
        return 'skillrepo_keeper_looks_total{result="idle"} 1.0' in said[0]

    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            _wait_for(looked)
        finally:
            process.terminate()
        assert process.wait(30) == 0
    assert 'skillrepo_role_expires_seconds{role="timestamp"}' in said[0]
    assert PASSPHRASE not in said[0]


def _wait_for(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)


def _command(world: World, folder: Path, *words: str) -> list[str]:
    keys = world.repository.keys
    keys.mkdir(mode=0o700, exist_ok=True)
    sealed = (world.folder / "people/online.key.json").read_bytes()
    (keys / "online.key.json").write_bytes(sealed)
    (keys / "online.key.json").chmod(0o600)
    secret = folder / "secret"
    secret.write_text(PASSPHRASE)
    secret.chmod(0o600)
    program = Path(sys.executable).parent / "skillrepo"
    return [
        str(program),
        "--repo",
        str(world.repository.folder),
        "--online-passphrase-file",
        str(secret),
        "refresh",
        *words,
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("--every", "30s"),
        ("--every", "19h"),
        ("--every", "-1h"),
        ("--every", "6"),
        ("--every", "6h", "--if-due"),
        ("--every", "6h", "--repair"),
        ("--tell", "/bin/true"),
        ("--every", "6h", "--tell", "true"),
        ("--metrics", "127.0.0.1:9111"),
        ("--every", "6h", "--metrics", "0.0.0.0:9111"),
    ],
    ids=" ".join,
)
def test_what_is_no_way_to_go_on(world: World, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = subprocess.run(
        _command(world, tmp_path, *words), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, "usage" in done.stderr) == (2, True)
    assert version(world) == 1
