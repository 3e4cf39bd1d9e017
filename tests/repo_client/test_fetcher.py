"""StrictFetcher: one origin, no redirects, no proxies, no hidden retries, and an end to every wait.

What a hostile server does to it stands in tests/attacks/test_endless_data.py and test_redirects_and_origins.py.
"""

import contextlib
import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable

import pytest
from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    SlowRetrievalError,
)

from repo_client.fetcher import FetchLimits, Origin, StrictFetcher
from signing.errors import FormatError
from tests.attacks.raw_server import LONGEST, RawServer, Talk, raw_server


def fetcher_of(server: RawServer, *, gap: float = 1.0, deadline: float = 2.0) -> StrictFetcher:
    return StrictFetcher(frozenset({Origin.of(server.url)}), limits=FetchLimits(gap=gap, deadline=deadline))


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if isinstance(thread, threading.Timer)}


@pytest.fixture(autouse=True)
def no_watchdog_is_left():
    before = threads()
    yield
    end = time.monotonic() + 20
    while threads() - before and time.monotonic() < end:
        time.sleep(0.01)
    assert threads() <= before


def test_a_file_is_fetched_with_one_plain_request() -> None:
    with raw_server(lambda talk: talk.answer(b"hello")) as server:
        assert fetcher_of(server).download_bytes(f"{server.url}/a/b?c=d#e", 5) == b"hello"
    (request,) = server.requests
    lines = request.decode().split("\r\n")
    assert lines[0] == "GET /a/b?c=d HTTP/1.1"
    headers = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines[1:] if line}
    assert headers["connection"] == "close"
    assert headers["accept-encoding"] == "identity"
    assert not {"authorization", "cookie", "referer"} & set(headers)


def test_compressed_answers_are_not_unpacked() -> None:
    """What was signed is what is sent; a bomb stays as small as it travels."""
    packed = gzip.compress(bytes(1 << 20))
    with raw_server(lambda talk: talk.answer(packed, headers=b"Content-Encoding: gzip\r\n")) as server:
        assert fetcher_of(server).download_bytes(f"{server.url}/x", len(packed)) == packed


def test_exactly_the_length_is_taken_and_one_byte_more_is_not() -> None:
    with raw_server(lambda talk: talk.answer(bytes(100))) as server:
        fetcher = fetcher_of(server)
        assert len(fetcher.download_bytes(f"{server.url}/x", 100)) == 100
        with pytest.raises(DownloadLengthMismatchError):
            fetcher.download_bytes(f"{server.url}/x", 99)


def test_after_too_much_the_connection_is_closed_at_once() -> None:
    """Even while somebody keeps the error: python-tuf leaves the body half-read."""
    hung_up = threading.Event()

    def answer(talk: Talk) -> None:
        with contextlib.suppress(OSError):
            talk.send(b"HTTP/1.1 200 OK\r\n\r\n")
            talk.for_ever(bytes(65536))
        hung_up.set()

    with raw_server(answer) as server:
        with pytest.raises(DownloadLengthMismatchError) as kept:
            fetcher_of(server, deadline=30).download_bytes(f"{server.url}/x", 10)
        assert hung_up.wait(20)
    assert kept.value is not None


@pytest.mark.parametrize(
    "status", [100 + 1, 204, 206, 301, 302, 304, 400, 401, 403, 404, 410, 429, 500, 502, 503]
)
def test_anything_but_200_is_an_error_with_its_status(status: int) -> None:
    with raw_server(lambda talk: talk.answer(status=f"{status} Odd")) as server:
        with pytest.raises((DownloadHTTPError, SlowRetrievalError)) as caught:
            fetcher_of(server, gap=0.3, deadline=0.6).download_bytes(f"{server.url}/x", 10)
        assert server.connections == 1
    assert caught.value.status_code == status


