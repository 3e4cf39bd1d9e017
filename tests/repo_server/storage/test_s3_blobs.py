"""Blobs in a real S3 engine: what a local disk promises, over a network that breaks and a store that lies."""

import hashlib
import io
import os
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from repo_server.config import RepositoryConfig
from repo_server.db import log
from repo_server.db.session import snapshot
from repo_server.pkgrepo.collecting import collect
from repo_server.storage.choose import BlobSettings
from repo_server.storage.collecting import collect_leftovers
from repo_server.storage.s3 import S3Blobs, S3Place
from signing.errors import DigestMismatchError, FormatError, HostError, NotFoundError
from signing.format.digest import Sha256, sha256_of
from signing.format.names import Pin
from tests.support import ceph
from tests.support.ceph import S3Server
from tests.support.serials import days, make_index, package, publish_serial
from tests.support.world import World, now

pytestmark = pytest.mark.slow
obstore = pytest.importorskip("obstore", reason="obstore is not installed: nothing was tested on S3")


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with ceph.running() as server:
        yield server


@pytest.fixture
def place(server: S3Server) -> S3Place:
    bucket = f"b{secrets.token_hex(6)}"
    ceph.make_bucket(server, bucket)
    return S3Place(
        endpoint=server.endpoint,
        bucket=bucket,
        prefix="skills",
        region="us-east-1",
        key_id=server.key_id,
        secret=server.secret,
    )


@pytest.fixture
def blobs(place: S3Place) -> S3Blobs:
    return S3Blobs(place.open(), where="s3://test")


def overwrite(place: S3Place, digest: Sha256, data: bytes) -> None:
    """As whoever holds the bucket can."""
    obstore.put(place.open(), f"{digest[:2]}/{digest}", data)


@pytest.mark.parametrize("data", [b"", b"x", os.urandom(3 << 20)], ids=["empty", "small", "large"])
def test_what_is_stored_is_loaded(blobs: S3Blobs, data: bytes) -> None:
    digest = blobs.store(data)
    assert digest == sha256_of(data)
    assert blobs.store(data) == digest
    assert blobs.load(digest) == data
    assert blobs.size_of(digest) == len(data)
    with blobs.open(digest) as stream:
        assert stream.read() == data


def test_what_is_not_there(blobs: S3Blobs, tmp_path: Path) -> None:
    digest = sha256_of(b"nothing")
    assert blobs.size_of(digest) is None
    for attempt in (blobs.load, blobs.open, lambda one: blobs.put_at(one, tmp_path / "place")):
        with pytest.raises(NotFoundError):
            attempt(digest)
    blobs.remove(digest)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "0" * 63, "/" * 64])
def test_only_digests_are_names(blobs: S3Blobs, digest: str) -> None:
    for attempt in (blobs.load, blobs.size_of, blobs.remove):
        with pytest.raises(FormatError):
            attempt(Sha256(digest))


def test_a_large_one_comes_in_pieces_and_goes_out_in_ranges(blobs: S3Blobs, tmp_path: Path) -> None:
    """Larger than a part, an upload of several parts, and nothing of it whole in the memory."""
    piece = os.urandom(1 << 20)
    digest, size = Sha256(hashlib.sha256(piece * 40).hexdigest()), 40 << 20
    blobs.receive(iter([piece] * 40), digest=digest, size=size)
    assert blobs.size_of(digest) == size
    blobs.put_at(digest, tmp_path / "folder/place")
    assert sha256_of((tmp_path / "folder/place").read_bytes()) == digest
    assert (tmp_path / "folder/place").stat().st_mode & 0o777 == 0o444
    with blobs.open(digest) as stream:
        assert stream.read(10) == piece[:10]


@pytest.mark.parametrize(
    "pieces", [[b"dat"], [b"data", b"x"], [b"dbta"], []], ids=["short", "long", "other", "none"]
)
def test_what_is_not_as_announced_is_not_kept(blobs: S3Blobs, pieces: list[bytes]) -> None:
    digest = sha256_of(b"data")
    with pytest.raises(DigestMismatchError):
        blobs.receive(iter(pieces), digest=digest, size=4)
    assert blobs.size_of(digest) is None
    blobs.receive(iter([b"da", b"ta"]), digest=digest, size=4)
    blobs.receive(iter(()), digest=digest, size=4)  # it is there: nothing is read
    assert blobs.load(digest) == b"data"


@pytest.mark.parametrize("content", [b"", b"dat", b"data2", b"dbta"])
def test_a_store_that_gives_other_bytes_is_not_believed(
    blobs: S3Blobs, place: S3Place, content: bytes, tmp_path: Path
) -> None:
    digest = blobs.store(b"data")
    overwrite(place, digest, content)
    with pytest.raises(DigestMismatchError, match="damaged in the object store"):
        blobs.load(digest)
    with pytest.raises(DigestMismatchError):
        blobs.put_at(digest, tmp_path / "place")
    assert list(tmp_path.iterdir()) == []
    blobs.store(b"data")
    assert blobs.load(digest) == b"data"


def test_eight_who_store_the_same_at_once(blobs: S3Blobs) -> None:
    data = os.urandom(100_000)
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda _: blobs.store(data), range(32)))
    assert digests == {sha256_of(data)}
    assert blobs.load(digests.pop()) == data


