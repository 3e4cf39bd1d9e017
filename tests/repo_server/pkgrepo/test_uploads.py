"""Files on their way in: in pieces, by token, under a quota, swept when nobody continues them."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from repo_server.db.models import PackageDigestRow
from repo_server.db.session import snapshot
from repo_server.pkgrepo.uploads import FOLDER, LIFE, Uploads
from signing.errors import ConflictError, DigestMismatchError, FormatError, NotEntitledError
from signing.format.digest import sha256_of
from tests.support.world import World, now

TOKEN, OTHER = "0123456789ab", "ba9876543210"
DATA = bytes(range(256)) * 8
DIGEST = sha256_of(DATA)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.build(tmp_path)


@pytest.fixture
def uploads(world: World) -> Uploads:
    return Uploads(repository=world.repository)


def send(uploads: Uploads, start: int, end: int, *, token: str = TOKEN) -> int:
    return uploads.receive(token, DIGEST, len(DATA), offset=start, pieces=[DATA[start:end]], now=now())


def files(world: World) -> list[str]:
    folder = world.repository.folder / FOLDER
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_in_pieces_and_from_where_it_broke(world: World, uploads: Uploads) -> None:
    def broken() -> Iterator[bytes]:
        yield DATA[100:150]

    assert uploads.offset(TOKEN, DIGEST, len(DATA)) == 0
    assert send(uploads, 0, 100) == 100
    assert uploads.receive(TOKEN, DIGEST, len(DATA), offset=100, pieces=broken(), now=now()) == 150
    assert uploads.offset(TOKEN, DIGEST, len(DATA)) == 150
    assert world.repository.package_blobs.size_of(DIGEST) is None
    assert send(uploads, 150, len(DATA)) == len(DATA)
    assert world.repository.blobs.load(DIGEST) == DATA
    assert files(world) == [f"{DIGEST}.{len(DATA)}.done"]
    # Once more is no work.
    assert send(uploads, 0, 10) == len(DATA)


def test_what_does_not_follow_is_not_taken(world: World, uploads: Uploads) -> None:
    send(uploads, 0, 100)
    for start in (0, 50, 101):
        with pytest.raises(ConflictError, match="100 bytes are here"):
            send(uploads, start, start + 10)
    assert uploads.offset(TOKEN, DIGEST, len(DATA)) == 100


def test_a_token_does_not_see_or_continue_what_another_sends(world: World, uploads: Uploads) -> None:
    send(uploads, 0, 100)
    assert uploads.offset(OTHER, DIGEST, len(DATA)) == 0
    with pytest.raises(ConflictError):
        send(uploads, 100, 200, token=OTHER)
    assert send(uploads, 0, len(DATA), token=OTHER) == len(DATA)


def test_whole_and_wrong_is_forgotten(world: World, uploads: Uploads) -> None:
    with pytest.raises(DigestMismatchError):
        uploads.receive(TOKEN, DIGEST, len(DATA), offset=0, pieces=[bytes(len(DATA))], now=now())
    assert files(world) == []
    assert world.repository.package_blobs.size_of(DIGEST) is None


@pytest.mark.parametrize("size", [0, -1, (8 << 30) + 1])
def test_no_file_has_such_a_size(uploads: Uploads, size: int) -> None:
    with pytest.raises(FormatError):
        uploads.offset(TOKEN, DIGEST, size)
    with pytest.raises(FormatError):
        uploads.receive(TOKEN, DIGEST, size, offset=0, pieces=[], now=now())


def test_a_quota_counts_what_came_and_is_free_again_when_it_is_published(world: World) -> None:
    uploads = Uploads(repository=world.repository, quota=3000)
    assert send(uploads, 0, len(DATA)) == len(DATA)
    more = bytes(2000)
    with pytest.raises(NotEntitledError, match="no build names"):
        uploads.receive(TOKEN, sha256_of(more), 2000, offset=0, pieces=[more], now=now())
    # Another token has room of its own.
    uploads.receive(OTHER, sha256_of(more), 2000, offset=0, pieces=[more[:10]], now=now())
    uploads.published(TOKEN)
    assert uploads.receive(TOKEN, sha256_of(more), 2000, offset=0, pieces=[more], now=now()) == 2000


def test_what_nobody_continues_is_swept(world: World, uploads: Uploads) -> None:
    send(uploads, 0, 100)
    part = world.repository.folder / FOLDER / TOKEN / f"{DIGEST}.{len(DATA)}"
    old = (now() - LIFE - timedelta(minutes=1)).timestamp()
    os.utime(part, (old, old))
    later = now() + timedelta(minutes=11)
    uploads.receive(OTHER, DIGEST, len(DATA), offset=0, pieces=[DATA[:5]], now=later)
    assert not part.exists()


def test_large_files_are_hashed_on_their_way_in(world: World, uploads: Uploads) -> None:
    import hashlib

    data = bytes(2 << 20)
    digest = sha256_of(data)
    uploads.receive(TOKEN, digest, len(data), offset=0, pieces=[data], now=now())
    with snapshot(world.repository.engine) as session:
        row = session.get_one(PackageDigestRow, digest)
    assert (row.blake2b, row.size) == (hashlib.blake2b(data).hexdigest(), len(data))


def test_a_link_in_the_folder_is_not_followed(world: World, uploads: Uploads, tmp_path: Path) -> None:
    from signing.errors import HostError

    victim = tmp_path / "victim"
    victim.write_bytes(b"")
    folder = world.repository.folder / FOLDER / TOKEN
    folder.mkdir(parents=True)
    (folder / f"{DIGEST}.{len(DATA)}").symlink_to(victim)
    with pytest.raises(HostError):
        send(uploads, 0, 100)
    assert victim.read_bytes() == b""
