"""Files that are sent and never published: they fill the disk, or vanish under a publication that counts on them."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from repo_server.db import log
from repo_server.db.models import PackageDigestRow
from repo_server.db.session import snapshot
from repo_server.pkgrepo import collecting
from repo_server.pkgrepo.collecting import ABANDONED, NOTHING, Garbage, collect
from repo_server.pkgrepo.uploads import Uploads
from repo_server.storage.local import LocalBlobs
from signing.errors import NotFoundError
from signing.format.digest import Sha256, sha256_of
from tests.support.handing_in import hand_in, ready, state_of
from tests.support.publishing import make_build, publish
from tests.support.world import World, now, skill_md

LARGE = bytes(range(256)) * 5000


def age(world: World, by: timedelta = ABANDONED + timedelta(hours=1), *, only: Sha256 | None = None) -> None:
    """Let everything in the store, or one blob, have been there for long."""
    at = (now() - by).timestamp()
    for path in (world.repository.folder / "blobs").rglob("*"):
        if path.is_file() and only in {None, path.name}:
            os.utime(path, (at, at))


def run(world: World, *, dry_run: bool = False) -> Garbage:
    return collect(world.repository, now=now(), dry_run=dry_run)


def blobs(world: World) -> set[str]:
    return {path.name for path in (world.repository.folder / "blobs").rglob("*") if path.is_file()}


def send(world: World, data: bytes) -> Sha256:
    digest = sha256_of(data)
    uploads = Uploads(repository=world.repository)
    assert uploads.receive("t1", digest, len(data), offset=0, pieces=[data], now=now()) == len(data)
    return digest


def test_an_upload_that_no_build_names_goes_after_a_week(world: World) -> None:
    digest = send(world, LARGE)
    age(world, ABANDONED - timedelta(hours=1))
    assert run(world) == NOTHING
    age(world)
    before = blobs(world)
    assert run(world, dry_run=True).abandoned == ((digest, len(LARGE)),)
    assert blobs(world) == before
    garbage = run(world)
    assert (garbage.abandoned, garbage.bytes) == (((digest, len(LARGE)),), len(LARGE))
    assert before - blobs(world) == {digest}
    with snapshot(world.repository.engine) as session:
        assert session.get(PackageDigestRow, digest) is None
        facts = log.read(session)[-1].facts
    assert (facts["abandoned"], facts["bytes"]) == (1, len(LARGE))
    assert run(world) == NOTHING


def test_whatever_anybody_names_stays_however_old_it_is(world: World, tmp_path: Path) -> None:
    publish(world, make_build(tmp_path / "one", {"demo": "1.0", "base": "2.0"}))
    publish(world, make_build(tmp_path / "two", {"demo": "1.1"}))
    waiting = world.import_skill("other==1.0", {"SKILL.md": skill_md("other"), "data": b"of a candidate"})
    before = blobs(world)
    age(world, timedelta(days=3000))
    assert run(world) == NOTHING
    assert blobs(world) == before
    world.review(waiting)
    world.refresh()
    publish(world, make_build(tmp_path / "three", {"demo": "1.2"}))


def test_what_a_build_in_progress_counts_on_is_missed_and_sent_again(world: World, tmp_path: Path) -> None:
    """The server said "it is here" a week after it came, and removes it before the build is handed in."""
    build = {"demo": "1.0", "base": "2.0"}
    index = ready(world, tmp_path / "build", build)
    age(world)
    packages = {package.sha256 for package in index.packages}
    assert packages < {digest for digest, _ in run(world).abandoned}
    before = state_of(world)
    with pytest.raises(NotFoundError, match="not here") as refusal:
        hand_in(world, index)
    assert "run skillrepo pkg publish again" in refusal.value.hint
    assert state_of(world) == before
    assert publish(world, tmp_path / "build").state == "published"
    age(world)
    assert not packages & {digest for digest, _ in run(world).abandoned}


def test_what_is_stored_again_is_not_abandoned(world: World) -> None:
    digest = send(world, LARGE)
    age(world)
    planned = run(world, dry_run=True)
    world.repository.blobs.store(LARGE)  # an import that found it here, and will name it
    assert run(world) == NOTHING
    # Planned a moment before it was stored again: asked once more when it is to go.
    left = collecting._remove_files(world.repository, planned, since=now() - ABANDONED)
    assert (left.abandoned, digest in blobs(world)) == ((), True)


def test_storing_waits_for_a_removal_and_then_writes_anew(tmp_path: Path) -> None:
    store = LocalBlobs(tmp_path)
    since = now() - timedelta(days=1)
    for _ in range(40):
        digest = store.store(b"bytes")
        os.utime(store.path_of(digest), (0, 0))
        with ThreadPoolExecutor(max_workers=2) as pool:
            removed = pool.submit(store.remove_untouched, digest, since=since)
            stored = pool.submit(store.store, b"bytes")
            assert removed.result() in {True, False}
            assert stored.result() == digest
        assert store.load(digest) == b"bytes"


def test_what_was_half_written_when_a_process_was_killed_goes(world: World) -> None:
    folder = world.repository.folder / "blobs" / "ab"
    folder.mkdir(exist_ok=True)
    old, fresh = folder / ".new-0123456789abcdef", folder / ".new-fedcba9876543210"
    for path in (old, fresh):
        path.write_bytes(b"half")
    age(world, timedelta(days=8))
    os.utime(fresh)
    assert run(world).unfinished == (old,)
    assert (old.exists(), fresh.exists()) == (False, True)


def test_collecting_and_publishing_at_once(world: World, tmp_path: Path) -> None:
    for number in range(4):
        data = send(world, LARGE + bytes([number]))
        age(world, only=data)
        build = make_build(tmp_path / f"build-{number}", {"demo": f"1.{number}"})
        with ThreadPoolExecutor(max_workers=2) as pool:
            collected, published = pool.submit(run, world), pool.submit(publish, world, build)
            assert [digest for digest, _ in collected.result().abandoned] == [data]
            index = published.result().index
        assert (state_of(world).index, index.serial) == (index, number + 1)
        assert {package.sha256 for package in index.all_packages()} <= blobs(world)


@pytest.mark.parametrize(
    "place", ["_remove_files", "_remove_rows", "os.sync"], ids=["before", "rows", "files-gone"]
)
def test_killed_it_is_run_again(world: World, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    class KilledError(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    digest = send(world, LARGE)
    age(world, only=digest)
    with monkeypatch.context() as patch:
        owner: object = collecting.os if place == "os.sync" else collecting
        patch.setattr(owner, place.rpartition(".")[2], killed)
        with pytest.raises(KilledError):
            run(world)
    run(world)
    assert digest not in blobs(world)
    with snapshot(world.repository.engine) as session:
        log.check(session)
    assert run(world) == NOTHING


Attack = Callable[[World, Sha256], None]


def as_a_link(world: World, digest: Sha256) -> None:
    path = world.repository.folder / "blobs" / digest[:2] / digest
    path.unlink()
    path.symlink_to("/etc/passwd")


def in_the_future(world: World, digest: Sha256) -> None:
    path = world.repository.folder / "blobs" / digest[:2] / digest
    os.utime(path, (4_000_000_000, 4_000_000_000))


@pytest.mark.parametrize("attack", [as_a_link, in_the_future], ids=lambda attack: attack.__name__)
def test_what_is_no_old_file_of_ours_is_left_alone(world: World, attack: Attack) -> None:
    digest = send(world, LARGE)
    age(world, only=digest)
    attack(world, digest)
    assert run(world) == NOTHING
    assert digest in {path.name for path in (world.repository.folder / "blobs").rglob("*")}
