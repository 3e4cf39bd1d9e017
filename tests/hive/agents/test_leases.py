"""What an agent says about its job: fences decide, repetitions are answered as the first time."""

import pytest

from hive.agents import jobs, registry
from hive.agents.errors import LeaseLostError
from hive.agents.names import JobId
from hive.agents.rules import MAX_HELD, MAX_REFUSALS
from hive.agents.standing import Standing
from hive.db.session import transaction
from signing.errors import ConflictError, NotEntitledError, NotFoundError
from tests.hive.agents.hall import Hall, now


@pytest.fixture
def lanes(hall: Hall) -> Hall:
    for name in ("one", "two"):
        hall.lane(name, "render")
    return hall


def test_a_renewed_lease_is_not_taken_over(lanes: Hall) -> None:
    job = lanes.submit("render")
    fence = lanes.given("one", "render").fence
    lanes.age(job, 50)
    lanes.say("renew", "one", job, fence)
    lanes.age(job, 50)
    assert lanes.claim("two", "render") is None


def test_completing_twice_is_answered_alike_and_done_once(lanes: Hall) -> None:
    job = lanes.submit("render")
    fence = lanes.given("one", "render").fence
    for text in ('{"n":1}', '{"n":2}'):
        lanes.say("complete", "one", job, fence, text)
    row = lanes.job(job)
    assert (row.state, row.result) == ("done", '{"n":1}')
    assert lanes.claim("two", "render") is None


@pytest.mark.parametrize(
    ("verb", "more"),
    [
        ("renew", {}),
        ("complete", {"result": "{}"}),
        ("fail", {"reason": "late", "retry": True}),
        ("refuse", {"reason": "late"}),
    ],
    ids=["renew", "complete", "fail", "refuse"],
)
def test_an_old_fence_changes_nothing(lanes: Hall, verb: str, more: dict[str, object]) -> None:
    job = lanes.submit("render")
    old = lanes.given("one", "render").fence
    lanes.age(job, 61)
    new = lanes.given("two", "render").fence
    before = lanes.job(job)
    for fence in (old, new, new + 1):  # also the other's fence, and one that is not given yet
        with pytest.raises(LeaseLostError):
            lanes.say(verb, "one", job, fence, **more)
    after = lanes.job(job)
    assert (after.state, after.owner, after.fence) == ("leased", "two", new)
    assert after.lease_until == before.lease_until
    lanes.say("complete", "two", job, new, "{}")
    assert lanes.job(job).state == "done"


def test_a_late_completion_that_nobody_overtook_counts(lanes: Hall) -> None:
    job = lanes.submit("render")
    fence = lanes.given("one", "render").fence
    lanes.age(job, 61)
    lanes.say("complete", "one", job, fence, "{}")
    assert lanes.job(job).state == "done"


def test_a_job_fails_rests_and_is_tried_again_until_it_is_dead(lanes: Hall) -> None:
    job = lanes.submit("render", max_attempts=2)
    fence = lanes.given("one", "render").fence
    lanes.say("fail", "one", job, fence, reason="no disk", retry=True)
    assert lanes.claim("two", "render") is None  # it rests
    lanes.age(job, 300)
    fence = lanes.given("two", "render").fence
    for _ in range(2):  # the repetition counts once
        lanes.say("fail", "two", job, fence, reason="no disk", retry=True)
    row = lanes.job(job)
    assert (row.state, row.attempts, row.reason) == ("dead", 2, "no disk")


def test_a_failure_for_good_is_dead_at_once(lanes: Hall) -> None:
    job = lanes.submit("render")
    lanes.say("fail", "one", job, lanes.given("one", "render").fence, reason="no", retry=False)
    assert lanes.job(job).state == "dead"


def test_refusing_does_not_count_and_the_job_goes_to_others(lanes: Hall) -> None:
    job = lanes.submit("render", max_attempts=1)
    fence = lanes.given("one", "render").fence
    for _ in range(2):
        lanes.say("refuse", "one", job, fence, reason="not mine")
    assert (lanes.job(job).attempts, lanes.job(job).refusals) == (0, 1)
    assert lanes.claim("one", "render") is None  # not the same again, in a circle
    assert lanes.given("two", "render").job_id == job


def test_who_registers_again_may_be_asked_again(lanes: Hall) -> None:
    job = lanes.submit("render")
    lanes.say("refuse", "one", job, lanes.given("one", "render").fence, reason="not now")
    lanes.register("one", "render", lane=True)
    lanes.heartbeat("one")
    assert lanes.given("one", "render").job_id == job


def test_what_many_refuse_is_dead(lanes: Hall) -> None:
    job = lanes.submit("render")
    for _ in range(MAX_REFUSALS):
        lanes.say("refuse", "one", job, lanes.given("one", "render").fence, reason="no")
        lanes.register("one", "render", lane=True)
        lanes.heartbeat("one")
    assert lanes.job(job).state == "dead"


