"""The mother skill against those who mean harm: a hive that lies, stalls or floods, and whoever else is in the jail."""

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.skills.agent_home import MOTHER, TOKEN, AgentHome, alive, load_mother, wait_until
from tests.skills.hive_stand_in import Hive, hanging

mother = load_mother()
exchanging, running, talking = (import_module(f"mother.{name}") for name in ("exchange", "running", "main"))

JOB = {
    "id": "j-1",
    "kind": "render",
    "needs": ["image-render"],
    "payload": 1,
    "lease_seconds": 30,
    "fence": 4,
}
SLEEPER = 'echo $$ > "$0"; sleep 30 & echo $! >> "$0"; wait'


def noted(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split()] if file.exists() else []


@contextlib.contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A peer that does what it likes with each connection; yields where it listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    one, _ = listener.accept()
                    threading.Thread(target=handle, args=(one,), daemon=True).start()

        def handle(one: socket.socket) -> None:
            with contextlib.suppress(OSError), one:
                serve(one)

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def flooding(prefix: bytes, again: bytes) -> Callable[[socket.socket], None]:
    def flood(one: socket.socket) -> None:
        one.recv(1 << 16)
        one.sendall(prefix)
        while True:
            one.sendall(again * 1000)

    return flood


def asks(agent: AgentHome, url: str) -> None:
    agent.write_secrets(f"HIVE_URL={url}\nHIVE_TOKEN={TOKEN}\n")


# --- a peer in the hive's place -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "again", "code"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "unreachable"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y", "malformed"),
        (b"HTTP/1.1 ", b"2", "malformed"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"{", "malformed"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"64\r\n" + b"{" * 100 + b"\r\n",
            "malformed",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"f", "malformed"),
    ],
    ids=["continues", "headers", "header", "status", "body", "chunks", "chunk-size"],
)
def test_a_flood_is_bounded(agent: AgentHome, prefix: bytes, again: bytes, code: str):
    with listening(flooding(prefix, again)) as at:
        asks(agent, f"http://{at}")
        done = agent.mother("register", "--timeout", "5")
    assert done.code == code
    assert done.seconds < 15


def test_a_truncated_answer_is_none(agent: AgentHome):
    def half(one: socket.socket) -> None:
        one.recv(1 << 16)
        one.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"agent":"acme","heartbeat_seconds":30}')

    with listening(half) as at:
        asks(agent, f"http://{at}")
        assert agent.mother("register").status == 5


def test_a_handshake_that_never_ends_is_given_up(agent: AgentHome):
    heard = bytearray()

    def mute(one: socket.socket) -> None:
        while chunk := one.recv(1 << 16):
            heard.extend(chunk)

    with listening(mute) as at:
        asks(agent, f"https://{at}")
        done = agent.mother("register", "--timeout", "3")
        assert (done.status, done.code) == (5, "unreachable")
        assert done.seconds < 9.5
    assert heard
    assert TOKEN.encode() not in heard


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody vouches for, with its key."""
    import ipaddress

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hive")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "hive.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    return file


def test_a_certificate_of_nobody_is_not_verified_and_gets_no_token(agent: AgentHome, certificate: Path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    read: list[bytes] = []

    def serve(one: socket.socket) -> None:
        with context.wrap_socket(one, server_side=True) as tls:
            read.append(tls.recv(1 << 16))

    with listening(serve) as at:
        asks(agent, f"https://{at}")
        done = agent.mother("register")
    assert (done.status, done.code) == (11, "not-verified")
    assert b"".join(read) == b""


@pytest.mark.parametrize("way", ["ours", "naive"])
def test_a_line_that_is_cut_while_somebody_writes_stays_sealed(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, way: str
):
    """`SSLSocket.shutdown` forgets its keys before it shuts: what is written at that moment goes out in clear."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    ours, theirs = socket.socketpair()
    wire = bytearray()

    def relay() -> None:  # reads what is on the wire, and answers the handshake
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = context.wrap_bio(incoming, outgoing, server_side=True)
        with contextlib.suppress(OSError):
            while chunk := theirs.recv(1 << 16):
                wire.extend(chunk)
                incoming.write(chunk)
                with contextlib.suppress(OSError):
                    peer.do_handshake()
                with contextlib.suppress(OSError):
                    theirs.sendall(outgoing.read())

    thread = threading.Thread(target=relay)
    thread.start()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(certificate)
    with theirs, client.wrap_socket(ours, server_hostname="127.0.0.1") as tls:
        real = socket.socket.shutdown

        def shutdown(one: socket.socket, how: int) -> None:
            tls.send(b"Bearer " + TOKEN.encode())  # another thread, in the middle of its request
            real(one, how)

        monkeypatch.setattr(socket.socket, "shutdown", shutdown, raising=False)
        if way == "naive":
            tls.shutdown(socket.SHUT_RDWR)
        else:
            line = exchanging._Line()
            line.hold(tls)
            line.cut()
        thread.join(10)
    assert (TOKEN.encode() in wire) is (way == "naive")


