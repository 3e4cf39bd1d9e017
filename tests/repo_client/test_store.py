"""The store of verified trees: it saves the network, never the check.

How it is attacked stands in tests/attacks/test_substituted_bundle.py.
"""

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from repo_client.client import Session
from repo_client.store import TreeStore
from signing.errors import HostError
from signing.evidence import VerifiedBundle
from signing.format.names import Pin
from tests.support.hurry import in_a_hurry
from tests.support.world import PlainServer, World, now

PIN = Pin.parse("web-search==1.0")


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with in_a_hurry():
        yield


@pytest.fixture
def opened(world: World, tmp_path: Path) -> Iterator[tuple[PlainServer, Session]]:
    with world.serve() as server, world.client(server.url, tmp_path).session(now()) as session:
        yield server, session


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_tree_is_kept_under_its_digest_read_only(
    opened: tuple[PlainServer, Session], tmp_path: Path
) -> None:
    bundle = opened[1].bundle(PIN)
    digest = bundle.tree_sha256
    folder = tmp_path / "store" / digest[:2] / digest
    assert names(folder) == ["MANIFEST.json", "SKILL.md", "scripts", "scripts/run.sh"]
    assert stat.S_IMODE((tmp_path / "store").stat().st_mode) == 0o700
    for path in folder.rglob("*"):
        assert not path.stat().st_mode & 0o222
    assert (folder / "scripts/run.sh").stat().st_mode & 0o111


def test_the_second_time_nothing_is_fetched(opened: tuple[PlainServer, Session]) -> None:
    server, session = opened
    first = session.bundle(PIN)
    before = len(server.requests)
    again = session.bundle(PIN)
    assert (again.tree_sha256, dict(again.bundle.contents)) == (
        first.tree_sha256,
        dict(first.bundle.contents),
    )
    assert [path for path in server.requests[before:] if ".tar.gz" in path] == []


def test_what_the_store_gives_is_evidence_of_today(
    opened: tuple[PlainServer, Session], tmp_path: Path
) -> None:
    """A tree from the store is verified against the target that is vouched for now."""
    session = opened[1]
    session.bundle(PIN)
    target = session._vouch(PIN.bundle_path)
    stored = TreeStore.create(tmp_path / "store").load(PIN, target)
    assert isinstance(stored, VerifiedBundle)
    assert stored.target is target
    assert TreeStore.create(tmp_path / "empty").load(PIN, target) is None
    assert TreeStore.create(tmp_path / "store").load(Pin.parse("web-search==2.0"), target) is None


def test_a_damaged_tree_is_dropped_and_fetched_again(
    opened: tuple[PlainServer, Session], tmp_path: Path
) -> None:
    server, session = opened
    honest = session.bundle(PIN)
    skill = next((tmp_path / "store").rglob("SKILL.md"))
    skill.chmod(0o644)
    skill.write_bytes(b"rotten")
    before = len(server.requests)
    again = session.bundle(PIN)
    assert again.bundle.contents == honest.bundle.contents
    assert sum(".tar.gz" in path for path in server.requests[before:]) == 1
    assert skill.read_bytes() == honest.bundle.contents["SKILL.md"]


def test_a_damaged_tree_without_a_server_gives_nothing(
    opened: tuple[PlainServer, Session], tmp_path: Path
) -> None:
    server, session = opened
    session.bundle(PIN)
    skill = next((tmp_path / "store").rglob("SKILL.md"))
    skill.chmod(0o644)
    skill.write_bytes(b"rotten")
    server.missing |= {f"/{path.relative_to(server.root)}" for path in server.root.rglob("*.tar.gz")}
    with pytest.raises(Exception, match="missing on the server"):
        session.bundle(PIN)
    assert not list((tmp_path / "store").rglob("SKILL.md"))


@pytest.mark.parametrize("wrong", ["shelf is a file", "tree is a file", "shelf is a link", "tree is a link"])
def test_something_in_the_way_costs_a_download_and_no_birth(
    opened: tuple[PlainServer, Session], tmp_path: Path, wrong: str
) -> None:
    session = opened[1]
    digest = session._vouch(PIN.bundle_path).custom["tree_sha256"]
    outside = tmp_path / "outside"
    outside.mkdir()
    place = tmp_path / "store" / digest[:2]
    if wrong.startswith("tree"):
        place.mkdir()
        place /= digest
    place.symlink_to(outside) if "link" in wrong else place.write_bytes(b"x")
    bundle = session.bundle(PIN)
    assert bundle.pin == PIN
    assert list(outside.iterdir()) == []
    assert session.bundle(PIN).bundle.contents == bundle.bundle.contents


def test_two_keep_the_same_tree_at_once(opened: tuple[PlainServer, Session], tmp_path: Path) -> None:
    bundle = opened[1].bundle(PIN)
    folder, wrong = tmp_path / "shared", []

    def keep() -> None:
        try:
            TreeStore.create(folder).save(bundle)
        except BaseException as error:  # noqa: BLE001 - any crash is what is looked for
            wrong.append(error)

    threads = [threading.Thread(target=keep) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert [path.name for path in folder.iterdir()] == [bundle.tree_sha256[:2]]
    assert [path.name for path in (folder / bundle.tree_sha256[:2]).iterdir()] == [bundle.tree_sha256]


def test_a_full_disk_keeps_nothing_half(opened: tuple[PlainServer, Session], tmp_path: Path) -> None:
    bundle = opened[1].bundle(PIN)
    folder = tmp_path / "full"
    honest, written = os.write, []

    def write(descriptor: int, data: bytes) -> int:
        written.append(len(data))
        if len(written) > 1:
            raise OSError(28, "No space left on device")
        return honest(descriptor, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", write)
        TreeStore.create(folder).save(bundle)  # a store that cannot keep is a slow one, not a broken one
    assert len(written) > 1
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    TreeStore.create(folder).save(bundle)
    assert next(folder.rglob("SKILL.md")).read_bytes() == bundle.bundle.contents["SKILL.md"]


def test_a_store_that_cannot_be_made_is_the_hosts_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HostError):
        TreeStore.create(tmp_path / "file" / "store")
