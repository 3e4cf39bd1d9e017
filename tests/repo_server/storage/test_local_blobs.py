"""Bytes by their digest: what is stored is there after a power cut, what is loaded is what was asked for."""

import errno
import os
from pathlib import Path

import pytest

from repo_server.storage import local
from repo_server.storage.local import LocalBlobs
from signing.errors import DigestMismatchError, FormatError, HostError, NotFoundError
from signing.format.digest import Sha256, sha256_of


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


@pytest.mark.parametrize("data", [b"", b"x", b"\0" * 100_000])
def test_what_is_stored_is_loaded(blobs: LocalBlobs, data: bytes) -> None:
    digest = blobs.store(data)
    assert digest == sha256_of(data)
    assert blobs.load(digest) == data
    assert blobs.path_of(digest).stat().st_mode & 0o777 == 0o444


def test_storing_the_same_again_writes_nothing_but_makes_sure_of_the_name(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first writer may have been killed between the rename and the flush of the folder."""
    digest = blobs.store(b"data")
    before = blobs.path_of(digest).stat()
    synced: list[Path] = []
    monkeypatch.setattr(local, "sync_folder", synced.append)
    assert blobs.store(b"data") == digest
    assert blobs.path_of(digest).stat() == before
    assert synced == [blobs.path_of(digest).parent]


@pytest.mark.parametrize("content", [b"", b"dat", b"data2", b"dbta"])
def test_a_damaged_blob_is_refused_and_storing_it_again_heals_it(blobs: LocalBlobs, content: bytes) -> None:
    digest = blobs.store(b"data")
    path = blobs.path_of(digest)
    path.chmod(0o644)
    path.write_bytes(content)
    with pytest.raises(DigestMismatchError):
        blobs.load(digest)
    blobs.store(b"data")
    assert blobs.load(digest) == b"data"


def test_what_is_not_there_is_not_found(blobs: LocalBlobs) -> None:
    with pytest.raises(NotFoundError):
        blobs.load(sha256_of(b"nothing"))


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n", "/" * 64])
def test_only_digests_are_names(blobs: LocalBlobs, digest: str) -> None:
    with pytest.raises(FormatError):
        blobs.load(Sha256(digest))


def test_a_full_disk_is_an_error_of_the_host_and_leaves_nothing(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    digest = sha256_of(b"data")
    blobs.path_of(digest).parent.mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(HostError, match="No space left"):
            blobs.store(b"data")
    assert list(blobs.path_of(digest).parent.iterdir()) == []
    with pytest.raises(NotFoundError):
        blobs.load(digest)
    blobs.store(b"data")
    assert blobs.load(digest) == b"data"


def test_a_folder_in_the_place_of_a_blob_is_an_error_of_the_host(blobs: LocalBlobs) -> None:
    digest = sha256_of(b"data")
    blobs.path_of(digest).mkdir(parents=True)
    with pytest.raises(HostError):
        blobs.load(digest)
    with pytest.raises(HostError):
        blobs.store(b"data")
