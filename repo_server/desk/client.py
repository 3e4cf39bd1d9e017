"""Talking to a desk over HTTPS (edge): one request at a time, each on its own connection, under limits.

    client = DeskClient(DeskAddress.parse("https://skills.clawdie.si"), token)
    state = client.ask("GET", "/state", limit=MAX_STATE_BYTES, headers={"If-None-Match": '"…"'})

The standard library's client does what is wanted here and nothing else: no proxies and no passwords from the
environment, no cookies, no redirects. A redirect is an error, so the token goes to the one origin that the
curator named and nowhere else. Certificates are checked against the system's authorities. Everything has an end:
a deadline for the whole request, after which the socket is shut down under whoever waits, and a bound on every
body. A problem document becomes the error that it was on the server.
"""

import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Self
from urllib.parse import urlsplit

from repo_server.curation.limits import Deadline
from repo_server.curation.textsafe import excerpt
from repo_server.desk.problems import TooManyRequestsError, error_of
from signing.errors import FormatError, TransportError, UsageError
from signing.format.canonical import parse_json

PREFIX: Final = "/api/v1/desk"
MAX_ANSWER_BYTES: Final = 8 << 20
_MAX_PROBLEM_BYTES: Final = 64 << 10
_CONNECT_SECONDS: Final = 10.0
_READ_SECONDS: Final = 60.0  # reading an archive back and rendering it takes the server some seconds
_SECONDS: Final = 120.0
_PATIENCE: Final = 30.0  # seconds that are waited when the server asks to slow down
_CHUNK: Final = 64 << 10
_OK: Final = frozenset({200, 201, 304})
_HOST: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskAddress:
    """The origin of a desk: https, or plain http to this machine."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return the address written as ``https://HOST[:PORT]``.

        Raises:
            UsageError: anything else; a path, a user name or plain http to another machine for three.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UsageError("--repo is not a URL", hint="https://HOST, or a folder") from error
        host = parts.hostname or ""
        rest = (parts.username, parts.password, parts.path.strip("/"), parts.query, parts.fragment)
        if parts.scheme not in {"http", "https"} or not _HOST.fullmatch(host) or any(rest):
            raise UsageError(f"{excerpt(url)} is not the address of a desk", hint="https://HOST, and no path")
        if parts.scheme == "http" and not _is_loopback(host):
            raise UsageError(f"plain http to {host} would show the token to everybody", hint="use https")
        return cls(scheme=parts.scheme, host=host, port=port or {"http": 80, "https": 443}[parts.scheme])

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"http": 80, "https": 443}[self.scheme] == self.port
        return f"{self.scheme}://{host}" + ("" if usual else f":{self.port}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskAnswer:
    """A complete answer: 200, 201 or 304."""

    status: int
    etag: str
    body: bytes

    def json(self, where: str) -> Any:
        """Return the body as strict JSON.

        Raises:
            FormatError: it is something else.
        """
        return parse_json(self.body, where=where, max_bytes=MAX_ANSWER_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A body, and whom to tell how much of it is sent."""

    content: bytes
    media_type: str
    tell: Callable[[int, int], None] = lambda _sent, _total: None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    method: str
    path: str
    upload: Upload | None
    headers: Mapping[str, str]
    limit: int


