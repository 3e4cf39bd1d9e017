"""Copies of the published tree, made while it is published to; and going on after an old database came back."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from repo_server.archiving import replicating
from repo_server.archiving.replicating import replicate
from repo_server.archiving.resuming import resume_beyond, resume_from
from repo_server.db import log
from repo_server.db.models import PackageSerialRow
from repo_server.db.session import snapshot
from repo_server.doctor.checks import Examined, check_restored
from repo_server.pkgrepo.places import served_serial
from repo_server.publishing.behind import served_version
from repo_server.repository import Repository
from signing.errors import (
    ConflictError,
    DigestMismatchError,
    FormatError,
    KeyAccessError,
    NotFoundError,
    RejectedError,
    RollbackError,
)
from signing.format.names import Pin
from tests.support.serials import make_index, package, publish_serial
from tests.support.withdrawing import withdraw
from tests.support.world import PACKAGES, PlainServer, World, now


@pytest.fixture
def site(world: World) -> Iterator[PlainServer]:
    with world.serve() as server:
        yield server


def public(world: World) -> Path:
    return world.repository.folder / "public"


def take(world: World, site: PlainServer, state: Path, pin: str = "web-search==1.0") -> int:
    with world.client(site.url, state).session(now()) as session:
        session.release(Pin.parse(pin))
        return session.standing().timestamp


def back_up(world: World) -> None:
    """What a nightly backup keeps: the database and the blobs."""
    world.repository.engine.dispose()
    for name in ("repository.db", "blobs"):
        source, place = world.repository.folder / name, world.folder / "backup" / name
        place.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place)
        else:
            shutil.copyfile(source, place)


def restore(world: World, *, tree: bool) -> None:
    """Bring the backup back; with ``tree``, everything that was published since is gone from this machine."""
    world.repository.engine.dispose()
    folder = world.repository.folder
    for path in [*folder.glob("repository.db*"), folder / "blobs", *([public(world)] if tree else [])]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    shutil.copyfile(world.folder / "backup/repository.db", folder / "repository.db")
    shutil.copytree(world.folder / "backup/blobs", folder / "blobs")
    world.repository = Repository.open(folder)


def test_a_copy_is_the_tree(world: World, site: PlainServer, tmp_path: Path) -> None:
    publish_serial(world, make_index(1, {"demo": "1.0"}, at=now()))
    world.refresh()
    copy = tmp_path / "copy"
    done = replicate(public(world), copy)
    assert done.files > 10
    site.root = copy / "skills"
    assert take(world, site, tmp_path / "client") == done.timestamp
    assert served_serial(copy / "pkg", PACKAGES) == 1
    ours, theirs = public(world) / "pkg" / str(PACKAGES), copy / "pkg" / str(PACKAGES)
    for path in ours.rglob("*.pkg"):
        other = theirs / path.relative_to(ours)
        assert (other.read_bytes(), other.stat().st_mtime_ns) == (path.read_bytes(), path.stat().st_mtime_ns)
    assert replicate(public(world), copy).files == 0
    publish_serial(world, make_index(2, {"demo": "1.1"}, at=now()))
    world.refresh()
    replicate(public(world), copy)
    assert served_serial(copy / "pkg", PACKAGES) == 2
    with pytest.raises(NotFoundError):
        replicate(tmp_path / "nothing", copy)


def test_what_is_published_while_it_is_copied_breaks_no_client(
    world: World, site: PlainServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the worst moment: something appears when everything was copied and nothing was switched; or before that."""
    copy, count = tmp_path / "copy", 0
    site.root = copy / "skills"
    genuine = replicating._copy_missing

    def before(*args: Path) -> int:
        nonlocal count
        count += 1
        world.publish_skill(f"before-{count}==1.0")
        return genuine(*args)

    def after(*args: Path) -> int:
        nonlocal count
        count += 1
        copied = genuine(*args)
        world.publish_skill(f"after-{count}==1.0")
        return copied

    for hook in (before, after, before, after):
        monkeypatch.setattr(replicating, "_copy_missing", hook)
        first = served_version(world.public)
        replicate(public(world), copy)
        assert take(world, site, tmp_path / "client") == first  # the state of when it began, whole
        assert take(world, site, tmp_path / f"fresh-{count}") == first


