"""The mother skill against a hive: the good day, and a hive that is slow, wrong, hostile or of another opinion."""

import json
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.skills.agent_home import DIGEST, TOKEN, AgentHome, alive, load_mother, wait_until
from tests.skills.hive_stand_in import Hive, dripping, hanging, redirecting, serving

mother = load_mother()

ECHO = [sys.executable, "-I", "-c", "import sys, json; print(json.dumps({'got': json.load(sys.stdin)}))"]
SLEEPER = 'echo $$ > "$0"; sleep 30 & echo $! >> "$0"; wait'  # sh -c SLEEPER FILE: two processes, both noted


def job(**changes: object) -> dict[str, object]:
    facts = {"id": "j-1", "kind": "render", "needs": ["image-render"], "payload": {"text": "grüß"}}
    return {**facts, "lease_seconds": 30, "fence": 4, **changes}


def sleeper(file: Path) -> list[str]:
    return ["sh", "-c", SLEEPER, str(file)]


def noted(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def test_register_heartbeat_poll_complete(agent: AgentHome, hive: Hive):
    hive.jobs.append(job())
    assert agent.mother("register").answer["heartbeat_seconds"] == 30
    assert agent.mother("heartbeat").answer["state"] == "active"
    done = agent.mother("poll", "--once", command=ECHO)
    assert done.status == 0
    assert done.answer == {"ok": True, "job": "j-1", "kind": "render", "outcome": "completed"}
    assert hive.asked[0].body == {
        "agent": "acme",
        "tenant": "acme",
        "capabilities": ["image-render", "web-search"],
        "skills": [{"name": "mother", "version": "1.0.0", "tree_sha256": DIGEST}],
    }
    assert {one.authorization for one in hive.asked} == {f"Bearer {TOKEN}"}
    shown = {"id": "j-1", "kind": "render", "needs": ["image-render"], "payload": {"text": "grüß"}}
    assert hive.bodies("/v1/jobs/j-1/complete") == [{"fence": 4, "result": {"got": shown}}]


def test_over_a_unix_socket(tmp_path: Path):
    with serving(tmp_path / "hive.sock") as hive:
        agent = AgentHome(tmp_path, hive.url)
        assert agent.mother("register").status == 0
        assert hive.asked[0].authorization == f"Bearer {TOKEN}"


def test_no_job_is_idle(agent: AgentHome, hive: Hive):
    done = agent.mother("poll", "--once", "--wait", "0.1", command=["true"])
    assert (done.status, done.answer) == (0, {"ok": True, "outcome": "idle"})


def test_output_that_is_text_becomes_text_and_a_failing_command_fails_the_job(agent: AgentHome, hive: Hive):
    hive.jobs += [job(), job(id="j-2")]
    agent.mother("poll", "--once", command=["echo", "done"])
    assert hive.bodies("/v1/jobs/j-1/complete") == [{"fence": 4, "result": {"text": "done\n"}}]
    done = agent.mother("poll", "--once", command=["sh", "-c", "exit 4"])
    assert (done.status, done.answer["outcome"]) == (0, "failed")
    fail = {"fence": 4, "reason": "the command ended with status 4", "retry": False}
    assert hive.bodies("/v1/jobs/j-2/fail") == [fail]


def test_the_command_sees_no_variable_of_the_hive(agent: AgentHome, hive: Hive):
    hive.jobs.append(job())
    agent.mother("poll", "--once", command=["sh", "-c", "env | grep -c HIVE_ || true"])
    assert hive.bodies("/v1/jobs/j-1/complete")[0]["result"] == {"text": "0\n"}


def test_a_job_that_needs_what_was_not_registered_is_refused(agent: AgentHome, hive: Hive):
    hive.jobs.append(job(needs=["image-render", "womb"]))
    ran = agent.folder / "ran"
    done = agent.mother("poll", "--once", command=["touch", str(ran)])
    assert (done.status, done.answer["outcome"]) == (12, "refused")
    assert hive.paths() == ["/v1/jobs/claim", "/v1/jobs/j-1/refuse"]
    assert hive.asked[1].body == {"fence": 4, "reason": "this agent did not register: womb"}
    assert not ran.exists()


def test_a_narrowed_agent_refuses_what_it_did_not_offer(agent: AgentHome, hive: Hive):
    hive.jobs.append(job())
    done = agent.mother("poll", "--once", "--capability", "web-search", command=["true"])
    assert done.answer["outcome"] == "refused"
    assert hive.bodies("/v1/jobs/claim")[0]["capabilities"] == ["web-search"]


def test_a_capability_that_the_lock_does_not_grant_is_not_offered(agent: AgentHome, hive: Hive):
    assert agent.mother("register", "--capability", "womb").status == 12
    assert hive.asked == []


def test_the_lease_is_renewed_with_its_fence(agent: AgentHome, hive: Hive):
    hive.jobs.append(job(lease_seconds=0.3))
    done = agent.mother("poll", "--once", command=["sleep", "0.5"])
    assert done.answer["outcome"] == "completed"
    beats = hive.bodies("/v1/jobs/j-1/heartbeat")
    assert len(beats) >= 3
    assert all(beat == {"fence": 4} for beat in beats)


def test_lease_lost_kills_the_command_and_nothing_more_is_said(agent: AgentHome, hive: Hive):
    hive.jobs.append(job(lease_seconds=0.6))
    hive.answers["/v1/jobs/j-1/heartbeat"] = (409, None)
    file = agent.folder / "pids"
    done = agent.mother("poll", "--once", command=sleeper(file))
    assert (done.status, done.answer["outcome"]) == (12, "lost")
    assert hive.paths() == ["/v1/jobs/claim", "/v1/jobs/j-1/heartbeat"]
    assert len(noted(file)) == 2
    wait_until(lambda: not any(map(alive, noted(file))))
    assert done.seconds < 15


def test_lease_lost_at_the_end_is_not_called_complete(agent: AgentHome, hive: Hive):
    hive.jobs.append(job())
    hive.answers["/v1/jobs/j-1/complete"] = (409, None)
    done = agent.mother("poll", "--once", command=["true"])
    assert (done.status, done.answer["outcome"]) == (12, "lost")
    assert hive.paths() == ["/v1/jobs/claim", "/v1/jobs/j-1/complete"]


def test_a_lease_that_cannot_be_renewed_is_lost_when_it_runs_out(agent: AgentHome, hive: Hive):
    hive.jobs.append(job(lease_seconds=0.4))
    hive.answers["/v1/jobs/j-1/heartbeat"] = (503, None)
    file = agent.folder / "pids"
    done = agent.mother("poll", "--once", command=sleeper(file))
    assert (done.status, done.answer["outcome"]) == (12, "lost")
    assert set(hive.paths()) == {"/v1/jobs/claim", "/v1/jobs/j-1/heartbeat"}
    wait_until(lambda: not any(map(alive, noted(file))))


def test_secrets_withdrawn_during_work_end_it(agent: AgentHome, hive: Hive):
    hive.jobs.append(job(lease_seconds=0.6))
    done = agent.mother("poll", "--once", command=["sh", "-c", 'rm "$HOME/.env"; sleep 30'])
    assert (done.status, done.answer["outcome"]) == (12, "lost")
    assert hive.paths() == ["/v1/jobs/claim"]


def test_a_lost_answer_to_complete_is_asked_for_again(agent: AgentHome, hive: Hive):
    hive.jobs.append(job(lease_seconds=2))
    answers = [(503, None), (200, {})]
    hive.answers["/v1/jobs/j-1/complete"] = lambda *_: answers.pop(0)
    assert agent.mother("poll", "--once", command=["true"]).answer["outcome"] == "completed"
    first, second = hive.bodies("/v1/jobs/j-1/complete")
    assert first == second


@pytest.mark.parametrize(
    ("command", "option", "reason"),
    [
        ("sleep 30 & wait", ["--time-limit", "0.3"], "the command ran longer than 0.3 seconds"),
        ("yes", ["--output-limit", "1000"], "the command wrote more than 1000 bytes"),
        ("yes >&2", ["--output-limit", "1000"], "the command wrote more than 1000 bytes"),
        ("printf '\\377'", [], "the command's output is not UTF-8 text"),
        ("kill -9 $$", [], "the command was ended by signal 9"),
    ],
)
def test_limits_of_a_command(agent: AgentHome, hive: Hive, command: str, option: list[str], reason: str):
    hive.jobs.append(job())
    done = agent.mother("poll", "--once", *option, command=["sh", "-c", command])
    assert done.answer["outcome"] == "failed"
    assert hive.bodies("/v1/jobs/j-1/fail") == [{"fence": 4, "reason": reason, "retry": False}]
    assert done.seconds < 15


def test_what_a_command_leaves_behind_is_ended_with_it(agent: AgentHome, hive: Hive):
    hive.jobs.append(job())
    file = agent.folder / "pids"
    script = 'sleep 30 >/dev/null 2>&1 & echo $! > "$0"'
    assert (
        agent.mother("poll", "--once", command=["sh", "-c", script, str(file)]).answer["outcome"]
        == "completed"
    )
    wait_until(lambda: not alive(noted(file)[0]))


def test_a_command_that_does_not_exist_claims_nothing(agent: AgentHome, hive: Hive):
    assert agent.mother("poll", "--once", command=["no-such-command"]).status == 3
    assert hive.asked == []


def test_a_slow_hive_is_unreachable_within_the_limit(agent: AgentHome, hive: Hive):
    ways = [
        hanging,
        dripping(b""),
        dripping(b"HTTP/1.1 200 OK\r\nX: "),
        dripping(b"HTTP/1.1 200 OK\r\n\r\n{"),
    ]
    left = list(ways)

    def next_way(handler, body):
        return left.pop()(handler, body)

    hive.answers["/v1/agents/register"] = next_way
    began = time.monotonic()
    running = [agent.start("register", "--timeout", "0.3", command=[]) for _ in ways]
    for done in map(agent.finish, running):
        assert (done.status, done.code) == (5, "unreachable")
    assert time.monotonic() - began < 9  # without the option it is 10
    assert (left, len(hive.asked)) == ([], 4)


def test_a_hive_that_is_not_there(agent: AgentHome):
    agent.write_secrets(f"HIVE_URL=unix:{agent.folder}/none.sock\nHIVE_TOKEN={TOKEN}\n")
    assert agent.mother("register").status == 5


@pytest.mark.parametrize(
    ("status", "ours"),
    [
        (429, 5),
        (500, 5),
        (503, 5),
        (400, 10),
        (401, 12),
        (403, 12),
        (404, 3),
        (409, 12),
        (201, 10),
        (307, 12),
    ],
)
def test_every_status_of_the_hive_is_one_of_ours(status: int, ours: int):
    with pytest.raises(mother.MotherError) as caught:
        mother.interpret(status, b"{}")
    assert caught.value.exit_status == ours


def test_a_refusal_is_not_quoted(agent: AgentHome, hive: Hive):
    hive.answers["/v1/agents/register"] = (403, {"you sent": TOKEN})
    assert agent.mother("register").status == 12


def test_a_redirect_is_not_followed(agent: AgentHome, hive: Hive):
    hive.answers["/v1/agents/register"] = redirecting
    assert agent.mother("register").status == 12
    assert hive.paths() == ["/v1/agents/register"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"agent":"acme","heartbeat_seconds":30,"heartbeat_seconds":1}',
        b'{"agent":"acme","heartbeat_seconds":NaN}',
        b'{"agent":"acme","heartbeat_seconds":1e999}',
        b"[" * 100_000,
        b"[]",
        b"\xff",
        b"<html>",
        b"",
    ],
    ids=["twice", "nan", "infinite", "deep", "list", "not-utf8", "html", "empty"],
)
def test_an_answer_that_is_not_strict_json_is_malformed(body: bytes):
    with pytest.raises(mother.MalformedError):
        mother.interpret(200, body)


