"""What the rows of this room ask of either database: migrations both ways, one chain, writers that queue."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

import hive.db
from hive import audit
from hive.agents import jobs
from hive.agents.names import JobId
from hive.agents.standing import clock
from hive.db.all_tables import Base
from hive.db.session import open_engine, snapshot, transaction
from signing.errors import NotFoundError
from signing.format.names import TenantId
from tests.hive.agents.hall import Hall
from tests.support import postgres
from tests.support.databases import APPEND

TABLES = {
    "agents",
    "agent_tokens",
    "agent_grants",
    "agent_capabilities",
    "agent_skills",
    "agent_limits",
    "jobs",
    "job_needs",
    "job_attempts",
    "tenant_turns",
    "replications",
}


def test_migrations_make_what_the_models_say(hall: Hall) -> None:
    with hall.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_migration_can_be_undone_and_done_again(hall: Hall, url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(hive.db.__file__).parent / "migrations"))
    with hall.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0003")
        assert not TABLES & set(inspect(connection).get_table_names())
    again = open_engine(url)
    with again.connect() as connection:
        assert set(inspect(connection).get_table_names()) >= TABLES
    again.dispose()


def test_threads_make_one_chain(hall: Hall) -> None:
    """From an empty log on: there is no newest record to wait for."""

    def append(writer: int) -> None:
        for number in range(5):
            with transaction(hall.engine) as session:
                facts = {"writer": writer, "number": number}
                audit.append(session, event="test", facts=facts, now=datetime.now(UTC))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append, range(4)))
    with snapshot(hall.engine) as session:
        assert audit.check(session).sequence == 20
        found = [(record.facts["writer"], record.facts["number"]) for record in audit.read(session)]
    assert sorted(found) == [(writer, number) for writer in range(4) for number in range(5)]


@pytest.mark.slow
def test_processes_make_one_chain(hall: Hall, url: str) -> None:
    modules = ["hive.db.session", "hive.audit", url, "10"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", APPEND, *modules, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for name in ("one", "two", "three")
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        _, errors = process.communicate(b"go\n", timeout=60)
        assert process.returncode == 0, errors
    with snapshot(hall.engine) as session:
        assert audit.check(session).sequence == 30


def test_a_reader_sees_one_state(hall: Hall) -> None:
    count = text("SELECT count(*) FROM tenants")
    with snapshot(hall.engine) as reading:
        assert reading.scalar(count) == 0
        hall.tenant("acme")
        assert reading.scalar(count) == 0
    with snapshot(hall.engine) as reading:
        assert reading.scalar(count) == 1


def test_time_is_the_databases_and_goes_on(hall: Hall) -> None:
    with transaction(hall.engine) as session:
        first = clock(session)
        second = clock(session)
    assert 0 <= second - first < 10
    assert abs(first - datetime.now(UTC).timestamp()) < 60  # they run on this machine


def test_threads_claim_each_job_once(hall: Hall) -> None:
    for number in range(4):
        hall.lane(f"w{number}", "render")
    submitted = {hall.submit("render") for _ in range(20)}

    def work(number: int) -> list[str]:
        found = []
        while (job := hall.claim(f"w{number}", "render")) is not None:
            found.append(job.job_id)
            hall.say("complete", f"w{number}", job.job_id, job.fence, "{}")
        return found

    with ThreadPoolExecutor(4) as pool:
        done = [job for found in pool.map(work, range(4)) for job in found]
    assert sorted(done) == sorted(submitted)


@pytest.mark.slow
def test_several_that_begin_at_once_make_one_database(postgres_server: str) -> None:
    with postgres.database(postgres_server, "fresh") as url, ThreadPoolExecutor(4) as pool:
        engines = list(pool.map(lambda _: open_engine(url), range(4)))
        with engines[0].connect() as connection:
            assert set(inspect(connection).get_table_names()) >= TABLES
        for engine in engines:
            engine.dispose()


@pytest.mark.slow
def test_who_never_had_a_job_does_not_wait_for_its_lock(postgres_server: str) -> None:
    """Else how long an answer takes would tell that the job exists, and that somebody is at it."""
    with postgres.database(postgres_server, "locked", template="empty") as url:
        hall = Hall(open_engine(url))
        for name in ("acme", "mallory"):
            hall.tenant(name)
            hall.agent(name, "mail")
        job = hall.submit("mail", tenant="acme")
        fence = hall.given("acme", "mail").fence
        with transaction(hall.engine) as session:
            session.execute(text("SELECT 1 FROM jobs FOR UPDATE"))
            with ThreadPoolExecutor(1) as pool:
                asked = pool.submit(hall.say, "renew", "mallory", job, fence)
                with pytest.raises(NotFoundError):
                    asked.result(10)  # a lock is waited for thirty seconds
        hall.engine.dispose()


@pytest.mark.slow
def test_a_job_that_is_being_retried_is_not_forgotten(postgres_server: str) -> None:
    with postgres.database(postgres_server, "retried", template="empty") as url:
        hall = Hall(open_engine(url))
        hall.tenant("acme")
        hall.agent("acme", "mail")
        ended = [hall.submit("mail", tenant="acme") for _ in range(3)]
        for job in ended:
            hall.say("fail", "acme", job, hall.given("acme", "mail").fence, reason="no", retry=False)
        with transaction(hall.engine) as operator:
            jobs.retry(operator, jobs.load(operator, JobId(ended[0])), by="olga", now=datetime.now(UTC))
            operator.flush()
            with transaction(hall.engine) as agent:
                assert jobs.forget_old(agent, TenantId("acme"), keep=1) == 1
        assert (hall.job(ended[0]).state, hall.job(ended[2]).state) == ("ready", "dead")
        assert hall.given("acme", "mail").job_id == ended[0]  # with all its needs
        hall.engine.dispose()
