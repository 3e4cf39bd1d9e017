"""The same on a host whose jails are Bastille's, by its stand-in: proofs, failed births and retirements."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hive.birth.carry_out import birth
from hive.birth.undoing import OnFailure
from hive.db.models import TenantRow
from hive.db.session import transaction
from hive.proof import proving, unfinished
from hive.proof.ground import Wanted
from hive.retiring import Retirer
from hive.tenants import TenantStatus
from hive.vault.env_file import ENV_PATH
from signing.errors import HostError
from signing.format.names import Pin, parse_tenant_id
from tests.attacks.scene import Scene
from tests.hive.proof.conftest import ground_of
from tests.support.bastille_machine import BastilleMachine
from tests.support.bucketed import files_with, fill, with_bucket
from tests.support.world import now

pytestmark = pytest.mark.slow
ACME = parse_tenant_id("acme")
WANTED = Wanted(profile=Pin.parse("base==1"))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[BastilleMachine]:
    machine = BastilleMachine.make(tmp_path / "machine")
    yield machine
    assert not machine.forbidden


def on_bastille(scene: Scene, machine: BastilleMachine) -> Scene:
    """The tenant acme has a bucket, and jails are Bastille's."""
    collection = fill(scene.mother.state, ACME)
    with transaction(scene.mother.engine) as session:
        session.get_one(TenantRow, ACME).collection_id = collection
    return replace(scene, mother=with_bucket(replace(scene.mother, host=machine.host())))


def env_of(machine: BastilleMachine, tenant: str = "acme") -> Path:
    return machine.prefix / "jails" / tenant / "root" / ENV_PATH


def test_a_proof_with_a_real_jail(scene: Scene, machine: BastilleMachine) -> None:
    scene = on_bastille(scene, machine)
    document = proving.prove(ground_of(replace(scene.mother, secrets=None)), WANTED)
    assert document["verdict"] == "passed"
    assert [
        word
        for word in ("create", "start", "stop", "destroy")
        if any(word in words for words in machine.changes)
    ] == ["create", "start", "stop", "destroy"]
    assert machine.kernel == {}
    assert list((machine.prefix / "jails").iterdir()) == []
    assert unfinished.found(scene.mother.state) == []


def test_a_proof_on_a_host_whose_jails_do_not_start(scene: Scene, machine: BastilleMachine) -> None:
    scene = on_bastille(scene, machine)
    machine.misbehave(start="fail")
    with pytest.raises(HostError) as caught:
        proving.prove(ground_of(replace(scene.mother, secrets=None)), WANTED)
    assert caught.value.facts["step"] == "birth"
    assert machine.kernel == {}
    assert list((machine.prefix / "jails").iterdir()) == []
    assert scene.tenant("proof1").status is TenantStatus.RETIRED


@pytest.mark.parametrize("on_failure", [None, *OnFailure])
def test_a_birth_whose_jail_does_not_start(
    scene: Scene, machine: BastilleMachine, on_failure: OnFailure | None
) -> None:
    scene = on_bastille(scene, machine)
    machine.misbehave(start="fail")
    with pytest.raises(HostError):
        birth(scene.mother, ACME, on_failure=on_failure)
    assert scene.tenant().status is TenantStatus.FAILED
    assert machine.kernel == {}
    assert not env_of(machine).exists()
    assert files_with(machine.prefix) == []
    assert scene.mother.host.exists(ACME) == (on_failure is not OnFailure.DESTROY)
    machine.misbehave()
    assert birth(scene.mother, ACME)["status"] == "born"
    assert env_of(machine).exists()


def test_a_tenant_with_secrets_is_retired(scene: Scene, machine: BastilleMachine) -> None:
    scene = on_bastille(scene, machine)
    birth(scene.mother, ACME)
    assert env_of(machine).exists()
    mother = scene.mother
    assert Retirer(engine=mother.engine, host=mother.host, state=mother.state, clock=now).retire(
        ACME, reason="left"
    )
    assert machine.kernel == {}
    assert files_with(machine.prefix) == []
    assert list((machine.prefix / "jails").iterdir()) == []
    assert scene.tenant().status is TenantStatus.RETIRED


def test_a_link_in_the_way_to_the_secrets_keeps_no_jail(
    scene: Scene, machine: BastilleMachine, tmp_path: Path
) -> None:
    scene = on_bastille(scene, machine)
    birth(scene.mother, ACME)
    (tmp_path / "outside/home/agent").mkdir(parents=True)
    usr = machine.prefix / "jails/acme/root/usr/home"
    scene.mother.host.stop(ACME, mark=scene.mother.host.mark_of(ACME) or "")
    usr.rename(usr.with_name("moved"))
    usr.symlink_to(tmp_path / "outside/home")
    mother = scene.mother
    assert Retirer(engine=mother.engine, host=mother.host, state=mother.state, clock=now).retire(
        ACME, reason="left"
    )
    assert files_with(machine.prefix) == []
    assert scene.tenant().status is TenantStatus.RETIRED