@pytest.mark.parametrize(
    "body",
    [
        b" " * (1 << 20) + b'{"agent":"acme","heartbeat_seconds":30}',
        b'{"agent":"acme","heartbeat_seconds":true}',
        b'{"agent":"other","heartbeat_seconds":30}',
    ],
    ids=["oversize", "bool", "other-agent"],
)
def test_a_malformed_answer_is_status_10(agent: AgentHome, hive: Hive, body: bytes):
    hive.answers["/v1/agents/register"] = (200, body)
    assert agent.mother("register").status == 10


def test_an_answer_that_is_not_http(agent: AgentHome, hive: Hive):
    hive.answers["/v1/agents/register"] = lambda handler, _: (
        handler.wfile.write(b"SSH-2.0-hello\r\n") and None
    )
    assert agent.mother("register").status == 10


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "../../agents/register"},
        {"id": 7},
        {"fence": "4"},
        {"fence": True},
        {"needs": "womb"},
        {"lease_seconds": 0},
    ],
)
def test_a_malformed_job_is_no_job(changes: dict[str, object]):
    assert mother.parse_job(job()).fence == 4
    with pytest.raises(mother.MalformedError):
        mother.parse_job(job(**changes))


def test_a_malformed_job_is_not_started(agent: AgentHome, hive: Hive):
    hive.jobs.append(job(id="../../agents/register"))
    ran = agent.folder / "ran"
    assert agent.mother("poll", "--once", command=["touch", str(ran)]).status == 10
    assert hive.paths() == ["/v1/jobs/claim"]
    assert not ran.exists()


