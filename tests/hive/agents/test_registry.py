"""Who may be an agent, with what; and when a tenant becomes active."""

from datetime import timedelta

import pytest

from hive.agents import registry, tokens
from hive.agents.errors import NotNowError, TokenRefusedError
from hive.agents.names import AgentId
from hive.agents.registry import ClaimedSkill
from hive.agents.standing import Standing, capabilities_of
from hive.db.session import snapshot, transaction
from signing.errors import ConflictError, KeyAccessError, NotEntitledError, NotFoundError
from signing.format.names import TenantId
from tests.hive.agents.hall import KEY, Hall, capabilities, now

ACME = AgentId("acme")


def registered(hall: Hall, name: str) -> frozenset[str]:
    with snapshot(hall.engine) as session:
        return capabilities_of(session, AgentId(name))


def test_the_first_heartbeat_makes_a_born_tenant_active(hall: Hall) -> None:
    hall.tenant("acme", status="born")
    hall.enrol("acme", "mail")
    hall.register("acme", "mail")
    assert hall.status_of("acme") == "born"
    assert hall.heartbeat("acme") is Standing.ADMITTED
    assert hall.status_of("acme") == "active"
    hall.heartbeat("acme")
    assert hall.events().count("birth.active") == 1


def test_a_heartbeat_does_not_end_a_quarantine(hall: Hall) -> None:
    hall.tenant("acme", status="quarantined")
    hall.enrol("acme", "mail")
    hall.register("acme", "mail")
    assert hall.heartbeat("acme") is Standing.QUARANTINED
    assert hall.status_of("acme") == "quarantined"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("registered", NotNowError),
        ("birthing", NotNowError),
        ("failed", NotEntitledError),
        ("retired", NotEntitledError),
        ("nonsense", NotEntitledError),
    ],
)
def test_an_agent_of_a_tenant_that_is_not_there_is_told_so(
    hall: Hall, status: str, error: type[Exception]
) -> None:
    hall.tenant("acme")
    hall.agent("acme", "mail")
    hall.status("acme", status)
    with pytest.raises(error):
        hall.register("acme", "mail")
    with pytest.raises(error):
        hall.heartbeat("acme")
    with pytest.raises(error):
        hall.claim("acme", "mail")


def test_more_than_is_granted_cannot_be_registered(hall: Hall) -> None:
    hall.tenant("acme")
    hall.enrol("acme", "mail")
    with pytest.raises(NotEntitledError, match="womb"):
        hall.register("acme", "mail", "womb")
    assert registered(hall, "acme") == frozenset()


def test_what_is_granted_no_more_is_lost_at_once(hall: Hall) -> None:
    hall.lane("lane", "linux", "render")
    hall.enrol_lane("lane", "linux")
    assert registered(hall, "lane") == {"linux"}
    with pytest.raises(NotEntitledError):
        hall.claim("lane", "render")


def test_who_was_not_enrolled_cannot_register(hall: Hall) -> None:
    hall.tenant("acme")
    with pytest.raises(NotEntitledError, match="not enrolled"):
        hall.register("acme", "mail")


def test_a_lane_is_of_no_tenant_and_a_tenants_agent_of_its_own(hall: Hall) -> None:
    for name in ("acme", "beta"):
        hall.tenant(name)
    hall.enrol("acme", "mail")
    hall.enrol_lane("lane", "mail")
    for agent, tenant in (("acme", "beta"), ("acme", None), ("lane", "acme")):
        with transaction(hall.engine) as session, pytest.raises(NotEntitledError):
            registry.register(
                session,
                AgentId(agent),
                tenant_id=TenantId(tenant) if tenant else None,
                capabilities=capabilities("mail"),
                skills=frozenset(),
                now=now(),
            )


def test_names_of_lanes_and_tenants_are_one_namespace(hall: Hall) -> None:
    hall.tenant("acme")
    hall.enrol_lane("lane", "render")
    with pytest.raises(ConflictError):
        hall.enrol_lane("acme", "render")
    hall.tenant("lane")
    with pytest.raises(ConflictError):
        hall.enrol("lane", "render")


def test_a_tenants_agent_is_no_womb(hall: Hall) -> None:
    hall.tenant("acme")
    with pytest.raises(NotEntitledError, match="womb"):
        hall.enrol("acme", "womb")


@pytest.mark.parametrize("standing", [Standing.BANNED, Standing.RETIRED])
def test_a_closed_identity_stays_closed(hall: Hall, standing: Standing) -> None:
    hall.lane("lane", "render")
    with transaction(hall.engine) as session:
        registry.set_standing(session, AgentId("lane"), standing, reason="odd", now=now())
    with pytest.raises(NotEntitledError, match=standing.value):
        hall.register("lane", "render", lane=True)
    with pytest.raises(NotEntitledError, match=standing.value):
        hall.enrol_lane("lane", "render")
    with pytest.raises(NotEntitledError, match=standing.value), transaction(hall.engine) as session:
        tokens.issue(session, KEY, AgentId("lane"), now=now())
    with pytest.raises(NotEntitledError, match=standing.value), transaction(hall.engine) as session:
        tokens.rotate(session, KEY, AgentId("lane"), now=now())
    with pytest.raises(ConflictError, match="for good"), transaction(hall.engine) as session:
        registry.set_standing(session, AgentId("lane"), Standing.ADMITTED, reason="mistake", now=now())


