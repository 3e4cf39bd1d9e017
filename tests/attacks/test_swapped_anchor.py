"""The host remembers whom it trusts and what it has seen, whatever folder or variable it is given."""

from dataclasses import replace
from pathlib import Path

import pytest

from hive import audit, trust
from hive.birth.carry_out import birth
from hive.db.session import transaction
from signing.errors import CouldNotVerifyError, RollbackError
from signing.format.digest import sha256_of
from signing.format.names import parse_tenant_id
from tests.attacks.scene import Scene
from tests.support.world import World

OTHER = parse_tenant_id("other")


def test_another_repositorys_anchor_is_refused(scene: Scene, tmp_path: Path) -> None:
    """One variable (HIVE_TRUST_ANCHOR) must not let another root vouch for a paid tenant."""
    scene.born()
    scene.register("other")
    evil = World.build(tmp_path / "evil")
    evil.publish_skill("web-search==1.0", {"SKILL.md": b"---\nname: web-search\ndescription: x\n---\nEVIL\n"})
    evil.publish_profile("base==1", skills=["web-search==1.0"])
    with evil.serve() as server:
        client = evil.client(server.url, tmp_path / "evil-state")
        with pytest.raises(CouldNotVerifyError, match="this host trusts the anchor"):
            birth(replace(scene.mother, client=client), OTHER)
        assert server.requests == []
    evil.close()
    assert not scene.mother.host.exists(OTHER)
    assert scene.events("other")[-1].event == "birth.refused"
    scene.born("other")


def test_a_fresh_state_folder_does_not_accept_a_replay(scene: Scene, tmp_path: Path) -> None:
    old = scene.world.metadata()["timestamp.json"]
    scene.world.refresh()
    scene.born()
    scene.register("other")
    scene.server.lies["/metadata/timestamp.json"] = old
    fresh = scene.world.client(scene.server.url, tmp_path / "fresh")
    with pytest.raises(RollbackError, match="this host has seen"):
        birth(replace(scene.mother, client=fresh), OTHER)
    assert not scene.mother.host.exists(OTHER)


def test_admissions_name_the_anchor_and_the_state(scene: Scene) -> None:
    scene.born()
    record = next(record for record in scene.events() if record.event == "admission")
    assert record.facts["anchor_sha256"] == sha256_of(scene.world.anchor)
    assert record.facts["timestamp_version"] >= 1
    assert record.facts["root_version"] == 1


def test_replacing_the_anchor_is_recorded(scene: Scene) -> None:
    scene.born()
    with transaction(scene.mother.engine) as session:
        before = trust.replace(session, sha256_of(b"other"), reason="founded anew", now=scene.mother.clock())
    assert before == sha256_of(scene.world.anchor)
    with transaction(scene.mother.engine) as session:
        last = audit.read(session)[-1]
    assert (last.event, last.facts["reason"]) == ("trust.replaced", "founded anew")
    scene.register("other")
    with pytest.raises(CouldNotVerifyError):
        birth(scene.mother, OTHER)
