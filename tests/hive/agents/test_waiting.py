"""Claims that wait: one watches for all, and whoever sleeps holds nothing that others need."""

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from sqlalchemy import event
from sqlalchemy.pool import QueuePool

from hive.agents.due import concerned
from hive.agents.names import AgentId
from hive.agents.waiting import Waiting, Watch
from hive.db.session import snapshot
from signing.errors import HostError
from tests.hive.agents.caller import Api
from tests.hive.agents.hall import Hall
from tests.skills.agent_home import wait_until

Names = frozenset[AgentId]
NOBODY: Names = frozenset()


def names(*agents: str) -> Names:
    return frozenset(map(AgentId, agents))


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    places = Waiting(50)
    yield places
    places.stop()


class Waiters:
    """Each sleeps until it is called, and says so."""

    def __init__(self, waiting: Waiting, watch: Watch) -> None:
        self.waiting, self.watch = waiting, watch
        self.pool = ThreadPoolExecutor(40)

    def start(self, name: str) -> "Future[str]":
        def sleep() -> str:
            with self.waiting.place(AgentId(name)) as place:
                while place.held and not self.waiting.stopped:
                    if self.waiting.pause(place, 60, self.watch):
                        return "called"
            return "stopped" if self.waiting.stopped else "pushed out"

        return self.pool.submit(sleep)

    def wait_for(self, *agents: str) -> None:
        wait_until(lambda: self.waiting.agents == names(*agents))


def test_thirty_that_wait_ask_once_a_second_together(waiting: Waiting) -> None:
    asked: list[Names] = []

    def watch(agents: Names) -> Names:
        asked.append(agents)
        return NOBODY

    waiters = Waiters(waiting, watch)
    sleeping = [waiters.start(f"a{number}") for number in range(30)]
    waiters.wait_for(*(f"a{number}" for number in range(30)))
    asked.clear()
    time.sleep(2.5)
    assert 1 <= len(asked) <= 4  # it was 75
    assert all(len(agents) == 30 for agents in asked)
    waiting.stop()
    assert {one.result(10) for one in sleeping} == {"stopped"}


def test_only_whom_there_is_work_for_is_called(waiting: Waiting) -> None:
    work = names()
    waiters = Waiters(waiting, lambda agents: agents & work)
    one, other = waiters.start("acme"), waiters.start("beta")
    waiters.wait_for("acme", "beta")
    work = names("beta", "gone")
    waiting.changed()
    assert other.result(10) == "called"
    work = NOBODY
    assert not one.done()
    waiting.stop()
    assert one.result(10) == "stopped"


def test_a_change_is_looked_at_soon_and_many_changes_not_more_often(waiting: Waiting) -> None:
    asked: list[float] = []

    def watch(_agents: Names) -> Names:
        asked.append(time.monotonic())
        return NOBODY

    waiters = Waiters(waiting, watch)
    waiters.start("acme")
    waiters.wait_for("acme")
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        waiting.changed()
        time.sleep(0.002)
    pauses = [after - before for before, after in itertools.pairwise(asked)]
    assert len(asked) >= 4  # not once a second
    assert min(pauses) > 0.09


def test_a_watch_that_fails_is_told_to_one_and_the_next_one_watches(waiting: Waiting) -> None:
    failing = threading.Event()
    failing.set()

    def watch(agents: Names) -> Names:
        if failing.is_set():
            failing.clear()
            raise HostError("the database is away")
        return agents

    waiters = Waiters(waiting, watch)
    sleeping = [waiters.start(name) for name in ("acme", "beta")]
    outcomes = []
    for one in sleeping:
        try:
            outcomes.append(one.result(10))
        except HostError:
            outcomes.append("failed")
    assert sorted(outcomes) == ["called", "failed"]


def test_the_oldest_place_of_an_agent_is_given_up_for_a_fifth(waiting: Waiting) -> None:
    waiters = Waiters(waiting, lambda _: NOBODY)
    first = waiters.start("acme")
    waiters.wait_for("acme")
    for _ in range(4):
        waiters.start("acme")
    assert first.result(10) == "pushed out"


# --- over the API ---------------------------------------------------------------------------------------