def test_what_was_given_up_is_not_sent_later(agent: AgentHome, hive: Hive):
    """A name server may answer after the time is over; the request must not follow then."""
    line = exchanging._Line()
    line.cut()
    at = mother.parse_endpoint(hive.url)
    with pytest.raises(mother.UnreachableError):
        exchanging._talk(exchanging._Connection(at, line, 5), "/v1/jobs/claim", b"{}", {})
    assert hive.asked == []


def test_a_hive_that_answers_at_once_is_not_asked_without_end(agent: AgentHome, hive: Hive):
    hive.answers["/v1/agents/register"] = (200, {"agent": "acme", "heartbeat_seconds": 0.000001})
    hive.answers["/v1/jobs/claim"] = (204, None)
    process = agent.start("run", command=["true"])
    wait_until(lambda: "/v1/jobs/claim" in hive.paths())
    before, began = len(hive.asked), time.monotonic()
    time.sleep(1.5)
    asked, seconds = len(hive.asked) - before, time.monotonic() - began
    process.send_signal(signal.SIGTERM)
    assert agent.finish(process).status == 0
    assert 2 <= asked <= 16 * seconds


@pytest.mark.parametrize("state", ["active", "quarantined"])
def test_a_hive_that_wants_heartbeats_without_end_gets_few(agent: AgentHome, hive: Hive, state: str):
    hive.answers["/v1/agents/register"] = (200, {"agent": "acme", "heartbeat_seconds": 0.000001})
    hive.answers["/v1/agents/heartbeat"] = (200, {"state": state})
    hive.jobs.append(JOB)
    process = agent.start("run", command=["sleep", "30"])
    wait_until(lambda: len(hive.asked) >= 3)
    before, began = len(hive.asked), time.monotonic()
    time.sleep(1)
    asked, seconds = len(hive.asked) - before, time.monotonic() - began
    process.send_signal(signal.SIGTERM)
    assert agent.finish(process).status == 0
    assert 2 <= asked <= 12 * seconds


@pytest.mark.parametrize(
    "payload",
    ["[" * 70 + "]" * 70, '{"a":' * 70 + "1" + "}" * 70, "9" * 26, "1e999", "-Infinity"],
)
def test_a_payload_that_could_not_be_passed_on_is_no_job(payload: str):
    text = '{"job": {"payload": ' + payload + "}}"
    with pytest.raises(mother.MalformedError):
        mother.parse_object(text.encode(), what="it")


def test_a_refused_token_is_said_and_ends_a_run(agent: AgentHome, hive: Hive):
    hive.answers["/v1/agents/heartbeat"] = (401, {"error": {"code": TOKEN, "message": TOKEN}})
    done = agent.finish(agent.start("run", command=["true"]))
    assert done.status == 12
    assert done.lines[-1]["error"]["code"] == "not-allowed"
    assert "does not accept the token" in done.stderr
    assert "provision" in done.lines[-1]["error"]["hint"]


def test_a_lock_record_of_another_tenant_is_refused_by_the_hive_and_explained(agent: AgentHome, hive: Hive):
    hive.answers["/v1/agents/register"] = lambda handler, body: (
        403 if body["tenant"] != "acme" else 200,
        {"agent": body["agent"], "heartbeat_seconds": 30},
    )
    assert agent.mother("register").status == 0
    agent.record["tenant"] = "beta"
    agent.write_lock()
    done = agent.finish(agent.start("run", command=["true"]))
    assert done.status == 12
    assert "lock record" in done.lines[-1]["error"]["hint"]
    assert hive.paths() == ["/v1/agents/register"] * 2


# --- jobs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_result_that_the_hive_does_not_take_is_a_failure(agent: AgentHome, hive: Hive, status: int):
    hive.jobs.append(JOB)
    hive.answers["/v1/jobs/j-1/complete"] = (status, None)
    done = agent.mother("poll", "--once", command=["echo", '{"a": "\\ud800"}'])
    assert (done.status, done.answer["outcome"]) == (0, "failed")
    reason = "the hive does not take the command's result"
    assert hive.bodies("/v1/jobs/j-1/fail") == [{"fence": 4, "reason": reason, "retry": False}]


def test_an_answer_lost_on_its_way_back_is_not_taken_for_a_lost_lease(agent: AgentHome, hive: Hive):
    """The hive has ended the job: it answers renewals with 409 from then on, and a repetition as the first time."""
    hive.jobs.append({**JOB, "lease_seconds": 4.5})
    told = threading.Event()

    def complete(handler: object, body: object) -> tuple[int, object]:
        if told.is_set():
            return 200, {}
        told.set()
        time.sleep(2)
        return 503, None

    hive.answers["/v1/jobs/j-1/complete"] = complete
    hive.answers["/v1/jobs/j-1/heartbeat"] = lambda *_: (409, None) if told.is_set() else (200, {})
    done = agent.mother("poll", "--once", command=["true"])
    assert (done.status, done.answer["outcome"]) == (0, "completed")
    assert len(hive.bodies("/v1/jobs/j-1/complete")) == 2


