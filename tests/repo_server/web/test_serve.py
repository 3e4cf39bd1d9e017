"""The service as a process, on both servers: start, hostile bytes, slow clients, end."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from repo_server.web.serve import ServerKind, serve
from signing.errors import ConflictError, HostError, UsageError
from tests.repo_server.web.published import (
    BUNDLE,
    BUNDLE_PATH,
    BUNDLE_SHA256,
    META_CONF,
    refuse_to_start,
    write_trees,
)

CHECKOUT = Path(__file__).parents[3]
HUNG = 60  # the end of what hangs, not a measure of a busy machine
READY = re.compile(r"serving http://127\.0\.0\.1:(\d+) \((granian|waitress)\)\n")


@dataclass
class Service:
    process: subprocess.Popen[str]
    port: int
    kind: str

    def ask(self, path: str, *, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Send the path as it is: no client in between cleans it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HUNG)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def send(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=HUNG) as connection:
            answer = b""
            # A server that refuses before it has read everything resets the connection.
            with suppress(ConnectionResetError, BrokenPipeError):
                connection.sendall(request)
                while piece := connection.recv(65536):
                    answer += piece
            return answer

    def end(self, number: int) -> tuple[int, str, float]:
        """Return exit status, the rest of stderr, and how many seconds it took."""
        start = time.monotonic()
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=HUNG)
        return self.process.returncode, rest, time.monotonic() - start


@contextmanager
def running(kind: str, where: Path, *, port: int = 0, workers: int = 1) -> Iterator[Service]:
    command = [
        sys.executable,
        "-m",
        "tests.repo_server.web.published",
        kind,
        str(port),
        str(workers),
        str(where),
    ]
    process = subprocess.Popen(
        command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        ready = READY.fullmatch(line)
        assert ready, line + process.stderr.read()
        yield Service(process, int(ready[1]), ready[2])
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=HUNG)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture(scope="module", params=["granian", "waitress"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    if request.param == "granian":
        pytest.importorskip("granian")
    where = tmp_path_factory.mktemp("published")
    write_trees(where)
    (where / "skills" / "link.json").symlink_to(where / "secret")
    with running(request.param, where) as service:
        assert service.kind == request.param
        yield service


def test_files_and_hosts(service: Service) -> None:
    assert service.ask("/healthz")[0] == 200
    assert service.ask("/readyz")[0] == 200
    assert service.ask("/pkg/FreeBSD:14:amd64/latest/meta.conf")[2] == META_CONF
    assert service.ask("/FreeBSD:14:amd64/latest/meta.conf", Host="PKG.clawdie.si:443")[2] == META_CONF
    assert service.ask("/metadata/7.snapshot.json", Host="evil.example")[0] == 421
    assert service.ask("/api/v1/skills/web-search/1.2.0", Host="skills.clawdie.si")[0] == 200


def test_bytes_and_conditions(service: Service) -> None:
    status, headers, body = service.ask(f"/{BUNDLE_PATH}")
    assert (status, body) == (200, BUNDLE)
    assert headers["etag"] == f'"{BUNDLE_SHA256}"'
    assert headers["content-length"] == str(len(BUNDLE))
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    head = service.ask(f"/{BUNDLE_PATH}", method="HEAD")
    assert (head[0], head[1]["content-length"], head[2]) == (200, str(len(BUNDLE)), b"")
    assert service.ask(f"/{BUNDLE_PATH}", If_None_Match=headers["etag"])[::2] == (304, b"")
    status, headers, body = service.ask(
        f"/{BUNDLE_PATH}", Range="bytes=70000-200000", If_Range=headers["etag"]
    )
    assert (status, body) == (206, BUNDLE[70000:200001])
    assert headers["content-range"] == f"bytes 70000-200000/{len(BUNDLE)}"
    assert service.ask(f"/{BUNDLE_PATH}", Range="bytes=0-1,3-4")[::2] == (200, BUNDLE)
    assert service.ask(f"/{BUNDLE_PATH}", Range=f"bytes={len(BUNDLE)}-")[0] == 416
    status, headers, _ = service.ask("/healthz", method="POST")
    assert (status, sorted(headers["allow"].split(", "))) == (405, ["GET", "HEAD"])


@pytest.mark.parametrize(
    "path",
    [
        "/metadata/../../secret",
        "/metadata/../../../../../../../../etc/passwd",
        "/%2e%2e/secret",
        "/metadata/%2e%2e%2f%2e%2e%2fsecret",
        "//secret",
        "/pkg//FreeBSD:14:amd64/latest/meta.conf",
        "/pkg/../secret",
        "/metadata/timestamp.json%00",
        "/metadata%5ctimestamp.json",
        "/.hidden",
        "/link.json",
        "/metadata/",
    ],
)
def test_hostile_paths(service: Service, path: str) -> None:
    status, headers, body = service.ask(path)
    assert status == 404
    assert headers["content-type"] == "application/problem+json"
    assert b"not published" not in body
    assert b"root:" not in body


@pytest.mark.parametrize(
    ("lines", "statuses"),
    [
        (b"GET /metadata/timestamp.json HTTP/1.1\r\n", {b"400"}),
        (b"GET /metadata/timestamp.json HTTP/1.0\r\n", {b"400"}),
        (
            b"GET /metadata/timestamp.json HTTP/1.1\r\nHost: skills.clawdie.si\r\nHost: evil.example\r\n",
            {b"400", b"421"},
        ),
        (b"GET /metadata/timestamp.json HTTP/1.1\r\nHost: evil@skills.clawdie.si\r\n", {b"400"}),
        (b"GET /metadata/timestamp.json HTTP/1.1\r\nHost: skills.clawdie.si x\r\n", {b"400"}),
        (b"GET /metadata/\\timestamp.json HTTP/1.1\r\nHost: skills.clawdie.si\r\n", {b"400", b"404"}),
        (b"GET /metadata/\x00 HTTP/1.1\r\nHost: skills.clawdie.si\r\n", {b"400", b"404"}),
        (
            b"GET /healthz HTTP/1.1\r\nHost: skills.clawdie.si\r\nX: " + b"a" * 70_000 + b"\r\n",
            {b"400", b"431", b""},
        ),
        (
            b"GET /metadata/timestamp.json HTTP/1.1\r\nHost: evil.example\r\nHost: skills.clawdie.si\r\n",
            {b"400", b"421"},
        ),
        (
            b"POST /healthz HTTP/1.1\r\nHost: skills.clawdie.si\r\nContent-Length: 999999999\r\n",
            {b"400", b"405", b"413"},
        ),
    ],
)
def test_hostile_requests(service: Service, lines: bytes, statuses: set[bytes]) -> None:
    answer = service.send(lines + b"Connection: close\r\n\r\n")
    # "": the server closed while we were still sending, and its answer was lost with the connection.
    assert (answer.split(b" ", 2)[1] if answer else b"") in statuses
    assert b"signed" not in answer
    assert service.ask("/healthz")[0] == 200


def test_clients_with_slow_headers_block_nobody(service: Service) -> None:
    with ExitStack() as clients:
        for _ in range(150):
            slow = clients.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=HUNG))
            slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: skills.cla")
        start = time.monotonic()
        assert service.ask(f"/{BUNDLE_PATH}")[::2] == (200, BUNDLE)
        assert service.ask("/healthz")[0] == 200
        assert time.monotonic() - start < 15  # half of what a header may take


def test_clients_that_leave_or_read_slowly_keep_no_file_open(service: Service) -> None:
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    if not children.exists():
        pytest.skip("counting another process's open files needs /proc")
    worker = children.read_text().split()[0] if service.kind == "granian" else service.process.pid
    handles = Path(f"/proc/{worker}/fd")

    def bundles_open() -> int:
        names = []
        for handle in handles.iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed while we look
                names.append(str(handle.readlink()))
        return sum(name.endswith(".tar.gz") for name in names)

    request = f"GET /{BUNDLE_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", service.port), timeout=HUNG) as leaving:
            leaving.sendall(request)
            leaving.recv(10)
    end = time.monotonic() + HUNG
    while bundles_open() and time.monotonic() < end:
        time.sleep(0.02)
    assert bundles_open() == 0


@pytest.mark.parametrize("kind", ["granian", "waitress"])
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_signals_end_it_in_two_seconds(kind: str, number: int, tmp_path: Path) -> None:
    write_trees(tmp_path)
    took = []
    # On a busy machine an end takes longer than the service does: as often as processes wait for a core, tried
    # three times, and never as long as the slow client may take.
    limit = min(15, 2 * max(1, os.getloadavg()[0] / (os.cpu_count() or 1)))
    while not took or (took[-1] >= limit and len(took) < 3):
        with (
            running(kind, tmp_path, workers=2) as service,
            socket.create_connection(("127.0.0.1", service.port)) as slow,
        ):
            slow.sendall(b"GET /healthz HTTP/1.1\r\n")
            assert service.ask("/healthz")[0] == 200
            status, rest, seconds = service.end(number)
            assert (status, rest) == (0, "")
            took.append(seconds)
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.1", service.port), timeout=1)
    assert took[-1] < limit


@pytest.mark.slow
@pytest.mark.parametrize("server", ["granian", "waitress"])
def test_a_burst_of_signals_ends_it_as_well(server: str, tmp_path: Path) -> None:
    """Two SIGTERM within a millisecond: a handler that waits for its own lock would keep the service for ever."""
    pytest.importorskip(server)
    write_trees(tmp_path)
    for _ in range(3):
        with running(server, tmp_path) as service:
            for _ in range(20):
                service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(timeout=HUNG) in {0, -signal.SIGTERM}


def test_killed_parent_leaves_no_worker_on_the_port(tmp_path: Path) -> None:
    pytest.importorskip("granian")
    write_trees(tmp_path)
    with running("granian", tmp_path, workers=2) as service:
        service.process.kill()
        service.process.wait(timeout=HUNG)
        end = time.monotonic() + HUNG
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", service.port), timeout=1).close()
            except OSError:
                return
            time.sleep(0.05)
        pytest.fail("a worker still answers")


@pytest.mark.parametrize("kind", ["granian", "waitress"])
def test_taken_port_is_a_conflict(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConflictError):
        serve(refuse_to_start, host="127.0.0.1", port=taken.getsockname()[1], server=ServerKind(kind))


def test_service_on_the_port_of_another_is_a_conflict(service: Service) -> None:
    with pytest.raises(ConflictError):
        serve(refuse_to_start, host="127.0.0.1", port=service.port)


def test_factory_that_refuses_ends_the_service(tmp_path: Path) -> None:
    for kind in ("granian", "waitress"):
        command = [sys.executable, "-m", "tests.repo_server.web.published", kind, "0", "1", "nowhere"]
        done = subprocess.run(
            command, cwd=CHECKOUT, capture_output=True, text=True, timeout=HUNG, check=False
        )
        assert done.returncode != 0
        assert "no repository here" in done.stderr
        assert "serving" not in done.stderr


def test_wrong_arguments() -> None:
    for port, workers in ((-1, 1), (70000, 1), (0, 0)):
        with pytest.raises(UsageError):
            serve(refuse_to_start, host="127.0.0.1", port=port, workers=workers)
    with pytest.raises(UsageError):
        serve("no.such:factory", host="127.0.0.1", port=0, server=ServerKind.WAITRESS)
    with pytest.raises((HostError, ConflictError)):
        serve(refuse_to_start, host="192.0.2.1", port=0)
