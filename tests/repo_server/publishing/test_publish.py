"""Publishing: decided in one transaction, written in an order that never shows half a state."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select

from repo_server.db import log
from repo_server.db.models import MetadataRow, ReleaseRow
from repo_server.db.session import snapshot, transaction
from repo_server.publishing import projection, siblings, well_known
from repo_server.publishing.projection import project
from repo_server.repository import Repository
from repo_server.storage.durable import write_durably
from signing.errors import HostError, NotFoundError, ThresholdError
from signing.format.names import Pin
from tests.support.world import World, now, skill_md


def signed(world: World, pin: str) -> str:
    candidate = world.import_skill(pin)
    world.review(candidate)
    for name in ("alice", "bob"):
        world.sign(candidate, by=name)
    return candidate


def tree(world: World) -> dict[str, bytes]:
    return {
        str(path.relative_to(world.public)): path.read_bytes()
        for path in sorted(world.public.rglob("*"))
        if path.is_file()
    }


def verified_by_a_client(world: World, *pins: str) -> None:
    with world.serve() as server:
        client = world.client(server.url, world.folder / "client")
        with client.session(now()) as session:
            for pin in pins:
                assert session.release(Pin.parse(pin)).pin == Pin.parse(pin)


def test_one_signature_does_not_publish(world: World) -> None:
    candidate = world.import_skill("pdf-tools==1.0")
    world.review(candidate)
    world.sign(candidate, by="alice")
    before = tree(world)
    with pytest.raises(ThresholdError) as refused:
        world.publish()
    assert refused.value.facts["missing"] == ("bob",)
    assert tree(world) == before


def test_nothing_to_publish_changes_nothing(world: World) -> None:
    before = tree(world)
    published = world.publish()
    assert (published.releases, published.profiles, published.pending) == ((), (), ())
    assert published.online is None
    assert tree(world) == before


def test_publishing_twice_publishes_once(world: World) -> None:
    signed(world, "pdf-tools==1.0")
    assert [str(pin) for pin in world.publish().releases] == ["pdf-tools==1.0"]
    before = tree(world)
    assert world.publish().releases == ()
    assert tree(world) == before
    verified_by_a_client(world, "pdf-tools==1.0", "web-search==1.0")


def test_files_are_written_blobs_first_and_the_timestamp_last(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed(world, "pdf-tools==1.0")
    written: list[str] = []

    def record(path: Path, data: bytes, **options: int) -> None:
        written.append(str(path.relative_to(world.public)))
        write_durably(path, data, **options)

    for module in (projection, siblings, well_known):
        monkeypatch.setattr(module, "write_durably", record)
    world.publish()
    ranks = [_rank(path) for path in written]
    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 3, 4, 5}  # top-level targets did not change
    assert ranks.count(4) == 1


def test_a_new_repository_writes_all_metadata_before_the_timestamp(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(world.public)
    written: list[str] = []

    def record(path: Path, data: bytes, **options: int) -> None:
        written.append(str(path.relative_to(world.public)))
        write_durably(path, data, **options)

    for module in (projection, siblings):
        monkeypatch.setattr(module, "write_durably", record)
    with transaction(world.repository.engine) as session:
        project(world.repository, session)
    ranks = [_rank(path) for path in written if "root.json" not in path]
    assert ranks == sorted(ranks)
    assert {0, 1, 2, 3, 4} <= set(ranks)
    assert [path for path in written if path.startswith("metadata/")][-1] == "metadata/timestamp.json"


def _rank(path: str) -> int:
    order = (
        ("targets/", 0),
        ("metadata/timestamp.json", 4),
        (".well-known/", 5),
    )
    for start, rank in order:
        if path.startswith(start):
            return rank
    role = path.split(".")[1]
    return {"targets": 2, "snapshot": 3}.get(role, 1)


def test_the_published_tree_is_a_projection(world: World) -> None:
    signed(world, "pdf-tools==1.0")
    world.publish()
    before = tree(world)
    shutil.rmtree(world.repository.folder / "public")
    with transaction(world.repository.engine) as session:
        assert project(world.repository, session) > 0
        assert project(world.repository, session) == 0
    assert tree(world) == before
    verified_by_a_client(world, "pdf-tools==1.0")


def test_one_missing_file_is_written_again(world: World) -> None:
    before = tree(world)
    victim = next(path for path in before if path.endswith(".tar.gz"))
    (world.public / victim).unlink()
    with transaction(world.repository.engine) as session:
        assert project(world.repository, session) == 1
    assert tree(world) == before


def test_a_lost_blob_stops_before_anything_names_it(world: World) -> None:
    candidate = signed(world, "pdf-tools==1.0")
    before = tree(world)
    with snapshot(world.repository.engine) as session:
        from repo_server.db.models import CandidateRow
        from signing.format.digest import Sha256

        bundle = Sha256(session.get_one(CandidateRow, candidate).bundle_sha256 or "")
    world.repository.blobs.path_of(bundle).unlink()
    with pytest.raises(NotFoundError):
        world.publish()
    assert tree(world) == before
    verified_by_a_client(world, "web-search==1.0")


def test_a_full_disk_leaves_the_old_state_and_the_next_run_completes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed(world, "pdf-tools==1.0")
    count = 0

    def full(path: Path, data: bytes, **options: int) -> None:
        nonlocal count
        count += 1
        if count > 2:
            raise HostError(f"cannot write {path}: No space left on device")
        write_durably(path, data, **options)

    with monkeypatch.context() as patch:
        for module in (projection, siblings):
            patch.setattr(module, "write_durably", full)
        with pytest.raises(HostError):
            world.publish()
    verified_by_a_client(world, "web-search==1.0")
    world.publish()
    verified_by_a_client(world, "web-search==1.0", "pdf-tools==1.0")


@pytest.mark.slow
def test_two_publishes_at_once_publish_once(world: World) -> None:
    signed(world, "pdf-tools==1.0")
    signed(world, "csv-tools==1.0")
    world.repository.engine.dispose()
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from datetime import UTC, datetime\n"
        "from repo_server.publishing.publish import publish\n"
        "from repo_server.repository import Repository\n"
        "from signing.keystore import load_key\n"
        "repository = Repository.open(Path(sys.argv[1]))\n"
        "online = load_key(Path(sys.argv[2]), passphrase=lambda _: 'correct horse')\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "done = publish(repository, online, now=datetime.now(UTC))\n"
        "print(len(done.releases))\n"
    )
    key = world.folder / "people/online.key.json"
    command = [sys.executable, "-c", script, str(world.repository.folder), str(key)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    outputs = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        outputs.append(process.communicate(timeout=30)[0])
        assert process.returncode == 0
    assert sorted(outputs) == ["0\n", "2\n"]
    world.repository = Repository.open(world.repository.folder)
    with snapshot(world.repository.engine) as session:
        assert session.scalar(select(func.count()).select_from(ReleaseRow)) == 3
        log.check(session)
        assert [record.event for record in log.read(session)].count("published") == 3
    verified_by_a_client(world, "pdf-tools==1.0", "csv-tools==1.0")


def test_every_step_stands_in_the_chain(world: World) -> None:
    signed(world, "pdf-tools==1.0")
    world.publish()
    with snapshot(world.repository.engine) as session:
        records = log.read(session)
        assert log.check(session).sequence == len(records)
        newest = session.scalar(select(func.max(MetadataRow.version)).where(MetadataRow.role == "timestamp"))
    assert [record.event for record in records[-5:]] == [
        "candidate.imported",
        "candidate.reviewed",
        "candidate.signed",
        "candidate.signed",
        "published",
    ]
    assert [record.facts["by"] for record in records[-4:-1]] == ["alice", "alice", "bob"]
    assert records[-1].facts["releases"] == ["pdf-tools==1.0"]
    assert records[-1].facts["timestamp"] == newest


def test_what_the_release_row_says_is_what_a_client_verifies(world: World) -> None:
    files = {"SKILL.md": skill_md("pdf-tools", description="Reads PDF files.")}
    world.publish_skill("pdf-tools==1.0", files)
    with snapshot(world.repository.engine) as session:
        row = session.get_one(ReleaseRow, ("pdf-tools", "1.0"))
    with world.serve() as server:
        client = world.client(server.url, world.folder / "client")
        with client.session(now()) as looked:
            release = looked.release(Pin.parse("pdf-tools==1.0"))
    assert row.description == "Reads PDF files."
    assert row.bundle_sha256 == release.bundle.target.sha256
    assert row.bundle_bytes == release.bundle.target.length
    assert row.tree_sha256 == release.bundle.tree_sha256
    assert row.review_sha256 == release.review.target.sha256
    assert row.reviewers.split(",") == list(release.review.reviewers)
