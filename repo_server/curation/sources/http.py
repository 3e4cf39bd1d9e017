"""GET, and nothing else, from one origin, under limits (edge).

`requests` alone follows redirects to anywhere, reads proxies and passwords from the environment, unpacks
compressed bodies without bound, and lets a server that sends one byte now and then go on for ever. Here: one
origin (scheme, host and port), HTTPS except to this machine, at most a few redirects and only inside it, a bound
on every body, and one deadline for everything, after which the sockets are shut down under whoever waits.
"""

import http.client
import ipaddress
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from repo_server.curation.limits import Deadline, Limits
from repo_server.curation.textsafe import excerpt
from signing.errors import FormatError, TransportError, UsageError

MAX_JSON_BYTES = 4 << 20
_REDIRECTS = {301, 302, 303, 307, 308}
_CONNECT_SECONDS = 10.0
_READ_SECONDS = 20.0
_CHUNK = 1 << 16
_HEADERS = {"User-Agent": "skillrepo", "Accept-Encoding": "identity", "Accept": "*/*"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A complete answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self, what: str) -> dict[str, Any]:
        """Return the body as a JSON object.

        Raises:
            FormatError: it is something else, such as an HTML page.
        """
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "text/html" or self.body.lstrip()[:1] == b"<":
            raise FormatError(
                "answers with a web page, not with JSON", where=what, hint="is the base URL right?"
            )
        try:
            # Not signing.format.canonical: foreign registries may write floats, which nobody signs here.
            value = json.loads(self.body.decode("utf-8"), object_pairs_hook=_without_duplicates)
            # "\ud800" is JSON for half a character, which can be written nowhere.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except FormatError as error:
            raise FormatError(error.message, where=what) from error
        except (ValueError, RecursionError) as error:
            raise FormatError("answers with something that is not JSON", where=what) from error
        if not isinstance(value, dict):
            raise FormatError("answers with JSON that is not an object", where=what)
        return value


class Origin:
    """One server, asked until the deadline. Use as a context manager."""

    def __init__(self, base: str, *, limits: Limits, deadline: Deadline, allow_loopback_http: bool) -> None:
        self._base = base.rstrip("/")
        self._limits, self._deadline = limits, deadline
        self._origin = _origin(self._base)
        _check_base(self._origin, allow_loopback_http=allow_loopback_http)
        self._sockets = _SocketKeeper()
        self._session = requests.Session()
        self._session.trust_env = False  # no proxies, no .netrc, no certificate bundles from the environment
        self._session.mount(f"{self._origin[0]}://", self._sockets)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def get(self, path: str, parameters: Mapping[str, str] | None = None, *, max_bytes: int) -> Answer:
        """Return the answer to GET ``path``.

        Raises:
            TransportError: unreachable, too slow, or redirected elsewhere.
            FormatError: more than ``max_bytes``, fewer than announced, or encoded.
        """
        url = requests.Request("GET", self._base + path, params=dict(parameters or {})).prepare().url or ""
        for _ in range(self._limits.redirects + 1):
            answer = self._one(url, max_bytes)
            if answer.status not in _REDIRECTS:
                return answer
            url = urljoin(url, answer.headers.get("location", ""))
            if _origin(url) != self._origin:
                raise TransportError(
                    "redirects to another server", where=self._base, hint="nothing was sent there"
                )
        raise TransportError(f"redirects more than {self._limits.redirects} times", where=self._base)

    def _one(self, url: str, max_bytes: int) -> Answer:
        timeouts = (
            min(_CONNECT_SECONDS, self._deadline.remaining()),
            min(_READ_SECONDS, self._deadline.remaining()),
        )
        try:
            with (
                self._watched(),
                self._session.get(
                    url, headers=_HEADERS, stream=True, allow_redirects=False, timeout=timeouts
                ) as response,
            ):
                headers = {name.lower(): value for name, value in response.headers.items()}
                body = self._body(response, headers, max_bytes)
                return Answer(status=response.status_code, headers=headers, body=body)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if self._deadline.passed:
                raise self._deadline.error() from error
            raise TransportError(f"cannot be reached ({type(error).__name__})", where=self._base) from error

    def _body(self, response: requests.Response, headers: Mapping[str, str], max_bytes: int) -> bytes:
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise FormatError("answers compressed, which was not asked for", where=self._base)
        pieces: list[bytes] = []
        size = 0
        try:
            # read1 gives what has arrived; read would wait until a whole chunk has.
            while piece := response.raw.read1(_CHUNK, decode_content=False):
                size += len(piece)
                if size > max_bytes:
                    raise FormatError(f"answers with more than {max_bytes} bytes", where=self._base)
                pieces.append(piece)
                self._deadline.remaining()
        except urllib3.exceptions.ProtocolError as error:
            self._deadline.remaining()
            if not any(isinstance(cause, http.client.IncompleteRead) for cause in error.args):
                raise
            raise FormatError("answer ends too early", where=self._base) from error
        self._deadline.remaining()
        announced = headers.get("content-length", str(size))
        if announced != str(size):
            message = f"answer ends after {size} bytes, announced were {excerpt(announced)}"
            raise FormatError(message, where=self._base)
        return b"".join(pieces)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Shut the sockets down when the deadline passes, also while headers are dripping in."""
        timer = threading.Timer(self._deadline.remaining(), self._sockets.shut_down)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


class _SocketKeeper(HTTPAdapter):
    """A transport that knows its open sockets and never tries twice."""

    def __init__(self) -> None:
        self._open: list[socket.socket] = []
        super().__init__(max_retries=0)

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*arguments, **options)
        kept, plain = self._open, pool.ConnectionCls
        if not getattr(plain, "keeps_sockets", False):

            class Keeping(plain):  # type: ignore[valid-type, misc]  # the class depends on the scheme
                keeps_sockets = True

                def connect(self) -> None:
                    super().connect()
                    kept.append(self.sock)

            pool.ConnectionCls = Keeping
        return pool

    def shut_down(self) -> None:
        """End every connection; whoever reads from one gets an end of file."""
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise TransportError("not a URL, or a redirect to something that is none") from error
    return parts.scheme, parts.hostname or "", port


def _check_base(origin: tuple[str, str, int | None], *, allow_loopback_http: bool) -> None:
    scheme, host, _ = origin
    if not host or scheme not in {"http", "https"}:
        raise UsageError("the base URL of a marketplace must be https://host")
    if scheme == "http" and not (allow_loopback_http and _is_loopback(host)):
        raise UsageError(
            f"plain http to {host} is not accepted", hint="use https; http is for 127.0.0.1 in tests"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise FormatError("answers with JSON in which a key appears twice")
    return values