def test_retiring_revokes_the_token(hall: Hall) -> None:
    token = hall.lane("lane", "render")
    with transaction(hall.engine) as session:
        assert tokens.authenticate(session, token) == "lane"
        registry.retire(session, AgentId("lane"), reason="sold", now=now())
    with snapshot(hall.engine) as session, pytest.raises(TokenRefusedError):
        tokens.authenticate(session, token)
    assert hall.events()[-2:] == ["agent.standing", "token.revoked"]


def test_a_token_is_the_same_until_it_is_rotated(hall: Hall) -> None:
    hall.tenant("acme")
    first = hall.enrol("acme", "mail")
    assert hall.enrol("acme", "mail") == first
    with transaction(hall.engine) as session:
        second = tokens.rotate(session, KEY, ACME, now=now()).text
    assert second != first
    with snapshot(hall.engine) as session:
        assert tokens.authenticate(session, second) == "acme"
        with pytest.raises(TokenRefusedError):
            tokens.authenticate(session, first)


def test_a_revoked_token_never_comes_back(hall: Hall) -> None:
    hall.tenant("acme")
    first = hall.enrol("acme", "mail")
    with transaction(hall.engine) as session:
        tokens.revoke(session, ACME, now=now())
    assert hall.enrol("acme", "mail") != first
    with snapshot(hall.engine) as session, pytest.raises(TokenRefusedError):
        tokens.authenticate(session, first)


def test_another_key_is_noticed(hall: Hall) -> None:
    hall.tenant("acme")
    hall.enrol("acme", "mail")
    with transaction(hall.engine) as session, pytest.raises(KeyAccessError):
        tokens.issue(session, bytes(32), ACME, now=now())


def test_no_token_is_in_the_database_or_the_log(hall: Hall) -> None:
    hall.tenant("acme")
    token = hall.agent("acme", "mail")
    with snapshot(hall.engine) as session:
        from sqlalchemy import text

        for table in ("agent_tokens", "agents", "audit"):
            for row in session.execute(text(f"SELECT * FROM {table}")):
                assert token not in repr(
                    [bytes(cell) if isinstance(cell, memoryview) else cell for cell in row]
                )
    assert token not in repr(tokens.AgentToken(agent_id=ACME, generation=1, text=token))


@pytest.mark.parametrize("presented", ["", "x", "a" * 43, "é" * 43, "a" * 44, "a" * 100_000])
def test_what_is_no_token_is_refused(hall: Hall, presented: str) -> None:
    with snapshot(hall.engine) as session, pytest.raises(TokenRefusedError):
        tokens.authenticate(session, presented)


def test_registering_again_replaces_and_fills_no_log(hall: Hall) -> None:
    hall.enrol_lane("lane", "linux", "render")
    for offered in (("linux", "render"), ("linux",), ("render",), ("linux",)):
        hall.register("lane", *offered, lane=True)
    assert registered(hall, "lane") == {"linux"}
    assert hall.events().count("agent.registered") == 1


def test_skills_are_recorded_as_the_agent_names_them(hall: Hall) -> None:
    hall.tenant("acme")
    hall.enrol("acme", "mail")
    with transaction(hall.engine) as session:
        registry.register(
            session,
            ACME,
            tenant_id=TenantId("acme"),
            capabilities=capabilities("mail"),
            skills=frozenset({ClaimedSkill(name="mother", version="1.0.0", tree_sha256="ab" * 32)}),
            now=now(),
        )
    assert hall.facts("agent.registered")["skills"] == ["mother 1.0.0 " + "ab" * 32]


def test_refusals_are_recorded_and_fill_no_log(hall: Hall) -> None:
    hall.tenant("acme")
    hall.enrol("acme", "mail")
    at = now()
    for minutes, reason in ((0, "first"), (1, "second"), (9, "third"), (11, "fourth")):
        with transaction(hall.engine) as session:
            error = NotEntitledError(reason)
            registry.note_refusal(session, ACME, error, now=at + timedelta(minutes=minutes))
    assert hall.events().count("agent.refused") == 2
    assert hall.facts("agent.refused")["reason"] == "not-entitled: fourth"


def test_a_banned_agent_is_retired_and_stays_banned(hall: Hall) -> None:
    token = hall.lane("lane", "render")
    for close in (
        lambda session: registry.set_standing(
            session, AgentId("lane"), Standing.BANNED, reason="odd", now=now()
        ),
        lambda session: registry.retire(session, AgentId("lane"), reason="gone", now=now()),
    ):
        with transaction(hall.engine) as session:
            close(session)
    with snapshot(hall.engine) as session, pytest.raises(TokenRefusedError):
        tokens.authenticate(session, token)
    assert hall.facts("agent.standing")["standing"] == "banned"


def test_nobody_unknown_is_quarantined(hall: Hall) -> None:
    with transaction(hall.engine) as session, pytest.raises(NotFoundError):
        registry.set_standing(session, AgentId("nobody"), Standing.QUARANTINED, reason="x", now=now())
