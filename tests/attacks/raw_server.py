"""A loopback server that answers any way it likes, byte by byte, and counts what it could send.

with raw_server(lambda talk: talk.drip(b"HTTP/1.1 200 OK\r\n", pause=0.05)) as server: …
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

LONGEST = 60.0  # no answer lasts longer, whatever a test gets wrong


@dataclass
class Talk:
    """One connection: the request that came, and ways to answer it."""

    connection: socket.socket
    request: bytes
    server: "RawServer"

    @property
    def path(self) -> str:
        return self.request.split(b" ")[1].decode()

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)
        self.server.sent += len(data)

    def drip(self, data: bytes, *, pause: float) -> None:
        for byte in data:
            self.send(bytes([byte]))
            if self.server.stopping.wait(pause):
                return

    def for_ever(self, piece: bytes, *, pause: float = 0.0) -> None:
        end = time.monotonic() + LONGEST
        while time.monotonic() < end and not self.server.stopping.is_set():
            self.send(piece)
            if pause:
                self.server.stopping.wait(pause)

    def silence(self) -> None:
        self.server.stopping.wait(LONGEST)

    def answer(self, body: bytes = b"", *, status: str = "200 OK", headers: bytes = b"") -> None:
        self.send(
            b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n" % (status.encode(), len(body), headers) + body
        )


@dataclass
class RawServer:
    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    sent: int = 0
    connections: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def raw_server(answer: Callable[[Talk], None], *, host: str = "127.0.0.1") -> Iterator[RawServer]:
    server, threads = RawServer(), []

    def talk(connection: socket.socket) -> None:
        # An OSError is the client that hangs up, which is what most tests are about.
        with connection, contextlib.suppress(OSError):
            connection.settimeout(LONGEST)
            request = b""
            while b"\r\n\r\n" not in request:
                piece = connection.recv(65536)
                if not piece:
                    return
                request += piece
            server.requests.append(request)
            answer(Talk(connection, request, server))

    def accept() -> None:
        while not server.stopping.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                server.connections += 1
                threads.append(threading.Thread(target=talk, args=[connection], daemon=True))
                threads[-1].start()

    with socket.create_server((host, 0)) as listener:
        listener.settimeout(0.05)
        server.port = listener.getsockname()[1]
        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield server
        finally:
            server.stopping.set()
            acceptor.join()
            for thread in threads:
                thread.join(LONGEST)
