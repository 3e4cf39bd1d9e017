"""`skillrepo serve --log-json`: one object a line, and nothing in it that a client wrote."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from repo_server.web.local import create_local_app
from repo_server.web.request_log import VARIABLE
from tests.support.world import World

BIN = Path(sys.executable).parent


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.build(tmp_path / "world", bins=2)


def test_unasked_nothing_is_logged(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    names = {
        hook.__qualname__ for hook in create_local_app(world.repository.folder).after_request_funcs[None]
    }
    assert not any("log_requests" in name for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["granian", "waitress"])
def test_each_request_is_a_line_without_names(world: World, kind: str) -> None:
    pytest.importorskip(kind)
    process = subprocess.Popen(
        [
            BIN / "skillrepo",
            "--repo",
            world.repository.folder,
            "serve",
            "--port",
            "0",
            "--server",
            kind,
            "--log-json",
        ],
        stderr=subprocess.PIPE,
        text=True,
        env={key: value for key, value in os.environ.items() if not key.startswith("SKILLREPO_")},
    )
    assert process.stderr is not None
    url = next(found[1] for line in process.stderr if (found := re.match(r"serving (\S+)", line)))
    with urllib.request.urlopen(f"{url}/metadata/timestamp.json", timeout=20) as reply:
        reply.read()
    for path in ("/metadata/the-clients-own-words.json", "/%2e%2e/the-clients-own-words", "/api/v1/nothing"):
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{url}{path}", timeout=20)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=30)[1]
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    requests = [line for line in lines if line["event"] == "request"]
    assert requests[0]["status"] == 200
    assert len(requests) == 4
    assert {line["method"] for line in requests} == {"GET"}
    assert requests[0]["part"] == "files"
    assert requests[0]["bytes"] == (world.public / "metadata/timestamp.json").stat().st_size
    assert "the-clients-own-words" not in said
    assert "127.0.0.1" not in said
