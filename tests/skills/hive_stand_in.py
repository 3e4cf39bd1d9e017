"""A small server that plays the hive API to the real scripts, on loopback or on a Unix socket."""

import contextlib
import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

Answer = tuple[int, Any]  # status and JSON value (None: no body; bytes: as they are)


@dataclass
class Asked:
    path: str
    body: dict[str, Any]
    authorization: str


@dataclass
class Hive:
    """What the test decides, and what was asked. An answer is a value, or a function that makes one or takes over."""

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    jobs: list[dict[str, Any]] = field(default_factory=list)

    def paths(self) -> list[str]:
        return [one.path for one in self.asked]

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [one.body for one in self.asked if one.path == path]

    def answer(self, path: str, body: dict[str, Any]) -> Any:
        if path in self.answers:
            return self.answers[path]
        if path == "/v1/agents/register":
            return 200, {"agent": body["agent"], "heartbeat_seconds": 30}
        if path == "/v1/agents/heartbeat":
            return 200, {"state": "active"}
        if path == "/v1/jobs/claim":
            if self.jobs:
                return 200, {"job": self.jobs.pop(0)}
            self.over.wait(min(body["wait_seconds"], 0.2))
            return 204, None
        return (200, {}) if path.startswith("/v1/jobs/") else (404, None)


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def do_POST(self) -> None:
        hive: Hive = self.server.hive
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        hive.asked.append(Asked(self.path, body, self.headers.get("Authorization", "")))
        answer = hive.answer(self.path, body)
        if callable(answer):
            answer = answer(self, body)
        if answer is not None:
            self.reply(*answer)

    def reply(self, status: int, value: Any, **headers: str) -> None:
        data = b"" if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:  # only a client that follows a redirect gets here
        self.server.hive.asked.append(Asked("GET " + self.path, {}, self.headers.get("Authorization", "")))
        self.reply(200, {})

    def log_message(self, *_: Any) -> None:
        pass


class _Quiet:
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that goes away is part of several tests


class _Tcp(_Quiet, socketserver.ThreadingMixIn, socketserver.TCPServer):
    pass


class _Unix(_Quiet, socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    pass


@contextlib.contextmanager
def serving(unix: Path | None = None) -> Iterator[Hive]:
    server: Any = _Unix(str(unix), _Handler) if unix else _Tcp(("127.0.0.1", 0), _Handler)
    hive = Hive(url=f"unix:{unix}" if unix else f"http://127.0.0.1:{server.server_address[1]}")
    server.hive = hive
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    try:
        yield hive
    finally:
        hive.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def hanging(handler: _Handler, _body: Any) -> None:
    handler.server.hive.over.wait(60)
    handler.close_connection = True


def dripping(prefix: bytes) -> Callable[[_Handler, Any], None]:
    """An answer that begins with ``prefix`` and goes on for ever, one byte at a time."""

    def drip(handler: _Handler, _body: Any) -> None:
        with contextlib.suppress(OSError):
            handler.wfile.write(prefix)
            until = time.monotonic() + 60
            while time.monotonic() < until and not handler.server.hive.over.wait(0.05):
                handler.wfile.write(b" ")
                handler.wfile.flush()
        handler.close_connection = True

    return drip


def redirecting(handler: _Handler, _body: Any) -> None:
    handler.reply(302, None, Location="/elsewhere")