def test_being_told_to_stop_is_not_held_up_by_a_hive_that_hangs(agent: AgentHome, hive: Hive):
    hive.jobs.append(JOB)
    hive.answers["/v1/jobs/j-1/fail"] = hanging
    file = agent.folder / "pids"
    process = agent.start("run", "--timeout", "0.5", command=["sh", "-c", SLEEPER, str(file)])
    wait_until(lambda: len(noted(file)) == 2)
    process.send_signal(signal.SIGTERM)
    done = agent.finish(process)
    assert (done.status, done.lines[-1]["event"]) == (0, "stopped")
    assert done.seconds < 10
    assert len(hive.bodies("/v1/jobs/j-1/fail")) == 2
    assert "job j-1 is not answered, and is free again when its lease runs out" in done.stderr
    wait_until(lambda: not any(map(alive, noted(file))))


def test_a_terminal_that_goes_away_leaves_no_command_behind(agent: AgentHome, hive: Hive):
    hive.jobs.append(JOB)
    file = agent.folder / "pids"
    ours = signal.signal(
        signal.SIGHUP, signal.SIG_DFL
    )  # else who runs the tests by nohup lets mother ignore it
    try:
        process = agent.start("run", command=["sh", "-c", SLEEPER, str(file)])
    finally:
        signal.signal(signal.SIGHUP, ours)
    wait_until(lambda: len(noted(file)) == 2)
    process.send_signal(signal.SIGHUP)
    assert agent.finish(process).status == 0
    assert [body["retry"] for body in hive.bodies("/v1/jobs/j-1/fail")] == [True]
    wait_until(lambda: not any(map(alive, noted(file))))


def test_a_command_that_cannot_be_ended_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(running, "PATIENCE", 0.2)
    monkeypatch.setattr(running.Running, "_signal", lambda *_: None)  # as if it had another user's rights
    one = running.Running(["sleep", "30"], b"", output_limit=100)
    try:
        began = time.monotonic()
        assert one.end(gently=False) == -signal.SIGKILL
        assert time.monotonic() - began < 8
        assert one.end(gently=False) == -signal.SIGKILL
    finally:
        one._process.kill()
        one._process.wait()


