"""The place of most attacks: a repository, a lying server, and a jail host whose tenant ``acme`` waits for birth.

An attack ends in `Scene.refused`, which asserts the error, the state afterwards (tenant failed with the reason,
no jail, an intact audit log that names the refusal) and returns what was asked of the server meanwhile.
"""

import functools
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from hive import audit
from hive.birth.carry_out import birth
from hive.birth.mother import Mother
from hive.db.session import open_engine, snapshot
from hive.tenants import Tenant, TenantStatus, Tier, load_row
from signing.errors import RejectedError, SkillRepoError
from signing.format.names import parse_tenant_id
from tests.attacks.forge import Forge
from tests.support.world import PlainServer, World, jail_files, register_tenant

ROLES = ("root", "timestamp", "snapshot", "targets")


@dataclass
class Refusal:
    """What a refused birth left: the error, and what the server was asked for."""

    error: SkillRepoError
    requests: list[str] = field(default_factory=list)

    @property
    def targets(self) -> list[str]:
        """The requests for content (metadata comes first and alone when trust fails)."""
        return [path for path in self.requests if path.startswith("/targets/")]

    def fetched(self, part: str) -> bool:
        return any(part in path for path in self.requests)


@dataclass
class Scene:
    world: World
    server: PlainServer
    mother: Mother

    @property
    def metadata(self) -> Path:
        return self.mother.client.metadata_dir

    def forge(self) -> Forge:
        return Forge(self.world)

    def remembered(self) -> dict[str, int]:
        """The versions that the client's memory holds, of every role it has seen."""
        return {
            path.name.removesuffix(".json"): json.loads(path.read_bytes())["signed"]["version"]
            for path in self.metadata.glob("*.json")
        }

    def at(self, moment: datetime) -> None:
        """Let the host's clock stand at ``moment``."""
        self.mother = replace(self.mother, clock=lambda: moment)

    def register(self, name: str, *, profile: str = "base==1", tier: Tier = Tier.PAID) -> None:
        register_tenant(self.mother, name, profile=profile, tier=tier)

    def tenant(self, name: str = "acme") -> Tenant:
        with snapshot(self.mother.engine) as session:
            return Tenant.of(load_row(session, parse_tenant_id(name)))

    def events(self, name: str = "acme") -> list[audit.Record]:
        with snapshot(self.mother.engine) as session:
            audit.check(session)
            return audit.read(session, tenant=name)

    def born(self, name: str = "acme") -> dict[str, Any]:
        receipt = birth(self.mother, parse_tenant_id(name))
        assert receipt["status"] == "born"
        return receipt

    def refused(
        self, expected: type[SkillRepoError] = RejectedError, *, code: str | None = None, name: str = "acme"
    ) -> Refusal:
        """Try the birth of ``name``; assert that it is refused as ``expected`` and leaves nothing behind."""
        already = len(self.server.requests)
        others = {
            path: data for path, data in jail_files(self.mother).items() if not path.startswith(f"{name}/")
        }
        with pytest.raises(expected) as caught:
            birth(self.mother, parse_tenant_id(name))
        error = caught.value
        if code is not None:
            assert error.code == code
        tenant, last = self.tenant(name), self.events(name)[-1]
        assert tenant.status is TenantStatus.FAILED
        assert tenant.reason.startswith(f"{error.code}: ")
        assert last.event == ("birth.refused" if isinstance(error, RejectedError) else "birth.failed")
        assert last.facts["error"]["code"] == error.code
        assert not (self.mother.state / "jails" / name).exists()
        assert jail_files(self.mother) == others
        return Refusal(error, self.server.requests[already:])


@functools.cache
def _empty_database() -> bytes:
    """A database with this version's tables and nothing in it; migrations take longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "hive.db"
        open_engine(f"sqlite:///{file}").dispose()
        return file.read_bytes()


@contextmanager
def open_scene(world: World, state: Path) -> Iterator[Scene]:
    state.mkdir(parents=True, exist_ok=True)
    (state / "hive.db").write_bytes(_empty_database())
    with world.serve() as server:
        scene = Scene(world, server, world.mother(server.url, state))
        scene.register("acme")
        yield scene
