"""The published tree in a bucket: whole at every moment, current after every whole run, whoever writes at once."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest

from repo_server.pkgrepo.access import Access
from repo_server.publishing import spreading_turn
from repo_server.publishing.keeping_fresh import Keeper
from repo_server.publishing.spreading import Content, spread
from signing.errors import ConflictError, HostError, RollbackError, SkillRepoError
from signing.format.digest import sha256_of
from signing.format.names import Pin
from tests.support.new_keys import appoint_online
from tests.support.serials import make_index, publish_serial
from tests.support.withdrawing import withdraw
from tests.support.world import World, now, skill_md

TIMESTAMP = "skills/metadata/timestamp.json"


@dataclass
class Bucket:
    """A bucket in memory, which can fail, and remembers what was put in which order."""

    objects: dict[str, bytes] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    before_put: Callable[[str], None] = lambda path: None

    def sizes(self, folder: str) -> dict[str, int]:
        return {path: len(data) for path, data in self.objects.items() if path.startswith(folder)}

    def read(self, path: str) -> bytes | None:
        return self.objects.get(path)

    def put(self, path: str, content: Content) -> None:
        self.before_put(path)
        self.objects[path] = content if isinstance(content, bytes) else content.read()
        self.written.append(path)

    def remove(self, path: str) -> None:
        self.before_put(path)
        self.objects.pop(path, None)


def verified(world: World, bucket: Bucket, *pins: str) -> None:
    """Let a client that knows nothing verify ``pins`` from the bucket alone."""
    tree = world.folder / f"served-{len(list(world.folder.iterdir()))}"
    for path, data in bucket.objects.items():
        place = tree / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    with world.serve() as server:
        server.root = tree / "skills"
        client = world.client(server.url, tree / "client")
        with client.session(now()) as session:
            for pin in pins:
                assert session.release(Pin.parse(pin)).pin == Pin.parse(pin)


def test_a_client_needs_nothing_but_the_bucket(world: World) -> None:
    bucket = Bucket()
    done = spread(world.repository, bucket)
    assert (done.removed, done.sent) == (0, len(bucket.written) - 2)
    verified(world, bucket, "web-search==1.0")
    for path, data in bucket.objects.items():
        if not path.startswith("skills/.") or "well-known" in path:
            assert (world.repository.folder / "public" / path).read_bytes() == data
    assert not [path for path in bucket.objects if path.endswith(".json.gz")]


def test_what_never_changes_goes_first_and_the_timestamp_after_it(world: World) -> None:
    bucket = Bucket()
    spread(world.repository, bucket)
    at = bucket.written.index(TIMESTAMP)
    before, after = bucket.written[:at], bucket.written[at + 1 :]
    assert all(path.startswith(("skills/targets/", "skills/metadata/")) for path in before)
    assert all(path.startswith("skills/.well-known/") for path in after[:-2])
    assert after[-2:] == ["skills/.listed", "skills/.complete"]
    first_metadata = next(n for n, path in enumerate(before) if "metadata" in path)
    assert not any("targets/skills" in path for path in before[first_metadata:])


def test_a_second_run_asks_one_question_and_sends_nothing(world: World) -> None:
    bucket = Bucket()
    spread(world.repository, bucket)
    bucket.written.clear()
    bucket.sizes = lambda _folder: pytest.fail("nothing is listed")  # type: ignore[method-assign]
    done = spread(world.repository, bucket)
    assert (done.sent, bucket.written) == (0, [])


def test_killed_at_every_step_clients_see_a_whole_state_and_the_next_run_completes(world: World) -> None:
    bucket = Bucket()
    spread(world.repository, bucket)
    world.publish_skill("pdf-tools==1.0")
    whole = Bucket(dict(bucket.objects))
    steps = spread(world.repository, whole).sent

    class Killed(BaseException):
        pass

    seen = set()
    for step in range(steps + 1):
        broken, left = Bucket(dict(bucket.objects)), iter(range(step))

        def die(_path: str, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise Killed

        broken.before_put = die
        with pytest.raises(Killed):
            spread(world.repository, broken)
        new = broken.objects[TIMESTAMP] == whole.objects[TIMESTAMP]
        seen.add(new)
        if step in {0, steps // 2, steps}:
            verified(world, broken, "web-search==1.0", *(["pdf-tools==1.0"] if new else []))
        if not new:
            assert broken.objects[TIMESTAMP] == bucket.objects[TIMESTAMP]
        else:  # all that it vouches for is there
            wanted = {
                path for path in whole.objects if path.startswith(("skills/metadata", "skills/targets"))
            }
            assert wanted <= broken.objects.keys()
        broken.before_put = lambda _path: None
        spread(world.repository, broken)
        assert broken.objects == whole.objects
    assert seen == {False, True}


def test_a_new_root_comes_when_nothing_but_its_timestamp_is_left(world: World, tmp_path: Path) -> None:
    """It appoints another online key, so with it every client refuses the timestamp of before; they look for it by its name."""
    bucket = Bucket()
    spread(world.repository, bucket)
    appoint_online(world, tmp_path)
    world.publish_skill("pdf-tools==1.0")
    whole, root = Bucket(dict(bucket.objects)), "skills/metadata/2.root.json"
    spread(world.repository, whole)
    assert whole.written.index(TIMESTAMP) == whole.written.index(root) + 1
    verified(world, whole, "web-search==1.0", "pdf-tools==1.0")
    lasting = [path for path in whole.written[: whole.written.index(TIMESTAMP)] if path != root]
    assert len(lasting) >= 5
    left = set(lasting)

    class Killed(BaseException):
        pass

    def die(path: str) -> None:
        if not left:
            raise Killed
        left.discard(path)

    bucket.before_put = die
    with pytest.raises(Killed):
        spread(world.repository, bucket)
    assert set(lasting) <= bucket.objects.keys()
    assert root not in bucket.objects
    verified(world, bucket, "web-search==1.0")
    bucket.before_put = lambda _path: None
    spread(world.repository, bucket)
    verified(world, bucket, "web-search==1.0", "pdf-tools==1.0")


def test_roots_go_in_their_order_and_what_is_there_is_not_sent_again(world: World, tmp_path: Path) -> None:
    bucket = Bucket()
    spread(world.repository, bucket)
    for number in range(2):
        appoint_online(world, tmp_path / str(number))
    bucket.written.clear()
    spread(world.repository, bucket)
    at = bucket.written.index(TIMESTAMP)
    roots = [f"skills/metadata/{version}.root.json" for version in (2, 3)]
    assert bucket.written[at - 2 : at] == roots
    assert "skills/metadata/1.root.json" not in bucket.written
    verified(world, bucket, "web-search==1.0")


def test_others_publish_while_the_bucket_hangs(world: World) -> None:
    """At every question that is asked of the bucket; what they publish comes with the next run."""
    bucket = Bucket()
    spread(world.repository, bucket)
    world.publish_skill("pdf-tools==1.0")
    newest, asked = [], []

    def publish_meanwhile(method: str, *args: object) -> object:
        asked.append(method)
        if len(asked) % 4 == 0:  # it would wait for 30 seconds, and fail
            world.refresh()
            newest.append((world.public / "metadata/timestamp.json").read_bytes())
        return getattr(Bucket, method)(bucket, *args)

    for method in ("sizes", "read", "put"):
        setattr(bucket, method, partial(publish_meanwhile, method))
    spread(world.repository, bucket)
    assert {"sizes", "read", "put"} == set(asked)
    assert len(newest) > 2
    assert bucket.objects[TIMESTAMP] != newest[-1]
    verified(world, Bucket(dict(bucket.objects)), "pdf-tools==1.0")
    spread(world.repository, quiet := Bucket(dict(bucket.objects)))
    assert quiet.objects[TIMESTAMP] == newest[-1]
    verified(world, quiet, "web-search==1.0", "pdf-tools==1.0")


def test_whoever_has_no_turn_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket()
    spread(world.repository, bucket)
    before = dict(bucket.objects)
    world.refresh()
    monkeypatch.setattr(spreading_turn, "_SECONDS", 0.2)
    with (
        spreading_turn.spreading_turn(world.repository),
        pytest.raises(ConflictError, match="another process"),
    ):
        spread(world.repository, bucket)
    assert bucket.objects[TIMESTAMP] == before[TIMESTAMP]
    assert bucket.objects["skills/.complete"] == before["skills/.complete"]
    spread(world.repository, bucket)
    assert bucket.objects[TIMESTAMP] != before[TIMESTAMP]


def test_of_several_at_once_nobody_leaves_an_older_timestamp(world: World) -> None:
    bucket, problems = Bucket(), list[BaseException]()

    def go_on() -> None:
        try:
            for _ in range(4):
                spread(world.repository, bucket)
        except BaseException as error:  # noqa: BLE001 - told by the thread that asserts
            problems.append(error)

    threads = [threading.Thread(target=go_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        world.refresh()
    for thread in threads:
        thread.join()
    assert problems == []
    spread(world.repository, bucket)
    assert bucket.objects[TIMESTAMP] == (world.public / "metadata/timestamp.json").read_bytes()
    verified(world, bucket, "web-search==1.0")


def test_a_bucket_that_fell_behind_or_lost_objects_is_made_whole(world: World) -> None:
    bucket = Bucket()
    spread(world.repository, bucket)
    for number in range(3):
        world.publish_skill(f"tool-{number}==1.0")
    lost = next(path for path in bucket.objects if "targets/skills" in path)
    listed = "skills/.well-known/skills/web-search/SKILL.md"
    del bucket.objects[lost], bucket.objects[listed]
    spread(world.repository, bucket)
    assert listed in bucket.objects
    verified(world, bucket, "web-search==1.0", "tool-0==1.0", "tool-2==1.0")


def test_again_replaces_what_has_the_right_size_and_other_bytes(world: World) -> None:
    bucket = Bucket()
    spread(world.repository, bucket)
    path = next(path for path in bucket.objects if path.endswith(".tar.gz"))
    whole = bucket.objects[path]
    bucket.objects[path] = bytes(len(whole))
    spread(world.repository, bucket)
    assert bucket.objects[path] != whole
    index = "skills/.well-known/agent-skills/index.json"
    bucket.objects[index] = b"not ours"
    spread(world.repository, bucket, again=True)
    assert bucket.objects[path] == whole
    assert bucket.objects[index] == (world.public / ".well-known/agent-skills/index.json").read_bytes()


def test_a_bucket_that_is_ahead_is_left_alone(world: World) -> None:
    """A database from an older backup, or the bucket of another repository: clients would see a rollback."""
    ahead = Bucket()
    other = world.copy_to(world.folder / "restored")
    try:
        world.refresh()
        spread(world.repository, ahead)
        before = dict(ahead.objects)
        with pytest.raises(RollbackError):
            spread(other.repository, ahead)
        assert ahead.objects == before
    finally:
        other.close()


@pytest.mark.parametrize("forged", ["higher", "junk", "nothing"])
def test_what_somebody_else_put_in_the_timestamps_place_stops_nobody(world: World, forged: str) -> None:
    """Whoever holds the bucket's keys could else freeze it by a number."""
    bucket = Bucket()
    spread(world.repository, bucket)
    document = json.loads(bucket.objects[TIMESTAMP])
    document["signed"]["version"] = 10**9
    bucket.objects[TIMESTAMP] = {"higher": json.dumps(document).encode(), "junk": b"{", "nothing": b""}[
        forged
    ]
    world.refresh()
    spread(world.repository, bucket)
    assert bucket.objects[TIMESTAMP] == (world.public / "metadata/timestamp.json").read_bytes()
    verified(world, bucket, "web-search==1.0")


