"""From born to active, and to the end: what keeps a tenant from either, and what is left afterwards."""

import ast
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from hive import activation, certificate
from hive.activation import NotActivatedError, ProvenActivation
from hive.agents import registry
from hive.agents.errors import NotNowError
from hive.agents.names import AgentId
from hive.birth.carry_out import birth
from hive.birth.journal import receipts_of
from hive.db.models import BirthRow
from hive.db.session import snapshot, transaction
from hive.retiring import Retirer
from hive.tenants import TenantStatus
from signing.errors import ConflictError, HostError, NotEntitledError, NotFoundError
from signing.format.names import parse_tenant_id
from tests.attacks.scene import Scene, open_scene
from tests.support.world import World, jail_files, now

ACME = parse_tenant_id("acme")
AGENT = AgentId(ACME)


@pytest.fixture
def scene(world: World, tmp_path: Path) -> Iterator[Scene]:
    with open_scene(world, tmp_path / "host") as scene:
        scene.born()
        with transaction(scene.mother.engine) as session:
            registry.register(
                session, AGENT, tenant_id=ACME, capabilities=frozenset(), skills=frozenset(), now=now()
            )
        yield scene


def heartbeat(scene: Scene) -> None:
    activator = ProvenActivation(gates=scene.mother.gates, state=scene.mother.state)
    with transaction(scene.mother.engine) as session:
        registry.heartbeat(session, AGENT, activator, now=now())


def retirer(scene: Scene) -> Retirer:
    mother = scene.mother
    return Retirer(engine=mother.engine, host=mother.host, state=mother.state, clock=now)


def spoil(scene: Scene, statement: str) -> None:
    with transaction(scene.mother.engine) as session:
        session.execute(text(statement))


def test_the_first_heartbeat_activates_and_certifies(scene: Scene) -> None:
    heartbeat(scene)
    assert scene.tenant().status is TenantStatus.ACTIVE
    with snapshot(scene.mother.engine) as session:
        assert certificate.load(session, ACME)
    heartbeat(scene)
    assert [record.event for record in scene.events()].count("birth.active") == 1


@pytest.mark.parametrize(
    "statement",
    ["UPDATE gate_entries SET expires_at = approved_at", "DELETE FROM birth_evidence"],
    ids=["gate", "evidence"],
)
def test_who_cannot_be_proven_stays_born(scene: Scene, statement: str) -> None:
    spoil(scene, statement)
    with pytest.raises(NotActivatedError) as caught:
        heartbeat(scene)
    assert isinstance(caught.value, NotNowError)
    assert "gate" not in str(caught.value)
    assert scene.tenant().status is TenantStatus.BORN
    with snapshot(scene.mother.engine) as session, pytest.raises(NotFoundError):
        certificate.load(session, ACME)
    assert "birth.active" not in [record.event for record in scene.events()]


@pytest.mark.parametrize("status", [status for status in TenantStatus if status is not TenantStatus.BORN])
def test_only_a_born_tenant_is_activated(scene: Scene, status: TenantStatus) -> None:
    spoil(scene, f"UPDATE tenants SET status = '{status.value}'")
    activator = ProvenActivation(gates=scene.mother.gates, state=scene.mother.state)
    with transaction(scene.mother.engine) as session, pytest.raises(ConflictError):
        activator.activate(session, ACME, now=now())
    assert scene.tenant().status is status
    with snapshot(scene.mother.engine) as session, pytest.raises(NotFoundError):
        certificate.load(session, ACME)
    assert "birth.active" not in [record.event for record in scene.events()]


def test_who_calls_a_tenant_active_is_one_place() -> None:
    """Whoever writes that status elsewhere has gone past the gates; a release sets back what stood in the log."""
    root = Path(activation.__file__).parent
    writes = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign) and ".status" in ast.unparse(node.targets[0])
        if "ACTIVE" in ast.unparse(node.value) or "status" not in ast.unparse(node.value).lower()
    }
    assert writes == {"activation.py", "sweep/releasing.py"}
    assert [name for name in vars(activation) if name.startswith("activate")] == []


@pytest.mark.parametrize("tier", ["paid", "free"])
def test_a_clock_that_was_set_back_certifies_nothing(scene: Scene, tier: str) -> None:
    """A certificate says when; and of the free tier too it is signed by a host that knows what time it is."""
    spoil(scene, f"UPDATE tenants SET tier = '{tier}'")
    activator = ProvenActivation(gates=scene.mother.gates, state=scene.mother.state)
    with pytest.raises(NotActivatedError, match="operator"), transaction(scene.mother.engine) as session:
        registry.heartbeat(session, AGENT, activator, now=now() - timedelta(days=400))
    assert scene.tenant().status is TenantStatus.BORN
    heartbeat(scene)
    assert scene.tenant().status is TenantStatus.ACTIVE


def test_a_host_that_cannot_keep_a_key_says_so(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    activator = ProvenActivation(gates=scene.mother.gates, state=tmp_path / "file")
    with pytest.raises(NotActivatedError) as caught, transaction(scene.mother.engine) as session:
        registry.heartbeat(session, AGENT, activator, now=now())
    assert caught.value.reason.startswith("not activated: host-failed: cannot make ")
    assert scene.tenant().status is TenantStatus.BORN


def test_a_retired_tenant_is_gone_and_its_records_stay(scene: Scene) -> None:
    heartbeat(scene)
    assert retirer(scene).retire(ACME, reason="contract ended")
    tenant = scene.tenant()
    assert (tenant.status, tenant.reason) == (TenantStatus.RETIRED, "contract ended")
    assert jail_files(scene.mother) == {}
    with snapshot(scene.mother.engine) as session:
        assert certificate.load(session, ACME)
        assert receipts_of(session, ACME) == []
        assert session.get(BirthRow, ACME) is not None
    with pytest.raises(NotEntitledError):
        heartbeat(scene)
    with pytest.raises(ConflictError):
        birth(scene.mother, ACME)
    assert scene.events()[-1].event == "tenant.retired"
    assert not retirer(scene).retire(ACME, reason="again")
    assert scene.tenant().reason == "contract ended"


def test_a_retirement_that_broke_is_continued_and_the_agent_is_cut_off_already(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeat(scene)
    host = type(scene.mother.host)
    with monkeypatch.context() as broken:
        broken.setattr(host, "destroy", lambda *_, **__: (_ for _ in ()).throw(HostError("full")))
        with pytest.raises(HostError):
            retirer(scene).retire(ACME, reason="ended")
    assert scene.tenant().status is TenantStatus.QUARANTINED
    with pytest.raises(NotEntitledError):
        heartbeat(scene)
    assert retirer(scene).retire(ACME, reason="ended")
    assert jail_files(scene.mother) == {}


def test_a_jail_of_somebody_else_is_left_alone(scene: Scene) -> None:
    scene.mother.host.destroy(ACME, mark=scene.mother.host.mark_of(ACME) or "")
    scene.mother.host.create(ACME, mark="f" * 32)
    with pytest.raises(ConflictError):
        retirer(scene).retire(ACME, reason="ended")
    assert scene.mother.host.mark_of(ACME) == "f" * 32
    assert scene.tenant().status is TenantStatus.QUARANTINED
