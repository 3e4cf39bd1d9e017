"""The database's clock was a day ahead, and is set right: nothing from "tomorrow" may hold for a day.

A dead agent would count as alive, its job be kept from others, a resting job rest on, and the tenant that was served
last wait behind all others, until the clock has caught up. Small steps back, which clocks make, change nothing.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hive.agents.errors import LeaseLostError
from hive.db.session import open_engine
from signing.errors import NotFoundError
from tests.hive.agents.hall import Hall

DAY, STEP = -86_400.0, -30.0


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    engine = open_engine(f"sqlite:///{tmp_path / 'hive.db'}")
    hall = Hall(engine)
    hall.lane("one", "render")
    hall.lane("two", "render")
    yield hall
    engine.dispose()


def set_back(hall: Hall, seconds: float) -> None:
    """What was written by the clock that ran ahead now lies in the future, seen from the one that is right."""
    hall.run(
        f"UPDATE agents SET seen_at = seen_at - ({seconds}), registered_at = registered_at - ({seconds})"
    )
    hall.run(
        f"UPDATE jobs SET lease_until = lease_until - ({seconds}), not_before = not_before - ({seconds})"
    )
    hall.run(f"UPDATE job_attempts SET claimed_at = claimed_at - ({seconds})")
    hall.run(f"UPDATE tenant_turns SET served_at = served_at - ({seconds})")


def test_a_dead_agent_is_not_alive_until_tomorrow(hall: Hall) -> None:
    hall.submit("render")
    set_back(hall, DAY)
    with pytest.raises(NotFoundError, match="not alive"):
        hall.claim("one", "render")
    hall.heartbeat("one")  # one sign of life is enough
    assert hall.claim("one", "render") is not None


def test_a_lease_is_not_held_until_tomorrow(hall: Hall) -> None:
    job = hall.submit("render")
    fence = hall.given("one", "render").fence
    set_back(hall, DAY)
    hall.heartbeat("two")
    assert hall.given("two", "render").job_id == job
    with pytest.raises(LeaseLostError):
        hall.say("complete", "one", job, fence, "{}")
    assert hall.outcomes(job) == ["lost", None]


def test_who_still_works_renews_its_lease_and_keeps_the_job(hall: Hall) -> None:
    job = hall.submit("render")
    fence = hall.given("one", "render").fence
    set_back(hall, DAY)
    hall.heartbeat("one")
    hall.heartbeat("two")
    hall.say("renew", "one", job, fence)
    assert hall.claim("two", "render") is None
    hall.say("complete", "one", job, fence, "{}")
    assert hall.job(job).state == "done"


def test_the_last_lease_does_not_keep_a_dead_job_from_being_dead(hall: Hall) -> None:
    job = hall.submit("render", max_attempts=1)
    hall.given("one", "render")
    set_back(hall, DAY)
    hall.heartbeat("two")
    assert hall.claim("two", "render") is None
    assert hall.job(job).state == "dead"


def test_a_job_that_failed_does_not_rest_until_tomorrow(hall: Hall) -> None:
    job = hall.submit("render")
    hall.say("fail", "one", job, hall.given("one", "render").fence, reason="no disk", retry=True)
    set_back(hall, DAY)
    hall.heartbeat("two")
    assert hall.given("two", "render").job_id == job


def test_a_tenant_that_was_served_tomorrow_is_not_last_until_then(hall: Hall) -> None:
    for name in ("acme", "beta"):
        hall.tenant(name)
    served = hall.submit("render", tenant="acme")
    hall.say("complete", "one", served, hall.given("one", "render").fence, "{}")
    set_back(hall, DAY)
    hall.heartbeat("two")
    acme = [hall.submit("render", tenant="acme") for _ in range(2)]
    for _ in range(4):
        hall.submit("render", tenant="beta")
    given = [hall.given("two", "render").job_id for _ in range(4)]
    assert set(acme) < set(given)


def test_a_small_step_back_takes_nothing_from_anybody(hall: Hall) -> None:
    hall.submit("render")
    hall.given("one", "render")
    set_back(hall, STEP)
    assert hall.claim("two", "render") is None  # alive, and the lease is one's
    assert len(hall.outcomes(hall.submit("render"))) == 0
    assert hall.claim("two", "render") is not None
