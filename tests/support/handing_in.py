"""Handing in a builder's index at the very end of publishing: honest ones, and what somebody makes of them.

index = ready(world, folder, {"demo": "1.1"})          everything is here, nothing is handed in
refused(world, RollbackError, "go back", replace(index, …))
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Targets

from repo_server.db import log
from repo_server.db.session import snapshot, transaction
from repo_server.pkgrepo.accepting import AcceptedBuild, accept_build
from repo_server.pkgrepo.indexes import published_index
from repo_server.pkgrepo.local_desk import LocalPackageDesk
from repo_server.pkgrepo.serials import rows_of
from repo_server.publishing.alone import next_metadata, published_alone
from signing.errors import SkillRepoError
from signing.format.pkg.index import RepoIndex
from signing.format.pkg.names import PackageRepo
from signing.metadata import build_target, render
from tests.support.publishing import make_build, publish
from tests.support.world import PACKAGES, World, now


class _ReadyError(Exception):
    """Everything is ready: the desk would hand it in now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoppingDesk(LocalPackageDesk):
    def hand_in(self, repo: PackageRepo, metadata: bytes, *, now: datetime) -> dict[str, Any]:
        del repo, now
        raise _ReadyError(metadata)


def ready(
    world: World, folder: Path, packages: Mapping[str, str], *, mark: str = "", **wanted: Any
) -> RepoIndex:
    """The honest index of a build whose bytes are all here, and that was not handed in."""
    desk = _StoppingDesk(repository=world.repository, online=lambda: world.signers["online"])
    build = make_build(folder, packages, mark=mark)
    with pytest.raises(_ReadyError) as caught:
        publish(world, build, desk=desk, at=now() + timedelta(minutes=1), **wanted)
    signed = Targets.from_dict(_signed(caught.value.args[0]))
    return RepoIndex.parse(world.repository.blobs.load(signed.targets[PACKAGES.index_path].hashes["sha256"]))


def _signed(metadata: bytes) -> dict[str, Any]:
    signed = json.loads(metadata)["signed"]
    assert isinstance(signed, dict)
    return signed


def hand_in(
    world: World,
    index: RepoIndex | bytes,
    *,
    by: str | None = "builder",
    change: Callable[[Targets], None] = lambda _: None,
    at: datetime | None = None,
) -> AcceptedBuild:
    data = index if isinstance(index, bytes) else index.render()
    world.repository.blobs.store(data)
    at = at or now() + timedelta(minutes=1)
    with transaction(world.repository.engine) as session:
        known = published_alone(world.repository, session, PACKAGES.role)
        metadata = next_metadata(known, PACKAGES.role, build_target(PACKAGES.index_path, data), now=at)
        change(metadata.signed)
        if by is not None:
            metadata.sign(world.signers[by])
        return accept_build(
            world.repository, session, PACKAGES, render(metadata), world.signers["online"], now=at
        )


@dataclass(frozen=True, slots=True)
class State:
    serials: tuple[int, ...]
    records: int
    timestamp: bytes
    index: RepoIndex | None


def state_of(world: World) -> State:
    with snapshot(world.repository.engine) as session:
        return State(
            tuple(row.serial for row in rows_of(session, PACKAGES)),
            len(log.read(session)),
            (world.public / "metadata/timestamp.json").read_bytes(),
            published_index(world.repository, session, PACKAGES),
        )


def refused(
    world: World, expected: type[SkillRepoError], said: str | None, index: RepoIndex | bytes, **how: Any
) -> None:
    before = state_of(world)
    with pytest.raises(expected, match=said):
        hand_in(world, index, **how)
    assert state_of(world) == before
