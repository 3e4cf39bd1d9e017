"""Whatever happens in whatever order, jobs stand as the rules say: the same on SQLite and PostgreSQL.

Chance makes up submissions, claims, answers on time and late, with right and wrong fences, cancellations, retries,
quarantines and leases that run out. A model of a page says what each of them must come to; every database is asked
the same, and must say the same.
"""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from hive.agents import jobs, leases, registry
from hive.agents.due import concerned
from hive.agents.names import AgentId, JobId
from hive.agents.rules import MAX_REFUSALS, Rules
from hive.agents.standing import Standing
from hive.db.agent_tables import AttemptRow, JobRow
from hive.db.session import open_engine, snapshot, transaction
from signing.errors import SkillRepoError
from tests.hive.agents.hall import Hall, now
from tests.support import postgres

LANES, AGENTS = ("one", "two"), ("acme", "beta")
CAPABILITIES = ("mail", "render")
TENANTS = (None, *AGENTS)
ANSWERS = ("renew", "complete", "fail", "give up", "refuse")
SHY = ("two", "beta")  # who is quarantined now and then; the others always work


@dataclass
class Job:
    """What is expected of one job. ``over`` says that its lease, or its rest, has run out."""

    number: int
    tenant: str | None
    needs: frozenset[str]
    priority: int
    most: int
    state: str = "ready"
    owner: str | None = None
    fence: int = 0
    attempts: int = 0
    refusals: int = 0
    over: bool = True
    history: list[tuple[str, str | None]] = field(default_factory=list)  # agent and outcome, by fence

    def end(self, outcome: str) -> None:
        if self.history and self.history[-1][1] is None:
            self.history[-1] = (self.history[-1][0], outcome)

    def free(self, *, attempts: int | None = None) -> None:
        self.state, self.owner, self.over = "ready", None, True
        self.attempts = self.attempts if attempts is None else attempts


@dataclass
class Model:
    """The rules, as a page would tell them."""

    jobs: list[Job] = field(default_factory=list)
    turns: list[str | None] = field(default_factory=list)  # the most recently served is last
    quarantined: set[str] = field(default_factory=set)
    asleep: set[str] = field(default_factory=set)  # tenants that are quarantined

    def may_work(self, agent: str) -> bool:
        return agent not in self.quarantined and agent not in self.asleep

    def _fits(self, job: Job, agent: str, offered: frozenset[str]) -> bool:
        if not job.over or not job.needs <= offered or (agent, "refused") in job.history:
            return False
        if job.state != "ready" and not (job.state == "leased" and job.attempts < job.most):
            return False
        if agent in AGENTS:
            return job.tenant == agent
        return job.tenant is None or job.tenant not in self.asleep

    def claim(self, agent: str, offered: frozenset[str]) -> Any:
        if not self.may_work(agent) or not offered:
            return None
        for job in self.jobs:
            if job.state == "leased" and job.over and job.attempts >= job.most:
                job.end("lost")
                job.state = "dead"
        found = [job for job in self.jobs if self._fits(job, agent, offered)]
        if not found:
            return None
        job = min(
            found,
            key=lambda one: (
                -max(0, one.priority),
                self.turns.index(one.tenant) if one.tenant in self.turns else -1,
                -one.priority,
                one.number,
            ),
        )
        job.end("lost")
        job.state, job.owner, job.over = "leased", agent, False
        job.fence, job.attempts = job.fence + 1, job.attempts + 1
        job.history.append((agent, None))
        self.turns = [turn for turn in self.turns if turn != job.tenant] + [job.tenant]
        return (job.number, job.fence)

    def say(self, verb: str, agent: str, job: Job, fence: int) -> str:
        if agent not in {one for one, _ in job.history}:
            return "not-found"
        if not 1 <= fence <= job.fence or job.history[fence - 1][0] != agent:
            return "lease-lost"
        outcomes = {"complete": "completed", "fail": "failed", "give up": "failed", "refuse": "refused"}
        ended = job.history[fence - 1][1]
        if ended is not None and ended == outcomes.get(verb):
            return "done"  # said again
        current = job.state == "leased" and job.owner == agent and fence == job.fence and ended is None
        if not current or not self.may_work(agent):
            return "lease-lost"
        if verb == "renew":
            job.over = False
            return "done"
        job.end(outcomes[verb])
        if verb == "complete":
            job.state = "done"
        elif verb == "refuse":
            job.refusals += 1
            job.attempts -= 1
            job.free()
            job.state = "ready" if job.refusals < MAX_REFUSALS else "dead"
        elif verb == "give up" or job.attempts >= job.most:
            job.state = "dead"
        else:
            job.free()
            job.over = False  # it rests
        return "done"

    def cancel(self, job: Job) -> str:
        if job.state not in {"ready", "leased"}:
            return "conflict"
        job.end("cancelled")
        job.state = "cancelled"
        return "done"

    def retry(self, job: Job) -> str:
        if job.state not in {"dead", "cancelled"}:
            return "conflict"
        job.refusals = 0
        job.free(attempts=0)
        return "done"

    def quarantine(self, agent: str) -> None:
        self.quarantined.add(agent)
        for job in self.jobs:
            if job.state == "leased" and job.owner == agent:
                job.end("lost")
                if job.attempts < job.most:
                    job.free()
                else:
                    job.state = "dead"