def test_a_client_that_reads_the_copy_all_the_time_never_fails(
    world: World, site: PlainServer, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    replicate(public(world), copy)
    site.root = copy / "skills"
    stop, wrong = threading.Event(), []

    def copy_on() -> None:
        while not stop.is_set():
            try:
                replicate(public(world), copy)
            except Exception as error:  # noqa: BLE001 - told below
                wrong.append(error)

    thread = threading.Thread(target=copy_on)
    thread.start()
    try:
        seen = [take(world, site, tmp_path / "client")]
        for number in range(4):
            world.publish_skill(f"more-{number}==1.0")
            seen.append(take(world, site, tmp_path / "client"))
    finally:
        stop.set()
        thread.join(60)
    assert wrong == []
    assert seen == sorted(seen)


def test_the_other_way_round_breaks_clients(world: World, site: PlainServer, tmp_path: Path) -> None:
    """Why the order matters: the timestamp of the end over the files of the beginning."""
    copy = tmp_path / "copy"
    shutil.copytree(public(world), copy)
    world.publish_skill("new==1.0")
    shutil.copyfile(world.public / "metadata/timestamp.json", copy / "skills/metadata/timestamp.json")
    site.root = copy / "skills"
    with pytest.raises((RejectedError, NotFoundError)):
        take(world, site, tmp_path / "client")


def test_an_old_database_publishes_nothing_over_a_newer_tree(world: World, tmp_path: Path) -> None:
    back_up(world)
    world.publish_skill("lost==1.0")
    world.refresh()
    before = world.metadata()
    restore(world, tree=False)
    candidate = world.import_skill("next==1.0")
    world.review(candidate)
    for name in ("alice", "bob"):
        world.sign(candidate, by=name)
    for attempt in (
        world.refresh,
        world.publish,
        lambda: publish_serial(world, make_index(1, {"demo": "1.0"}, at=now())),
    ):
        with pytest.raises(RollbackError, match="older database was restored") as refused:
            attempt()
        assert "skillrepo resume" in refused.value.hint
    assert world.metadata() == before
    said = list(check_restored(Examined(repository=world.repository, now=now())))
    assert {item.says.split(" ")[0] for item in said} >= {"timestamp", "snapshot"}
    with snapshot(world.repository.engine) as session:
        assert not {record.event for record in log.read(session)} & {"published-late", "restored.resumed"}


@pytest.mark.parametrize("tree", [False, True], ids=["tree-is-left", "only-a-copy"])
def test_what_was_signed_since_the_backup_comes_back_from_a_copy(
    world: World, site: PlainServer, tmp_path: Path, tree: bool
) -> None:
    publish_serial(world, make_index(1, {"demo": "1.0"}, at=now()))
    world.refresh()
    back_up(world)
    world.publish_skill("lost==1.0")
    withdraw(world, "web-search==1.0")
    publish_serial(world, make_index(2, {"demo": "1.1"}, at=now()))
    world.refresh()
    replicate(public(world), tmp_path / "replica")
    seen = take(world, site, tmp_path / "client", "lost==1.0")
    restore(world, tree=tree)
    if tree:
        world.refresh()  # nothing here tells that it is old …
        with pytest.raises(RejectedError):
            take(world, site, tmp_path / "client", "lost==1.0")  # … and clients do
        restore(world, tree=True)
    source = tmp_path / "replica" if tree else public(world)
    done = resume_from(world.repository, source, world.signers["online"], now=now())
    assert done.online.timestamp == seen + 1
    assert {"revocations", PACKAGES.role, "snapshot", "timestamp"} < set(done.roles)
    assert take(world, site, tmp_path / "client", "lost==1.0") == seen + 1
    with world.client(site.url, tmp_path / "client").session(now()) as session:
        release = session.bundle(Pin.parse("web-search==1.0"))
        found = session.revocations().covering(
            release.pin, bundle_sha256=release.target.sha256, tree_sha256=release.tree_sha256
        )
        assert len(found) == 1  # the withdrawal was not forgotten
        assert session.packages(PACKAGES).index.serial == 2
    assert served_serial(world.repository.pkg_root, PACKAGES) == 2
    demo = package("demo", "1.1").sha256
    assert (world.repository.pkg_root / f"by-sha256/{demo}.pkg").is_file()
    with snapshot(world.repository.engine) as session:
        assert session.scalars(select(PackageSerialRow.serial).order_by(PackageSerialRow.serial)).all() == [
            1,
            2,
        ]
        assert log.read(session)[-1].event == "restored.resumed"
        log.check(session)
    world.publish_skill("after==1.0")
    publish_serial(world, make_index(3, {"demo": "1.2"}, at=now()))
    world.refresh()
    assert take(world, site, tmp_path / "client", "after==1.0") > seen + 1
    assert [item.says for item in check_restored(Examined(repository=world.repository, now=now()))] == [
        "the database knows everything that is published"
    ]


def test_a_copy_is_verified_before_it_is_taken_up(world: World, tmp_path: Path) -> None:
    back_up(world)
    world.publish_skill("lost==1.0")
    copy = tmp_path / "copy"
    replicate(public(world), copy)
    restore(world, tree=True)
    with snapshot(world.repository.engine) as session:
        head = log.check(session)
    bundle = next(copy.rglob("*lost-1.0.tar.gz"))
    role = max((copy / "skills/metadata").glob("2.skills-*.json"))
    for path, data in (
        (bundle, b"x" * bundle.stat().st_size),
        (bundle, b""),
        (role, role.read_bytes() + b" "),
        (role, b"{}"),
    ):
        genuine = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(data)
        with pytest.raises(RejectedError):
            resume_from(world.repository, copy, world.signers["online"], now=now())
        path.write_bytes(genuine)
    aside = tmp_path / "aside"
    bundle.rename(aside)
    with pytest.raises(NotFoundError, match="lacks"):
        resume_from(world.repository, copy, world.signers["online"], now=now())
    bundle.symlink_to(aside)
    with pytest.raises(NotFoundError):
        resume_from(world.repository, copy, world.signers["online"], now=now())
    bundle.unlink()
    aside.rename(bundle)
    with pytest.raises(KeyAccessError):
        resume_from(world.repository, copy, world.signers["mallory"], now=now())
    with snapshot(world.repository.engine) as session:
        assert log.check(session) == head  # none of it left anything
    resume_from(world.repository, copy, world.signers["online"], now=now())


def test_a_database_that_went_on_by_itself_is_not_mixed_with_a_copy(world: World, tmp_path: Path) -> None:
    back_up(world)
    world.publish_skill("lost==1.0")
    replicate(public(world), tmp_path / "copy")
    restore(world, tree=True)
    world.publish_skill("other==1.0")
    with pytest.raises(ConflictError, match="went on by itself"):
        resume_from(world.repository, tmp_path / "copy", world.signers["online"], now=now())


def test_a_copy_that_is_older_than_the_database_is_none_to_go_on_from(world: World, tmp_path: Path) -> None:
    replicate(public(world), tmp_path / "copy")
    world.refresh()
    with pytest.raises(RollbackError, match="copy is older"):
        resume_from(world.repository, tmp_path / "copy", world.signers["online"], now=now())
    version = served_version(world.public)
    restored = tmp_path / "older"
    shutil.copytree(tmp_path / "copy", restored)
    replicate(public(world), tmp_path / "copy")
    with pytest.raises(RollbackError, match="and timestamp 3 is published") as refused:
        replicate(restored, tmp_path / "copy")  # an old tree does not push out a newer copy
    assert "restore.md" in refused.value.hint
    assert served_version(tmp_path / "copy/skills") == version


def test_without_a_copy_the_online_roles_go_beyond_what_anybody_saw(
    world: World, site: PlainServer, tmp_path: Path
) -> None:
    back_up(world)
    for _ in range(3):
        world.refresh()
    take(world, site, tmp_path / "client")
    restore(world, tree=True)
    for wrong in (1, 2**31):
        with pytest.raises(FormatError):
            resume_beyond(world.repository, wrong, world.signers["online"], now=now())
    with pytest.raises(KeyAccessError):
        resume_beyond(world.repository, 1000, world.signers["mallory"], now=now())
    done = resume_beyond(world.repository, 1000, world.signers["online"], now=now())
    assert (done.online.snapshot, done.online.timestamp) == (1001, 1001)
    assert take(world, site, tmp_path / "client") == 1001
    world.publish_skill("after==1.0")
    assert take(world, site, tmp_path / "client", "after==1.0") == 1002


def test_digests_are_compared_while_packages_are_taken_up(world: World, tmp_path: Path) -> None:
    back_up(world)
    publish_serial(world, make_index(1, {"demo": "1.0"}, at=now()))
    world.refresh()
    replicate(public(world), tmp_path / "copy")
    restore(world, tree=True)
    demo = tmp_path / "copy/pkg/by-sha256" / f"{package('demo', '1.0').sha256}.pkg"
    demo.chmod(0o644)
    demo.write_bytes(b"x" * demo.stat().st_size)
    with pytest.raises(DigestMismatchError):
        resume_from(world.repository, tmp_path / "copy", world.signers["online"], now=now())
