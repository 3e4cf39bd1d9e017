"""Copies of the published tree: what is gone is gone there too, and no moment of a run breaks those who read the copy."""

import gzip
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from repo_server.archiving import replicating
from repo_server.archiving.replicating import replicate
from repo_server.publishing import siblings
from repo_server.publishing.behind import served_version
from signing.errors import ConflictError, CouldNotVerifyError, RollbackError
from signing.format.names import Pin
from tests.support.new_keys import appoint_online
from tests.support.serials import make_index, publish_serial
from tests.support.withdrawing import withdraw
from tests.support.world import PACKAGES, PlainServer, World, now

# Enough for an index that is worth compressing.
MORE = ("csv-reader", "log-digest", "mail-sorter", "photo-album", "tide-table")


@pytest.fixture
def site(world: World) -> Iterator[PlainServer]:
    with world.serve() as server:
        yield server


def public(world: World) -> Path:
    return world.repository.folder / "public"


def take(world: World, site: PlainServer, state: Path) -> None:
    with world.client(site.url, state).session(now()) as session:
        session.release(Pin.parse("web-search==1.0"))


def contents_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() or path.is_symlink()
    }


def test_what_was_withdrawn_leaves_the_copy_and_an_old_sibling_too(world: World, tmp_path: Path) -> None:
    """Agents read these folders without asking for anything that is signed: what stays there stays offered."""
    for name in MORE:
        world.publish_skill(f"{name}==1.0")
    publish_serial(world, make_index(1, {"demo": "1.0"}, at=now()))
    world.refresh()
    copy = tmp_path / "copy"
    replicate(public(world), copy)
    skill = copy / "skills/.well-known/skills/web-search"
    index = copy / "skills/.well-known/agent-skills/index.json"
    sibling, revoked = Path(f"{index}.gz"), copy / "pkg/fingerprints" / str(PACKAGES) / "revoked"
    assert (skill / "SKILL.md").is_file()
    assert gzip.decompress(sibling.read_bytes()) == index.read_bytes()
    revoked.mkdir(parents=True, exist_ok=True)
    (revoked / "gone").write_text("an older answer")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/kept").write_text("behind a link")
    (skill.parent / "linked").symlink_to(tmp_path / "elsewhere")
    withdraw(world, "web-search==1.0")
    replicate(public(world), copy)
    assert not skill.exists()
    assert not (revoked / "gone").exists()
    assert not (skill.parent / "linked").is_symlink()
    assert (tmp_path / "elsewhere/kept").is_file()
    for folder in ("skills/.well-known", "pkg/fingerprints"):
        assert contents_of(copy / folder) == contents_of(public(world) / folder)
    # The publisher has no sibling any more, and index.json itself is another one.
    for name in MORE:
        withdraw(world, f"{name}==1.0")
    assert not (world.public / ".well-known/agent-skills/index.json.gz").exists()
    replicate(public(world), copy)
    assert not sibling.exists()
    assert contents_of(copy / "skills/.well-known") == contents_of(public(world) / "skills/.well-known")
    sibling.write_bytes(gzip.compress(b"older"))
    replicate(public(world), copy)
    assert not sibling.exists()


def test_an_old_sibling_never_stands_beside_a_newer_index(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is killed between the two leaves an index without a sibling: a web server prefers the sibling."""
    for name in MORE:
        world.publish_skill(f"{name}==1.0")
    copy = tmp_path / "copy"
    replicate(public(world), copy)
    index = copy / "skills/.well-known/agent-skills/index.json"
    older = index.read_bytes()
    world.publish_skill("newer==1.0")
    genuine, seen = siblings.write_durably, []

    def write(path: Path, data: bytes) -> None:
        genuine(path, data)
        if path.name.startswith("index.json"):
            packed = path.with_name("index.json.gz")
            seen.append(not packed.exists() or gzip.decompress(packed.read_bytes()) == index_of(path))

    def index_of(path: Path) -> bytes:
        return path.with_name("index.json").read_bytes()

    monkeypatch.setattr(siblings, "write_durably", write)
    replicate(public(world), copy)
    assert index.read_bytes() != older
    assert Path(f"{index}.gz").exists()
    assert len(seen) >= 3
    assert all(seen)


def test_two_runs_at_once_are_one_and_none_goes_back(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, genuine = tmp_path / "copy", replicating._copy_missing
    refused: list[str] = []

    def meanwhile(*args: Path) -> int:
        monkeypatch.setattr(replicating, "_copy_missing", genuine)
        with pytest.raises(ConflictError, match="another run copies"):
            replicate(public(world), copy)
        refused.append("a second run")
        return genuine(*args)

    monkeypatch.setattr(replicating, "_copy_missing", meanwhile)
    replicate(public(world), copy)
    assert refused == ["a second run"]

    def overtaken(*args: Path) -> int:
        """Where the file system knows no locks: another run took a newer state and ended before us."""
        monkeypatch.setattr(replicating, "_copy_missing", genuine)
        copied = genuine(*args)
        world.publish_skill("newer==1.0")
        with monkeypatch.context() as patch:
            patch.setattr(replicating, "_locked", lambda _copy: nullcontext())
            replicate(public(world), copy)
        return copied

    monkeypatch.setattr(replicating, "_copy_missing", overtaken)
    with pytest.raises(RollbackError, match="is published"):
        replicate(public(world), copy)
    assert served_version(copy / "skills") == served_version(world.public)
    assert contents_of(copy / "skills/.well-known") == contents_of(world.public / ".well-known")


def test_a_root_that_is_newer_than_the_timestamp_waits_for_the_next_run(
    world: World, site: PlainServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It appoints another online key: with it, the timestamp that was put aside is refused by every client."""
    copy, root = tmp_path / "copy", Path("skills/metadata/2.root.json")
    site.root = copy / "skills"
    genuine = replicating._copy_missing
    before = (public(world) / "skills/metadata/timestamp.json").read_bytes()

    def while_copying(*args: Path) -> int:
        appoint_online(world, tmp_path / "keys")
        return genuine(*args)

    monkeypatch.setattr(replicating, "_copy_missing", while_copying)
    replicate(public(world), copy)
    monkeypatch.setattr(replicating, "_copy_missing", genuine)
    assert (public(world) / root).is_file()
    assert not (copy / root).exists()
    assert (copy / "skills/metadata/timestamp.json").read_bytes() == before
    take(world, site, tmp_path / "client")

    # Also when it is there before the timestamp that belongs to it: the publisher was killed between the two.
    after = (public(world) / "skills/metadata/timestamp.json").read_bytes()
    (public(world) / "skills/metadata/timestamp.json").write_bytes(before)
    replicate(public(world), copy)
    assert not (copy / root).exists()
    take(world, site, tmp_path / "client")

    (public(world) / "skills/metadata/timestamp.json").write_bytes(after)
    replicate(public(world), copy)
    assert (copy / root).read_bytes() == (public(world) / root).read_bytes()
    take(world, site, tmp_path / "client")


def test_a_copy_killed_before_its_timestamp_has_no_root_that_refuses_the_one_before(
    world: World, site: PlainServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    site.root = copy / "skills"
    replicate(public(world), copy)
    appoint_online(world, tmp_path / "keys")

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(replicating, "_write_aside", die)
        with pytest.raises(Killed):
            replicate(public(world), copy)
    take(world, site, tmp_path / "client")
    replicate(public(world), copy)
    take(world, site, tmp_path / "client")
    (public(world) / "skills/metadata/2.root.json").unlink()
    with pytest.raises(CouldNotVerifyError, match="no published root vouches"):
        replicate(public(world), copy)
    take(world, site, tmp_path / "client")
