"""The wire contract of the mother skill's references/api.md, request by request."""

import json
import threading
import time

import pytest

from hive.agents import jobs, registry, tokens
from hive.agents.api import MAX_BODY, Service, create_app
from hive.agents.names import AgentId
from hive.agents.rules import MAX_OPEN, MAX_PAYLOAD, Rules
from hive.agents.standing import Standing
from hive.db.session import transaction
from signing.errors import FormatError
from signing.format.names import TenantId
from tests.hive.agents.caller import Api
from tests.hive.agents.hall import Hall, now
from tests.skills.agent_home import wait_until
from tests.support.activating import AtOnce


@pytest.fixture
def api(hall: Hall) -> Api:
    return Api(hall)


@pytest.fixture
def acme(api: Api) -> str:
    """The token of acme's agent, which lives."""
    api.hall.tenant("acme")
    return api.hall.agent("acme", "image-render", "web-search")


def test_a_whole_life(api: Api) -> None:
    api.hall.tenant("acme", status="born")
    token = api.hall.enrol("acme", "image-render", "web-search")
    skills = [{"name": "mother", "version": "1.0.0", "tree_sha256": "ab" * 32}]
    body = {"agent": "acme", "tenant": "acme", "capabilities": ["image-render"], "skills": skills}
    assert api.ask("/v1/agents/register", token, **body) == (
        200,
        {"agent": "acme", "heartbeat_seconds": 30.0},
    )
    assert api.ask("/v1/agents/heartbeat", token, agent="acme") == (200, {"state": "active"})
    assert api.hall.status_of("acme") == "active"
    payload = {"any": ["JSON", 1.5, None, "é\u2028"]}
    new = {"agent": "acme", "kind": "render", "needs": ["image-render"], "payload": payload}
    status, answer = api.ask("/v1/jobs/submit", token, **new)
    assert (status, answer["job"]["state"]) == (200, "ready")
    name = answer["job"]["id"]
    assert api.claim(token, "acme", "image-render") == (
        200,
        {
            "job": {
                "id": name,
                "kind": "render",
                "needs": ["image-render"],
                "payload": payload,
                "lease_seconds": 60.0,
                "fence": 1,
            }
        },
    )
    assert api.ask(f"/v1/jobs/{name}/heartbeat", token, fence=1) == (200, {})
    for _ in range(2):
        assert api.ask(f"/v1/jobs/{name}/complete", token, fence=1, result={"text": "ok"}) == (200, {})
    status, answer = api.ask(f"/v1/jobs/{name}/show", token, agent="acme")
    assert (answer["job"]["state"], answer["job"]["result"]) == ("done", {"text": "ok"})
    assert api.claim(token, "acme", "image-render") == (204, None)


def test_fail_and_refuse(api: Api, acme: str) -> None:
    first = api.hall.submit("web-search", tenant="acme")
    api.claim(acme, "acme", "web-search")
    assert api.ask(f"/v1/jobs/{first}/fail", acme, fence=1, reason="no\0disk", retry=False) == (200, {})
    assert api.hall.job(first).reason == "no\ufffddisk"
    second = api.hall.submit("web-search", tenant="acme")
    api.claim(acme, "acme", "web-search")
    assert api.ask(f"/v1/jobs/{second}/refuse", acme, fence=1, reason="no") == (200, {})
    assert api.hall.job(second).state == "ready"
    assert api.ask(f"/v1/jobs/{second}/complete", acme, fence=1, result={})[0] == 409


def test_what_is_offered_to_a_tenant_is_told_without_names(api: Api, acme: str) -> None:
    api.hall.tenant("beta")
    api.hall.agent("beta", "mail")
    api.hall.lane("lane", "transcode")
    api.hall.lane("silent", "print")
    api.hall.silence("silent", 1000)
    status, answer = api.ask("/v1/agents/capabilities", acme, agent="acme")
    assert status == 200
    assert answer == {
        "granted": ["image-render", "web-search"],
        "offered": ["image-render", "transcode", "web-search"],
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"agent": "acme", "agent": "acme"}',
        b'{"agent": NaN}',
        b'{"agent": "acme", "more": 1}',
        b'{"agent": "ACME"}',
        b'{"agent": "\\ud800"}',
        b'{"agent": "acme\\n"}',
        b"\xff{}",
        b'{"agent": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"agent": ' + b"9" * 50_000 + b"}",
        b'{"agent": 1e999}',
    ],
    ids=lambda body: body[:20].decode("latin-1").replace("\\", "/"),
)
def test_what_is_not_understood_is_400(api: Api, acme: str, body: bytes) -> None:
    status, data = api.raw("/v1/agents/heartbeat", body, acme)
    assert status == 400
    assert json.loads(data)["error"]["code"] == "malformed"