@pytest.mark.parametrize(
    ("answer", "gap", "deadline"),
    [
        (lambda talk: talk.silence(), 0.2, LONGEST),
        (lambda talk: talk.for_ever(b"X", pause=0.05), LONGEST, 0.4),
        (
            lambda talk: (talk.send(b"HTTP/1.1 200 OK\r\n\r\n"), talk.for_ever(b"X", pause=0.05)),
            LONGEST,
            0.4,
        ),
    ],
    ids=["gap", "deadline in the header", "deadline in the body"],
)
def test_gap_and_deadline(answer: Callable[[Talk], None], gap: float, deadline: float) -> None:
    with raw_server(answer) as server:
        start = time.monotonic()
        with pytest.raises(SlowRetrievalError):
            fetcher_of(server, gap=gap, deadline=deadline).download_bytes(f"{server.url}/x", 1 << 20)
        assert time.monotonic() - start < LONGEST / 2
        assert server.connections == 1


def test_a_tls_handshake_that_never_comes_ends_at_the_gap() -> None:
    with raw_server(lambda talk: talk.silence()) as server:
        url = server.url.replace("http:", "https:")
        fetcher = StrictFetcher(frozenset({Origin.of(url)}), limits=FetchLimits(gap=0.3, deadline=LONGEST))
        start = time.monotonic()
        with pytest.raises(SlowRetrievalError):
            fetcher.download_bytes(url, 10)
        assert time.monotonic() - start < LONGEST / 2
        server.stopping.set()


def test_plain_text_where_tls_should_be() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                connection.settimeout(2)
                connection.recv(65536)

        greeter = threading.Thread(target=greet, daemon=True)
        greeter.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        fetcher = StrictFetcher(
            frozenset({Origin.of(url)}),
            limits=FetchLimits(gap=1, deadline=2),
            tls=ssl.create_default_context(),
        )
        with pytest.raises(DownloadError):
            fetcher.download_bytes(f"{url}/x", 10)
        greeter.join(20)


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would see, and could hold up, what a jail host asks for."""
    with (
        raw_server(lambda talk: talk.answer(b"proxied")) as proxy,
        raw_server(lambda talk: talk.answer(b"x")) as server,
    ):
        for name in (
            "http_proxy",
            "https_proxy",
            "all_proxy",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "ftp_proxy",
        ):
            monkeypatch.setenv(name, proxy.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        assert fetcher_of(server).download_bytes(f"{server.url}/x", 10) == b"x"
        assert (proxy.connections, server.connections) == (0, 1)


def test_credentials_of_netrc_are_not_sent(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login operator password hunter2\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with raw_server(lambda talk: talk.answer(b"x")) as server:
        fetcher_of(server).download_bytes(f"{server.url}/x", 10)
    assert b"hunter2" not in server.requests[0]
    assert b"uthorization" not in server.requests[0]


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX-Evil: 1", "/a\x00b", "/ä", "/a\tb"])
def test_a_path_that_is_no_request_line_sends_nothing_odd(path: str) -> None:
    with (
        raw_server(lambda talk: talk.answer(b"x")) as server,
        contextlib.suppress(DownloadError, UnicodeError),
    ):
        fetcher_of(server).download_bytes(f"{server.url}{path}", 10)
    assert not [request for request in server.requests if b"X-Evil" in request.partition(b"\r\n")[2]]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://skills.clawdie.si", ("https", "skills.clawdie.si", 443)),
        ("https://skills.clawdie.si:8443/x", ("https", "skills.clawdie.si", 8443)),
        ("https://SKILLS.clawdie.si/", ("https", "skills.clawdie.si", 443)),
        ("http://127.0.0.1:80/", ("http", "127.0.0.1", 80)),
        ("http://localhost/", ("http", "localhost", 80)),
        ("http://[::1]:8080/", ("http", "::1", 8080)),
    ],
)
def test_origins(url: str, expected: tuple[str, str, int]) -> None:
    origin = Origin.of(url)
    assert (origin.scheme, origin.host, origin.port) == expected


@pytest.mark.parametrize(
    "url", ["http://example.org/", "https://u:p@example.org/", "x", "https://a:b/", "http://127.0.0.2/"]
)
def test_no_origins(url: str) -> None:
    with pytest.raises(FormatError):
        Origin.of(url)
