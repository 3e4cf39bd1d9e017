"""Reloading and ending under load: what was asked is answered, and nobody is refused."""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

from repo_server.web.listening import UnixPlace
from signing.errors import ConflictError, HostError, UsageError
from tests.repo_server.web.published import write_trees
from tests.repo_server.web.slow_service import SLOW_SECONDS
from tests.repo_server.web.test_serve import CHECKOUT, HUNG

KINDS = ("granian", "waitress")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("127.0.0.1", timeout=HUNG)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(HUNG)
        self.sock.connect(os.fspath(self._path))


def ask(where: Path | int, path: str) -> tuple[int, bytes]:
    connection = (
        UnixConnection(where)
        if isinstance(where, Path)
        else http.client.HTTPConnection("127.0.0.1", where, timeout=HUNG)
    )
    try:
        connection.request("GET", path, headers={"Host": "skills.clawdie.si", "Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@contextmanager
def serving(
    kind: str, folder: Path, where: Path | int = 0, *, workers: int = 1, grace: int = 8
) -> Iterator[tuple["subprocess.Popen[str]", Path | int]]:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.repo_server.web.slow_service",
            kind,
            str(where),
            str(workers),
            str(grace),
            str(folder),
        ],
        cwd=CHECKOUT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.match(r"serving (?:http://127\.0\.0\.1:(\d+)|unix:(\S+)) ", line)
        assert found, line + process.stderr.read()
        yield process, int(found[1]) if found[1] else Path(found[2])
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=HUNG)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short one: the address of a socket has a hundred bytes."""
    folder = Path(tempfile.mkdtemp(prefix="skr-"))
    write_trees(folder)
    (folder / "generation").write_text("first")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Load:
    """Clients that ask without a pause."""

    where: Path | int
    answered: int = 0
    problems: list[str] = field(default_factory=list)
    seen: set[bytes] = field(default_factory=set)
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        paths = ("/metadata/7.snapshot.json", "/api/v1/skills", "/api/v1/generation", "/api/v1/slow")
        self._threads = [threading.Thread(target=self._go_on, args=(path,)) for path in paths * 2]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(HUNG)

    def _go_on(self, path: str) -> None:
        while not self._ended.is_set():
            try:
                status, body = ask(self.where, path)
            except (OSError, http.client.HTTPException) as error:
                self.problems.append(f"{path}: {error!r}")
            else:
                if status != 200:
                    self.problems.append(f"{path}: {status}")
                if path.endswith("generation"):
                    self.seen.add(body)
                self.answered += 1


def until_seen(load: Load, generation: bytes) -> None:
    end = time.monotonic() + HUNG
    while generation not in load.seen and time.monotonic() < end:
        time.sleep(0.05)
    assert generation in load.seen


def test_reloaded_under_load_nobody_is_refused(folder: Path) -> None:
    """SIGHUP: new workers with new settings on the same socket; what the old ones were asked is answered."""
    pytest.importorskip("granian")
    with serving("granian", folder, folder / "http.sock", workers=2) as (process, where), Load(where) as load:
        until_seen(load, b"first")
        for generation in ("second", "third"):
            (folder / "generation").write_text(generation)
            process.send_signal(signal.SIGHUP)
            until_seen(load, generation.encode())
        time.sleep(2 * SLOW_SECONDS)
        load.seen.clear()
        until_seen(load, b"third")
        time.sleep(0.5)
        assert load.seen == {b"third"}  # no old worker is left
        assert process.poll() is None
    assert load.problems == []
    assert load.answered > 50


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_process_takes_over_and_the_old_one_finishes(folder: Path, kind: str) -> None:
    pytest.importorskip(kind)
    name = folder / "http.sock"
    with serving(kind, folder, name) as (old, where), Load(where) as load:
        until_seen(load, b"first")
        (folder / "generation").write_text("second")
        with serving(kind, folder, name):
            until_seen(load, b"second")
            time.sleep(0.2)  # what was connected before is accepted
            old.terminate()
            assert old.wait(HUNG) == 0
            load.seen.clear()
            until_seen(load, b"second")
            assert load.seen == {b"second"}
            assert name.is_symlink()
            load.__exit__()
            assert load.problems == []
            assert load.answered > 10
    assert not name.exists()
    assert [path.name for path in folder.iterdir() if "sock" in path.name] == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_waits_for_what_was_asked(folder: Path, kind: str) -> None:
    pytest.importorskip(kind)
    answers: list[tuple[int, bytes]] = []
    with serving(kind, folder) as (process, where):
        asking = [
            threading.Thread(target=lambda: answers.append(ask(where, "/api/v1/slow"))) for _ in range(5)
        ]
        for thread in asking:
            thread.start()
        time.sleep(SLOW_SECONDS / 2)
        process.send_signal(signal.SIGTERM)
        for thread in asking:
            thread.join(HUNG)
        assert process.wait(HUNG) == 0
        with pytest.raises(OSError):
            ask(where, "/healthz")
    assert answers == [(200, b"slow but whole")] * 5


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_does_not_wait_for_ever(folder: Path, kind: str) -> None:
    """Clients that send or take nothing are hung up on when the grace is over."""
    pytest.importorskip(kind)
    with serving(kind, folder, grace=1) as (process, where), ExitStack() as slow:
        assert isinstance(where, int)
        for said in (b"GET /healthz HT", b"GET /api/v1/slow HTTP/1.1\r\nHost: skills.clawdie.si\r\n\r\n"):
            slow.enter_context(socket.create_connection(("127.0.0.1", where))).sendall(said)
        assert ask(where, "/healthz")[0] == 200
        process.terminate()
        assert process.wait(HUNG / 2) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_slow_headers_and_slow_bodies_stop_nobody(folder: Path, kind: str) -> None:
    """150 of each; four probes are answered while they drip."""
    pytest.importorskip(kind)
    head = b"POST /api/v1/skills HTTP/1.1\r\nHost: skills.clawdie.si\r\nContent-Length: 1000\r\n\r\n"
    with serving(kind, folder, grace=1) as (_, where), ExitStack() as clients:
        assert isinstance(where, int)
        slow = []
        for number in range(300):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", where), timeout=HUNG))
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: skil" if number % 2 else head)
            slow.append(client)
        for _ in range(4):
            for client in slow:
                try:
                    client.sendall(b"x")
                except OSError:  # it was told 405, and hung up on
                    continue
            start = time.monotonic()
            assert ask(where, "/healthz")[0] == 200
            assert ask(where, "/metadata/7.snapshot.json")[0] == 200
            assert time.monotonic() - start < 15


def test_a_socket_is_a_link_of_ours_or_it_is_refused(folder: Path) -> None:
    (folder / "file").write_text("not a socket")
    with pytest.raises(ConflictError):
        UnixPlace.of(folder / "file")
    assert (folder / "file").read_text() == "not a socket"
    for wrong in (Path("relative.sock"), folder / ("x" * 100)):
        with pytest.raises(UsageError):
            UnixPlace.of(wrong)
    with pytest.raises(HostError):
        UnixPlace.of(folder / "missing/http.sock")


def test_who_was_followed_leaves_the_follower_its_name(folder: Path) -> None:
    old = UnixPlace.of(folder / "http.sock")
    new = UnixPlace(public=old.public, own=folder / ".http.sock.next")
    for place in (old, new):
        with place.listener():
            place.take_over()
    assert old.own.stat().st_mode & 0o777 == 0o660
    old.leave()
    assert old.public.readlink() == Path(new.own.name)
    assert not old.own.exists()
    new.leave()
    assert not old.public.is_symlink()