def test_run_registers_beats_works_and_ends_cleanly(agent: AgentHome, hive: Hive):
    hive.answers["/v1/agents/register"] = (200, {"agent": "acme", "heartbeat_seconds": 0.2})
    hive.jobs.append(job())
    process = agent.start("run", command=ECHO)
    wait_until(
        lambda: hive.paths().count("/v1/agents/heartbeat") >= 3 and hive.bodies("/v1/jobs/j-1/complete")
    )
    process.send_signal(signal.SIGTERM)
    done = agent.finish(process)
    assert done.status == 0
    assert done.seconds < 15
    assert [line["event"] for line in done.lines] == ["registered", "state", "job", "stopped"]
    assert hive.paths()[:2] == ["/v1/agents/register", "/v1/agents/heartbeat"]


def test_sigterm_during_a_long_poll_does_not_wait_for_it(agent: AgentHome, hive: Hive):
    hive.answers["/v1/jobs/claim"] = hanging
    process = agent.start("run", command=["true"])
    wait_until(lambda: "/v1/jobs/claim" in hive.paths())
    process.send_signal(signal.SIGTERM)
    done = agent.finish(process)
    assert (done.status, done.lines[-1]["event"]) == (0, "stopped")
    assert done.seconds < 15


def test_sigterm_during_work_ends_the_command_and_gives_the_job_back(agent: AgentHome, hive: Hive):
    hive.jobs.append(job())
    file = agent.folder / "pids"
    process = agent.start("run", command=sleeper(file))
    wait_until(lambda: len(noted(file)) == 2)
    process.send_signal(signal.SIGTERM)
    done = agent.finish(process)
    assert done.status == 0
    assert hive.bodies("/v1/jobs/j-1/fail") == [
        {"fence": 4, "reason": "the agent is stopping", "retry": True}
    ]
    wait_until(lambda: not any(map(alive, noted(file))))


