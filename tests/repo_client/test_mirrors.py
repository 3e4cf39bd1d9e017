"""Mirrors withhold, delay, lie and lag: the client goes on to the next, believes none, and tells each one's reason."""

import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from hive.config import HiveConfig
from repo_client import mirrors
from repo_client.access_token import AccessToken
from repo_client.client import RepoClient
from repo_client.commands import download_targets, places_of, refresh_trust, take_anchor
from repo_client.fetcher import FetchLimits, Origin
from repo_client.mirrors import Order, try_each
from repo_client.packages import PackageStore, package_server
from repo_client.updater import Server
from signing.errors import (
    DigestMismatchError,
    FormatError,
    HostError,
    NotFoundError,
    RollbackError,
    SkillRepoError,
    TransportError,
    UsageError,
)
from signing.format.names import Pin
from tests.support.serials import content, make_index, package, publish_serial
from tests.support.withdrawing import withdraw
from tests.support.world import PACKAGES, PlainServer, World, now

PIN = Pin.parse("web-search==1.0")
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def sites(world: World) -> Iterator[list[PlainServer]]:
    """The repository and two mirrors of it, each with a tree of its own."""
    with ExitStack() as stack:
        served = [stack.enter_context(world.serve()) for _ in range(3)]
        for number, site in enumerate(served):
            site.root = world.folder / f"tree-{number}"
            shutil.copytree(world.public, site.root)
        yield served


def client_of(world: World, urls: list[str], state: Path, *, deadline: float = 20) -> RepoClient:
    return RepoClient(
        anchor=world.anchor,
        server=Server.parse(urls[0], mirrors=urls[1:]),
        metadata_dir=state / "metadata",
        store_dir=state / "store",
        limits=FetchLimits(gap=deadline, deadline=deadline),
    )


def take(client: RepoClient) -> int:
    """Fetch a release with its review; return which timestamp was trusted."""
    with client.session(now()) as session:
        session.release(PIN)
        return session.standing().timestamp


def copy_again(world: World, site: PlainServer) -> None:
    shutil.rmtree(site.root)
    shutil.copytree(world.public, site.root)


def test_a_dead_server_costs_nothing_but_a_try(
    world: World, sites: list[PlainServer], tmp_path: Path
) -> None:
    client = client_of(world, [NOWHERE, sites[0].url], tmp_path)
    take(client)
    assert client.server.places()[0].base == sites[0].url  # asked first from now on, in this run
    assert client_of(world, [NOWHERE, sites[0].url], tmp_path).server.places()[0].base == NOWHERE


@pytest.mark.parametrize(
    "lie", [b"", b"{}", b"[" * 9000, b"x" * 100_000, b'{"signed":{"version":9e99}}'], ids=range(5)
)
def test_garbage_for_a_timestamp(world: World, sites: list[PlainServer], tmp_path: Path, lie: bytes) -> None:
    sites[0].lies["/metadata/timestamp.json"] = lie
    take(client_of(world, [site.url for site in sites], tmp_path))


def test_who_claims_to_be_newest_is_asked_first_and_believed_never(
    world: World, sites: list[PlainServer], tmp_path: Path
) -> None:
    claim = json.loads((world.public / "metadata/timestamp.json").read_bytes())
    claim["signed"]["version"] = 999
    for site in sites[:2]:
        site.lies["/metadata/timestamp.json"] = json.dumps(claim).encode()
    client = client_of(world, [site.url for site in sites], tmp_path)
    assert take(client) < 999
    assert sites[1].asked_for("timestamp.json") == 2  # to compare, and to try
    assert client.server.places()[0].base == sites[2].url


@contextmanager
def two_faced(world: World, tree: Path, *, claims: int = 2**53 - 1) -> Iterator[PlainServer]:
    """A site that first claims to have the newest timestamp there can be, and then serves ``tree``."""
    claim = json.loads((world.public / "metadata/timestamp.json").read_bytes())
    claim["signed"]["version"] = claims

    class Once(dict[str, bytes]):
        def get(self, key: str, default: bytes | None = None) -> bytes | None:  # type: ignore[override]
            return self.pop(key, default)

    with world.serve() as site:
        site.root = tree
        site.lies = Once({"/metadata/timestamp.json": json.dumps(claim).encode()})
        yield site