def test_a_command_that_cannot_be_watched_does_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A command can use up all threads of its jail; the next one would run without limits."""
    file = tmp_path / "pids"
    begin = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread._target.__name__ == "_drain":
            wait_until(lambda: noted(file))
            raise RuntimeError("can't start new thread")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError):
        running.Running(["sh", "-c", 'echo $$ > "$0"; sleep 30', str(file)], b"", output_limit=100)
    assert not alive(noted(file)[0])


# --- whoever else is in the jail, and the machine below it -----------------------------------------------------


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
@pytest.mark.parametrize("name", ["soul", "lock"])
def test_what_others_may_write_to_is_no_identity(agent: AgentHome, hive: Hive, name: str, mode: int):
    getattr(agent, name).chmod(mode)
    with pytest.raises(mother.NotVerifiedError, match="may write to"):
        mother.load_identity(agent.home, agent.lock)


def test_no_word_goes_out_for_an_identity_that_others_may_write_to(agent: AgentHome, hive: Hive):
    agent.lock.chmod(0o666)
    assert agent.mother("register").status == 11
    assert hive.asked == []


@pytest.mark.parametrize("name", ["soul", "lock"])
def test_an_identity_behind_a_link_is_refused(agent: AgentHome, name: str):
    path = getattr(agent, name)
    path.rename(agent.folder / "real")
    path.symlink_to(agent.folder / "real")
    with pytest.raises(mother.NotFoundError):
        mother.load_identity(agent.home, agent.lock)


def test_a_lock_record_that_vouches_for_no_soul_is_refused(agent: AgentHome, hive: Hive):
    del agent.record["soul_sha256"]
    agent.write_lock()
    assert agent.mother("register").status == 10
    assert hive.asked == []


@pytest.mark.parametrize("verb", ["secrets", "register", "heartbeat", "poll", "run"])
@pytest.mark.parametrize("trick", ["symlink", "mode", "second-name", "cut-short"])
def test_unsafe_secrets_are_used_by_no_verb(agent: AgentHome, hive: Hive, verb: str, trick: str):
    real = agent.folder / "real"
    if trick == "symlink":
        agent.secrets.rename(real)
        agent.secrets.symlink_to(real)
    elif trick == "mode":
        agent.secrets.chmod(0o644)
    elif trick == "second-name":
        os.link(agent.secrets, real)
    else:
        agent.write_secrets(f"HIVE_URL={hive.url}\nHIVE_TOKEN={TOKEN}")
    options = ["--once"] if verb == "poll" else []
    done = agent.mother(verb, *options, command=["true"] if verb in {"poll", "run"} else None)
    assert done.status == (10 if trick == "cut-short" else 7)
    assert hive.asked == []


def test_secrets_that_become_unsafe_end_a_run(agent: AgentHome, hive: Hive):
    process = agent.start("run", "--wait", "0.2", command=["true"])
    wait_until(lambda: "/v1/jobs/claim" in hive.paths())
    agent.secrets.chmod(0o644)
    done = agent.finish(process)
    assert done.status == 7
    assert done.lines[-1]["error"]["code"] == "secret-not-available"
    asked = len(hive.asked)
    time.sleep(0.3)
    assert len(hive.asked) == asked


@pytest.mark.parametrize("jump", [-400_000_000, 400_000_000])
def test_a_clock_that_jumps_neither_loses_nor_keeps_a_lease(
    agent: AgentHome, hive: Hive, monkeypatch: pytest.MonkeyPatch, jump: int
):
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump * (int(real() * 10) % 2))
    monkeypatch.setenv("HOME", str(agent.home))
    stop = threading.Event()
    api = mother.Hive(agent.home, timeout=5, stop=stop)
    identity = mother.load_identity(agent.home, agent.lock)
    limits = mother.Limits(20, 1000)
    worker = mother.Worker(api, identity, identity.capabilities, ["sleep", "1.5"], limits)
    hive.jobs.append({**JOB, "lease_seconds": 1.2})
    assert worker.take_one(wait=1)["outcome"] == "completed"
    assert len(hive.bodies("/v1/jobs/j-1/heartbeat")) >= 3
    hive.jobs.append({**JOB, "id": "j-2", "lease_seconds": 0.3})
    hive.answers["/v1/jobs/j-2/heartbeat"] = (503, None)
    assert worker.take_one(wait=1)["outcome"] == "lost"
    assert hive.bodies("/v1/jobs/j-2/complete") == []


def test_a_failure_is_seen_also_where_children_are_ignored(agent: AgentHome, hive: Hive):
    hive.jobs.append(JOB)
    poll = agent.argv("poll", "--once", command=["sh", "-c", "exit 3"])
    ignoring = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-c", ignoring, *poll]
    done = subprocess.run(command, env=agent.environment(), capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
    assert [body["reason"] for body in hive.bodies("/v1/jobs/j-1/fail")] == [
        "the command ended with status 3"
    ]


def test_nobody_reading_the_answers_ends_it(agent: AgentHome, hive: Hive):
    process = agent.start("run", command=["true"])
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    with process, process.stderr:
        hive.jobs.append(JOB)
        assert process.wait(30) == 130
        assert process.stderr.read() == b"mother: nobody reads the answers any more\n"


def test_what_is_said_does_not_go_where_answers_are_read(agent: AgentHome):
    """With stderr closed, print() would write to stdout."""
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *agent.argv("secrets")]
    agent.secrets.unlink()
    done = subprocess.run(command, env=agent.environment(), stdout=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 7
    assert len(done.stdout.splitlines()) == 1


def test_a_bug_is_told_without_what_it_was_about(
    agent: AgentHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def broken(_: object) -> int:
        raise ValueError(f"Invalid header value b'Bearer {TOKEN}'")

    monkeypatch.setitem(talking.COMMANDS, "secrets", broken)
    assert talking.main(["secrets"]) == 1
    out, err = capsys.readouterr()
    assert TOKEN not in out + err
    assert "ValueError, noticed in test_mother_hostile.py, line" in out


def test_a_folder_that_must_stay_as_it_was_signed_does(agent: AgentHome, tmp_path: Path):
    """Whatever lies in the folder that it is started from."""
    folder = tmp_path / "skill"
    shutil.copytree(MOTHER.parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in sorted(folder.rglob("*"), reverse=True):
        path.chmod(0o555 if path.is_dir() else 0o444)
    folder.chmod(0o555)
    for planted in ("json.py", "fields.py", "mother.py"):
        (agent.folder / planted).write_text("raise SystemExit('planted')")
    before = sorted(folder.rglob("*"))
    for words in (
        [sys.executable, "-I", "-B", str(folder / "mother")],
        ["sh", str(folder / "mother.sh")],
    ):
        done = subprocess.run(
            [*words, "identity", "--lock", str(agent.lock)],
            env=agent.environment(),
            cwd=agent.folder,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert agent.checked(done.returncode, done.stdout, done.stderr, 0).answer["tenant"] == "acme"
    assert sorted(folder.rglob("*")) == before
