"""`hive serve`, `register-agent`, `agents`, `submit`, `jobs` and `worker`, as an operator uses them."""

import contextlib
import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hive.db.session import open_engine
from tests.hive.agents.hall import Hall
from tests.hive.agents.serving import HIVE, answer, environment, hive, serving
from tests.skills.agent_home import wait_until
from tests.support import postgres

CAPABILITY = ("--capability", "image-render")
ECHO = "import json, sys; job = json.load(sys.stdin); print(json.dumps({'seen': job['payload']}))"
LEAK = "import os, sys, json; sys.stdin.read(); print(json.dumps(dict(os.environ)))"


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "hive.db"


@pytest.fixture
def hall(db: Path) -> Iterator[Hall]:
    engine = open_engine(f"sqlite:///{db}")
    yield Hall(engine)
    engine.dispose()


@pytest.fixture
def token(db: Path, tmp_path: Path) -> Path:
    """The token file of a lane that an operator registered."""
    path = tmp_path / "lane.token"
    answer(hive(db, "--json", "register-agent", "lane", *CAPABILITY, "--token-file", str(path)))
    return path


def work(url: str, token: Path, *words: str, command: list[str]) -> "subprocess.Popen[str]":
    given = ["--agent", "lane", *CAPABILITY, "--url", url, "--token-file", str(token), "--wait", "1"]
    return subprocess.Popen(
        [*HIVE, "worker", *given, *words, "--", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(HIVE_PLANTED="secret"),
    )


def finish(process: "subprocess.Popen[str]") -> list[dict[str, object]]:
    process.terminate()
    out, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors, errors
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.slow
def test_a_lane_is_registered_and_works(db: Path, hall: Hall, token: Path) -> None:
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    with serving(db, "--heartbeat", "0.5") as url:
        process = work(url, token, command=[sys.executable, "-c", ECHO])
        try:
            job = hall.submit("image-render", payload={"page": 1})
            wait_until(lambda: hall.job(job).state == "done")
            listed = answer(hive(db, "--json", "agents"))["agents"]
        finally:
            lines = finish(process)
    assert [(agent["agent"], agent["alive"], agent["capabilities"]) for agent in listed] == [
        ("lane", True, ["image-render"])
    ]
    shown = answer(hive(db, "--json", "jobs", "show", job))
    assert (shown["state"], shown["result"]) == ("done", {"seen": {"page": 1}})
    assert [one["agent"] for one in shown["history"]] == ["lane"]
    assert [line["event"] for line in lines] == ["registered", "job"]


@pytest.mark.slow
def test_a_command_sees_no_secret_and_its_limits_are_kept(db: Path, hall: Hall, token: Path) -> None:
    with serving(db) as url:
        leak = hall.submit("image-render")
        process = work(url, token, command=[sys.executable, "-c", LEAK])
        wait_until(lambda: hall.job(leak).state == "done")
        finish(process)
        assert "HIVE_" not in (hall.job(leak).result or "")
        loud = hall.submit("image-render")
        program = "import sys\nwhile True: sys.stdout.write('x' * 65536)"
        process = work(url, token, "--output-limit", "100000", command=[sys.executable, "-c", program])
        wait_until(lambda: hall.job(loud).state == "dead")
        finish(process)
        assert "wrote more than 100000 bytes" in hall.job(loud).reason
        slow = hall.submit("image-render")
        process = work(url, token, "--time-limit", "0.5", command=["sleep", "60"])
        wait_until(lambda: hall.job(slow).state == "dead")
        finish(process)
        assert "ran longer than 0.5 seconds" in hall.job(slow).reason
        bad = hall.submit("image-render")
        process = work(url, token, command=["false"])
        wait_until(lambda: hall.job(bad).state == "dead")
        finish(process)
        assert hall.job(bad).reason == "the command ended with status 1"


@pytest.mark.slow
@pytest.mark.parametrize(
    "program",
    ["print(chr(1) * 300_000, end='')", "print('{\"a\":' * 32 + '1' + '}' * 32)"],
    ids=["six-times-as-long-in-json", "nested-to-the-limit"],
)
def test_a_result_that_the_hive_does_not_take_is_a_failure_and_the_lane_goes_on(
    db: Path, hall: Hall, token: Path, tmp_path: Path, program: str
) -> None:
    """It was left unsaid, and the command was run again when the lease had run out, until no attempts were left."""
    ran = tmp_path / "ran"
    with serving(db) as url:
        job = hall.submit("image-render")
        counted = f"import sys; sys.stdin.read(); open({str(ran)!r}, 'a').write('x'); {program}"
        process = work(url, token, "--output-limit", "700000", command=[sys.executable, "-c", counted])
        wait_until(lambda: hall.job(job).state == "dead")
        again = hall.submit("image-render")
        wait_until(lambda: hall.job(again).state == "dead")
        lines = finish(process)
    assert "does not take this result" in hall.job(job).reason
    assert ran.read_text() == "xx"
    assert [line.get("outcome") for line in lines] == [None, "fail", "fail"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_eighty_that_wait_keep_no_heartbeat_from_its_answer(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    """Every thread of the service has a claim, and most of them sleep: signs of life still get through at once."""
    with contextlib.ExitStack() as stack:
        db, url = str(tmp_path / "hive.db"), f"sqlite:///{tmp_path / 'hive.db'}"
        if kind == "postgresql":
            server = request.getfixturevalue("postgres_server")
            db = url = stack.enter_context(postgres.database(server, "eighty", template="empty"))
        engine = open_engine(url)
        stack.callback(engine.dispose)
        hall = Hall(engine)
        tokens = {f"lane{number}": hall.lane(f"lane{number}", "render") for number in range(80)}
        where = stack.enter_context(serving(db, HIVE_STATE=str(tmp_path / "state")))
        threads = stack.enter_context(ThreadPoolExecutor(80))
        claims = [threads.submit(_claim, where, name, token) for name, token in tokens.items()]
        time.sleep(3)
        slowest = 0.0
        for name, token in list(tokens.items())[:25]:
            began = time.monotonic()
            assert _post(where, "/v1/agents/heartbeat", token, {"agent": name}) == (200, {"state": "active"})
            slowest = max(slowest, time.monotonic() - began)
        statuses = Counter(claim.result(60) for claim in claims)
    assert slowest < 5  # milliseconds, on a machine that does nothing else
    assert statuses == {
        204: 64,
        503: 16,
    }  # those that found no place were told so, and not left to wait for one


def _claim(where: str, name: str, token: str) -> int:
    body = {"agent": name, "capabilities": ["render"], "wait_seconds": 20}
    return _post(where, "/v1/jobs/claim", token, body)[0]


def _post(where: str, path: str, token: str, body: dict[str, Any]) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(where.removeprefix("http://"), timeout=60)
    try:
        connection.request("POST", path, json.dumps(body), {"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        data = answer.read()
        return answer.status, json.loads(data) if data else None
    finally:
        connection.close()


@pytest.mark.slow
def test_a_lost_lease_kills_the_command_and_what_it_started(
    db: Path, hall: Hall, token: Path, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    program = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '300'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}\\n')\n"
        "time.sleep(300)\n"
    )
    with serving(db, "--heartbeat", "0.5") as url:
        job = hall.submit("image-render", lease_seconds=0.9)
        process = work(url, token, command=[sys.executable, "-c", program])
        try:
            wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"))
            assert answer(hive(db, "--json", "jobs", "cancel", job))["state"] == "cancelled"
            wait_until(lambda: not any(_runs(int(pid)) for pid in pids.read_text().split()))
        finally:
            lines = finish(process)
    assert [line.get("outcome") for line in lines] == [None, "lost"]
    assert hall.outcomes(job) == ["cancelled"]


def _runs(pid: int) -> bool:
    done = subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()[:1] not in {"", "Z"}


@pytest.mark.slow
def test_a_failure_is_seen_also_where_children_are_ignored(db: Path, hall: Hall, token: Path) -> None:
    """A supervisor that ignores SIGCHLD hands that on; the system would forget how the command ended."""
    with serving(db) as url:
        job = hall.submit("image-render")
        ours = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            process = work(url, token, "--once", command=["sh", "-c", "exit 3"])
        finally:
            signal.signal(signal.SIGCHLD, ours)
        out, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors, errors
    assert [json.loads(line).get("outcome") for line in out.splitlines()][-1] == "fail"
    assert hall.outcomes(job) == ["failed"]


@pytest.mark.slow
def test_a_worker_that_waits_ends_at_once(db: Path, hall: Hall, token: Path) -> None:
    with serving(db) as url:
        process = work(url, token, "--wait", "60", command=["true"])
        assert process.stdout is not None
        assert "registered" in process.stdout.readline()
        time.sleep(1)
        process.terminate()
        began = time.monotonic()
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
        assert time.monotonic() - began < 20


@pytest.mark.slow
def test_a_banned_lane_ends(db: Path, hall: Hall, token: Path) -> None:
    with serving(db, "--heartbeat", "0.3") as url:
        process = work(url, token, command=["true"])
        wait_until(lambda: answer(hive(db, "--json", "agents"))["agents"][0]["alive"])
        answer(hive(db, "--json", "agents", "ban", "lane", "--reason", "odd"))
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 12, errors
        process = work(url, token, command=["true"])
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 12
    assert out == ""
    assert token.read_text().strip() not in errors
    again = hive(db, "register-agent", "lane", *CAPABILITY)
    assert again.returncode == 12
    assert "banned" in again.stderr


@pytest.mark.slow
def test_metrics_are_on_a_port_of_their_own_and_name_nobody(db: Path, hall: Hall) -> None:
    pytest.importorskip("prometheus_client")
    hall.tenant("acme")
    hall.lane("lane", "render")
    hall.submit("render", tenant="acme")
    texts = []
    for more in ((), ("--metrics-names",)):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with serving(db, "--metrics", f"127.0.0.1:{port}", *more) as url:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as reply:
                texts.append(reply.read().decode())
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(f"{url}/metrics", timeout=20)
    assert 'hive_jobs{state="ready"} 1.0' in texts[0]
    assert 'hive_agents{standing="alive"} 1.0' in texts[0]
    assert "acme" not in texts[0]
    assert 'hive_jobs{state="ready",tenant="acme"} 1.0' in texts[1]


@pytest.mark.slow
def test_a_socket_has_its_mode_and_goes_with_the_service(db: Path, hall: Hall, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o711)
    path = folder / "hive.sock"
    for mode, word in ((0o600, "0600"), (0o660, "0660")):
        with serving(db, "--socket-mode", word, listen=f"unix:{path}"):
            assert stat.S_IMODE(path.stat().st_mode) == mode
            second = hive(db, "serve", "--listen", f"unix:{path}")
            assert second.returncode == 4
        assert not path.exists()
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()  # what a killed service leaves
    with serving(db, listen=f"unix:{path}"):
        pass


@pytest.mark.parametrize(
    ("listen", "status"),
    [
        ("0.0.0.0:8099", 2),
        ("[::]:8099", 2),
        ("192.0.2.1:8099", 2),
        ("localhost", 10),
        ("127.0.0.1:99999", 10),
        ("127.0.0.1:+80", 10),
        ("unix:relative.sock", 10),
        ("unix:/a/../b.sock", 10),
        ("unix:/" + "x" * 120, 10),
    ],
)
def test_only_this_machine_is_listened_to(db: Path, hall: Hall, listen: str, status: int) -> None:
    done = hive(db, "--json", "serve", "--listen", listen)
    assert done.returncode == status
    assert json.loads(done.stdout)["ok"] is False


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
def test_a_socket_in_a_folder_of_others_is_refused(db: Path, hall: Hall, tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(mode)
    done = hive(db, "serve", "--listen", f"unix:{folder}/hive.sock")
    assert done.returncode == 6
    assert list(folder.iterdir()) == []


def test_jobs_from_submission_to_retry(db: Path, hall: Hall, tmp_path: Path) -> None:
    hall.tenant("acme")
    file = tmp_path / "payload.json"
    file.write_text('{"page": 1.5}')
    given = ["--kind", "render", "--need", "image-render", "--need", "gpu", "--tenant", "acme"]
    job = answer(hive(db, "--json", "submit", *given, "--payload", str(file), "--priority", "3"))["job"]
    listed = answer(hive(db, "--json", "jobs", "--state", "ready"))["jobs"]
    assert [(one["id"], one["needs"], one["priority"]) for one in listed] == [
        (job, ["gpu", "image-render"], 3)
    ]
    assert answer(hive(db, "--json", "jobs", "cancel", job))["state"] == "cancelled"
    assert hive(db, "jobs", "cancel", job).returncode == 4
    assert hive(db, "jobs", "approve", job).returncode == 4
    assert answer(hive(db, "--json", "jobs", "retry", job))["state"] == "ready"
    assert answer(hive(db, "--json", "jobs", "show", job))["id"] == job
    assert hive(db, "jobs", "show", "j-" + "0" * 20).returncode == 3
    assert hive(db, "jobs", "show", "../x").returncode == 10
    events = [event for event in hall.events() if event.startswith("job.")]
    assert events == ["job.submitted", "job.cancelled", "job.retried"]


def test_a_token_is_written_to_a_new_private_file_and_nowhere_else(db: Path, tmp_path: Path) -> None:
    path = tmp_path / "lane.token"
    words = ("register-agent", "lane", *CAPABILITY, "--token-file", str(path))
    done = hive(db, *words)
    assert done.returncode == 0
    first = path.read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first not in done.stdout + done.stderr
    assert hive(db, *words).returncode == 4
    assert path.read_text().strip() == first
    path.unlink()
    assert hive(db, *words).returncode == 0
    assert path.read_text().strip() == first  # made again from the key; nobody kept it
    path.unlink()
    assert hive(db, *words, "--rotate").returncode == 0
    assert path.read_text().strip() != first
    key = tmp_path / "hive.state" / "agent-token.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.chmod(0o644)
    path.unlink()
    assert hive(db, *words).returncode == 7


@pytest.mark.parametrize("what", ["open", "link", "missing", "folder", "fifo"])
def test_a_token_file_that_is_not_safe_is_not_read(tmp_path: Path, what: str) -> None:
    path = tmp_path / "token"
    if what == "open":
        path.write_text("x" * 43)
        path.chmod(0o640)
    elif what == "link":
        (tmp_path / "real").write_text("x" * 43)
        (tmp_path / "real").chmod(0o600)
        path.symlink_to("real")
    elif what == "folder":
        path.mkdir(mode=0o700)
    elif what == "fifo":
        os.mkfifo(path, 0o600)
    process = work("http://127.0.0.1:9", path, "--once", command=["true"])
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 7, errors


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("http://hive.example:8099", 12),
        ("ftp://127.0.0.1/", 10),
        ("http://user@127.0.0.1/", 10),
        ("http://127.0.0.1:9", 5),
    ],
)
def test_a_token_goes_to_no_other_machine_in_clear(tmp_path: Path, url: str, status: int) -> None:
    path = tmp_path / "token"
    path.write_text("x" * 43)
    path.chmod(0o600)
    process = work(url, path, "--once", command=["true"])
    out, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    assert "xxx" not in out + errors


@pytest.mark.slow
def test_a_slow_client_does_not_stop_others(db: Path, hall: Hall) -> None:
    """Headers that never end, and bodies that are announced and never come."""
    token = hall.lane("lane", "render")
    with serving(db) as url:
        port = int(url.rpartition(":")[2])
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(150)]
        for number, one in enumerate(idle):
            head = b"POST /v1/agents/heartbeat HTTP/1.1\r\nHost: x\r\n"
            one.sendall(head + (b"Content-Length: 1000\r\n\r\n{" if number % 2 else b"X-"))
        began = time.monotonic()
        request = urllib.request.Request(
            f"{url}/v1/agents/heartbeat",
            data=b'{"agent": "lane"}',
            headers={"Authorization": f"Bearer {token}"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=20) as reply:
            assert json.load(reply) == {"state": "active"}
        assert time.monotonic() - began < 15
        for one in idle:
            one.close()


@pytest.mark.slow
def test_a_request_that_arrives_too_slowly_is_cut_off(db: Path, hall: Hall) -> None:
    with serving(db) as url, socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as slow:
        slow.sendall(b"POST /v1/agents/heartbeat HTTP/1.1\r\nHost: x\r\nX-")
        slow.settimeout(1)
        began = time.monotonic()
        while time.monotonic() - began < 60:
            try:
                slow.sendall(b"x")  # never idle
                if slow.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - began < 50


@pytest.mark.slow
def test_a_client_that_goes_away_while_it_waits_is_given_nothing(db: Path, hall: Hall) -> None:
    token = hall.lane("lane", "render")
    with serving(db) as url:
        port = int(url.rpartition(":")[2])
        body = b'{"agent": "lane", "capabilities": ["render"], "wait_seconds": 60}'
        with socket.create_connection(("127.0.0.1", port)) as waiting:
            waiting.sendall(
                b"POST /v1/jobs/claim HTTP/1.1\r\nHost: x\r\n"
                + f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            time.sleep(1.5)
        time.sleep(2.5)
        job = hall.submit("render")
        time.sleep(2.5)
        assert hall.job(job).state == "ready"


def test_help_needs_neither_flask_nor_waitress() -> None:
    program = (
        "import sys\n"
        "from hive.cli import cli\n"
        "for name in cli.list_commands(None):\n"
        "    if name in ('serve', 'agents', 'jobs', 'worker', 'submit', 'register-agent'):\n"
        "        cli.get_command(None, name)\n"
        "print([name for name in ('flask', 'waitress', 'prometheus_client') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