def test_run_beats_for_the_agent_while_a_command_works(agent: AgentHome, hive: Hive):
    hive.answers["/v1/agents/register"] = (200, {"agent": "acme", "heartbeat_seconds": 0.1})
    hive.jobs.append(job())
    process = agent.start("run", command=["sleep", "0.5"])
    wait_until(lambda: hive.bodies("/v1/jobs/j-1/complete"))
    process.send_signal(signal.SIGTERM)
    assert agent.finish(process).status == 0
    before = hive.paths()[: hive.paths().index("/v1/jobs/j-1/complete")]
    assert before.count("/v1/agents/heartbeat") >= 3


def test_a_quarantined_agent_claims_nothing_until_it_is_active_again(agent: AgentHome, hive: Hive):
    hive.answers["/v1/agents/register"] = (200, {"agent": "acme", "heartbeat_seconds": 0.1})
    hive.answers["/v1/agents/heartbeat"] = (200, {"state": "quarantined"})
    process = agent.start("run", command=["true"])
    wait_until(lambda: hive.paths().count("/v1/agents/heartbeat") >= 3)
    assert "/v1/jobs/claim" not in hive.paths()
    hive.answers["/v1/agents/heartbeat"] = (200, {"state": "active"})
    wait_until(lambda: "/v1/jobs/claim" in hive.paths())
    process.send_signal(signal.SIGTERM)
    done = agent.finish(process)
    assert [line.get("state") for line in done.lines] == [None, "quarantined", "active", None]