def test_what_is_withdrawn_leaves_the_indexes_of_the_bucket(world: World) -> None:
    bucket = Bucket()
    spread(world.repository, bucket)
    listed = "skills/.well-known/skills/web-search/SKILL.md"
    assert listed in bucket.objects
    withdraw(world, "web-search==1.0")
    assert spread(world.repository, bucket).removed > 0
    assert listed not in bucket.objects
    assert b"web-search" not in bucket.objects["skills/.well-known/agent-skills/index.json"]


def test_a_run_after_one_that_was_killed_in_the_indexes_believes_no_digests(world: World) -> None:
    """The killed one sent a newer file; by the older digests it would stay when the newer release is withdrawn."""
    bucket, path = Bucket(), "skills/.well-known/skills/web-search/SKILL.md"
    spread(world.repository, bucket)
    older = bucket.objects[path]
    world.publish_skill("web-search==2.0", {"SKILL.md": skill_md("web-search", body="Newer.")})

    class Killed(BaseException):
        pass

    def die(put: str) -> None:
        if put.endswith("agent-skills/index.json"):
            raise Killed

    bucket.before_put = die
    with pytest.raises(Killed):
        spread(world.repository, bucket)
    assert bucket.objects[path] != older
    bucket.before_put = lambda _path: None
    withdraw(world, "web-search==2.0")
    spread(world.repository, bucket)
    assert bucket.objects[path] == older


