"""Telling people: bounded, without a shell, without following anybody elsewhere."""

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from hive.sweep import notify
from hive.sweep.notify import Notifier
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
    assert Notifier(webhook=url(hook)).tell({"tenant": "acme"}) == []
    ((path, data),) = hook.got
    assert (path, json.loads(data)) == ("/hook", {"tenant": "acme"})


def test_a_redirect_is_not_followed(hook: Hook) -> None:
    hook.status, hook.location = 307, url(hook) + "/elsewhere"
    (problem,) = Notifier(webhook=url(hook)).tell({})
    assert problem.startswith("webhook: ")
    assert [path for path, _ in hook.got] == ["/hook"]


def test_a_webhook_that_is_away_is_said_and_stops_nothing(hook: Hook) -> None:
    hook.status = 500
    assert Notifier(webhook=url(hook)).tell({}) == ["webhook: HTTPError"]


def test_a_command_gets_the_message_and_no_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIVE_SECRET", "planted")
    script = "import os,sys; open(sys.argv[1],'w').write(sys.stdin.read() + str('HIVE_SECRET' in os.environ))"
    told = tmp_path / "told"
    assert Notifier(command=(sys.executable, "-c", script, str(told))).tell({"a": 1}) == []
    assert told.read_text() == '{"a": 1}False'


def test_a_command_that_fails_or_hangs_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "_SECONDS", 0.5)
    assert Notifier(command=(sys.executable, "-c", "raise SystemExit(3)")).tell({}) == [
        "command: ended with 3"
    ]
    assert Notifier(command=(sys.executable, "-c", "import time; time.sleep(60)")).tell({}) == [
        "command: did not end in 0 seconds"
    ]
    (problem,) = Notifier(command=("/nonexistent/program",)).tell({})
    assert problem.startswith("command: ")


@pytest.mark.parametrize(
    "table",
    [
        {"webhook": "http://chat.example/hook"},
        {"webhook": "ftp://chat.example/hook"},
        {"webhook": "https://user:pass@chat.example/"},
        {"webhook": "https://"},
        {"webhook": 3},
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
    assert Notifier.parse({}, where="policy").tell({"a": 1}) == []
    assert Notifier.parse(
        {"webhook": "https://chat.example/x", "command": ["/bin/x"]}, where="p"
    ).command == ("/bin/x",)
