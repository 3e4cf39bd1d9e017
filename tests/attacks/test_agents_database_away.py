"""The database goes away, is damaged, or is full while agents ask: they are told "later" and nothing else.

503 with Retry-After to every request, also to those with a wrong token: what cannot be checked is not accepted. No
traceback, no address, no statement, no payload goes out; when the database is back, everything goes on.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hive.agents.metrics import Collector
from hive.db.session import open_engine
from tests.hive.agents.caller import Api
from tests.hive.agents.hall import Hall
from tests.support import postgres

PLANTED = "planted-payload-of-acme"
TOLD = {"error": {"code": "not-now", "message": "the hive cannot answer now"}}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    engine = open_engine(f"sqlite:///{tmp_path / 'hive.db'}")
    yield Api(Hall(engine))
    engine.dispose()


def requests(job: str) -> dict[str, dict[str, Any]]:
    return {
        "/v1/agents/register": {"agent": "acme", "tenant": "acme", "capabilities": ["mail"], "skills": []},
        "/v1/agents/heartbeat": {"agent": "acme"},
        "/v1/agents/capabilities": {"agent": "acme"},
        "/v1/jobs/submit": {"agent": "acme", "kind": "send", "needs": ["mail"], "payload": PLANTED},
        "/v1/jobs/claim": {"agent": "acme", "capabilities": ["mail"], "wait_seconds": 0.1},
        f"/v1/jobs/{job}/heartbeat": {"fence": 1},
        f"/v1/jobs/{job}/complete": {"fence": 1, "result": {"text": PLANTED}},
        f"/v1/jobs/{job}/fail": {"fence": 1, "reason": PLANTED, "retry": True},
        f"/v1/jobs/{job}/refuse": {"fence": 1, "reason": PLANTED},
        f"/v1/jobs/{job}/show": {"agent": "acme"},
        f"/v1/jobs/{job}/cancel": {"agent": "acme"},
    }


def begun(api: Api) -> tuple[str, str]:
    """A tenant whose agent holds a job; its token and the job."""
    api.hall.tenant("acme")
    token = api.hall.agent("acme", "mail")
    job = api.hall.submit("mail", tenant="acme", payload=PLANTED)
    api.hall.given("acme", "mail")
    return token, job


def check_told_later(api: Api, token: str, job: str, log: pytest.LogCaptureFixture, *secrets: str) -> None:
    for path, body in requests(job).items():
        for presented in (token, "x" * 43):
            answer = api.client.post(
                path, data=json.dumps(body), headers={"Authorization": f"Bearer {presented}"}
            )
            assert (path, answer.status_code, answer.get_json()) == (path, 503, TOLD)
            assert 1 <= int(answer.headers["Retry-After"]) <= 60
    for secret in (PLANTED, token, "x" * 43, "INSERT", "SELECT", *secrets):
        assert secret not in log.text
    assert "Traceback" not in log.text
    assert log.text.count("cannot answer") == 2 * len(requests(job))  # and the operator is told of each


def check_goes_on(api: Api, token: str, job: str) -> None:
    assert api.ask("/v1/agents/heartbeat", token, agent="acme") == (200, {"state": "active"})
    assert api.ask(f"/v1/jobs/{job}/complete", token, fence=1, result={})[0] == 200
    assert api.hall.job(job).state == "done"
    assert api.hall.events().count("agent.enrolled") == 1


def test_a_damaged_file_is_later_and_its_repair_is_enough(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token, job = begun(api)
    api.hall.engine.dispose()
    path, kept = tmp_path / "hive.db", tmp_path / "kept.db"
    shutil.copy(path, kept)
    path.write_bytes(b"not a database, " * 1000)
    check_told_later(api, token, job, caplog, str(tmp_path))
    api.hall.engine.dispose()
    shutil.copy(kept, path)
    check_goes_on(api, token, job)


def test_a_file_that_was_moved_away_is_later_and_no_empty_one_is_put_in_its_place(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An empty one would be brought up to date by the next command, and say: no tenants, chain intact."""
    token, job = begun(api)
    api.hall.engine.dispose()
    path, kept = tmp_path / "hive.db", tmp_path / "kept.db"
    path.rename(kept)
    check_told_later(api, token, job, caplog, str(tmp_path))
    assert not path.exists()
    kept.rename(path)
    check_goes_on(api, token, job)


def test_a_folder_in_the_place_of_the_file_is_later(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token, job = begun(api)
    api.hall.engine.dispose()
    path, kept = tmp_path / "hive.db", tmp_path / "kept.db"
    path.rename(kept)
    path.mkdir()
    check_told_later(api, token, job, caplog)
    path.rmdir()
    kept.rename(path)
    check_goes_on(api, token, job)


def test_a_full_disk_refuses_what_writes_and_loses_nothing(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    token, job = begun(api)
    with api.hall.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    api.hall.engine.dispose()
    from sqlalchemy import event

    def full(connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    event.listen(api.hall.engine, "connect", full)
    big = {"text": PLANTED * 20_000}
    status, answer = api.ask(f"/v1/jobs/{job}/complete", token, fence=1, result=big)
    assert (status, answer) == (503, TOLD)
    assert PLANTED not in caplog.text
    assert "full" in caplog.text
    assert (api.hall.job(job).state, api.hall.outcomes(job)) == ("leased", [None])  # nothing of it happened
    event.remove(api.hall.engine, "connect", full)
    api.hall.engine.dispose()
    check_goes_on(api, token, job)


def test_connections_that_are_all_taken_are_later(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    token, job = begun(api)
    monkeypatch.setattr(api.hall.engine.pool, "_timeout", 0.05)  # it is half a minute
    taken = [api.hall.engine.connect() for _ in range(15)]
    check_told_later(api, token, job, caplog)
    for connection in taken:
        connection.close()
    check_goes_on(api, token, job)


def test_metrics_tell_that_the_database_is_away_and_show_nothing_of_it(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("prometheus_client")
    begun(api)
    collector = Collector(api.hall.engine, api.hall.rules, names=True)

    def shown() -> dict[str, list[float]]:
        return {family.name: [one.value for one in family.samples] for family in collector.collect()}

    assert shown()["hive_database_up"] == [1]
    api.hall.engine.dispose()
    (tmp_path / "hive.db").rename(tmp_path / "kept.db")
    assert shown() == {"hive_database_up": [0]}
    assert str(tmp_path) not in caplog.text
    assert "SELECT" not in caplog.text
    (tmp_path / "kept.db").rename(tmp_path / "hive.db")
    assert shown()["hive_jobs"] == [1]


@pytest.mark.slow
def test_a_stopped_server_is_later_and_its_start_is_enough(caplog: pytest.LogCaptureFixture) -> None:
    with postgres.running() as url:
        engine = open_engine(url)
        api = Api(Hall(engine))
        token, job = begun(api)
        folder = url.partition("host=")[2]
        _control(folder, "-m", "immediate", "stop")
        check_told_later(api, token, job, caplog, url)
        _control(folder, "-l", f"{folder}/log", "-o", f"-k {folder} -c listen_addresses=''", "start")
        check_goes_on(api, token, job)
        engine.dispose()


def _control(folder: str, *words: str) -> None:
    programs = postgres.programs()
    assert programs is not None
    data = Path(folder) / "data"
    subprocess.run(
        [programs / "pg_ctl", "-w", "-D", data, *words],
        user=data.owner() if data.owner() != Path.home().owner() else None,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        timeout=120,
        check=True,
    )
