"""A host that can be proven: its mother, its vault, its activator; without a tenant of a customer."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hive.activation import ProvenActivation
from hive.agents import tokens
from hive.agents.names import AgentId
from hive.agents.token_file import load_token_key
from hive.birth.mother import Mother
from hive.db.session import transaction
from hive.proof.ground import Ground
from hive.vault.provision import Provisioner
from hive.vault.secret import Secret
from signing.format.names import TenantId
from tests.attacks.scene import Scene, open_scene
from tests.hive.vault.jailed import OWNER
from tests.support.hurry import in_a_hurry
from tests.support.world import World, now

HIVE_URL = "https://hive.example"


def ground_of(mother: Mother, **other: object) -> Ground:
    def own(tenant_id: TenantId) -> Mapping[str, Secret]:
        with transaction(mother.engine) as session:
            token = tokens.issue(session, load_token_key(mother.state), AgentId(tenant_id), now=now())
        return {"HIVE_URL": Secret(HIVE_URL.encode()), "HIVE_TOKEN": Secret(token.text.encode())}

    parts = {
        "mother": mother,
        "provisioner": Provisioner(
            engine=mother.engine, host=mother.host, state=mother.state, owner=OWNER, clock=mother.clock
        ),
        "own": own,
        "activator": ProvenActivation(gates=mother.gates, state=mother.state),
        "vault": None,
        "live": None,
        "settings": {"host": "here"},
    }
    return Ground(**{**parts, **other})  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture
def scene(world: World, tmp_path: Path) -> Iterator[Scene]:
    with open_scene(world, tmp_path / "host") as scene:
        yield scene


@pytest.fixture
def ground(scene: Scene) -> Ground:
    return ground_of(scene.mother)