def old_tree(world: World, tmp_path: Path) -> Path:
    """The tree before a newer timestamp was published."""
    shutil.copytree(world.public, tmp_path / "old-tree")
    world.refresh()
    return tmp_path / "old-tree"


def test_who_claims_much_and_shows_yesterday_freezes_nobody(
    world: World, sites: list[PlainServer], tmp_path: Path
) -> None:
    old = old_tree(world, tmp_path)
    copy_again(world, sites[0])
    with two_faced(world, old) as liar:
        client = client_of(world, [liar.url, sites[0].url], tmp_path)
        newest = json.loads((world.public / "metadata/timestamp.json").read_bytes())["signed"]["version"]
        assert take(client) == newest
        assert liar.asked_for("timestamp.json") == 2  # the claim, and what it had instead
        assert client.server.places()[-1].base == liar.url  # asked last from now on


def test_who_claims_much_denies_nobody_what_it_showed_first(
    world: World, sites: list[PlainServer], tmp_path: Path
) -> None:
    """The one shows a state, and claims more; the other claims more still, and shows nothing."""
    claim = json.loads((world.public / "metadata/timestamp.json").read_bytes())
    version = claim["signed"]["version"]
    claim["signed"]["version"] = version + 1
    sites[1].lies["/metadata/timestamp.json"] = json.dumps(claim).encode()
    with two_faced(world, world.public, claims=version + 2) as liar:
        client = client_of(world, [liar.url, sites[1].url], tmp_path)
        assert take(client) == version
        assert sites[1].asked_for("timestamp.json") == 2


def test_who_shows_a_newer_timestamp_and_holds_back_the_rest_is_no_reason_to_take_an_older_state(
    world: World, sites: list[PlainServer], tmp_path: Path
) -> None:
    """The newer timestamp is signed: a state that it replaces is refused from then on, and by name of every place."""
    old = old_tree(world, tmp_path)
    world.publish_skill("more==1.0")
    copy_again(world, sites[1])
    for path in (sites[1].root / "metadata").glob("*.snapshot.json"):
        path.unlink()
    with two_faced(world, old) as liar, pytest.raises(RollbackError, match="none of 2 places") as refused:
        take(client_of(world, [liar.url, sites[1].url], tmp_path))
    assert [place["server"] for place in refused.value.facts["places"]] == [sites[1].url, liar.url]
    copy_again(world, sites[2])
    assert take(client_of(world, [sites[1].url, sites[2].url], tmp_path))  # one that has the rest is enough


def test_the_commands_ask_on_too(world: World, sites: list[PlainServer], tmp_path: Path) -> None:
    """Withdrawn since yesterday: a place that shows yesterday's state gives the files to nobody who can ask another."""
    old = tmp_path / "old-tree"
    shutil.copytree(world.public, old)
    withdraw(world, str(PIN))
    copy_again(world, sites[0])
    newest = json.loads((world.public / "metadata/timestamp.json").read_bytes())["signed"]["version"]
    (tmp_path / "anchor.json").write_bytes(world.anchor)
    for verb in ("refresh", "download"):
        folder = tmp_path / verb
        take_anchor(folder, tmp_path / "anchor.json")
        with two_faced(world, old) as liar:
            places = places_of(server=liar.url, metadata_url=None, targets_url=None, mirrors=[sites[0].url])
            if verb == "refresh":
                assert refresh_trust(folder, places)["timestamp"] == newest
            else:
                with pytest.raises(SkillRepoError) as refused:
                    download_targets(folder, [PIN.bundle_path], tmp_path / "out", places)
                assert refused.value.code == "revoked"
                assert list((tmp_path / "out").iterdir()) == []
                assert liar.asked_for(".tar.gz") == 0


def test_the_commands_take_every_file_from_who_has_it(
    world: World, sites: list[PlainServer], tmp_path: Path
) -> None:
    (tmp_path / "anchor.json").write_bytes(world.anchor)
    take_anchor(tmp_path / "trust", tmp_path / "anchor.json")
    bundle = next(path for path in world.public.rglob("*.tar.gz"))
    sites[0].missing.add(f"/{bundle.relative_to(world.public)}")
    places = places_of(server=sites[0].url, metadata_url=None, targets_url=None, mirrors=[sites[1].url])
    [written] = download_targets(tmp_path / "trust", [PIN.bundle_path], tmp_path / "out", places)
    assert written.read_bytes() == bundle.read_bytes()
    assert (
        sites[0].asked_for("timestamp.json") == 2
    )  # to compare, and to try; for the files it is not asked again