def test_quarantine_during_work_kills_the_command_and_nothing_is_said(agent: AgentHome, hive: Hive):
    hive.answers["/v1/agents/register"] = (200, {"agent": "acme", "heartbeat_seconds": 0.1})
    hive.jobs.append(job())
    file = agent.folder / "pids"
    process = agent.start("run", command=sleeper(file))
    wait_until(lambda: len(noted(file)) == 2)
    hive.answers["/v1/agents/heartbeat"] = (200, {"state": "quarantined"})
    wait_until(lambda: not any(map(alive, noted(file))))
    process.send_signal(signal.SIGTERM)
    assert agent.finish(process).status == 0
    assert not [path for path in hive.paths() if path.startswith("/v1/jobs/j-1/")]


def test_run_waits_for_a_hive_that_is_down_and_registers_again_when_forgotten(agent: AgentHome, hive: Hive):
    hive.answers["/v1/agents/register"] = (503, None)
    process = agent.start("run", "--backoff", "0.05", command=["true"])
    wait_until(lambda: hive.paths().count("/v1/agents/register") >= 3)
    del hive.answers["/v1/agents/register"]
    wait_until(lambda: "/v1/jobs/claim" in hive.paths())
    known = hive.paths().count("/v1/agents/register")
    hive.answers["/v1/jobs/claim"] = (404, None)
    wait_until(lambda: hive.paths().count("/v1/agents/register") > known)
    process.send_signal(signal.SIGTERM)
    assert agent.finish(process).status == 0


def test_run_ends_when_the_hive_does_not_admit_it(agent: AgentHome, hive: Hive):
    hive.answers["/v1/agents/heartbeat"] = (403, None)
    done = agent.finish(agent.start("run", command=["true"]))
    assert done.status == 12
    assert done.lines[-1]["error"]["code"] == "not-allowed"


def test_a_rotated_token_is_used_without_a_restart(agent: AgentHome, hive: Hive):
    process = agent.start("run", command=["true"])
    wait_until(lambda: "/v1/jobs/claim" in hive.paths())
    beside = agent.folder / "new"
    beside.write_text(f"HIVE_URL='{hive.url}'\nHIVE_TOKEN=rotated\n")
    beside.chmod(0o600)
    beside.rename(agent.secrets)
    wait_until(lambda: hive.asked[-1].authorization == "Bearer rotated")
    process.send_signal(signal.SIGTERM)
    assert agent.finish(process).status == 0


def test_the_token_is_on_no_command_line(agent: AgentHome, hive: Hive):
    hive.jobs.append(job())
    file = agent.folder / "seen"
    script = 'ps -A -ww -o command > "$0" 2>/dev/null || ps -A -ww -o args > "$0"'
    assert agent.mother("poll", "--once", command=["sh", "-c", script, str(file)]).status == 0
    assert "scripts/mother poll" in file.read_text()
    assert TOKEN not in file.read_text()


def test_a_large_payload_reaches_a_command_that_does_not_read_it(agent: AgentHome, hive: Hive):
    hive.jobs.append(job(payload="x" * 900_000))
    began = time.monotonic()
    assert agent.mother("poll", "--once", command=["true"]).answer["outcome"] == "completed"
    assert time.monotonic() - began < 20
    assert json.dumps(hive.bodies("/v1/jobs/j-1/complete")[0]["result"]) == '{"text": ""}'
