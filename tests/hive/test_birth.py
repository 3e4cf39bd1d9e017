"""A birth lets in exactly what the tenant's lock pins, and says so."""

from pathlib import Path

from hive import audit
from hive.birth.carry_out import birth
from hive.birth.journal import steps_of
from hive.db.models import StepState
from hive.db.session import snapshot
from signing.format.names import parse_tenant_id
from tests.support.world import World, register_tenant


def test_a_paid_tenant_is_born_with_the_pinned_skill(world: World, tmp_path: Path) -> None:
    with world.serve() as server:
        mother = world.mother(server.url, tmp_path / "host")
        register_tenant(mother, "acme", profile="base==1")
        receipt = birth(mother, parse_tenant_id("acme"))
    assert receipt["status"] == "born"
    assert receipt["skills"] == ["web-search==1.0"]
    home = Path(receipt["jail_root"]) / "usr/home/agent/skills/web-search"
    assert (home / "scripts/run.sh").read_bytes() == b"#!/bin/sh\nexit 0\n"
    assert (home / "scripts/run.sh").stat().st_mode & 0o777 == 0o555
    with snapshot(mother.engine) as session:
        events = [record.event for record in audit.read(session, tenant="acme")]
        assert audit.check(session).sequence == 5
        steps = steps_of(session, parse_tenant_id("acme"))
    assert set(steps.values()) == {StepState.DONE}
    assert set(steps) == {
        "create-jail",
        "skill:web-search==1.0",
        "identity",
        "lock",
        "verify",
        "secrets",
        "start",
    }
    assert events == ["tenant.registered", "birth.begun", "admission", "agent.enrolled", "birth.born"]
