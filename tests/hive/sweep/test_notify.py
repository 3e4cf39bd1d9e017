"""Telling people: bounded, without a shell, without following anybody elsewhere."""

import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from hive.sweep import notify
from hive.sweep.notify import Notifier, Told
from signing.errors import FormatError


class Hook(HTTPServer):
    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.status, self.location = 200, ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                return

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                outer.got.append((self.path, self.rfile.read(length)))
                self.send_response(outer.status)
                if outer.location:
                    self.send_header("Location", outer.location)
                self.end_headers()

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def url(hook: Hook) -> str:
    return f"http://127.0.0.1:{hook.server_address[1]}/hook"


def test_a_webhook_gets_one_post(hook: Hook) -> None:
    assert Notifier(webhook=url(hook)).tell({"tenant": "acme"}) == Told(by=("webhook",), problems=())
    ((path, data),) = hook.got
    assert (path, json.loads(data)) == ("/hook", {"tenant": "acme"})


def test_a_redirect_is_not_followed(hook: Hook) -> None:
    hook.status, hook.location = 307, url(hook) + "/elsewhere"
    assert Notifier(webhook=url(hook)).tell({}).problems == ("webhook: answered 307",)
    assert [path for path, _ in hook.got] == ["/hook"]


def test_a_webhook_that_is_away_is_said_and_stops_nothing(hook: Hook) -> None:
    hook.status = 500
    assert Notifier(webhook=url(hook)).tell({}) == Told(by=(), problems=("webhook: answered 500",))


@pytest.mark.parametrize(
    "drip", [b"HTTP/1.1 200 OK\r\nX: ", b"", b"HTTP/1.1 200 OK\r\n"], ids=["header", "silence", "lines"]
)
def test_a_server_that_answers_a_byte_at_a_time_is_not_waited_for(
    drip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "_SECONDS", 1.0)
    over = threading.Event()

    def dripping(server: socket.socket) -> None:
        client, _ = server.accept()
        with client, contextlib.suppress(OSError):
            client.recv(65536)
            client.sendall(drip)
            while not over.wait(0.1):
                client.sendall(b"X" if drip.endswith(b": ") else b"X: 1\r\n" if drip else b"")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=dripping, args=(server,))
        thread.start()
        begun = time.monotonic()
        told = Notifier(webhook=f"http://127.0.0.1:{server.getsockname()[1]}/hook").tell({})
        took = time.monotonic() - begun
        over.set()
        thread.join()
    assert told == Told(by=(), problems=("webhook: did not answer in time",))
    assert took < 5


def test_one_way_that_works_is_enough_and_the_other_is_said(hook: Hook) -> None:
    told = Notifier(command=(sys.executable, "-c", "raise SystemExit(3)"), webhook=url(hook)).tell({})
    assert told == Told(by=("webhook",), problems=("command: ended with 3",))


def test_a_command_gets_the_message_and_no_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIVE_SECRET", "planted")
    script = "import os,sys; open(sys.argv[1],'w').write(sys.stdin.read() + str('HIVE_SECRET' in os.environ))"
    told = tmp_path / "told"
    assert Notifier(command=(sys.executable, "-c", script, str(told))).tell({"a": 1}).problems == ()
    assert told.read_text() == '{"a": 1}False'


def test_a_command_that_fails_or_hangs_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "_SECONDS", 0.5)
    assert Notifier(command=(sys.executable, "-c", "raise SystemExit(3)")).tell({}).problems == (
        "command: ended with 3",
    )
    assert Notifier(command=(sys.executable, "-c", "import time; time.sleep(60)")).tell({}).problems == (
        "command: did not end in 0 seconds",
    )
    (problem,) = Notifier(command=("/nonexistent/program",)).tell({}).problems
    assert problem.startswith("command: ")


@pytest.mark.parametrize(
    "table",
    [
        {"webhook": "http://chat.example/hook"},
        {"webhook": "ftp://chat.example/hook"},
        {"webhook": "https://user:pass@chat.example/"},
        {"webhook": "https://"},
        {"webhook": 3},
        {"webhook": "https://chat.example:port/"},
        {"webhook": "https://chat.example/a b"},
        {"webhook": "https://chat.example/\r\nX: 1"},
        {"command": "/bin/sh -c x"},
        {"command": ["sh"]},
        {"command": [""]},
        {"comand": []},
    ],
)
def test_what_is_no_way_to_tell_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        Notifier.parse(table, where="policy")


def test_nobody_to_tell_is_fine() -> None:
    assert Notifier.parse({}, where="policy").tell({"a": 1}) == Told(by=(), problems=())
    assert Notifier.parse(
        {"webhook": "https://chat.example/x", "command": ["/bin/x"]}, where="p"
    ).command == ("/bin/x",)