def test_what_nobody_stored_again_is_found_and_removed(blobs: S3Blobs, place: S3Place) -> None:
    digest = blobs.store(b"data")
    obstore.put(place.open(), "ab/README", b"somebody else's")
    obstore.put(place.open(), f"zz/{digest}", b"not where it belongs")
    moment = now()
    assert list(blobs.untouched(since=moment - timedelta(hours=1))) == []
    assert list(blobs.untouched(since=moment + timedelta(hours=1))) == [(digest, 4)]
    assert not blobs.remove_untouched(digest, since=moment - timedelta(hours=1))
    assert blobs.load(digest) == b"data"
    assert blobs.remove_untouched(digest, since=moment + timedelta(hours=1))
    assert blobs.remove_untouched(digest, since=moment + timedelta(hours=1))
    assert blobs.size_of(digest) is None
    assert list(blobs.unfinished(since=moment)) == []


@pytest.mark.parametrize("wrong", ["secret", "key_id", "bucket", "endpoint"])
def test_an_error_names_the_kind_and_no_secret(place: S3Place, wrong: str) -> None:
    values = {
        "secret": "another-secret",
        "key_id": "nobody",
        "bucket": "no-such-bucket-here",
        "endpoint": "http://127.0.0.1:9",
    }
    broken = S3Place(**{**vars_of(place), wrong: values[wrong]})
    blobs = S3Blobs(broken.open(), where="s3://test")
    with pytest.raises(HostError) as refused:
        blobs.store(b"data")
    said = f"{refused.value} {refused.value.hint} {broken!r}"
    assert place.secret not in said
    assert place.key_id not in said
    assert "another-secret" not in said


def vars_of(place: S3Place) -> dict[str, Any]:
    return {name: getattr(place, name) for name in place.__dataclass_fields__}


def test_the_clock_is_the_one_that_dates_the_blobs(blobs: S3Blobs, place: S3Place) -> None:
    before = blobs.clock()
    assert abs(before - now()) < timedelta(minutes=5)
    time.sleep(1.1)  # its dates have whole seconds
    assert blobs.clock() > before
    assert len([found for batch in place.open().list() for found in batch]) == 1  # one object, however often


def test_a_whole_repository_stands_on_it(
    server: S3Server, place: S3Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Publish skills and packages, give them to a client, collect what is old: no blob is on this disk."""
    credentials = tmp_path / "s3.toml"
    credentials.write_text(f'key_id = "{server.key_id}"\nsecret = "{server.secret}"\n')
    credentials.chmod(0o600)
    settings = BlobSettings(
        bucket=place.bucket,
        prefix=place.prefix,
        endpoint=place.endpoint,
        region=place.region,
        credentials=str(credentials),
    )
    moment = now().replace(microsecond=0)
    config = RepositoryConfig(dev=True, blobs=settings)
    world = World.build(tmp_path / "world", at=moment - days(20), config=config)
    world.publish_skill("web-search==1.0")
    for serial, age in enumerate((15, 10, 1), start=1):
        publish_serial(world, make_index(serial, {"demo": f"1.{serial}"}, at=moment - days(age)))
    world.refresh()
    with world.serve() as site:
        client = world.client(site.url, tmp_path / "client")
        with client.session(now()) as session:
            assert str(session.bundle(Pin.parse("web-search==1.0")).pin) == "web-search==1.0"
    garbage = collect(world.repository, retain=days(12), at_least=1, now=moment)
    assert package("demo", "1.1").sha256 in {digest for digest, _ in garbage.blobs}
    assert world.repository.package_blobs.size_of(package("demo", "1.1").sha256) is None
    assert world.repository.package_blobs.size_of(package("demo", "1.3").sha256) is not None
    assert [path for path in (world.repository.folder / "blobs").rglob("*") if path.is_file()] == []
    assert server.secret not in (world.repository.folder / "repository.toml").read_text()
    left, genuine = world.repository.blobs.store(b"nothing names it"), S3Blobs.clock
    assert collect_leftovers(world.repository, now=moment).blobs == {}
    monkeypatch.setattr(S3Blobs, "clock", lambda self: genuine(self) + timedelta(days=8))
    removed = collect_leftovers(world.repository, now=moment).blobs
    assert removed[left] == 16
    assert world.repository.package_blobs.size_of(left) is None
    with world.serve() as site, world.client(site.url, tmp_path / "other").session(now()) as session:
        session.release(Pin.parse("web-search==1.0"))  # and a review
    assert world.import_skill("next==1.0")
    with snapshot(world.repository.engine) as session_:
        log.check(session_)


def test_two_processes_share_it_and_a_reader_never_sees_half(blobs: S3Blobs) -> None:
    data = os.urandom(1 << 20)
    digest, seen, stop = sha256_of(data), [], threading.Event()

    def look() -> None:
        while not stop.is_set():
            with suppress(NotFoundError):  # removed just now; whole or not at all
                seen.append(blobs.load(digest) == data)
            time.sleep(0.005)

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(3):
        blobs.remove(digest)
        blobs.receive(io.BytesIO(data), digest=digest, size=len(data))
    time.sleep(0.2)
    stop.set()
    thread.join(60)
    assert seen
    assert all(seen)
