"""An object store that answers as it likes: too little, too much, without an end. It gets no memory, and is not believed."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import pytest

from repo_server.storage.blobs import EndlessListError
from signing.errors import HostError
from signing.format.digest import sha256_of

pytest.importorskip("obstore", reason="obstore is not installed: nothing was tested on S3")

from repo_server.storage import s3
from repo_server.storage.s3 import S3Blobs, S3Place

DIGEST = sha256_of(b"x" * 100)
SIZE = 100
_DATE = b'Last-Modified: Mon, 23 Nov 2026 03:00:00 GMT\r\nETag: "x"\r\n'


def head(status: bytes, *fields: bytes) -> bytes:
    return b"HTTP/1.1 " + status + b"\r\n" + _DATE + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


@contextmanager
def store(answer: Callable[[socket.socket], None]) -> Iterator[S3Blobs]:
    """An S3 engine that has one object of 100 bytes, and gives it by ``answer``."""

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            asked = b""
            while b"\r\n\r\n" not in asked:
                if not (more := connection.recv(65536)):
                    return
                asked += more
            if asked.startswith(b"HEAD"):
                connection.sendall(head(b"200 OK", b"Content-Length: 100", b"Connection: close"))
            else:
                answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        place = S3Place(
            endpoint=f"http://127.0.0.1:{listening.getsockname()[1]}",
            bucket="bucket",
            prefix="",
            region="us-east-1",
            key_id="key",
            secret="secret",
        )
        yield S3Blobs(place.open(), where="s3://test")
        listening.shutdown(socket.SHUT_RDWR)


def part(length: int, body: bytes, *, said: bytes = b"bytes 0-99/100") -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        fields = (b"Content-Range: " + said, b"Content-Length: %d" % length, b"Connection: close")
        connection.sendall(head(b"206 Partial Content", *fields) + body)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        part(10, b"x" * 10),
        part(0, b""),
        part(SIZE, b"x" * SIZE, said=b"bytes 100-199/200"),
        part(101, b"x" * 101),
    ],
    ids=["short", "empty", "another-part", "long"],
)
def test_what_is_not_the_part_that_was_asked_for_is_no_end(answer: Callable[[socket.socket], None]) -> None:
    """A list that seems to end early names less: collecting would take the rest for garbage."""
    with store(answer) as blobs, blobs.open(DIGEST) as stream, pytest.raises(HostError):
        stream.read()


def test_the_part_that_was_asked_for() -> None:
    with store(part(SIZE, b"x" * SIZE)) as blobs, blobs.open(DIGEST) as stream:
        assert stream.read() == b"x" * SIZE


def test_a_part_without_an_end_takes_no_memory() -> None:
    sent = 0

    def endless(connection: socket.socket) -> None:
        nonlocal sent
        part(3 << 30, b"")(connection)
        while sent < 256:  # MiB; each is refused as soon as nobody reads on
            connection.sendall(b"x" * (1 << 20))
            sent += 1

    with store(endless) as blobs, blobs.open(DIGEST) as stream, pytest.raises(HostError):
        stream.read(10)
    assert sent < 128


def test_a_whole_blob_that_is_announced_larger_than_any_of_ours_is_not_fetched() -> None:
    def large(connection: socket.socket) -> None:
        connection.sendall(head(b"200 OK", b"Content-Length: 3000000000", b"Connection: close"))

    with store(large) as blobs, pytest.raises(HostError):
        blobs.load(DIGEST)


@pytest.mark.parametrize(
    ("objects", "bound", "value"),
    [(3, "_MAX_LISTED", 10), (3, "_LIST_SECONDS", 0.3), (0, "_LIST_SECONDS", 0.3)],
    ids=["by-number", "by-time", "empty-pages"],
)
def test_a_list_that_begins_again_and_again_ends(
    monkeypatch: pytest.MonkeyPatch, objects: int, bound: str, value: float
) -> None:
    """An engine, or whoever is between, must not hold collecting for ever."""
    monkeypatch.setattr(s3, bound, value)
    item = (
        f"<Contents><Key>{DIGEST[:2]}/{DIGEST}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        "<ETag>&quot;x&quot;</ETag><Size>100</Size></Contents>"
    )
    page = (
        "<?xml version='1.0'?><ListBucketResult><Name>bucket</Name><IsTruncated>true</IsTruncated>"
        f"<NextContinuationToken>again</NextContinuationToken>{item * objects}</ListBucketResult>"
    ).encode()
    asked = 0

    def again(connection: socket.socket) -> None:
        nonlocal asked
        asked += 1
        connection.sendall(head(b"200 OK", b"Content-Length: %d" % len(page), b"Connection: close") + page)

    found = []
    with store(again) as blobs, pytest.raises(EndlessListError):
        found.extend(blobs.untouched(since=datetime(2026, 6, 1, tzinfo=UTC)))
    assert asked > 1
    assert set(found) <= {(DIGEST, SIZE)}
