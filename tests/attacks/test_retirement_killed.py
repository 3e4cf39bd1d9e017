"""A retirement is killed everywhere: from its first commit on nobody reaches the agent, and the same command ends it.

After each kill: who is not retired yet and not as before is in quarantine, so nothing is routed to it and its token is
refused; a retired tenant has no jail and no secret; the audit chain holds.
"""

import contextlib
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path

import pytest

from hive import audit
from hive.activation import ProvenActivation
from hive.agents import registry
from hive.agents.errors import TokenRefusedError
from hive.agents.names import AgentId
from hive.agents.standing import load_present
from hive.agents.tokens import authenticate
from hive.db.models import BirthRow, TenantRow
from hive.db.session import open_engine, snapshot, transaction
from hive.jails.directory import DirectoryHost
from hive.retiring import Retirer
from hive.tenants import Tenant, TenantStatus, load_row
from hive.vault.dotenv import parse_text
from hive.vault.provision import Provisioner, Standing
from signing.errors import NotEntitledError
from signing.format.names import parse_tenant_id
from tests.attacks.scene import open_scene
from tests.attacks.test_vault_killed import CHANGES, Countdown
from tests.support.bucketed import PLANTED, env_of, files_with, fill, with_bucket
from tests.support.world import World, now

pytestmark = pytest.mark.slow
ACME = parse_tenant_id("acme")
AGENT = AgentId(ACME)


@pytest.fixture
def template(world: World, tmp_path: Path) -> Path:
    """The state of a host with one active tenant, whose jail holds secrets and runs; nothing of it is open."""
    with open_scene(world, tmp_path / "host") as scene:
        mother = scene.mother
        collection = fill(mother.state, ACME)
        with transaction(mother.engine) as session:
            session.get_one(TenantRow, ACME).collection_id = collection
        scene.mother = with_bucket(mother)
        scene.born()
        with transaction(mother.engine) as session:
            registry.register(
                session, AGENT, tenant_id=ACME, capabilities=frozenset(), skills=frozenset(), now=now()
            )
            activator = ProvenActivation(gates=mother.gates, state=mother.state)
            registry.heartbeat(session, AGENT, activator, now=now())
        assert scene.tenant().status is TenantStatus.ACTIVE
        mother.engine.dispose()
    return mother.state


class Machine:
    """A copy of that host, in a folder of its own."""

    def __init__(self, template: Path, folder: Path) -> None:
        shutil.copytree(template, folder)
        self.state = folder
        self.open()
        with transaction(self.engine) as session:
            session.get_one(BirthRow, ACME).jail_root = self.host.describe(ACME)
        self.engine.dispose()

    def open(self) -> None:
        self.engine = open_engine(f"sqlite:///{self.state / 'hive.db'}")
        self.host = DirectoryHost(self.state / "jails")

    def retire(self) -> bool:
        retirer = Retirer(engine=self.engine, host=self.host, state=self.state, clock=now)
        return retirer.retire(ACME, reason="ended")

    def retire_and_die(self, number: int) -> bool:
        """Retire in a child that is killed at its change ``number``; return False when it ended before."""
        child = os.fork()
        if child == 0:
            try:
                self.open()
                arm(Countdown(number))
                self.retire()
            except BaseException:  # noqa: BLE001 - nothing may run on in the copy of the parent
                traceback.print_exc()
                os._exit(1)
            sys.stdout.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            return True
        assert status == 0
        return False

    @property
    def status(self) -> TenantStatus:
        with snapshot(self.engine) as session:
            return Tenant.of(load_row(session, ACME)).status

    def routable(self, token: str) -> bool:
        """Whether anything could be routed to the agent, or be taken from it."""
        with snapshot(self.engine) as session:
            with contextlib.suppress(TokenRefusedError):
                authenticate(session, token)
                return True
            with contextlib.suppress(NotEntitledError):
                return load_present(session, AGENT, look=True).routable
        return False

    def secrets(self) -> Standing:
        provisioner = Provisioner(
            engine=self.engine, host=self.host, state=self.state, owner=(1, 1), clock=now
        )
        return provisioner.standing(ACME)

    def events(self) -> list[str]:
        with snapshot(self.engine) as session:
            audit.check(session)
            return [record.event for record in audit.read(session, tenant="acme")]


def arm(countdown: Countdown) -> None:
    countdown.arm()
    for name in ("rmdir",):
        assert name not in CHANGES
        countdown._around(name)


def test_a_retirement_killed_anywhere_is_ended_by_the_same_command(template: Path, tmp_path: Path) -> None:
    undisturbed = Machine(template, tmp_path / "undisturbed")
    token = {
        name: value for name, value, _ in parse_text(env_of(undisturbed.state).read_text(), where=".env")
    }["HIVE_TOKEN"]
    assert undisturbed.routable(token)
    assert undisturbed.retire()
    ended = undisturbed.events()
    seen, number = set(), 1
    while True:
        machine = Machine(template, tmp_path / str(number))
        before = env_of(machine.state).read_bytes()
        was_killed = machine.retire_and_die(number)
        machine.open()
        status, env = machine.status, env_of(machine.state)
        seen.add(status)
        if status is TenantStatus.ACTIVE:  # nothing was done yet
            assert env.read_bytes() == before
            assert machine.host.is_running(ACME)
            assert "tenant.retiring" not in machine.events()
        else:
            assert not machine.routable(token), number
            assert status in {TenantStatus.QUARANTINED, TenantStatus.RETIRED}
        if status is TenantStatus.RETIRED:
            assert not machine.host.exists(ACME)
            assert files_with(machine.state) == []
        elif env.exists():
            assert env.read_bytes() == before
            assert env.stat().st_mode & 0o777 == 0o600
        assert machine.retire() == (status is not TenantStatus.RETIRED)
        assert machine.status is TenantStatus.RETIRED
        assert list((machine.state / "jails").iterdir()) == []
        assert files_with(machine.state, PLANTED) == []
        assert machine.secrets() is Standing.NONE
        assert not machine.routable(token)
        events = machine.events()
        assert sorted(set(events)) == sorted(set(ended))
        for name in ("tenant.retired", "secrets.withdrawn", "agent.standing"):
            assert events.count(name) == ended.count(name), number
        machine.engine.dispose()
        shutil.rmtree(machine.state)
        if not was_killed:
            break
        number += 1
    undisturbed.engine.dispose()
    assert number > 20
    assert seen == {TenantStatus.ACTIVE, TenantStatus.QUARANTINED, TenantStatus.RETIRED}