def test_one_end_is_not_changed_into_another(lanes: Hall) -> None:
    job = lanes.submit("render")
    fence = lanes.given("one", "render").fence
    lanes.say("fail", "one", job, fence, reason="no", retry=False)
    with pytest.raises(LeaseLostError):
        lanes.say("complete", "one", job, fence, "{}")
    assert lanes.job(job).state == "dead"


def test_a_lease_is_not_renewed_for_ever(lanes: Hall) -> None:
    job = lanes.submit("render")
    fence = lanes.given("one", "render").fence
    lanes.run(f"UPDATE job_attempts SET claimed_at = claimed_at - {MAX_HELD + 1}")
    with pytest.raises(LeaseLostError):
        lanes.say("renew", "one", job, fence)


def test_a_job_that_was_never_given_does_not_exist(lanes: Hall) -> None:
    job = lanes.submit("render")
    lanes.given("one", "render")
    errors = []
    for name in (job, "j-00000000000000000000"):
        with pytest.raises(NotFoundError) as error:
            lanes.say("renew", "two", name, 1)
        errors.append(str(error.value))
    assert errors[0] == errors[1]


def test_quarantine_takes_the_work_away_and_release_gives_new(lanes: Hall) -> None:
    job = lanes.submit("render")
    fence = lanes.given("one", "render").fence
    with transaction(lanes.engine) as session:
        registry.set_standing(session, "one", Standing.QUARANTINED, reason="odd", now=now())
    assert lanes.heartbeat("one") is Standing.QUARANTINED
    with pytest.raises(LeaseLostError):
        lanes.say("complete", "one", job, fence, "{}")
    assert lanes.claim("one", "render") is None
    assert lanes.given("two", "render").job_id == job


def test_a_tenant_in_quarantine_loses_its_leases(hall: Hall) -> None:
    hall.tenant("acme")
    hall.agent("acme", "mail")
    job = hall.submit("mail", tenant="acme")
    fence = hall.given("acme", "mail").fence
    hall.status("acme", "quarantined")
    assert hall.heartbeat("acme") is Standing.QUARANTINED
    with pytest.raises(LeaseLostError):
        hall.say("complete", "acme", job, fence, "{}")
    assert hall.claim("acme", "mail") is None
    assert hall.job(job).state == "leased"
    assert hall.status_of("acme") == "quarantined"


def test_cancelling_ends_the_lease(lanes: Hall) -> None:
    job = lanes.submit("render")
    fence = lanes.given("one", "render").fence
    with transaction(lanes.engine) as session:
        jobs.cancel(session, jobs.load(session, JobId(job)), by="olga", now=now())
    with pytest.raises(LeaseLostError):
        lanes.say("renew", "one", job, fence)
    assert lanes.outcomes(job) == ["cancelled"]
    with transaction(lanes.engine) as session, pytest.raises(ConflictError):
        jobs.cancel(session, jobs.load(session, JobId(job)), by="olga", now=now())
    assert "job.cancelled" in lanes.events()


def test_a_dead_job_is_begun_anew(lanes: Hall) -> None:
    job = lanes.submit("render", max_attempts=1)
    fence = lanes.given("one", "render").fence
    lanes.say("fail", "one", job, fence, reason="no", retry=True)
    with transaction(lanes.engine) as session:
        jobs.retry(session, jobs.load(session, JobId(job)), by="olga", now=now())
    assert lanes.given("one", "render").fence == fence + 1
    with pytest.raises(LeaseLostError):
        lanes.say("complete", "one", job, fence, "{}")


def test_a_banned_agent_says_nothing_more(lanes: Hall) -> None:
    job = lanes.submit("render")
    fence = lanes.given("one", "render").fence
    with transaction(lanes.engine) as session:
        registry.set_standing(session, "one", Standing.BANNED, reason="odd", now=now())
    with pytest.raises(NotEntitledError, match="banned"):
        lanes.say("complete", "one", job, fence, "{}")
    assert lanes.given("two", "render").job_id == job


def test_nothing_is_begun_anew_for_a_retired_tenant(hall: Hall) -> None:
    hall.tenant("acme")
    hall.lane("one", "render")
    job = hall.submit("render", tenant="acme", max_attempts=1)
    hall.say("fail", "one", job, hall.given("one", "render").fence, reason="no", retry=True)
    hall.status("acme", "retired")
    with pytest.raises(NotEntitledError, match="retired"), transaction(hall.engine) as session:
        jobs.retry(session, jobs.load(session, JobId(job)), by="olga", now=now())
    assert hall.job(job).state == "dead"
    assert "job.retried" not in hall.events()
