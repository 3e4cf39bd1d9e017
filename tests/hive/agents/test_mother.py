"""The real mother script against the real `hive serve`: the contract has two sides, and they meet here."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hive.agents import registry, tokens
from hive.agents.names import AgentId
from hive.agents.standing import Standing
from hive.db.session import open_engine, transaction
from tests.hive.agents.hall import KEY, Hall, now
from tests.hive.agents.serving import serving
from tests.skills.agent_home import AgentHome, wait_until

pytestmark = pytest.mark.slow

ECHO = "import json, sys; job = json.load(sys.stdin); print(json.dumps({'seen': job['payload']}))"
SLEEP = "import sys, time; sys.stdin.read(); time.sleep(60)"


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "hive.db"


@pytest.fixture
def hall(db: Path) -> Iterator[Hall]:
    engine = open_engine(f"sqlite:///{db}")
    hall = Hall(engine)
    hall.tenant("acme")
    yield hall
    engine.dispose()


@pytest.fixture
def token(hall: Hall) -> str:
    return hall.enrol("acme", "image-render", "web-search")


def home(folder: Path, url: str, token: str) -> AgentHome:
    agent = AgentHome(folder, url)
    agent.write_secrets(f"HIVE_URL={url}\nHIVE_TOKEN={token}\n")
    return agent


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_an_agent_lives_and_works_from_birth_to_retirement(
    hall: Hall, db: Path, token: str, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    listen = "127.0.0.1:0" if kind == "tcp" else f"unix:{tmp_path}/run/hive.sock"
    with serving(db, "--heartbeat", "0.5", listen=listen) as url:
        agent = home(tmp_path, url, token)
        command = [sys.executable, "-c", ECHO]
        process = agent.start("run", "--wait", "1", "--backoff", "0.2", command=command)
        try:
            wait_until(lambda: hall.status_of("acme") == "active")
            jobs = [hall.submit("web-search", tenant="acme", payload=["é", n]) for n in range(3)]
            wait_until(lambda: all(hall.job(job).state == "done" for job in jobs))
            assert hall.job(jobs[2]).result == '{"seen":["é",2]}'
            with transaction(hall.engine) as session:
                registry.retire(session, AgentId("acme"), reason="gone", now=now())
            done = agent.finish(process)
        finally:
            process.kill()
    assert done.status == 12  # not admitted any more
    assert token not in done.stderr
    assert [line["event"] for line in done.lines if "event" in line][:2] == ["registered", "state"]


def test_quarantine_ends_the_command_and_release_lets_it_work_again(
    hall: Hall, db: Path, token: str, tmp_path: Path
) -> None:
    with serving(db, "--heartbeat", "0.4") as url:
        agent = home(tmp_path, url, token)
        command = [sys.executable, "-c", SLEEP]
        process = agent.start("run", "--wait", "1", "--backoff", "0.2", command=command)
        try:
            job = hall.submit("web-search", tenant="acme")
            wait_until(lambda: hall.job(job).state == "leased")
            with transaction(hall.engine) as session:
                registry.set_standing(session, AgentId("acme"), Standing.QUARANTINED, reason="odd", now=now())
            assert hall.job(job).state == "ready"
            heard = hall.seen("acme")
            wait_until(lambda: hall.seen("acme") > heard + 1)  # a few heartbeats: it has heard of it
            assert hall.job(job).state == "ready"
            with transaction(hall.engine) as session:
                registry.set_standing(session, AgentId("acme"), Standing.ADMITTED, reason="fine", now=now())
            wait_until(lambda: hall.job(job).state == "leased")
            assert hall.outcomes(job) == ["lost", None]
        finally:
            process.terminate()
            done = agent.finish(process)
    assert {line.get("state") for line in done.lines} >= {"active", "quarantined"}
    assert "lost" in {line.get("outcome") for line in done.lines}


def test_the_hive_may_end_and_begin_again(hall: Hall, db: Path, token: str, tmp_path: Path) -> None:
    with serving(db, "--heartbeat", "0.5") as url:
        agent = home(tmp_path, url, token)
        process = agent.start("run", "--wait", "1", "--backoff", "0.2", command=[sys.executable, "-c", ECHO])
        wait_until(lambda: hall.status_of("acme") == "active")
    try:
        job = hall.submit("web-search", tenant="acme")
        with serving(db, "--heartbeat", "0.5", listen=url.removeprefix("http://")):
            wait_until(lambda: hall.job(job).state == "done")
            process.terminate()
            done = agent.finish(process)
    finally:
        process.kill()
    assert done.status == 0


def test_a_rotated_token_is_used_at_once(hall: Hall, db: Path, token: str, tmp_path: Path) -> None:
    with serving(db, "--heartbeat", "0.3") as url:
        agent = home(tmp_path, url, token)
        assert agent.mother("register").status == 0
        with transaction(hall.engine) as session:
            second = tokens.rotate(session, KEY, AgentId("acme"), now=now()).text
        assert agent.mother("heartbeat").status == 12
        agent.write_secrets(f"HIVE_URL={url}\nHIVE_TOKEN={second}\n")
        assert agent.mother("heartbeat").answer["state"] == "active"
