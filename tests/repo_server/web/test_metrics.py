"""Numbers of `skillrepo serve`, on a port of their own: what the repository holds, and what was answered."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from repo_server.web.metrics import Collector, parse_address
from signing.errors import UsageError
from tests.support.serials import make_index, publish_serial
from tests.support.withdrawing import withdraw
from tests.support.world import World, now

BIN = Path(sys.executable).parent


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World.build(tmp_path / "world", bins=4)
    world.publish_skill("web-search==1.0")
    world.import_skill("calm==1.0")
    return world


def numbers(world: World, at: datetime) -> dict[str, float]:
    """Every number by its name and labels, as a scrape gives it."""
    found = {}
    for family in Collector(world.repository, lambda: at).collect():
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_what_a_repository_holds(world: World) -> None:
    pytest.importorskip("prometheus_client")
    moment = now()
    publish_serial(world, make_index(1, {"demo": "1.0"}, at=moment - timedelta(hours=1)))
    found = numbers(world, moment)
    assert found["skillrepo_candidates{state=staged}"] == 1
    assert found["skillrepo_candidates{state=published}"] == 1
    assert found["skillrepo_releases{state=published}"] == 1
    assert found["skillrepo_proposals_open"] == 0
    assert found["skillrepo_withdrawals{state=revoked}"] == 0
    assert found["skillrepo_package_serial{repository=FreeBSD:14:amd64/latest}"] == 1
    assert 3500 < found["skillrepo_package_age_seconds{repository=FreeBSD:14:amd64/latest}"] < 3700
    for role, most in {"root": 365, "skills-bins": 180, "revocations": 30, "timestamp": 1}.items():
        assert (most - 1) * 86400 <= found[f"skillrepo_role_expires_seconds{{role={role}}}"] <= most * 86400


def test_what_ends_is_seen_before_clients_refuse_it(world: World) -> None:
    pytest.importorskip("prometheus_client")
    late = numbers(world, now() + timedelta(days=31))
    assert late["skillrepo_role_expires_seconds{role=revocations}"] == 0
    assert late["skillrepo_published_timestamp_expires_seconds"] == 0
    assert late["skillrepo_role_expires_seconds{role=root}"] > 0
    (world.public / "metadata/timestamp.json").write_text("{}")
    assert numbers(world, now())["skillrepo_published_timestamp_expires_seconds"] == 0


def test_withdrawals_are_counted_and_nobody_is_named(world: World) -> None:
    pytest.importorskip("prometheus_client")
    withdraw(world, "web-search==1.0")
    found = numbers(world, now())
    assert found["skillrepo_withdrawals{state=revoked}"] == 1
    text = " ".join(found)
    for name in ("alice", "bob", "olga", "web-search", "calm"):
        assert name not in text


@pytest.mark.parametrize(
    "words",
    [
        "",
        "127.0.0.1",
        "0.0.0.0:9100",
        "192.0.2.1:9100",
        "localhost:9100",
        "127.0.0.1:0",
        "127.0.0.1:99999",
        pytest.param(f"127.0.0.1:{'9' * 5000}", id="a-port-of-5000-digits"),
        "[::]:1",
    ],
)
def test_numbers_stay_on_this_machine(words: str) -> None:
    with pytest.raises(UsageError):
        parse_address(words)
    assert parse_address("[::1]:9100") == ("::1", 9100)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(world: World, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [str(BIN / "skillrepo"), "--repo", str(world.repository.folder), "serve", "--port", "0", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={key: value for key, value in os.environ.items() if not key.startswith("SKILLREPO_")},
    )
    assert process.stderr is not None
    try:
        url = next((found[1] for line in process.stderr if (found := re.match(r"serving (\S+)", line))), "")
        yield process, url
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as reply:
        text: str = reply.read().decode()
        return text


@pytest.mark.parametrize("kind", ["granian", "waitress"])
def test_answers_are_counted_over_all_workers(world: World, kind: str) -> None:
    pytest.importorskip("prometheus_client")
    pytest.importorskip(kind)
    port = free_port()
    with serving(world, "--server", kind, "--workers", "2", "--metrics", f"127.0.0.1:{port}") as (_, url):
        for _ in range(5):
            fetched(f"{url}/metadata/timestamp.json")
        with pytest.raises(urllib.error.HTTPError):
            fetched(f"{url}/metadata/secret-name-of-a-client.json")
        with pytest.raises(urllib.error.HTTPError):
            fetched(f"{url}/metrics")
        text = fetched(f"http://127.0.0.1:{port}/metrics")
    assert 'skillrepo_requests_total{code="2xx",part="files"} 5.0' in text
    assert 'part="files"' in text
    assert 'code="4xx"' in text
    assert "secret-name-of-a-client" not in text
    assert 'skillrepo_releases{state="published"} 1.0' in text


def test_a_taken_port_is_said_and_nothing_is_served(world: World) -> None:
    pytest.importorskip("prometheus_client")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with serving(world, "--metrics", f"127.0.0.1:{taken.getsockname()[1]}") as (process, url):
            assert url == ""
            assert process.wait(30) == 6


def test_who_counts_ends_with_a_service_that_was_killed(world: World) -> None:
    pytest.importorskip("prometheus_client")
    port = free_port()
    with serving(world, "--metrics", f"127.0.0.1:{port}") as (process, _):
        fetched(f"http://127.0.0.1:{port}/metrics")
        process.kill()
        process.wait(30)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except ConnectionRefusedError:
                break
            time.sleep(0.1)
        else:
            pytest.fail("the metrics outlive their service")


def test_nothing_is_counted_where_nobody_adds_it_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from repo_server.web import counting
    from repo_server.web.local import create_local_app

    monkeypatch.delenv(counting.VARIABLE, raising=False)
    app = create_local_app(world.repository.folder)
    before = len(app.after_request_funcs.get(None, []))
    counting.count_requests(app)
    assert len(app.after_request_funcs.get(None, [])) == before