def test_every_signed_file_may_come_from_another_place(
    world: World, sites: list[PlainServer], tmp_path: Path
) -> None:
    """The first gives its metadata and no bundle, the second another bundle of the same length, the third the right one."""
    path = next(path for path in world.public.rglob("*.tar.gz"))
    name = f"/{path.relative_to(world.public)}"
    sites[0].missing.add(name)
    sites[1].lies[name] = bytes(path.stat().st_size)
    take(client_of(world, [site.url for site in sites], tmp_path))
    assert sites[2].asked_for(".tar.gz") == 1
    sites[2].lies[name] = path.read_bytes() + b"more"
    with pytest.raises(DigestMismatchError, match="none of 3 places") as refused:
        take(client_of(world, [site.url for site in sites], tmp_path / "other"))
    assert [place["server"] for place in refused.value.facts["places"]] == [site.url for site in sites]
    assert [place["code"] for place in refused.value.facts["places"]] == [
        "not-found",
        "digest-mismatch",
        "digest-mismatch",
    ]


def test_delegated_metadata_that_one_withholds_comes_from_another(
    world: World, sites: list[PlainServer], tmp_path: Path
) -> None:
    for path in (sites[0].root / "metadata").glob("*.skills*.json"):
        path.unlink()
    for path in (sites[1].root / "metadata").glob("*.skills*.json"):
        path.write_bytes(b"{}")
    take(client_of(world, [site.url for site in sites], tmp_path))


def test_a_mirror_that_lags_freezes_nobody_who_can_ask_another(
    world: World, sites: list[PlainServer], tmp_path: Path
) -> None:
    before = take(client_of(world, [sites[0].url], tmp_path / "before"))
    world.refresh()
    copy_again(world, sites[2])
    fresh = client_of(world, [site.url for site in sites], tmp_path / "fresh")
    assert take(fresh) == before + 1
    assert sites[0].asked_for("snapshot") == 1  # by the first client only


def test_a_mirror_that_lags_is_refused_by_who_saw_more(
    world: World, sites: list[PlainServer], tmp_path: Path
) -> None:
    world.refresh()
    copy_again(world, sites[0])
    newest = take(client_of(world, [sites[0].url], tmp_path))
    lagging = client_of(world, [NOWHERE, sites[1].url, sites[2].url], tmp_path)
    with pytest.raises(RollbackError, match="none of 3 places") as refused:
        take(lagging)
    assert all(site.url in str(refused.value) for site in sites[1:])
    assert NOWHERE in str(refused.value)
    assert take(client_of(world, [sites[1].url, sites[0].url], tmp_path)) == newest


def test_an_ended_timestamp_is_refused_wherever_it_comes_from(tmp_path: Path) -> None:
    world = World.build(tmp_path / "old", at=now() - timedelta(days=3))
    with world.serve() as one, world.serve() as two, pytest.raises(SkillRepoError) as refused:
        take(client_of(world, [one.url, two.url], tmp_path))
    assert refused.value.code == "expired"
    world.close()


