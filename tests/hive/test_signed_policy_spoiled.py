"""A host whose signed policy cannot be verified now: what its sweeps go by all the same, and what is not activated."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hive import policy_memory
from hive.activation import NotActivatedError, ProvenActivation
from hive.db.session import transaction
from hive.policy_loading import (
    remembered_policy,
    this_host,
)
from hive.sweep.findings import Found
from hive.tenants import TenantStatus
from signing.errors import (
    BadSignatureError,
    CouldNotVerifyError,
    FormatError,
)
from signing.format.digest import sha256_of
from signing.format.names import parse_tenant_id
from tests.attacks.scene import open_scene
from tests.support.hurry import in_a_hurry
from tests.support.signed_policy import DEMANDING, PolicyHost, PolicyPlace
from tests.support.world import World, now


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture
def host(world: World, tmp_path: Path) -> Iterator[PolicyHost]:
    with open_scene(world, tmp_path / "host") as scene:
        yield PolicyHost(scene, PolicyPlace(tmp_path, world.signers, {"state": str(scene.mother.state)}))


@pytest.mark.parametrize("trouble", ["altered", "gone", "ended", "away", "setting-gone", "older"])
def test_a_sweep_goes_by_what_was_verified_last(host: PolicyHost, trouble: str) -> None:
    """Whoever can spoil a file or cut a line must not be able to blind the sweeps, or to choose what they run."""
    text = '[sweep]\ndrift = ["unroutable", "stop-jail"]\n[notify]\ncommand = ["/usr/bin/tell"]\n'
    host.place.sign(serial=1)
    old = host.place.kept()
    host.place.sign(text, serial=2)
    found, problem = host.sweep()
    assert problem is None
    assert found.signed is not None
    at, settings = now(), {}
    match trouble:
        case "altered":
            host.place.policy.write_text('[notify]\ncommand = ["/tmp/evil"]\n')
        case "gone":
            host.place.signatures.unlink()
        case "ended":
            at = now() + timedelta(days=1)
        case "away":
            host.scene.server.missing.add("/metadata/timestamp.json")
        case "setting-gone":
            settings = {"policy_signatures": None}
        case "older":
            host.place.put_back(old)
    again, problem = host.sweep(at=at, **settings)
    assert problem is not None
    assert again.notifier.command == ("/usr/bin/tell",)
    assert again.actions == found.actions
    assert {action.value for action in again.actions[Found.DRIFT]} == {"unroutable", "stop-jail"}
    host.refused(type(problem), at=at, **settings)


@pytest.mark.parametrize("how", ["file", "database", "gone", "link", "both"])
def test_a_sweep_goes_by_nothing_else(host: PolicyHost, how: str, tmp_path: Path) -> None:
    """The policy names a command: neither a database nor a file alone may choose it."""
    evil = b'[notify]\ncommand = ["/tmp/evil"]\n'
    host.place.sign()
    host.load()
    host.place.signatures.unlink()
    if how in {"database", "both"}:
        with transaction(host.scene.mother.engine) as session:
            row = policy_memory.load(session, this_host())
            assert row is not None
            row.serial, row.file_sha256 = 99, sha256_of(evil)
    if how == "file":
        host.kept.write_bytes(evil)
    elif how != "database":
        host.kept.unlink()
        if how != "gone":
            (tmp_path / "evil").write_bytes(evil)
            host.kept.symlink_to(tmp_path / "evil")
    before = host.events()
    with pytest.raises(CouldNotVerifyError):
        host.sweep()
    assert host.events() == before  # every few minutes the same would fill the log


def test_what_is_kept_for_sweeps_is_private_and_follows(host: PolicyHost) -> None:
    host.place.sign()
    host.load()
    assert host.kept.stat().st_mode & 0o777 == 0o600
    host.kept.unlink()  # as a crash between the database and the file leaves it
    host.load()
    assert host.kept.read_text() == DEMANDING


def test_a_sweep_that_never_had_one_has_nothing_to_go_by(host: PolicyHost) -> None:
    host.place.sign(by=("mallory",))
    with pytest.raises(BadSignatureError):
        host.sweep()
    host.place.policy.write_text("reviewers = 0")
    with pytest.raises(FormatError):
        host.sweep(policy_signatures=None)


@pytest.mark.parametrize("trouble", ["altered", "ended", "setting-gone", "newer-and-unseen"])
def test_what_is_not_born_by_is_not_activated_by(host: PolicyHost, trouble: str) -> None:
    host.place.sign()
    host.load()
    host.scene.born()
    at, settings = now(), {}
    match trouble:
        case "altered":
            host.place.policy.write_text("")
        case "ended":
            at += timedelta(days=1)
        case "setting-gone":
            settings = {"policy_signatures": None}
        case "newer-and-unseen":
            host.place.sign("evidence_minutes = 8\n", serial=2)

    def activate(at: datetime, **settings: Any) -> None:
        policy = partial(remembered_policy, host.place.config(**settings))
        activator = ProvenActivation(
            gates=host.scene.mother.gates, state=host.scene.mother.state, policy=policy
        )
        with transaction(host.scene.mother.engine) as session:
            activator.activate(session, parse_tenant_id("acme"), now=at)

    with pytest.raises(NotActivatedError) as caught:
        activate(at, **settings)
    assert "policy" not in str(caught.value)  # the agent learns nothing of this host
    assert "policy" in caught.value.reason
    assert host.scene.tenant().status is TenantStatus.BORN
    host.place.sign(serial=3)
    host.load()
    activate(now())
    assert host.scene.tenant().status is TenantStatus.ACTIVE
