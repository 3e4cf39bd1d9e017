"""A womb runs for months: what decides about a birth is asked for once a birth, as it is configured then."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hive.cli import birth as birth_module
from hive.cli.womb import open_womb
from hive.config import HiveConfig
from hive.host_key import HostKey
from hive.orders.womb import Womb
from hive.tenants import TenantStatus
from signing.console import Console
from signing.errors import NotEntitledError, UsageError
from tests.support.fleet import Fleet
from tests.support.open_gates import open_required_gates
from tests.support.signed_policy import PolicyPlace
from tests.support.world import PACKAGES, PlainServer, World, now

MORE = '[[gate]]\nname = "fire-drill"\ntitle = "T"\nsource = "S"\ndays = 30\nwaivable = true\nproof = "document"\n'


@pytest.fixture
def cluster() -> None:
    """SQLite only: nothing here is about the database."""


class Host:
    """``womba`` by its settings, as `hive womb` runs it."""

    def __init__(self, fleet: Fleet, world: World, server: PlainServer, folder: Path) -> None:
        self.fleet, self.folder, self.state = fleet, folder, fleet.mothers["womba"].state
        (folder / "anchor.json").write_bytes(world.anchor)
        self.settings: dict[str, Any] = {
            "db": str(fleet.engine.url.database),
            "trust_anchor": str(folder / "anchor.json"),
            "server": server.url,
            "state": str(self.state),
            "jail_root_base": str(self.state / "jails"),
            "host": "womba",
            "abi": PACKAGES.abi,
        }
        self.bind(HostKey.open(self.state).held.keyid)
        open_required_gates(fleet.engine, self.state, now=now())

    def bind(self, keyid: str) -> None:
        """Let the machine with this key be the one that joined under the name."""
        self.fleet.alter("UPDATE hosts SET key_sha256 = :keyid WHERE host = 'womba'", keyid=keyid)

    def womb(self, **more: Any) -> Womb:
        config = HiveConfig(**{**self.settings, **more})
        return open_womb(
            config, Console(as_json=True), tell=self.fleet.told.append, stop=threading.Event(), poll=0.1
        )

    def birth(self, womb: Womb, name: str) -> str:
        """Order the birth of a new tenant, let the womb have its turn, and return why nothing came of it; or nothing."""
        self.fleet.tenant(name)
        job = self.fleet.order(name)
        assert womb.turn()
        status = self.fleet.standing(name).status
        assert (status is TenantStatus.BORN) == (self.fleet.jails(name) == ["womba"])
        return (
            ""
            if status is TenantStatus.BORN
            else f"{self.fleet.job(job).state}: {self.fleet.job(job).reason}"
        )


@pytest.fixture
def host(fleet: Fleet, world: World, server: PlainServer, tmp_path: Path) -> Host:
    return Host(fleet, world, server, tmp_path)


def test_a_policy_that_is_altered_while_the_womb_runs_is_refused(host: Host, world: World) -> None:
    place = PolicyPlace(host.folder, world.signers)
    place.sign(serial=1)
    womb = host.womb(policy=str(place.policy), policy_signatures=str(place.signatures))
    assert host.birth(womb, "boat") == ""
    signed = place.kept()
    place.policy.write_text("evidence_minutes = 10\n")
    # The host's fault: the order waits for one that can.
    assert host.birth(womb, "coat").startswith("ready: host-failed: this host is not ready: ")
    assert "birth.begun" not in host.fleet.events("coat")
    place.put_back(signed)
    host.fleet.alter("UPDATE jobs SET not_before = 0")
    assert womb.turn()
    assert host.fleet.standing("coat").status is TenantStatus.BORN


def test_a_host_that_is_not_ready_rests(host: Host, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or its queue would be spent on it in a moment."""
    womb, slept = host.womb(policy=str(host.folder / "gone.toml")), []

    def rest(error: Any) -> None:
        slept.append(str(error))
        womb.stop.set()

    monkeypatch.setattr(Womb, "_rest", lambda _, error: rest(error))
    host.fleet.order("acme")
    womb.run()
    assert len(slept) == 1
    assert "this host is not ready" in slept[0]


def test_a_gate_that_is_added_while_the_womb_runs_is_asked_for(host: Host, tmp_path: Path) -> None:
    """Only the host's own gates know of it: the order was given on another host."""
    gates = tmp_path / "gates.toml"
    gates.write_text("gate = []")
    womb = host.womb(gates=str(gates))
    assert host.birth(womb, "boat") == ""
    gates.write_text(MORE)
    refused = host.birth(womb, "coat")
    assert refused.startswith("dead: gate")
    assert "fire-drill" in refused


@pytest.fixture
def vaults(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens to the vault."""
    seen: list[str] = []

    @contextlib.contextmanager
    def open_vault(config: HiveConfig, clock: Any) -> Iterator[Any]:
        with genuine(config, clock) as vault:
            seen.append("opened")
            yield vault
            seen.append("closed")

    genuine = birth_module.open_vault
    monkeypatch.setattr(birth_module, "open_vault", open_vault)
    return seen


def test_the_vault_is_opened_once_a_birth_and_closed_between(host: Host, vaults: list[str]) -> None:
    """Its login, its list of buckets and its lock are those of one birth."""
    womb = host.womb(jail_uid=str(os.geteuid() or 1001), jail_gid=str(os.getegid() or 1001))
    assert vaults == []
    assert host.birth(womb, "boat") == ""
    assert vaults == ["opened", "closed"]
    assert not womb.turn()  # nothing is ordered, so nothing is asked
    assert host.birth(womb, "coat") == ""
    assert vaults == ["opened", "closed"] * 2


@pytest.mark.parametrize(
    ("keyid", "error"), [("e" * 64, NotEntitledError), (None, UsageError)], ids=["another", "nobody"]
)
def test_a_machine_that_is_not_the_host_any_more_claims_nothing(
    host: Host, keyid: str, error: type[Exception]
) -> None:
    womb = host.womb()
    assert host.birth(womb, "boat") == ""
    host.bind(keyid)
    job = host.fleet.order("acme")
    with pytest.raises(error):
        womb.turn()
    assert (host.fleet.job(job).state, host.fleet.job(job).attempts) == ("ready", 0)


def test_limits_are_read_anew(host: Host) -> None:
    limits = host.folder / "limits.toml"
    limits.write_text("")
    womb = host.womb(limits=str(limits))
    assert host.birth(womb, "boat") == ""
    limits.unlink()
    assert "cannot read" in host.birth(womb, "coat")
