"""Fetching over HTTP (edge) with limits that hold against a hostile server.

    origin      only the repository's own; anything else is refused before a connection is made
    token       shown to the one origin that it is for
    redirects   none: otherwise the host that births agents can be made to call internal addresses
    retries     none hidden in here: a silent server costs one timeout, not four
    gap         longest time in seconds without a single byte
    deadline    longest time in seconds for one file, from the connection to the last byte
    encryption  https; plain http only for a loopback host

python-tuf's own fetcher stops endless data, not slow data: a server that sends one byte a second stays below
every socket timeout. Looking at the clock between body chunks is not enough either, because headers can drip
too; so a watchdog shuts the socket down at the deadline, whatever is being read (measured in
reference/tuf-and-signing §2).
"""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Final, Protocol, Self
from urllib.parse import SplitResult, urlsplit

from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from tuf.ngclient.fetcher import FetcherInterface

from signing.errors import FormatError

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_CHUNK: Final = 64 << 10
_MAX_ADDRESSES: Final = 3
_HTTP_OK: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """How long a fetch may take, in seconds."""

    gap: float = 10.0
    deadline: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Scheme, host and port: where requests may go."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the origin of ``url``.

        Raises:
            FormatError: not an http(s) URL, one with credentials, or plain http to another host than this one.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise FormatError("not a URL", where="server") from error
        host = parts.hostname or ""
        if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc:
            raise FormatError(
                "not an http(s) URL without credentials", where="server", hint="https://skills.clawdie.si"
            )
        if parts.scheme == "http" and host not in LOOPBACK_HOSTS:
            raise FormatError("plain http is for loopback only", where="server", hint="use https://")
        return cls(scheme=parts.scheme, host=host, port=port or (443 if parts.scheme == "https" else 80))


class Credential(Protocol):
    """What a server wants to see before it answers."""

    def headers_for(self, origin: Origin) -> Mapping[str, str]:
        """Return the headers that show it to ``origin``; none where it is for another."""
        ...


class StrictFetcher(FetcherInterface):  # type: ignore[misc, unused-ignore]
    """Fetches files of one origin."""

    def __init__(
        self,
        origins: frozenset[Origin],
        *,
        limits: FetchLimits,
        tls: ssl.SSLContext | None = None,
        credential: Credential | None = None,
    ) -> None:
        self._origins = origins
        self._credential = credential
        self._limits = limits
        self._tls = tls
        self._running: Generator[bytes, None, None] | None = None

    @contextlib.contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """Yield the body of ``url`` as a file, as python-tuf does; then the connection is closed.

        python-tuf drops the body where it is too long; with the error kept somewhere, the connection would
        stay open too, and its watchdog with it.
        """
        try:
            with super().download_file(url, max_length) as stream:
                yield stream
        finally:
            if self._running is not None:
                self._running.close()
                self._running = None

    def stream(self, url: str) -> Generator[bytes, None, None]:
        """Return the body of ``url``, piece by piece and without a bound; whoever closes it hangs up."""
        return self._pieces(url)

    def _fetch(self, url: str) -> Iterator[bytes]:
        self._running = self._pieces(url)
        return self._running

    def _pieces(self, url: str) -> Generator[bytes, None, None]:
        """Yield the body of ``url``; every failure is one of python-tuf's DownloadErrors.

        This is a generator, so python-tuf's `fetch` cannot translate for us what is raised after the first
        chunk.
        """
        try:
            origin = Origin.of(url)
        except FormatError as error:
            raise DownloadError(str(error)) from error
        if origin not in self._origins:
            raise DownloadError(f"{url} is not on the repository's own origin")
        expired = threading.Event()
        try:
            yield from self._get(urlsplit(url), origin, expired)
        except DownloadError:
            raise
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, TimeoutError) or expired.is_set():
                raise SlowRetrievalError(f"{url}: too slow") from error
            # What http.client complains of is the server's own words, and a server may repeat the token that it saw.
            said = repr(error) if isinstance(error, OSError) else type(error).__name__
            raise DownloadError(f"{url}: {said}") from error

    def _get(self, parts: SplitResult, origin: Origin, expired: threading.Event) -> Iterator[bytes]:
        end = time.monotonic() + self._limits.deadline
        live = [self._connect(origin, end)]
        watchdog = threading.Timer(max(0.0, end - time.monotonic()), _shut, [live, expired])
        watchdog.daemon = True
        watchdog.start()
        try:
            if origin.scheme == "https":
                context = self._tls or ssl.create_default_context()
                live[0] = context.wrap_socket(
                    live[0], server_hostname=origin.host, do_handshake_on_connect=False
                )
                live[0].do_handshake()  # type: ignore[attr-defined]
            shown = self._credential.headers_for(origin) if self._credential is not None else {}
            yield from _body(_request(live[0], parts, origin, shown), expired)
        finally:
            watchdog.cancel()
            live[0].close()

    def _connect(self, origin: Origin, end: float) -> socket.socket:
        """Return a connection to one of the first addresses, within the deadline for all of them together.

        Name resolution itself is the system's, with the system's time limits.
        """
        addresses = socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)[:_MAX_ADDRESSES]
        problem: OSError = TimeoutError()
        for _, _, _, _, address in addresses:
            remaining = end - time.monotonic()
            if remaining <= 0:
                break
            try:
                return socket.create_connection(
                    (str(address[0]), origin.port), timeout=min(self._limits.gap, remaining)
                )
            except OSError as error:
                problem = error
        raise problem


def _request(
    connected: socket.socket, parts: SplitResult, origin: Origin, shown: Mapping[str, str]
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(origin.host, origin.port)
    connection.sock = connected
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    connection.request(
        "GET",
        target,
        headers={
            "User-Agent": "skillrepo-client",
            "Connection": "close",
            "Accept-Encoding": "identity",
            **shown,
        },
    )
    response = connection.getresponse()
    if response.status != _HTTP_OK:
        response.close()
        raise DownloadHTTPError(f"{parts.path}: HTTP {response.status}", response.status)
    return response


def _body(response: http.client.HTTPResponse, expired: threading.Event) -> Iterator[bytes]:
    with response:
        missing = response.length
        while piece := response.read1(_CHUNK):
            if missing is not None:
                missing -= len(piece)
            yield piece
        if expired.is_set():  # a shut socket looks like the end of a body of unknown length
            raise TimeoutError
        if missing:
            raise http.client.IncompleteRead(b"", missing)


def _shut(live: list[socket.socket], expired: threading.Event) -> None:
    expired.set()
    try:
        # Not live[0].shutdown: on a TLS socket that would first want to talk to the peer.
        socket.socket.shutdown(live[0], socket.SHUT_RDWR)
    except OSError:
        return  # the peer was faster