class Walk:
    """The same steps in the model and in every database, chosen by chance that a number decides."""

    def __init__(self, halls: list[Hall], seed: int) -> None:
        self.halls, self.chance = halls, random.Random(seed)
        self.model = Model()
        self.ids: list[list[JobId]] = [[] for _ in halls]
        self.came_to: Counter[str] = Counter()
        for hall in halls:
            _people(hall)

    def go(self, steps: int) -> Counter[str]:
        deeds = {
            self.submit: 8,
            self.claim: 16,
            self.answer: 4,
            self.answer_late: 6,
            self.say_anything: 3,
            self.let_time_pass: 9,
            self.operate: 3,
            self.quarantine_or_release: 1,
            self.put_to_sleep_or_wake: 1,
        }
        for _ in range(steps):
            deed = self.chance.choices(list(deeds), list(deeds.values()))[0]
            deed()
            self.check()
        return self.came_to

    def submit(self) -> None:
        tenant, priority, most = (
            self.chance.choice(TENANTS),
            self.chance.randint(-2, 2),
            self.chance.randint(1, 3),
        )
        needs = self.chance.choice((CAPABILITIES, *((one,) for one in CAPABILITIES)))
        for hall, ids in zip(self.halls, self.ids, strict=True):
            ids.append(
                hall.submit(*needs, tenant=tenant, priority=priority, max_attempts=most, lease_seconds=3600)
            )
        jobs = self.model.jobs
        jobs.append(Job(len(jobs), tenant, frozenset(needs), priority, most))

    def claim(self) -> None:
        agent = self.chance.choice((*LANES, *AGENTS))
        words = self.chance.choice((*(CAPABILITIES,) * 5, ("mail",)))
        expected = self.model.claim(agent, frozenset(words))
        self.came_to["claimed" if expected else "nothing"] += 1
        for hall, ids in zip(self.halls, self.ids, strict=True):
            with snapshot(hall.engine) as session:
                called = concerned(session, [AgentId(agent)])
            assert expected is None or called == {agent}  # had it waited, it had been called for this
            given = hall.claim(agent, *words)
            found = (ids.index(JobId(given.job_id)), given.fence) if given is not None else None
            assert found == expected

    def answer(self) -> None:
        """By whom the job is with, under its fence; twice, as whoever had no answer."""
        if job := self._one_of([job for job in self.model.jobs if job.state == "leased"]):
            verb = self.chance.choice((*ANSWERS, "refuse"))
            for _ in range(2):
                self._say(verb, job.history[-1][0], job, job.fence)

    def answer_late(self) -> None:
        """By who had the job once, under the fence of then."""
        if job := self._one_of([job for job in self.model.jobs if len(job.history) > 1]):
            fence = self.chance.randint(1, len(job.history) - 1)
            self._say(self.chance.choice(ANSWERS), job.history[fence - 1][0], job, fence)

    def say_anything(self) -> None:
        """By anybody, about any job, under a fence that is old, new, or by chance the right one."""
        if job := self._one_of(self.model.jobs):
            agent, fence = (
                self.chance.choice((*LANES, *AGENTS)),
                max(1, job.fence + self.chance.randint(-1, 1)),
            )
            self._say(self.chance.choice(ANSWERS), agent, job, fence)

    def operate(self) -> None:
        if job := self._one_of(self.model.jobs):
            deed = self.chance.choice(("cancel", "retry"))
            expected = self.model.cancel(job) if deed == "cancel" else self.model.retry(job)
            self.came_to[f"{deed} {expected}"] += 1
            for hall, ids in zip(self.halls, self.ids, strict=True):
                with _told() as told, transaction(hall.engine) as session:
                    row = jobs.load(session, ids[job.number])
                    getattr(jobs, deed)(session, row, by="olga", now=now())
                assert told == [expected]

    def let_time_pass(self) -> None:
        if job := self._one_of([job for job in self.model.jobs if not job.over]):
            job.over = True
            for hall, ids in zip(self.halls, self.ids, strict=True):
                hall.age(ids[job.number], 4000)

    def quarantine_or_release(self) -> None:
        agent = self.chance.choice(SHY)
        standing = Standing.ADMITTED if agent in self.model.quarantined else Standing.QUARANTINED
        if standing is Standing.ADMITTED:
            self.model.quarantined.remove(agent)
        else:
            self.model.quarantine(agent)
        for hall in self.halls:
            with transaction(hall.engine) as session:
                registry.set_standing(session, AgentId(agent), standing, reason="odd", now=now())

    def put_to_sleep_or_wake(self) -> None:
        self.model.asleep ^= {"beta"}
        for hall in self.halls:
            hall.status("beta", "quarantined" if self.model.asleep else "active")

    def check(self) -> None:
        """Every job stands as it should, in every database."""
        expected = [
            (job.state, job.fence, job.attempts, job.refusals, [outcome for _, outcome in job.history])
            for job in self.model.jobs
        ]
        for hall, ids in zip(self.halls, self.ids, strict=True):
            with snapshot(hall.engine) as session:
                rows = {row.job_id: row for row in session.scalars(select(JobRow))}
                outcomes: dict[int, list[str | None]] = {row.number: [] for row in rows.values()}
                for one in session.scalars(select(AttemptRow).order_by(AttemptRow.fence)):
                    outcomes[one.number].append(one.outcome)
            found = [
                (row.state, row.fence, row.attempts, row.refusals, outcomes[row.number])
                for row in (rows[job_id] for job_id in ids)
            ]
            assert found == expected
        for job in self.model.jobs:
            done = [outcome for _, outcome in job.history].count("completed")
            assert done == (1 if job.state == "done" else 0)  # never twice
            assert job.attempts <= job.most

    def _one_of(self, found: list[Job]) -> Job | None:
        return self.chance.choice(found) if found else None

    def _say(self, verb: str, agent: str, job: Job, fence: int) -> None:
        expected = self.model.say(verb, agent, job, fence)
        self.came_to[f"{verb} {expected}"] += 1
        more: dict[str, dict[str, Any]] = {
            "complete": {"result": "{}"},
            "fail": {"reason": "no disk", "retry": True},
            "give up": {"reason": "no", "retry": False},
            "refuse": {"reason": "not mine"},
        }
        for hall, ids in zip(self.halls, self.ids, strict=True):
            method = "fail" if verb == "give up" else verb
            with _told() as told:
                hall.say(method, agent, ids[job.number], fence, **more.get(verb, {}))
            assert told == [expected]