def test_a_claim_that_waits_holds_no_connection(hall: Hall) -> None:
    api = Api(hall, places=30)
    pool = hall.engine.pool
    assert isinstance(pool, QueuePool)
    tokens = {f"lane{number}": hall.lane(f"lane{number}", "render") for number in range(24)}
    with ThreadPoolExecutor(24) as threads:
        claims = [threads.submit(api.claim, token, name, "render", wait=60) for name, token in tokens.items()]
        wait_until(lambda: len(api.waiting.agents) == 24)
        time.sleep(1.2)
        # More wait than there are connections; and whoever watches for them holds one for milliseconds.
        assert pool.size() + 10 < 24
        taken = []
        for _ in range(50):
            taken.append(pool.checkedout())
            time.sleep(0.005)
        assert taken.count(0) > 25
        began = time.monotonic()
        for name, token in tokens.items():
            assert api.ask("/v1/agents/heartbeat", token, agent=name)[0] == 200
        assert time.monotonic() - began < 20
        api.waiting.stop()
        assert [claim.result(30)[0] for claim in claims] == [204] * 24


def test_waiting_costs_the_database_little_however_many_wait(hall: Hall) -> None:
    api = Api(hall, places=30)
    tokens = {f"lane{number}": hall.lane(f"lane{number}", "render") for number in range(16)}
    hall.submit("paint")  # something is there all the time, and nobody who waits can do it
    statements: list[str] = []
    with ThreadPoolExecutor(16) as threads:
        claims = [threads.submit(api.claim, token, name, "render", wait=60) for name, token in tokens.items()]
        wait_until(lambda: len(api.waiting.agents) == 16)
        time.sleep(1.0)
        event.listen(hall.engine, "before_cursor_execute", lambda *facts: statements.append(facts[2]))
        time.sleep(3.0)
        count = len([statement for statement in statements if statement.startswith("SELECT")])
        api.waiting.stop()
        assert [claim.result(30)[0] for claim in claims] == [204] * 16
    assert 2 <= count <= 18  # three for each second; each of the sixteen looking would be over three hundred


def test_only_who_can_do_a_job_that_is_due_is_called_for_it(hall: Hall) -> None:
    for name in ("acme", "beta"):
        hall.tenant(name)
        hall.agent(name, "mail", "render")
    hall.lane("painter", "paint")
    hall.lane("both", "paint", "render")
    everybody = names("acme", "beta", "painter", "both", "gone")

    def called() -> Names:
        with snapshot(hall.engine) as session:
            return concerned(session, everybody)

    assert called() == NOBODY
    host = hall.submit("paint")
    assert called() == names("painter", "both")
    hall.given("painter", "paint")
    assert called() == NOBODY
    hall.age(host, 61)  # its lease ran out
    assert called() == names("painter", "both")
    hall.given("painter", "paint")
    two = hall.submit("paint", "render", tenant="acme")
    assert called() == names("both")
    hall.given("both", "paint", "render")
    hall.submit("mail", tenant="acme")
    assert called() == names("acme")
    hall.say("fail", "both", two, 1, reason="no disk", retry=True)
    assert called() == names("acme")  # that one rests
    hall.age(two, 301)
    assert called() == names("acme", "both")
    hall.status("acme", "quarantined")
    assert called() == NOBODY


def test_work_from_another_process_finds_who_waits(hall: Hall) -> None:
    api = Api(hall)
    token = hall.lane("lane", "render")
    with ThreadPoolExecutor(1) as threads:
        claim = threads.submit(api.claim, token, "lane", "render", wait=60)
        wait_until(lambda: "lane" in api.waiting.agents)
        job = hall.submit("render")  # as hive submit does: nothing here is told of it
        status, answer = claim.result(20)
    assert (status, answer["job"]["id"]) == (200, job)


def test_a_job_whose_last_lease_ran_out_is_buried_while_others_wait(hall: Hall) -> None:
    api = Api(hall)
    token = hall.lane("lane", "render")
    hall.lane("other", "paint")
    job = hall.submit("paint", max_attempts=1)
    hall.given("other", "paint")
    with ThreadPoolExecutor(1) as threads:
        claim = threads.submit(api.claim, token, "lane", "render", wait=60)
        wait_until(lambda: "lane" in api.waiting.agents)
        hall.age(job, 61)
        wait_until(lambda: hall.job(job).state == "dead")
        api.waiting.stop()
        assert claim.result(30) == (204, None)
    assert hall.outcomes(job) == ["lost"]
