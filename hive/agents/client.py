"""The agent's side of the API, for lanes (edge): one request, one strict answer, within a time that is kept.

No redirect is followed and no proxy is used, so the token goes to the address that was given and to no other.
"""

import contextlib
import http.client
import ipaddress
import json
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from hive.agents.errors import LeaseLostError, NotAcceptedError, TokenRefusedError
from hive.agents.wire import parse_strict
from signing.errors import CouldNotVerifyError, FormatError, NotEntitledError, NotFoundError, TransportError

_MAX_ANSWER: Final = 1 << 20
_MAX_URL: Final = 512
_CHUNK: Final = 1 << 16
_TICK: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the hive listens."""

    host: str = "localhost"
    port: int = 80
    prefix: str = ""
    tls: bool = False
    socket_path: str = ""

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """Return the endpoint written as https, as http to a loopback address, or as unix:/PATH.

        Raises:
            FormatError: another spelling. NotEntitledError: plain http to another machine.
        """
        bad = FormatError("neither https, nor http to a loopback address, nor unix:/PATH", where="hive_url")
        if len(text) > _MAX_URL or not text.isascii() or not text.isprintable() or " " in text:
            raise bad
        if text.startswith("unix:/"):
            return cls(socket_path=text.removeprefix("unix:"))
        try:
            parts = urllib.parse.urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise bad from error
        if not host or "@" in parts.netloc or parts.query or parts.fragment or port == 0:
            raise bad
        if parts.scheme == "https":
            return cls(host=host, port=port or 443, prefix=parts.path.rstrip("/"), tls=True)
        if parts.scheme != "http":
            raise bad
        if not _is_loopback(host):
            raise NotEntitledError("plain http to another machine", hint="use https; the token is a secret")
        return cls(host=host, port=port or 80, prefix=parts.path.rstrip("/"))


class HiveClient:
    """Asks the hive in the name of one agent. The token is read for every request, so a rotated one is used."""

    def __init__(self, endpoint: Endpoint, token: Callable[[], str], *, timeout: float) -> None:
        self._endpoint, self._token, self.timeout = endpoint, token, timeout

    def call(
        self,
        path: str,
        body: dict[str, Any],
        *,
        wait: float = 0.0,
        timeout: float | None = None,
        stop: threading.Event | None = None,
    ) -> dict[str, Any] | None:
        """POST ``body`` and return the object answered, or None for "nothing", within ``wait`` and the time limit.

        ``stop`` cuts the exchange short when it is set.

        Raises:
            TransportError: no answer in time, or "not now". FormatError: not an answer of a hive.
            NotAcceptedError: the hive does not take what was sent.
            TokenRefusedError, NotEntitledError, NotFoundError, LeaseLostError: what the hive said.
            CouldNotVerifyError: its certificate is not trusted.
        """
        limit = wait + (timeout or self.timeout)
        status, data = self._exchange(path, json.dumps(body).encode(), limit, stop or threading.Event())
        return _interpret(path, status, data)

    def _exchange(self, path: str, body: bytes, limit: float, stop: threading.Event) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token()}"}
        connection = self._connection(limit)
        try:
            with _cut_off(connection, limit, stop):
                connection.request("POST", self._endpoint.prefix + path, body=body, headers=headers)
                response = connection.getresponse()
                data = bytearray()
                while chunk := response.read1(_CHUNK):
                    data += chunk
                    if len(data) > _MAX_ANSWER:
                        raise FormatError(f"longer than {_MAX_ANSWER} bytes", where="answer")
                if response.length:
                    raise TransportError("the hive's answer was cut short")
                return response.status, bytes(data)
        except ssl.SSLCertVerificationError as error:
            raise CouldNotVerifyError("the hive's certificate is not one we trust") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            # Its class only: a library's message may quote what it was given.
            raise TransportError(f"the hive did not answer ({type(error).__name__})") from None
        finally:
            connection.close()

    def _connection(self, limit: float) -> http.client.HTTPConnection:
        at = self._endpoint
        if at.socket_path:
            return _UnixConnection(at.socket_path, limit)
        if at.tls:
            return http.client.HTTPSConnection(
                at.host, at.port, timeout=limit, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(at.host, at.port, timeout=limit)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, limit: float) -> None:
        super().__init__("localhost", timeout=limit)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@contextlib.contextmanager
def _cut_off(connection: http.client.HTTPConnection, seconds: float, stop: threading.Event) -> Iterator[None]:
    """End the connection when the time is over: a peer that sends a byte now and then passes every other limit."""
    done = threading.Event()
    end = time.monotonic() + seconds

    def watch() -> None:
        while not done.wait(_TICK):
            if (stop.is_set() or time.monotonic() >= end) and connection.sock is not None:
                with contextlib.suppress(OSError):
                    # Not its own shutdown: a TLS socket would drop its keys first, and the rest of a request with our
                    # token would go in clear.
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()


def _interpret(path: str, status: int, data: bytes) -> dict[str, Any] | None:
    if status == 204:  # noqa: PLR2004
        return None
    if status == 200:  # noqa: PLR2004
        value = parse_strict(data, where="answer")
        if not isinstance(value, dict):
            raise FormatError("not an object", where="answer")
        return value
    if status == 401:  # noqa: PLR2004
        raise TokenRefusedError
    message = f"the hive answered with status {status}"
    if status == 403:  # noqa: PLR2004
        raise NotEntitledError(message, hint="hive agents shows what this agent may do")
    if status == 404:  # noqa: PLR2004
        raise NotFoundError(message)
    if status == 409:  # noqa: PLR2004
        raise LeaseLostError(path.split("/")[3])
    if status in {400, 413}:
        raise NotAcceptedError(message, where="request")
    if status == 429 or status >= 500:  # noqa: PLR2004
        raise TransportError(message)
    raise FormatError(message, where="answer")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