def test_what_is_listed_is_not_fetched_to_be_compared(world: World) -> None:
    """It would be done while nobody else can publish."""
    bucket, asked = Bucket(), list[str]()
    spread(world.repository, bucket)
    world.publish_skill("pdf-tools==1.0")
    read = bucket.read

    def noted(path: str) -> bytes | None:
        asked.append(path)
        return read(path)

    bucket.read = noted  # type: ignore[method-assign]
    spread(world.repository, bucket)
    assert not [path for path in asked if "well-known" in path]
    bucket.objects["skills/.listed"] = b"[" * 100_000  # somebody else's words stop nobody
    world.publish_skill("csv-tools==1.0")
    spread(world.repository, bucket)
    assert "skills/.well-known/skills/csv-tools/SKILL.md" in bucket.objects


def test_packages_are_sent_by_their_digest_unless_they_take_a_token(world: World) -> None:
    index = make_index(1, {"demo": "1.0"}, at=now())
    publish_serial(world, index)
    bucket = Bucket()
    spread(world.repository, bucket)
    packages = {path: data for path, data in bucket.objects.items() if path.startswith("pkg/")}
    assert set(packages) == {f"pkg/by-sha256/{package.sha256}.pkg" for package in index.packages}
    assert all(sha256_of(data) in path for path, data in packages.items())
    closed = replace(world.repository, config=replace(world.repository.config, pkg_access=Access.TOKENS))
    shut = Bucket()
    spread(closed, shut)
    assert not [path for path in shut.objects if path.startswith("pkg/")]


