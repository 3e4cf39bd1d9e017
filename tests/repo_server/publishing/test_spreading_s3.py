"""The bucket of the published tree, when its engine lists without an end."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from signing.errors import HostError
from tests.repo_server.storage.test_s3_lies import head, store

pytest.importorskip("obstore", reason="obstore is not installed: nothing was tested on S3")

from repo_server.publishing import spreading_s3
from repo_server.publishing.spreading_s3 import Bucket

FOLDER = "skills/.well-known/"


@contextmanager
def bucket(answer: Callable[[socket.socket], None]) -> Iterator[Bucket]:
    with store(answer) as blobs:
        yield Bucket(blobs._store, where="s3://test")


def pages(objects: int, *, end: bool) -> tuple[Callable[[socket.socket], None], list[int]]:
    """A list of one page that follows itself for ever, or ends at once; and how often it was asked for."""
    item = (
        f"<Contents><Key>{FOLDER}skills/index.json</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        "<ETag>&quot;x&quot;</ETag><Size>100</Size></Contents>"
    )
    more = "" if end else "<NextContinuationToken>again</NextContinuationToken>"
    page = (
        "<?xml version='1.0'?><ListBucketResult><Name>bucket</Name>"
        f"<IsTruncated>{'false' if end else 'true'}</IsTruncated>{more}{item * objects}</ListBucketResult>"
    ).encode()
    asked: list[int] = []

    def again(connection: socket.socket) -> None:
        asked.append(1)
        connection.sendall(head(b"200 OK", b"Content-Length: %d" % len(page), b"Connection: close") + page)

    return again, asked


@pytest.mark.parametrize(
    ("objects", "bound", "value"),
    [(3, "_MAX_LISTED", 10), (3, "_LIST_SECONDS", 0.3), (0, "_LIST_SECONDS", 0.3)],
    ids=["by-number", "by-time", "empty-pages"],
)
def test_a_list_that_begins_again_and_again_ends(
    monkeypatch: pytest.MonkeyPatch, objects: int, bound: str, value: float
) -> None:
    """Other hosts wait for the one that sends, and a list that names one object for ever fills no memory that shows it."""
    monkeypatch.setattr(spreading_s3, bound, value)
    answer, asked = pages(objects, end=False)
    with bucket(answer) as there, pytest.raises(HostError, match="does not end"):
        there.sizes(FOLDER)
    assert len(asked) > 1


def test_a_list_that_ends_is_told_whole() -> None:
    answer, asked = pages(2, end=True)
    with bucket(answer) as there:
        assert there.sizes(FOLDER) == {f"{FOLDER}skills/index.json": 100}
    assert len(asked) == 1
