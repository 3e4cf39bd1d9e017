"""A tenant's agent (or whoever took its jail over) tries to see, claim, answer or forge another tenant's work."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from hive.agents.rules import Rules
from hive.db.session import open_engine
from tests.hive.agents.caller import Api
from tests.hive.agents.hall import Hall

SECRET = "letter-to-the-board"
VERBS: dict[str, dict[str, Any]] = {
    "heartbeat": {"fence": 1},
    "complete": {"fence": 1, "result": {"text": "forged"}},
    "fail": {"fence": 1, "reason": "forged", "retry": False},
    "refuse": {"fence": 1, "reason": "forged"},
    "show": {"agent": "mallory"},
    "cancel": {"agent": "mallory"},
}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    engine = open_engine(f"sqlite:///{tmp_path / 'hive.db'}")
    yield Api(Hall(engine))
    engine.dispose()


@pytest.fixture
def tokens(api: Api) -> dict[str, str]:
    """Two tenants with the same capability, and a lane."""
    for name in ("acme", "mallory"):
        api.hall.tenant(name)
    return {
        "acme": api.hall.agent("acme", "mail"),
        "mallory": api.hall.agent("mallory", "mail"),
        "lane": api.hall.lane("lane", "render"),
    }


@pytest.mark.parametrize("state", ["ready", "leased", "done", "dead"])
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_on_anothers_job_finds_nothing(
    api: Api, tokens: dict[str, str], verb: str, state: str
) -> None:
    job = api.hall.submit("mail", tenant="acme", payload={"text": SECRET})
    if state != "ready":
        fence = api.hall.given("acme", "mail").fence
        if state == "done":
            api.hall.say("complete", "acme", job, fence, json.dumps({"text": SECRET}))
        if state == "dead":
            api.hall.say("fail", "acme", job, fence, reason=SECRET, retry=False)
    before = api.hall.job(job)
    real = api.raw(f"/v1/jobs/{job}/{verb}", json.dumps(VERBS[verb]).encode(), tokens["mallory"])
    none = api.raw(f"/v1/jobs/j-{'0' * 20}/{verb}", json.dumps(VERBS[verb]).encode(), tokens["mallory"])
    assert real == none  # not even that it exists
    assert real[0] == 404
    assert SECRET.encode() not in real[1]
    after = api.hall.job(job)
    assert (after.state, after.owner, after.fence, after.result, after.reason, after.lease_until) == (
        before.state,
        before.owner,
        before.fence,
        before.result,
        before.reason,
        before.lease_until,
    )


@pytest.mark.parametrize("verb", VERBS)
def test_anothers_job_takes_no_other_steps_than_none(api: Api, tokens: dict[str, str], verb: str) -> None:
    """What is not done differently takes no other time: the database is asked the same, word by word."""
    job = api.hall.submit("mail", tenant="acme", payload={"text": SECRET})
    api.hall.given("acme", "mail")
    asked: dict[str, list[str]] = {}
    for name in (job, f"j-{'0' * 20}"):
        heard = asked.setdefault(name, [])

        def listen(*facts: Any, heard: list[str] = heard) -> None:
            heard.append(facts[2])

        event.listen(api.hall.engine, "before_cursor_execute", listen)
        assert api.ask(f"/v1/jobs/{name}/{verb}", tokens["mallory"], **VERBS[verb])[0] == 404
        event.remove(api.hall.engine, "before_cursor_execute", listen)
    assert len(asked[job]) > 2
    assert asked[job] == asked[f"j-{'0' * 20}"]


def test_what_another_has_shows_in_no_answer(api: Api, tokens: dict[str, str]) -> None:
    """Not whether it has jobs, how many, or of what size: every answer is the same, in every byte but its own ids."""

    def everything() -> list[tuple[int, bytes, list[tuple[str, str]]]]:
        body = {"agent": "mallory"}
        new = {**body, "kind": "send", "needs": ["mail"], "payload": 1}
        claim = {**body, "capabilities": ["mail"], "wait_seconds": 0.05}
        register = {**body, "tenant": "mallory", "capabilities": ["mail"], "skills": []}
        mine = api.ask("/v1/jobs/submit", tokens["mallory"], **new)[1]["job"]["id"]
        answers = []
        for path, asked in (
            ("/v1/agents/register", register),
            ("/v1/agents/heartbeat", body),
            ("/v1/agents/capabilities", body),
            ("/v1/jobs/submit", new),
            ("/v1/jobs/claim", claim),
            ("/v1/jobs/claim", claim),
            ("/v1/jobs/claim", claim),
            (f"/v1/jobs/{mine}/show", body),
            (f"/v1/jobs/{mine}/complete", {"fence": 1, "result": {}}),
            (f"/v1/jobs/{mine}/show", body),
            (f"/v1/jobs/{mine}/cancel", body),
            ("/v1/jobs/submit", {**new, "kind": "birth", "needs": ["womb"], "payload": {"tenant": "acme"}}),
            ("/v1/jobs/submit", {**new, "priority": 9}),
        ):
            answer = api.client.post(
                path, data=json.dumps(asked), headers={"Authorization": f"Bearer {tokens['mallory']}"}
            )
            shown = re.sub(rb"j-[0-9a-f]{20}", b"j-", answer.data)
            answers.append((answer.status_code, shown, sorted(answer.headers.items())))
        api.hall.run("DELETE FROM job_attempts")
        api.hall.run("DELETE FROM job_needs")
        api.hall.run("DELETE FROM jobs")
        return answers

    before = everything()
    for number in range(30):
        api.hall.submit("mail", tenant="acme", payload={"text": SECRET * number}, priority=9)
    api.hall.given("acme", "mail")
    api.hall.run(
        "INSERT INTO jobs (job_id, tenant_id, kind, payload, priority, state, reason, submitted_by, submitted_at,"
        " not_before, attempts, max_attempts, refusals, fence, lease_seconds)"
        " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
        " SELECT 'x' || i, 'acme', 'k', '1', 0, 'ready', '', '', 0, 0, 0, 3, 0, 0, 60 FROM n"
    )
    assert everything() == before
    assert [status for status, _, _ in before] == [
        200,
        200,
        200,
        200,
        200,
        200,
        204,
        200,
        200,
        200,
        200,
        403,
        403,
    ]


def test_a_claim_goes_through_no_jobs_but_the_tenants_own(api: Api, tokens: dict[str, str]) -> None:
    """Else how long it takes would tell how many jobs others have."""
    asked: list[tuple[str, Any]] = []

    def listen(*facts: Any) -> None:
        asked.append((facts[2], facts[3]))

    event.listen(api.hall.engine, "before_cursor_execute", listen)
    assert api.claim(tokens["mallory"], "mallory", "mail") == (204, None)
    event.remove(api.hall.engine, "before_cursor_execute", listen)
    (claim, given), *_ = [(said, given) for said, given in asked if "tenant_turns" in said]
    with api.hall.engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {claim}", given).all()
    ways = [row[3] for row in plan if " jobs" in row[3]]
    assert ways == ["SEARCH jobs USING INDEX ix_jobs_tenant_id (tenant_id=?)"]


def test_anothers_job_is_never_claimed(api: Api, tokens: dict[str, str]) -> None:
    job = api.hall.submit("mail", tenant="acme", payload={"text": SECRET})
    assert api.claim(tokens["mallory"], "mallory", "mail") == (204, None)
    api.hall.given("acme", "mail")
    api.hall.age(job, 1000)  # nor when its lease ran out
    assert api.claim(tokens["mallory"], "mallory", "mail") == (204, None)
    assert api.hall.outcomes(job) == [None]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/agents/register", {"agent": "acme", "tenant": "acme", "capabilities": ["mail"], "skills": []}),
        (
            "/v1/agents/register",
            {"agent": "mallory", "tenant": "acme", "capabilities": ["mail"], "skills": []},
        ),
        ("/v1/agents/register", {"agent": "mallory", "capabilities": ["mail"], "skills": []}),
        ("/v1/agents/heartbeat", {"agent": "acme"}),
        ("/v1/agents/capabilities", {"agent": "acme"}),
        ("/v1/jobs/claim", {"agent": "acme", "capabilities": ["mail"], "wait_seconds": 0.01}),
        ("/v1/jobs/submit", {"agent": "acme", "kind": "send", "needs": ["mail"], "payload": 1}),
    ],
    ids=["register", "tenant", "as-lane", "heartbeat", "capabilities", "claim", "submit"],
)
def test_speaking_for_another_is_refused(
    api: Api, tokens: dict[str, str], path: str, body: dict[str, object]
) -> None:
    job = api.hall.submit("mail", tenant="acme")
    events = [event for event in api.hall.events() if event != "agent.refused"]
    status, answer = api.ask(path, tokens["mallory"], **body)
    assert (status, answer["error"]["code"]) == (403, "not-entitled")
    assert api.hall.job(job).state == "ready"
    assert [event for event in api.hall.events() if event != "agent.refused"] == events


def test_a_job_cannot_be_submitted_for_another(api: Api, tokens: dict[str, str]) -> None:
    new = {"agent": "mallory", "kind": "send", "needs": ["mail"], "payload": 1}
    assert api.ask("/v1/jobs/submit", tokens["mallory"], **new, tenant="acme")[0] == 400
    status, answer = api.ask("/v1/jobs/submit", tokens["mallory"], **new)
    assert status == 200
    assert api.hall.job(answer["job"]["id"]).tenant_id == "mallory"
    assert api.claim(tokens["acme"], "acme", "mail") == (204, None)


def test_a_lane_sees_of_a_tenant_what_it_was_given_and_no_more(api: Api, tokens: dict[str, str]) -> None:
    mail = api.hall.submit("mail", tenant="acme", payload=SECRET)
    render = api.hall.submit("render", tenant="acme")
    assert api.claim(tokens["lane"], "lane", "render")[1]["job"]["id"] == render
    for name in (mail, render):
        assert api.ask(f"/v1/jobs/{name}/show", tokens["lane"], agent="lane")[0] == 404
        assert api.ask(f"/v1/jobs/{name}/cancel", tokens["lane"], agent="lane")[0] == 404
    assert api.ask(f"/v1/jobs/{mail}/complete", tokens["lane"], fence=1, result={})[0] == 404
    new = {"agent": "lane", "kind": "send", "needs": ["mail"], "payload": 1}
    assert api.ask("/v1/jobs/submit", tokens["lane"], **new)[0] == 403


def test_the_token_of_a_retired_agent_opens_nothing(api: Api, tokens: dict[str, str]) -> None:
    from hive.agents import registry
    from hive.agents.names import AgentId
    from hive.db.session import transaction
    from tests.hive.agents.hall import now

    job = api.hall.submit("mail", tenant="mallory")
    api.claim(tokens["mallory"], "mallory", "mail")
    with transaction(api.hall.engine) as session:
        registry.retire(session, AgentId("mallory"), reason="gone", now=now())
    body = {"agent": "mallory", "tenant": "mallory", "capabilities": ["mail"], "skills": []}
    for path, asked in (
        ("/v1/agents/register", body),
        ("/v1/agents/heartbeat", {"agent": "mallory"}),
        (f"/v1/jobs/{job}/complete", {"fence": 1, "result": {}}),
        (f"/v1/jobs/{job}/show", {"agent": "mallory"}),
    ):
        assert api.ask(path, tokens["mallory"], **asked)[0] == 401
    assert api.hall.job(job).state == "ready"


def test_births_are_refused_by_default_and_nothing_is_queued(api: Api, tokens: dict[str, str]) -> None:
    api.hall.tenant("spawn", status="registered")
    new = {"agent": "mallory", "kind": "birth", "needs": ["womb"], "payload": {"tenant": "spawn"}}
    status, answer = api.ask("/v1/jobs/submit", tokens["mallory"], **new)
    assert (status, answer["error"]["code"]) == (403, "not-entitled")
    api.hall.lane("host", "womb")
    assert api.hall.claim("host", "womb") is None
    assert api.hall.facts("agent.refused")["agent"] == "mallory"
    assert "births of depth 1" in api.hall.facts("agent.refused")["reason"]


@pytest.mark.parametrize(("kind", "expected"), [("birth", 403), ("render", 400)])
def test_the_capability_of_hosts_is_never_a_tenants(
    api: Api, tokens: dict[str, str], kind: str, expected: int
) -> None:
    """Not by registering it, and not by calling a birth something else: a host does births only."""
    body = {"agent": "mallory", "tenant": "mallory", "capabilities": ["womb"], "skills": []}
    assert api.ask("/v1/agents/register", tokens["mallory"], **body)[0] == 403
    new = {"agent": "mallory", "kind": kind, "needs": ["womb"], "payload": {"tenant": "acme"}}
    assert api.ask("/v1/jobs/submit", tokens["mallory"], **new)[0] == expected
    api.hall.run("DELETE FROM agent_capabilities")
    api.hall.lane("host", "womb")
    assert api.hall.claim("host", "womb") is None


class TestWhereBirthsAreAllowed:
    @pytest.fixture
    def open_api(self, api: Api) -> Api:
        return Api(api.hall, rules=Rules(birth_depth=1, birth_budget=1))

    def request(self, api: Api, token: str, agent: str, child: str) -> tuple[int, dict[str, dict[str, str]]]:
        new = {"agent": agent, "kind": "birth", "needs": ["womb"], "payload": {"tenant": child}}
        return api.ask("/v1/jobs/submit", token, **new)

    def approve(self, api: Api, job: str) -> None:
        from hive.agents import jobs
        from hive.agents.names import JobId
        from hive.db.session import transaction
        from tests.hive.agents.hall import now

        with transaction(api.hall.engine) as session:
            jobs.approve(session, jobs.load(session, JobId(job)), by="olga", now=now())

    def test_a_birth_waits_for_an_operator(self, open_api: Api, tokens: dict[str, str]) -> None:
        open_api.hall.tenant("spawn", status="registered")
        open_api.hall.lane("host", "womb")
        status, answer = self.request(open_api, tokens["mallory"], "mallory", "spawn")
        assert (status, answer["job"]["state"]) == (200, "held")
        job = answer["job"]["id"]
        assert open_api.hall.claim("host", "womb") is None
        open_api.hall.run("UPDATE jobs SET state = 'ready'")  # however it became ready
        assert open_api.hall.claim("host", "womb") is None
        open_api.hall.run("UPDATE jobs SET state = 'held'")
        self.approve(open_api, job)
        assert open_api.hall.given("host", "womb").job_id == job
        assert open_api.hall.facts("job.approved")["by"] == "olga"

    def test_cancelling_and_retrying_is_no_approval(self, open_api: Api, tokens: dict[str, str]) -> None:
        from hive.agents import jobs
        from hive.agents.names import JobId
        from hive.db.session import transaction
        from tests.hive.agents.hall import now

        open_api.hall.tenant("spawn", status="registered")
        open_api.hall.lane("host", "womb")
        job = self.request(open_api, tokens["mallory"], "mallory", "spawn")[1]["job"]["id"]
        assert open_api.ask(f"/v1/jobs/{job}/cancel", tokens["mallory"], agent="mallory")[0] == 200
        with transaction(open_api.hall.engine) as session:
            jobs.retry(session, jobs.load(session, JobId(job)), by="olga", now=now())
        assert open_api.hall.job(job).state == "held"
        assert open_api.hall.claim("host", "womb") is None

    def test_the_budget_is_for_ever(self, open_api: Api, tokens: dict[str, str]) -> None:
        for name in ("one", "two"):
            open_api.hall.tenant(name, status="registered")
        job = self.request(open_api, tokens["mallory"], "mallory", "one")[1]["job"]["id"]
        open_api.ask(f"/v1/jobs/{job}/cancel", tokens["mallory"], agent="mallory")
        assert self.request(open_api, tokens["mallory"], "mallory", "two")[0] == 403

    def test_a_child_has_no_children(self, open_api: Api, tokens: dict[str, str]) -> None:
        for name in ("child", "other"):
            open_api.hall.tenant(name, status="registered")
        job = self.request(open_api, tokens["mallory"], "mallory", "child")[1]["job"]["id"]
        self.approve(open_api, job)
        open_api.hall.status("child", "active")
        token = open_api.hall.agent("child", "mail")
        status, answer = self.request(open_api, token, "child", "other")
        assert status == 403
        assert "depth 2" in answer["error"]["message"]

    @pytest.mark.parametrize("child", ["acme", "mallory", "nobody"])
    def test_only_who_waits_for_a_birth_is_born(
        self, open_api: Api, tokens: dict[str, str], child: str
    ) -> None:
        """And the answer does not tell which tenants there are."""
        status, answer = self.request(open_api, tokens["mallory"], "mallory", child)
        assert status == 403
        assert "waiting for its birth" in answer["error"]["message"]