def test_a_damaged_blob_is_not_sent(world: World) -> None:
    publish_serial(world, make_index(1, {"demo": "1.0"}, at=now()))
    for blob in world.repository.folder.glob("blobs/*/*"):
        if blob.read_bytes()[:20] and blob.stat().st_nlink > 1:  # linked into the tree: a package
            blob.chmod(0o644)
            blob.write_bytes(b"x" * blob.stat().st_size)
    bucket = Bucket()
    with pytest.raises(SkillRepoError):
        spread(world.repository, bucket)
    assert not [path for path in bucket.objects if path.startswith("pkg/")]
    assert TIMESTAMP not in bucket.objects


# ------------------------------------------------------------------------------------------ kept up to date


def test_a_keeper_brings_the_bucket_up_to_date_each_minute(world: World) -> None:
    bucket, opened = Bucket(), []

    def online() -> object:
        opened.append(1)
        return world.signers["online"]

    keep = Keeper(
        repository=world.repository,
        online=online,  # type: ignore[arg-type]
        every=timedelta(hours=6),
        clock=now,
        shelf=lambda: bucket,
    )
    look = keep.look()
    assert (look.failed, look.pause) == (False, timedelta(minutes=1))
    world.publish_skill("pdf-tools==1.0")
    assert not keep.look().failed
    verified(world, bucket, "pdf-tools==1.0")
    assert len(opened) == 1  # the key is not opened each minute

    def away(*_: object) -> NoReturn:
        raise HostError("the bucket of the published tree fails: GenericError")

    keep.shelf = away
    failed = keep.look()
    assert failed.failed
    assert failed.problems[0].startswith("cannot bring the bucket up to date: ")
    assert list(keep.news(failed)) == list(failed.problems)
    keep.shelf = lambda: bucket
    assert not keep.look().failed