@pytest.mark.parametrize("wait", [0, -1, 86_401, "20", True, None], ids=repr)
def test_waits_are_seconds(api: Api, acme: str, wait: object) -> None:
    body = {"agent": "acme", "capabilities": ["web-search"], "wait_seconds": wait}
    assert api.ask("/v1/jobs/claim", acme, **body)[0] == 400


@pytest.mark.parametrize("fence", [0, -1, 1.5, True, "1", None, 2**60], ids=repr)
def test_fences_are_whole_numbers_above_zero(api: Api, acme: str, fence: object) -> None:
    job = api.hall.submit("web-search", tenant="acme")
    api.claim(acme, "acme", "web-search")
    assert api.ask(f"/v1/jobs/{job}/complete", acme, fence=fence, result={})[0] == 400
    assert api.hall.job(job).state == "leased"


def test_what_is_too_large_is_413(api: Api, acme: str) -> None:
    new = {"agent": "acme", "kind": "render", "needs": ["web-search"], "payload": "é" * (MAX_PAYLOAD // 2)}
    assert api.ask("/v1/jobs/submit", acme, **new)[0] == 413
    assert api.raw("/v1/jobs/x/complete", b" " * (6 << 20), acme)[0] == 413
    assert api.raw("/v1/agents/heartbeat", b'{"agent": "acme"}' + b" " * (64 << 10), acme)[0] == 413
    claim = b'{"agent": "acme", "capabilities": ["web-search"], "wait_seconds": 30}' + b" " * (64 << 10)
    assert api.raw("/v1/jobs/claim", claim, acme)[0] == 413  # it would hold its memory while it waits
    job = api.hall.submit("web-search", tenant="acme")
    api.claim(acme, "acme", "web-search")
    big = {"text": "x" * (1 << 20)}
    assert api.ask(f"/v1/jobs/{job}/complete", acme, fence=1, result=big)[0] == 413
    assert api.hall.job(job).state == "leased"


def test_the_largest_payload_fits_into_an_answer(api: Api, acme: str) -> None:
    payload = "\u0001" * (MAX_PAYLOAD // 6 - 1)  # six bytes each, however it is sent
    new = {"agent": "acme", "kind": "render", "needs": ["web-search"], "payload": payload}
    assert api.ask("/v1/jobs/submit", acme, **new)[0] == 200
    body = {"agent": "acme", "capabilities": ["web-search"], "wait_seconds": 1}
    status, data = api.raw("/v1/jobs/claim", json.dumps(body).encode(), acme)
    assert status == 200
    assert len(data) < 1 << 20
    assert json.loads(data)["job"]["payload"] == payload


@pytest.mark.parametrize("token", [None, "", "x", "a" * 43], ids=["none", "empty", "short", "unknown"])
def test_strangers_are_401_and_their_body_is_not_read(api: Api, acme: str, token: str | None) -> None:
    status, data = api.raw("/v1/agents/heartbeat", b"not even JSON", token)
    assert status == 401
    assert json.loads(data)["error"]["code"] == "agent-token-refused"


def test_only_posts_to_known_paths_are_answered(api: Api, acme: str) -> None:
    headers = {"Authorization": f"Bearer {acme}"}
    assert api.client.get("/v1/agents/heartbeat", headers=headers).status_code == 405
    assert api.client.options("/v1/agents/heartbeat", headers=headers).status_code == 405
    assert api.client.post("/v1/nothing", headers=headers).status_code == 404
    assert api.client.post("/v1/jobs/../agents/x/heartbeat", headers=headers).status_code == 404


def test_an_agent_that_was_forgotten_is_404(api: Api) -> None:
    with transaction(api.hall.engine) as session:
        token = tokens.issue(session, bytes(range(32)), AgentId("ghost"), now=now()).text
    assert api.ask("/v1/agents/heartbeat", token, agent="ghost")[0] == 404
    assert api.claim(token, "ghost", "render")[0] == 404
    body = {"agent": "ghost", "tenant": "ghost", "capabilities": [], "skills": []}
    assert api.ask("/v1/agents/register", token, **body)[0] == 403


def test_an_agent_that_is_not_born_yet_comes_back_later(api: Api) -> None:
    api.hall.tenant("acme", status="birthing")
    token = api.hall.enrol("acme", "mail")
    body = {"agent": "acme", "tenant": "acme", "capabilities": ["mail"], "skills": []}
    assert api.ask("/v1/agents/register", token, **body)[0] == 503
    api.hall.status("acme", "born")
    assert api.ask("/v1/agents/register", token, **body)[0] == 200


def test_a_quarantined_agent_is_told_so_by_its_heartbeat(api: Api, acme: str) -> None:
    job = api.hall.submit("web-search", tenant="acme")
    api.claim(acme, "acme", "web-search")
    with transaction(api.hall.engine) as session:
        registry.set_standing(session, AgentId("acme"), Standing.QUARANTINED, reason="odd", now=now())
    assert api.ask("/v1/agents/heartbeat", acme, agent="acme") == (200, {"state": "quarantined"})
    assert api.ask(f"/v1/jobs/{job}/heartbeat", acme, fence=1)[0] == 409
    assert api.claim(acme, "acme", "web-search") == (204, None)


def test_who_asks_too_often_is_429(hall: Hall) -> None:
    api = Api(hall, capacity=3)
    hall.lane("lane", "render")
    other = hall.lane("other", "render")
    token = hall.lane("lane", "render")
    statuses = [api.ask("/v1/agents/heartbeat", token, agent="lane")[0] for _ in range(5)]
    assert statuses[:3] == [200] * 3
    assert statuses[3:] == [429] * 2
    assert api.ask("/v1/agents/heartbeat", other, agent="other")[0] == 200


def test_a_large_request_counts_as_many(hall: Hall) -> None:
    """Five megabytes of small lists take a second to read; ten of them in a second, and nobody else is answered."""
    api = Api(hall, capacity=60)
    lane, other = hall.lane("lane", "render"), hall.lane("other", "render")
    lists = b'{"agent": "lane", "capabilities": [], "skills": [' + b"[]," * 1_600_000 + b"1]}"
    assert api.raw("/v1/agents/register", lists, lane)[0] == 400
    began = time.process_time()
    statuses = [api.raw("/v1/agents/register", lists, lane)[0] for _ in range(10)]
    assert statuses == [429] * 10
    assert time.process_time() - began < 1  # they were not read
    assert (
        api.ask("/v1/agents/heartbeat", lane, agent="lane")[0] == 200
    )  # what is left is enough for signs of life
    assert api.ask("/v1/agents/heartbeat", other, agent="other")[0] == 200


def test_the_largest_body_is_not_too_large_for_anybodys_pace(hall: Hall) -> None:
    service = Service(engine=hall.engine, clock=now, activator=AtOnce())  # as hive serve has it
    api = Api(hall)
    api.client = create_app(service).test_client()
    token = hall.lane("lane", "render")
    head, tail = b'{"agent": "lane", "capabilities": [], "skills": []', b"}"
    body = head + b" " * (MAX_BODY - len(head) - len(tail)) + tail
    assert api.raw("/v1/agents/register", body, token)[0] == 200


def test_a_claim_waits_and_is_woken_by_a_submission(api: Api, acme: str) -> None:
    found: list[tuple[int, float]] = []

    def wait() -> None:
        began = time.monotonic()
        status, _ = api.claim(acme, "acme", "web-search", wait=30)
        found.append((status, time.monotonic() - began))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.3)
    new = {"agent": "acme", "kind": "find", "needs": ["web-search"], "payload": None}
    assert api.ask("/v1/jobs/submit", acme, **new)[0] == 200
    thread.join(25)
    assert found[0][0] == 200
    assert found[0][1] < 20


def test_places_to_wait_are_bounded_and_others_are_answered(hall: Hall) -> None:
    api = Api(hall, places=1)
    token = hall.lane("lane", "render")
    thread = threading.Thread(target=lambda: api.claim(token, "lane", "render", wait=60))
    thread.start()
    try:
        wait_until(lambda: "lane" in api.waiting.agents)
        assert api.claim(token, "lane", "render")[0] == 503
        hall.submit("render")
        hall.submit("render")
        until = time.monotonic() + 30
        while (status := api.claim(token, "lane", "render")[0]) != 200:  # work itself needs no place
            assert status in {204, 503}
            assert time.monotonic() < until
    finally:
        api.waiting.stop()
        thread.join(30)
    assert not thread.is_alive()


def test_one_agent_does_not_take_all_places(hall: Hall) -> None:
    api = Api(hall, places=6)
    greedy, other = hall.lane("greedy", "render"), hall.lane("other", "print")
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(api.claim(greedy, "greedy", "render", wait=60)[0]))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    try:
        until = time.monotonic() + 30
        while len(statuses) < 8:  # the others' places were given to the newest
            assert time.monotonic() < until
            time.sleep(0.05)
        assert api.claim(other, "other", "print") == (204, None)
    finally:
        api.waiting.stop()
        for thread in threads:
            thread.join(30)
    assert set(statuses) <= {204, 503}


def test_ended_jobs_of_a_tenant_do_not_pile_up(api: Api, acme: str) -> None:
    jobs_kept = 3
    ended = []
    for _ in range(6):
        job = api.hall.submit("web-search", tenant="acme")
        api.hall.say("complete", "acme", job, api.hall.given("acme", "web-search").fence, "{}")
        ended.append(job)
    still_open = api.hall.submit("web-search", tenant="acme", priority=-1)
    with transaction(api.hall.engine) as session:
        assert jobs.forget_old(session, TenantId("acme"), keep=jobs_kept) == 3
    for job, status in zip([*ended, still_open], [404] * 3 + [200] * 4, strict=True):
        assert api.ask(f"/v1/jobs/{job}/show", acme, agent="acme")[0] == status


def test_the_end_of_the_service_ends_every_wait(api: Api, acme: str) -> None:
    statuses: list[int] = []
    thread = threading.Thread(
        target=lambda: statuses.append(api.claim(acme, "acme", "web-search", wait=60)[0])
    )
    thread.start()
    time.sleep(0.2)
    api.waiting.stop()
    thread.join(10)
    assert statuses == [204]


def test_a_busy_database_is_not_a_lost_lease(api: Api, acme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from hive.agents import leases
    from signing.errors import ConflictError

    job = api.hall.submit("web-search", tenant="acme")
    api.claim(acme, "acme", "web-search")

    def busy(*_: object) -> None:
        raise ConflictError("the database is busy at /secret/place")

    monkeypatch.setattr(leases, "complete", busy)
    status, answer = api.ask(f"/v1/jobs/{job}/complete", acme, fence=1, result={})
    assert status == 503
    assert "secret" not in json.dumps(answer)


def test_too_many_open_jobs_of_one_tenant_are_refused(api: Api, acme: str) -> None:
    api.hall.submit("web-search", tenant="acme")
    api.hall.run(
        "INSERT INTO jobs (job_id, tenant_id, kind, payload, priority, state, reason, submitted_by, submitted_at,"
        " not_before, attempts, max_attempts, refusals, fence, lease_seconds)"
        " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
        f"{MAX_OPEN - 1}) SELECT 'x' || CAST(i AS text), 'acme', 'k', '1', 0, 'ready', '', '', 0, 0, 0, 3, 0, 0, 60"
        " FROM n"
    )
    new = {"agent": "acme", "kind": "find", "needs": ["web-search"], "payload": None}
    assert api.ask("/v1/jobs/submit", acme, **new)[0] == 429


def test_a_job_whose_last_lease_ran_out_is_dead_though_nothing_else_is_there(api: Api, acme: str) -> None:
    job = api.hall.submit("web-search", tenant="acme", max_attempts=1)
    assert api.claim(acme, "acme", "web-search")[0] == 200
    api.hall.age(job, 61)
    assert api.claim(acme, "acme", "web-search") == (204, None)
    assert api.hall.job(job).state == "dead"


def test_few_large_requests_are_read_at_once(api: Api, acme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from hive.agents import api as module

    monkeypatch.setattr(module, "_LARGE_SECONDS", 0)
    held = threading.Event()
    inside = threading.Semaphore(0)

    def slow(data: bytes) -> None:
        inside.release()
        held.wait(30)
        raise FormatError("enough")

    monkeypatch.setattr(module.wire, "parse_body", slow)
    body = b" " * (65 << 10)
    threads = [threading.Thread(target=api.raw, args=("/v1/jobs/x/complete", body, acme)) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in threads:
            assert inside.acquire(timeout=30)
        assert api.raw("/v1/jobs/x/complete", body, acme)[0] == 503
    finally:
        held.set()
        for thread in threads:
            thread.join(30)
    assert api.raw("/v1/jobs/x/complete", body, acme)[0] == 400


def test_agents_do_not_push_ahead(api: Api, acme: str) -> None:
    new = {"agent": "acme", "kind": "find", "needs": ["web-search"], "payload": None}
    assert api.ask("/v1/jobs/submit", acme, **new, priority=1)[0] == 403
    assert api.ask("/v1/jobs/submit", acme, **new, priority=-1)[0] == 200


def test_a_refused_registration_is_recorded(api: Api, acme: str) -> None:
    body = {"agent": "acme", "tenant": "acme", "capabilities": ["womb"], "skills": []}
    for _ in range(3):
        assert api.ask("/v1/agents/register", acme, **body)[0] == 403
    assert api.hall.events().count("agent.refused") == 1
    assert "womb" in api.hall.facts("agent.refused")["reason"]


def test_rules_are_what_the_host_says(hall: Hall) -> None:
    api = Api(hall, rules=Rules(heartbeat=5, ttl=10, grace=5))
    token = hall.lane("lane", "render")
    body = {"agent": "lane", "capabilities": ["render"], "skills": []}
    assert api.ask("/v1/agents/register", token, **body)[1]["heartbeat_seconds"] == 5