class DeskClient:
    """Asks one desk with one token."""

    def __init__(self, address: DeskAddress, token: str, *, seconds: float = _SECONDS) -> None:
        self.address = address
        self._token = token
        self._seconds = seconds

    def __repr__(self) -> str:
        return f"DeskClient({self.address})"  # never the token: a representation ends up in tracebacks

    def ask(
        self,
        method: str,
        path: str,
        *,
        upload: Upload | None = None,
        headers: Mapping[str, str] | None = None,
        limit: int = MAX_ANSWER_BYTES,
        seconds: float | None = None,
    ) -> DeskAnswer:
        """Return the answer to one request below `PREFIX`.

        Raises:
            TransportError: unreachable, too slow, redirected, or a failure of its own.
            FormatError: more than ``limit`` bytes, fewer than announced, or another status.
            SkillRepoError: the error that the server answers with.
        """
        deadline = Deadline.after(seconds or self._seconds)
        asked = _Request(method=method, path=path, upload=upload, headers=headers or {}, limit=limit)
        while True:
            try:
                return self._once(asked, deadline)
            except TooManyRequestsError as error:
                if method != "GET" or error.seconds >= min(_PATIENCE, deadline.remaining()):
                    raise
                time.sleep(
                    error.seconds
                )  # many files of one candidate: asked for in good faith, a little later

    def _once(self, asked: _Request, deadline: Deadline) -> DeskAnswer:
        connection = self._connection(min(_CONNECT_SECONDS, deadline.remaining()))
        try:
            connection.connect()
            connection.sock.settimeout(_READ_SECONDS)
            with _watched(connection.sock, deadline):
                self._send(connection, asked)
                with closing(connection.getresponse()) as response:
                    return self._answer(response, asked.limit, deadline)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if deadline.passed:
                raise deadline.error() from error
            # From nothing: what the library says can carry a header, and so the token.
            raise TransportError(
                f"{self.address} cannot be reached ({type(error).__name__})",
                hint="check the address and the network; nothing is lost, the command can be repeated",
            ) from None
        finally:
            connection.close()

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        host, port = self.address.host, self.address.port
        if self.address.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=timeout)
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=ssl.create_default_context())

    def _send(self, connection: http.client.HTTPConnection, asked: _Request) -> None:
        connection.putrequest(asked.method, PREFIX + asked.path, skip_accept_encoding=True)
        fixed = {"Authorization": f"Bearer {self._token}", "User-Agent": "skillrepo", "Connection": "close"}
        for name, value in {**fixed, **asked.headers}.items():
            connection.putheader(name, value)
        if asked.upload is not None:
            connection.putheader("Content-Type", asked.upload.media_type)
            connection.putheader("Content-Length", str(len(asked.upload.content)))
        connection.endheaders()
        if asked.upload is not None:
            self._send_body(connection, asked.upload)

    @staticmethod
    def _send_body(connection: http.client.HTTPConnection, upload: Upload) -> None:
        view = memoryview(upload.content)
        # A server that refuses (a token that has ended, for one) answers before it has read everything: then
        # sending fails, and the answer says why.
        with suppress(BrokenPipeError, ConnectionResetError):
            for at in range(0, len(view), _CHUNK):
                connection.send(view[at : at + _CHUNK])
                upload.tell(min(at + _CHUNK, len(view)), len(view))

    def _answer(self, response: http.client.HTTPResponse, limit: int, deadline: Deadline) -> DeskAnswer:
        status = response.status
        if 300 <= status < 400 and status not in _OK:  # noqa: PLR2004 - redirects
            raise TransportError(
                f"{self.address} redirects; nothing was sent there", hint="name the right address by --repo"
            )
        body = self._body(response, limit if status in _OK else _MAX_PROBLEM_BYTES, deadline)
        if status not in _OK:
            self._refuse(response, body)
        return DeskAnswer(status=status, etag=response.headers.get("ETag", ""), body=body)

    def _body(self, response: http.client.HTTPResponse, limit: int, deadline: Deadline) -> bytes:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise FormatError("answers compressed, which was not asked for", where=str(self.address))
        announced = response.headers.get("Content-Length")
        pieces: list[bytes] = []
        size = 0
        while piece := response.read1(_CHUNK):
            size += len(piece)
            if size > limit:
                raise FormatError(f"answers with more than {limit} bytes", where=str(self.address))
            pieces.append(piece)
            deadline.remaining()
        deadline.remaining()
        if (
            announced is not None
            and announced != str(size)
            and response.status != http.HTTPStatus.NOT_MODIFIED
        ):
            raise FormatError("answer ends too early", where=str(self.address))
        return b"".join(pieces)

    def _refuse(self, response: http.client.HTTPResponse, body: bytes) -> NoReturn:
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        raise error_of(response.status, kind, body, retry_after=response.headers.get("Retry-After", ""))


@contextmanager
def _watched(connection: socket.socket, deadline: Deadline) -> Iterator[None]:
    """Shut the socket down when the deadline passes, also while headers are dripping in."""

    def shut_down() -> None:
        with suppress(OSError):
            # Not connection.shutdown: a TLS socket would drop its keys first, and what is still written would go in clear.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)

    timer = threading.Timer(deadline.remaining(), shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
