"""Which job goes to whom, and in which order."""

import pytest

from hive.agents.errors import NotNowError
from hive.agents.names import BIRTH
from hive.agents.rules import MAX_LEASES
from hive.tenants import Tier
from signing.errors import FormatError, NotEntitledError, NotFoundError
from signing.format.names import parse_tenant_id
from tests.hive.agents.hall import Hall


def test_a_job_goes_to_an_agent_with_every_capability(hall: Hall) -> None:
    hall.tenant("acme")
    hall.lane("half", "linux")
    hall.lane("whole", "linux", "render")
    job = hall.submit("linux", "render", tenant="acme")
    assert hall.claim("half", "linux") is None
    claimed = hall.given("whole", "linux", "render")
    assert (claimed.job_id, claimed.fence, claimed.needs) == (job, 1, ("linux", "render"))
    assert claimed.payload == {"n": 1}
    assert hall.claim("whole", "linux", "render") is None


def test_only_what_is_offered_in_the_claim_counts(hall: Hall) -> None:
    hall.lane("lane", "linux", "render")
    hall.submit("render")
    assert hall.claim("lane", "linux") is None
    assert hall.claim("lane", "render") is not None


def test_what_was_not_registered_cannot_be_offered(hall: Hall) -> None:
    hall.enrol_lane("lane", "linux", "render")
    hall.register("lane", "linux", lane=True)
    hall.heartbeat("lane")
    hall.submit("render")
    with pytest.raises(NotEntitledError, match="render"):
        hall.claim("lane", "render")


def test_an_agent_serves_its_own_tenant_only(hall: Hall) -> None:
    hall.tenant("acme")
    hall.tenant("beta")
    hall.agent("acme", "mail")
    hall.submit("mail", tenant="beta")
    hall.submit("mail")  # the host's own
    assert hall.claim("acme", "mail") is None
    mine = hall.submit("mail", tenant="acme")
    assert hall.given("acme", "mail").job_id == mine


@pytest.mark.parametrize("status", ["registered", "birthing", "born", "failed", "quarantined", "retired"])
def test_jobs_of_a_tenant_that_is_not_active_go_to_nobody(hall: Hall, status: str) -> None:
    hall.tenant("acme")
    hall.lane("lane", "render")
    hall.submit("render", tenant="acme")
    hall.status("acme", status)
    assert hall.claim("lane", "render") is None
    hall.status("acme", "active")
    assert hall.claim("lane", "render") is not None


def test_a_lane_serves_the_tenants_and_tiers_it_is_limited_to(hall: Hall) -> None:
    hall.tenant("acme")
    hall.tenant("beta")
    hall.tenant("free", tier=Tier.FREE)
    hall.lane("one", "render", tenants=[parse_tenant_id("beta")])
    hall.lane("two", "render", tiers=[Tier.FREE])
    hall.submit("render")
    hall.submit("render", tenant="acme")
    beta, free = hall.submit("render", tenant="beta"), hall.submit("render", tenant="free")
    assert hall.given("one", "render").job_id == beta
    assert hall.given("two", "render").job_id == free
    assert hall.claim("one", "render") is None
    assert hall.claim("two", "render") is None


def test_a_silent_agent_gets_nothing_until_it_is_heard_again(hall: Hall) -> None:
    hall.lane("lane", "render")
    hall.submit("render")
    hall.silence("lane", hall.rules.silence + 5)
    with pytest.raises(NotFoundError, match="not alive"):
        hall.claim("lane", "render")
    hall.heartbeat("lane")
    assert hall.claim("lane", "render") is not None


def test_an_agent_in_its_grace_still_lives(hall: Hall) -> None:
    hall.lane("lane", "render")
    hall.submit("render")
    hall.silence("lane", hall.rules.ttl + hall.rules.grace / 2)
    assert hall.claim("lane", "render") is not None


def test_an_agent_is_routable_only_after_its_first_heartbeat(hall: Hall) -> None:
    hall.enrol_lane("lane", "render")
    hall.submit("render")
    hall.register("lane", "render", lane=True)
    with pytest.raises(NotFoundError):
        hall.claim("lane", "render")


def test_higher_priorities_go_first(hall: Hall) -> None:
    hall.lane("lane", "render")
    low, high, middle = (hall.submit("render", priority=number) for number in (-1, 9, 0))
    assert [hall.given("lane", "render").job_id for _ in range(3)] == [high, middle, low]


def test_within_a_priority_tenants_take_turns(hall: Hall) -> None:
    """A tenant with a hundred jobs does not make another wait for all of them."""
    hall.tenant("acme")
    hall.tenant("beta")
    hall.lane("lane", "render")
    acme = [hall.submit("render", tenant="acme") for _ in range(4)]
    beta = [hall.submit("render", tenant="beta") for _ in range(2)]
    order = [hall.given("lane", "render").job_id for _ in range(6)]
    assert order == [acme[0], beta[0], acme[1], beta[1], acme[2], acme[3]]


def test_a_lease_that_ran_out_is_taken_over_with_a_higher_fence(hall: Hall) -> None:
    hall.lane("one", "render")
    hall.lane("two", "render")
    job = hall.submit("render")
    assert hall.given("one", "render").fence == 1
    assert hall.claim("two", "render") is None
    hall.age(job, 61)
    assert hall.given("two", "render").fence == 2
    assert hall.outcomes(job) == ["lost", None]


def test_a_job_whose_last_lease_ran_out_is_dead(hall: Hall) -> None:
    hall.lane("lane", "render")
    job = hall.submit("render", max_attempts=2)
    for _ in range(2):
        hall.given("lane", "render")
        hall.age(job, 61)
    assert hall.claim("lane", "render") is None
    row = hall.job(job)
    assert (row.state, row.attempts) == ("dead", 2)
    assert hall.outcomes(job) == ["lost", "lost"]


def test_a_job_without_needs_goes_to_nobody(hall: Hall) -> None:
    """The vacuous pass: none of no needs is lacking."""
    with pytest.raises(FormatError):
        hall.submit()
    hall.lane("lane", "render")
    hall.submit("render")
    hall.run("DELETE FROM job_needs")
    assert hall.claim("lane", "render") is None


def test_an_agent_that_offers_nothing_gets_nothing(hall: Hall) -> None:
    hall.lane("lane", "render")
    hall.submit("render")
    assert hall.claim("lane") is None


def test_one_agent_cannot_hoard(hall: Hall) -> None:
    hall.lane("lane", "render")
    hall.lane("other", "render")
    for _ in range(MAX_LEASES + 1):
        hall.submit("render")
    for _ in range(MAX_LEASES):
        hall.given("lane", "render")
    with pytest.raises(NotNowError):
        hall.claim("lane", "render")
    assert hall.claim("other", "render") is not None


def test_a_birth_goes_to_a_womb(hall: Hall) -> None:
    hall.tenant("newborn", status="registered")
    hall.lane("plain", "render")
    hall.lane("host", "womb")
    job = hall.submit("womb", kind=BIRTH, payload={"tenant": "newborn"})
    assert hall.claim("plain", "render") is None
    assert hall.given("host", "womb").job_id == job


@pytest.mark.parametrize("needs", [("render",), ("render", "womb")], ids=["another", "more"])
def test_a_birth_that_names_other_needs_is_refused(hall: Hall, needs: tuple[str, ...]) -> None:
    hall.tenant("newborn", status="registered")
    with pytest.raises(FormatError, match="womb"):
        hall.submit(*needs, kind=BIRTH, payload={"tenant": "newborn"})
