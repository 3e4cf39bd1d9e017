"""One request and its answer, within a time that no peer can stretch.

Built on http.client alone: a redirect is an answer like any other, and no variable in the environment names a proxy.
"""

from __future__ import annotations

import contextlib
import http.client
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from mother.endpoint import Endpoint
from mother.errors import MalformedError, NotVerifiedError, UnreachableError

MAX_ANSWER = 1 << 20  # bytes of one answer
CHUNK = 1 << 16
LOOK = 0.1  # seconds between two looks at whether to stop


def exchange(
    at: Endpoint,
    path: str,
    body: bytes,
    headers: dict[str, str],
    *,
    limit: float,
    check: Callable[[], None] = lambda: None,
) -> tuple[int, bytes]:
    """POST ``body`` and return status and body of the answer within ``limit`` seconds, whatever the peer does.

    It runs in a thread of its own, because no socket option limits a slow name server, a slow handshake and a peer
    that gives one byte at a time together. ``check`` is called while it lasts, and ends it by raising.

    Raises:
        UnreachableError: no whole answer in time.
        MalformedError: the answer is too long, or not HTTP.
        NotVerifiedError: the peer's certificate is not one we trust.
    """
    line = _Line()
    outcome: queue.Queue[Any] = queue.Queue(1)
    deadline = time.monotonic() + limit

    def work() -> None:
        try:
            outcome.put(_talk(_Connection(at, line, limit), at.base + path, body, headers))
        except Exception as problem:  # noqa: BLE001 - carried to the waiting thread and raised there
            outcome.put(problem)
        finally:
            line.close()

    _start(work)
    try:
        result = _await(outcome, deadline, check)
    finally:
        line.cut()
    if isinstance(result, Exception):
        raise result
    status, data = result
    return status, data


def _start(work: Callable[[], None]) -> None:
    try:
        threading.Thread(target=work, daemon=True).start()
    except RuntimeError:  # a command may have used up what this jail has of threads
        raise UnreachableError("no thread can be started to ask the hive") from None


def _await(outcome: queue.Queue[Any], deadline: float, check: Callable[[], None]) -> Any:
    while (left := deadline - time.monotonic()) > 0:
        check()
        with contextlib.suppress(queue.Empty):
            return outcome.get(timeout=min(left, LOOK))
    raise UnreachableError("the hive did not answer in time")


def _talk(connection: _Connection, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    try:
        connection.request("POST", path, body=body, headers={**headers, "Connection": "close"})
        with connection.getresponse() as response:
            return response.status, _read_all(response)
    except (OSError, http.client.IncompleteRead) as problem:
        if isinstance(problem, ssl.SSLCertVerificationError):
            raise NotVerifiedError(
                "the hive's certificate is not one we trust", hint="tell the operator"
            ) from None
        # The class of the problem only: a library's own message may quote what it was given.
        raise UnreachableError(f"the hive did not answer ({type(problem).__name__})") from None
    except (http.client.HTTPException, ValueError):
        raise MalformedError("the hive's answer is not HTTP") from None


def _read_all(response: http.client.HTTPResponse) -> bytes:
    data = bytearray()
    while chunk := response.read1(CHUNK):
        data += chunk
        if len(data) > MAX_ANSWER:
            raise MalformedError(f"the hive's answer is longer than {MAX_ANSWER} bytes")
    if response.length:
        raise UnreachableError("the hive's answer was cut short")
    return bytes(data)


class _Line:
    """The socket of one exchange, known from its first moment on, so that it can be cut in every phase."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._cut = False
        self._lock = threading.Lock()

    def hold(self, one: socket.socket) -> None:
        """Remember the socket; once the line is cut, nothing more may go over it."""
        with self._lock:
            if self._cut:
                one.close()
                raise ConnectionAbortedError
            self._socket = one

    def cut(self) -> None:
        """End the exchange."""
        with self._lock:
            self._cut = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    # Not SSLSocket.shutdown: that forgets its keys first, and a thread that is writing at this
                    # moment would write the rest of its request, token and all, in clear.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the socket back."""
        with self._lock:
            self._cut = True
            if self._socket is not None:
                self._socket.close()


class _Connection(http.client.HTTPConnection):
    """Over TLS, plain to this machine, or over a Unix socket."""

    def __init__(self, at: Endpoint, line: _Line, limit: float) -> None:
        if at.tls:
            self.default_port = http.client.HTTPS_PORT
        super().__init__(at.host, at.port, timeout=limit)
        self._at, self._line, self._limit = at, line, limit

    def connect(self) -> None:
        one = self._open()
        if self._at.tls:
            context = ssl.create_default_context()
            one = context.wrap_socket(one, server_hostname=self._at.host, do_handshake_on_connect=False)
            self._line.hold(one)
            one.do_handshake()
        self.sock = one

    def _open(self) -> Any:
        if not self._at.socket_path:
            one = socket.create_connection((self.host, self.port), self._limit)
            self._line.hold(one)
            return one
        one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._line.hold(one)
        one.settimeout(self._limit)
        one.connect(self._at.socket_path)
        return one
