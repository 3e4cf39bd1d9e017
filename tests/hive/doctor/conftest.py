"""A host on which everything is as it should be, for tests that spoil one thing each."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hive import audit
from hive.birth.carry_out import birth
from hive.cli.gates import open_gates
from hive.config import HiveConfig
from hive.db.session import transaction
from hive.db.sweep_tables import SweepRow
from hive.doctor.all_checks import CHECKS
from hive.doctor.host import Host
from signing.checkup import Said, examine
from signing.format.names import parse_tenant_id
from tests.attacks.scene import Scene, open_scene
from tests.support.hurry import in_a_hurry
from tests.support.world import World, now


@dataclass
class Clinic:
    """A host with one born tenant, and a doctor for it."""

    scene: Scene
    host: Host
    folder: Path

    @property
    def state(self) -> Path:
        return self.host.config.state_dir

    def setting(self, **values: Any) -> None:
        self.host = replace(self.host, config=replace(self.host.config, **values), _opened=[])

    def said(self, check: str) -> list[Said]:
        return [result.said for result in examine({check: CHECKS[check]}, self.host)]

    def outcome(self, check: str) -> str:
        """The worst that the check says."""
        found = {said.outcome.value for said in self.said(check)}
        return next(name for name in ("bad", "warn", "ok") if name in found)


@pytest.fixture(scope="package", autouse=True)
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture
def clinic(world: World, tmp_path: Path) -> Iterator[Clinic]:
    folder = tmp_path / "host"
    with open_scene(world, folder) as scene:
        birth(scene.mother, parse_tenant_id("acme"))
        folder.chmod(0o700)
        (folder / "hive.db").chmod(0o600)  # as open_engine makes it; the scene copies a file
        anchor, settings = tmp_path / "anchor.json", tmp_path / "hive.toml"
        anchor.write_bytes(world.anchor)
        settings.write_text("")
        for file in (anchor, settings):
            file.chmod(0o644)
        moment = now()
        with transaction(scene.mother.engine) as session:
            session.add(SweepRow(started_at=moment, finished_at=moment, tenants=1, findings=0))
            audit.append(session, event="test", facts={}, now=moment)
        config = HiveConfig(
            db=str(folder / "hive.db"),
            state=str(folder),
            trust_anchor=str(anchor),
            server=scene.server.url,
            jail_root_base=str(folder / "jails"),
            abi="FreeBSD:14:amd64",
            jail_uid=str(os.geteuid() or 1001),
            jail_gid=str(os.getegid() or 1001),
            package_store_bytes="1000000",
        )
        host = Host(
            config=config,
            config_file=settings,
            now=moment + timedelta(seconds=1),
            open_client=lambda _: scene.mother.client,
            open_gates=open_gates,
        )
        clinic = Clinic(scene, host, tmp_path)
        yield clinic
        clinic.host.close()
