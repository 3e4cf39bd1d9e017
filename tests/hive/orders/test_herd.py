"""Fifty hosts want one popular profile at once, and a server that is overloaded is not kept so by them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hive.orders import womb as womb_module
from hive.packages.bringing import Pantry, bring, look
from repo_client.client import RepoClient
from repo_client.packages import PackageStore
from signing.errors import SkillRepoError, TransportError
from signing.format.digest import sha256_of
from signing.format.names import Pin
from tests.support.counting import CountingServer
from tests.support.fleet import Fleet
from tests.support.harbour import Harbour, open_harbour
from tests.support.packages import AGENT, BASE, large
from tests.support.world import PACKAGES, PlainServer, World, now

HOSTS = 50
BIRTHS = 2  # at once, on each
PROFILE = Pin.parse("base==3")
LARGE = large()


@dataclass(frozen=True)
class Puller:
    """One host: its memory of the repository, its store, and two births that want the same at once."""

    client: RepoClient
    pantry: Pantry

    def pull(self) -> list[str]:
        """Bring everything that the profile pins, as a birth does; return the digests of what was held."""
        with self.client.session(now()) as session:
            profile = session.profile(PROFILE)
            for _, item in profile.profile.items():  # noqa: PERF102 - pairs of kind and item, and no dict
                session.release(item.pin)
            pinned = look(session, profile, self.pantry.abi)
        with bring(pinned, self.client, self.pantry) as held:
            return [package.package.sha256 for package in held]


@pytest.fixture
def harbour(world: World, tmp_path: Path) -> Iterator[Harbour]:
    with open_harbour(world, tmp_path / "harbour") as harbour:
        harbour.arrange(BASE, AGENT, LARGE)
        yield harbour


@pytest.fixture
def busy(harbour: Harbour) -> Iterator[CountingServer]:
    scene = harbour.scene
    with CountingServer(root=scene.world.public, answers=scene.server.lies).running() as server:
        yield server


def pullers(harbour: Harbour, server: CountingServer, folder: Path, count: int = HOSTS) -> list[Puller]:
    hosts = [folder / f"host{number}" for number in range(count)]
    return [
        Puller(
            harbour.scene.world.client(server.url, host),
            Pantry(store=PackageStore(folder=host / "packages", max_bytes=1 << 30), abi=PACKAGES.abi),
        )
        for host in hosts
    ]


def at_once(hosts: list[Puller]) -> list[Any]:
    """Every host with all its births at the same time; what each ended with, in the order of hosts."""

    def pull(host: Puller) -> Any:
        try:
            return host.pull()
        except SkillRepoError as error:
            return error

    with ThreadPoolExecutor(len(hosts) * BIRTHS) as pool:
        return list(pool.map(pull, [host for host in hosts for _ in range(BIRTHS)]))


def test_each_host_fetches_each_thing_once(harbour: Harbour, busy: CountingServer, tmp_path: Path) -> None:
    expected = [sha256_of(data) for data in (BASE, AGENT, LARGE)]
    assert at_once(pullers(harbour, busy, tmp_path)) == [expected] * HOSTS * BIRTHS
    packages = busy.of("/by-sha256/")
    assert packages == {f"/pkg/by-sha256/{sha256}.pkg": HOSTS for sha256 in expected}
    bundles = busy.of(".tar.gz")
    assert set(bundles.values()) == {HOSTS}
    # What says which state is current is asked for by each birth; what it names, once for each host.
    assert busy.of("timestamp.json") == {"/metadata/timestamp.json": HOSTS * BIRTHS}
    delegated = [
        number for path, number in busy.of("/metadata/").items() if "snapshot" in path or "skills" in path
    ]
    assert delegated
    assert max(delegated) <= HOSTS


def test_an_overloaded_server_is_asked_once_for_each_try(
    harbour: Harbour, busy: CountingServer, tmp_path: Path
) -> None:
    """503 with Retry-After: whoever tried is told so, tries nothing by itself, and afterwards everything is had once."""
    hosts = pullers(harbour, busy, tmp_path, 10)
    busy.overloaded = True
    assert all(isinstance(found, TransportError) for found in at_once(hosts))
    assert sum(busy.asked.values()) == len(hosts) * BIRTHS
    busy.overloaded = False
    busy.asked.clear()
    assert not [found for found in at_once(hosts) if isinstance(found, SkillRepoError)]
    assert set(busy.of("/by-sha256/").values()) == {len(hosts)}


def test_a_download_that_hangs_holds_nobody_for_ever(
    harbour: Harbour, busy: CountingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has waited for as long as a download may take fetches by itself."""
    from repo_client import coalescing, packages
    from repo_client.updater import locked

    (host,) = pullers(harbour, busy, tmp_path, 1)
    monkeypatch.setattr(packages.PackageSource, "seconds_for", lambda *_: 20.0)
    monkeypatch.setattr(
        coalescing, "locked", lambda folder, *, seconds: locked(folder, seconds=seconds / 100)
    )
    held = sha256_of(BASE)[:2]
    with locked(host.pantry.store.folder.with_name("packages.fetching") / held):
        assert sha256_of(BASE) in host.pull()


def test_the_pauses_of_a_womb_grow_and_differ(
    fleet: Fleet, server: PlainServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repository that is away: orders wait, each try costs one request, and no two hosts keep step."""
    names = [f"waits{number}" for number in range(8)]
    for name in names:
        fleet.tenant(name)
        fleet.order(name)
    server.missing.update({"/metadata/1.root.json", "/metadata/timestamp.json"})
    monkeypatch.setattr(womb_module, "TransportError", SkillRepoError)  # here 404 stands for "away"
    pauses: dict[str, list[float]] = {}
    for host in fleet.mothers:
        womb, slept = fleet.womb(host), pauses.setdefault(host, [])

        class Stop:
            def is_set(self) -> bool:
                return len(slept) >= 4  # noqa: B023

            def wait(self, seconds: float) -> bool:
                slept.append(seconds)  # noqa: B023
                return False

        womb.stop = Stop()  # type: ignore[assignment]
        before = len(server.requests)
        womb.run()
        assert len(server.requests) - before <= 2 * len(slept)
        for number, seconds in enumerate(slept):
            assert 2**number / 2 <= seconds <= 2**number
    first, second = pauses.values()
    assert first != second
    assert {fleet.standing(name).status.value for name in names} <= {"failed", "registered"}
    assert all(fleet.jails(name) == [] for name in names)