@contextmanager
def _told() -> Iterator[list[str]]:
    """Yield a list that afterwards says what it came to."""
    told: list[str] = []
    try:
        yield told
    except SkillRepoError as error:
        told.append(error.code)
    else:
        told.append("done")


def _people(hall: Hall) -> None:
    hall.rules = Rules(ttl=100_000)
    for name in AGENTS:
        hall.tenant(name)
        hall.agent(name, *CAPABILITIES)
    for name in LANES:
        hall.lane(name, *CAPABILITIES)


@pytest.fixture(autouse=True)
def _time_passes_only_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is: leases are long (see `Walk.submit`), and so are rests."""
    monkeypatch.setattr(leases, "retry_pause", lambda _: 300.0)


@pytest.mark.parametrize("seed", [1, 2])
def test_on_either_database(hall: Hall, seed: int) -> None:
    came_to = Walk([hall], seed).go(300)
    assert came_to["claimed"] > 30
    assert {"complete done", "complete lease-lost", "refuse done", "fail not-found", "retry done"} <= set(
        came_to
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 6))
def test_on_both_the_same(postgres_server: str, sqlite_template: Path, tmp_path: Path, seed: int) -> None:
    path = tmp_path / "hive.db"
    path.write_bytes(sqlite_template.read_bytes())
    with postgres.database(postgres_server, f"both{seed}", template="empty") as url:
        halls = [Hall(open_engine(f"sqlite:///{path}")), Hall(open_engine(url))]
        try:
            Walk(halls, seed).go(300)
        finally:
            for hall in halls:
                hall.engine.dispose()
