"""A tenant whose first heartbeat does not make it active: its operator learns why, its agent only when to come again."""

from dataclasses import dataclass, field
from datetime import datetime

import pytest
from sqlalchemy.orm import Session

from hive.activation import NotActivatedError, note_reason
from hive.agents.names import AgentId
from hive.db.models import TenantRow
from hive.db.session import snapshot, transaction
from signing.errors import HostError, PolicyError, SkillRepoError
from signing.format.names import TenantId
from tests.hive.agents.caller import Api
from tests.hive.agents.hall import Hall, now
from tests.support.activating import AtOnce

ACME = TenantId("acme")
GATE = PolicyError("gate containment ended yesterday; see /var/db/hive/planted")
KEY = HostError("cannot read /var/db/hive/state/planted.key")


@dataclass
class Unsure:
    """Says no for as long as there is a reason."""

    reasons: list[SkillRepoError] = field(default_factory=list)

    def activate(self, session: Session, tenant_id: TenantId, *, now: datetime) -> None:
        if self.reasons:
            raise NotActivatedError(tenant_id, self.reasons.pop(0))
        AtOnce().activate(session, tenant_id, now=now)


@pytest.fixture
def unsure() -> Unsure:
    return Unsure([GATE, GATE, KEY, GATE])


@pytest.fixture
def api(hall: Hall, unsure: Unsure) -> Api:
    return Api(hall, activator=unsure)


@pytest.fixture
def token(api: Api) -> str:
    api.hall.tenant("acme", status="born")
    token = api.hall.enrol("acme", "mail")
    api.hall.register("acme", "mail")
    return token


def reason(hall: Hall) -> str:
    with snapshot(hall.engine) as session:
        return session.get_one(TenantRow, "acme").reason


def test_the_agent_is_told_to_come_again_and_the_operator_why(api: Api, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    recorded = []
    for _ in range(4):
        answer = api.client.post("/v1/agents/heartbeat", json={"agent": "acme"}, headers=headers)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
        assert "planted" not in answer.text
        assert "gate" not in answer.text
        recorded.append(reason(api.hall))
    assert recorded == [f"not activated: {error.code}: {error}" for error in (GATE, GATE, KEY, GATE)]
    events = [event for event in api.hall.events() if event.startswith("birth.")]
    assert events == ["birth.not-activated"] * 3  # the same reason again is no news
    assert api.hall.facts("birth.not-activated") == {"tenant": "acme", "reason": recorded[-1]}
    assert (api.hall.status_of("acme"), api.hall.seen("acme")) == (
        "born",
        0.0,
    )  # nothing of the heartbeat stays
    assert api.claim(token, "acme", "mail")[0] == 404
    answer = api.client.post("/v1/agents/heartbeat", json={"agent": "acme"}, headers=headers)
    assert answer.get_json() == {"state": "active"}
    assert api.hall.status_of("acme") == "active"


@pytest.mark.parametrize("status", ["active", "quarantined", "failed", "retired"])
def test_a_reason_that_comes_too_late_is_not_written_over_what_happened_since(
    hall: Hall, token: str, status: str
) -> None:
    hall.status("acme", status)
    with transaction(hall.engine) as session:
        note_reason(session, NotActivatedError(ACME, GATE), now=now())
    assert reason(hall) == ""
    assert "birth.not-activated" not in hall.events()


def test_a_database_that_goes_away_between_refusal_and_record_is_later_too(
    api: Api, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hive.agents import api as module

    def away(*_: object, **__: object) -> None:
        raise HostError("the database failed: planted")

    monkeypatch.setattr(module, "note_reason", away)
    status, answer = api.ask("/v1/agents/heartbeat", token, agent="acme")
    assert (status, answer["error"]["code"]) == (503, "not-now")
    assert "planted" not in str(answer)
    assert api.hall.status_of("acme") == "born"
    assert api.hall.seen(AgentId("acme")) == 0.0