@contextmanager
def dripping() -> Iterator[str]:
    """A server that sends a byte now and then, for ever."""
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not ended.wait(0.1):
                connection.sendall(b"{")

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=drip, args=(listening.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        ended.set()
        listening.shutdown(socket.SHUT_RDWR)


def test_who_drips_is_given_up_soon_as_long_as_there_is_another(
    world: World, sites: list[PlainServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrors, "_HURRIED", FetchLimits(gap=0.3, deadline=0.6))
    with dripping() as slow:
        begun = time.monotonic()
        client = client_of(world, [slow, sites[0].url], tmp_path, deadline=60)
        take(client)
        assert time.monotonic() - begun < 30
        assert client.server.places()[0].base == sites[0].url


def test_without_mirrors_nothing_is_asked_twice(
    world: World, sites: list[PlainServer], tmp_path: Path
) -> None:
    take(client_of(world, [sites[0].url], tmp_path))
    assert sites[0].asked_for("timestamp.json") == 1
    with pytest.raises(TransportError) as refused:
        take(client_of(world, [NOWHERE], tmp_path))
    assert "places" not in refused.value.facts


def test_a_failure_of_this_machine_is_no_reason_to_ask_another() -> None:
    asked = []

    def attempt(place: Server, last: bool) -> None:
        asked.append(place.base)
        raise HostError("the disk is full")

    servers = Server.parse(NOWHERE, mirrors=["http://127.0.0.1:8"]).places()
    with pytest.raises(HostError):
        try_each(servers, attempt, order=Order())
    assert asked == [NOWHERE]


def test_there_is_no_way_down_from_https() -> None:
    with pytest.raises(FormatError, match="by https"):
        Server.parse("https://skills.clawdie.si", mirrors=["http://127.0.0.1:8080"])
    with pytest.raises(FormatError):
        Server.parse("https://skills.clawdie.si", mirrors=["http://mirror.example/skills"])
    with pytest.raises(FormatError):
        Server.parse("https://skills.clawdie.si", mirrors=["https://user:word@mirror.example"])
    with pytest.raises(FormatError, match="more than"):
        Server.parse("https://a.example", mirrors=["https://b.example"] * 17)
    with pytest.raises(FormatError, match="by https"):
        places_of(
            server=None,
            metadata_url="https://a.example/metadata/",
            targets_url="https://a.example/targets/",
            mirrors=["http://127.0.0.1:8080"],
        )
    with pytest.raises(UsageError):
        places_of(server=None, metadata_url=None, targets_url=None, mirrors=["https://b.example"])


def test_packages_have_the_same_mirrors_and_a_token_stays_at_home() -> None:
    server = Server.parse("https://skills.clawdie.si", mirrors=["https://mirror.example/skills"])
    packages = package_server(server)
    assert [one.base for one in packages.places()] == [
        "https://pkg.clawdie.si",
        "https://mirror.example/skills/pkg",
    ]
    assert packages.order is server.order
    token = AccessToken.parse(b"skt_0123456789ab_secret\n", origin=packages.origin)
    shown = [token.headers_for(one.origin) for one in packages.places()]
    assert list(shown[0]) == ["Authorization"]
    assert shown[1] == {}
    assert token.headers_for(Origin.of("https://pkg.clawdie.si:8443")) == {}


def test_a_host_names_them_in_its_settings(tmp_path: Path) -> None:
    path = tmp_path / "hive.toml"
    path.write_text('server = "https://a.example"\nmirrors = "https://b.example https://c.example/x"\n')
    config = HiveConfig.load(path, {})
    assert (config.mirrors or "").split() == ["https://b.example", "https://c.example/x"]


def test_missing_everywhere_is_missing() -> None:
    def attempt(place: Server, last: bool) -> None:
        raise NotFoundError("no") if place.base == NOWHERE else TransportError("down")

    servers = Server.parse(NOWHERE, mirrors=["http://127.0.0.1:8"]).places()
    with pytest.raises(NotFoundError, match=r"http://127\.0\.0\.1:8: down"):
        try_each(servers, attempt, order=Order())


def test_a_package_comes_from_any_place_and_is_verified_from_each(
    world: World, sites: list[PlainServer], tmp_path: Path
) -> None:
    publish_serial(world, make_index(1, {"demo": "1.0"}, at=now()))
    world.refresh()
    wanted = package("demo", "1.0").sha256
    for site in sites:
        copy_again(world, site)
        shutil.copytree(world.repository.pkg_root, site.root / "pkg", symlinks=True)
    sites[0].missing.add(f"/pkg/by-sha256/{wanted}.pkg")
    sites[1].lies[f"/pkg/by-sha256/{wanted}.pkg"] = b"x" * package("demo", "1.0").size
    client = client_of(world, [site.url for site in sites], tmp_path)
    store = PackageStore(folder=tmp_path / "packages", max_bytes=1 << 20)
    with client.session(now()) as session:
        packages = session.packages(PACKAGES)
    client.package(wanted, packages=packages, store=store).close()
    assert (tmp_path / f"packages/{wanted}.pkg").read_bytes() == content("demo", "1.0")
    assert sites[2].asked_for(wanted) == 1
    assert (
        client.server.places()[0].base == sites[0].url
    )  # a package site that fails is another place than its server
    sites[2].missing.add(f"/pkg/by-sha256/{wanted}.pkg")
    empty = PackageStore(folder=tmp_path / "empty", max_bytes=1 << 20)
    with pytest.raises(DigestMismatchError, match="none of 3 places"):
        client.package(wanted, packages=packages, store=empty)
    assert list((tmp_path / "empty").glob("*.pkg")) == []
