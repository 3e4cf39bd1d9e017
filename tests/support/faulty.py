"""A server in front of another loopback server that spoils one answer.

    with LoopbackSite(routes) as site, FaultyFront(site.url, Spoil.TRUNCATED, at=2) as front:
        ...                         # everything but the third request is answered by the site

Texts that name the site name the front instead, so that nobody is led around it. ``front.requests`` is the log;
``front.reached`` tells whether the spoiled answer was asked for at all.
"""

import enum
import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit


class Spoil(enum.StrEnum):
    """One way in which any server can fail."""

    NOT_FOUND = "404"
    AMBIGUOUS = "409"
    WITHDRAWN = "410"
    BUSY = "429"
    BUSY_FOR_EVER = "429-for-ever"  # a Retry-After that is no number of seconds
    FAILING = "500"
    UNAVAILABLE = "503"
    TEAPOT = "418"
    WITHHELD = "403"
    PAGE = "html"
    NOT_JSON = "not-json"
    OTHER_KIND = "image/png"
    TRUNCATED = "truncated"
    ENDLESS = "endless"
    DRIP = "drip"
    HANG_UP = "hang-up"
    COMPRESSED = "gzip"
    ELSEWHERE = "redirect-elsewhere"
    LOOP = "redirect-loop"


_STATUS = {
    Spoil.NOT_FOUND: 404,
    Spoil.WITHDRAWN: 410,
    Spoil.BUSY: 429,
    Spoil.BUSY_FOR_EVER: 429,
    Spoil.FAILING: 500,
    Spoil.UNAVAILABLE: 503,
    Spoil.TEAPOT: 418,
    Spoil.WITHHELD: 403,
}
_AMBIGUOUS = b'{"matches":[{"ownerHandle":"o1","slug":"s"},{"ownerHandle":"o2","slug":"s"}]}'
_INSTEAD = {
    Spoil.PAGE: (200, "text/html", b"<!doctype html><title>Welcome</title>"),
    Spoil.OTHER_KIND: (200, "image/png", b"\x89PNG\r\n"),
    Spoil.AMBIGUOUS: (409, "application/json", _AMBIGUOUS),
}
_LED_TO = {Spoil.ELSEWHERE: "{url}", Spoil.LOOP: "{path}"}
_WAIT = {
    Spoil.BUSY: {"Retry-After": "34"},
    Spoil.BUSY_FOR_EVER: {"Retry-After": "9" * 30 + "\x1b[2J"},
}
_TEXT = ("application/json", "text/")


class FaultyFront:
    """The server; use as a context manager."""

    def __init__(self, target: str, spoil: Spoil | None, *, at: int = 0) -> None:
        self.target, self.spoil, self.at = target, spoil, at
        self.requests: list[str] = []
        self.stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def reached(self) -> bool:
        """Whether the answer that is spoiled was asked for."""
        return len(self.requests) > self.at

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler_for(front: FaultyFront) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing; ``front.requests`` is the log."""

        def do_GET(self) -> None:
            front.requests.append(self.path)
            spoiled = len(front.requests) == front.at + 1 or (
                front.spoil is Spoil.LOOP and len(front.requests) > front.at
            )
            self.close_connection = True
            status, kind, body = self._asked()
            if front.spoil is None or not spoiled:
                self._answer(status, kind, body)
            else:
                self._spoil(front.spoil, kind, body)

        def _asked(self) -> tuple[int, str, bytes]:
            connection = http.client.HTTPConnection(urlsplit(front.target).netloc, timeout=10)
            connection.request("GET", self.path)
            response = connection.getresponse()
            kind, body = response.headers.get("content-type", ""), response.read()
            connection.close()
            if kind.startswith(_TEXT):
                body = body.replace(front.target.encode(), front.url.encode())
            return response.status, kind, body

        def _spoil(self, spoil: Spoil, kind: str, body: bytes) -> None:
            if spoil in _INSTEAD:
                self._answer(*_INSTEAD[spoil])
            elif spoil in _LED_TO:
                target = _LED_TO[spoil].format(
                    url=front.url.replace("127.0.0.1", "localhost"), path=self.path
                )
                self._answer(302, "", b"", more={"Location": target})
            elif spoil in _STATUS:
                self._answer(_STATUS[spoil], "text/plain", b"no \x1b[2J", more=_WAIT.get(spoil))
            else:
                self._damage(spoil, kind, body)

        def _damage(self, spoil: Spoil, kind: str, body: bytes) -> None:
            match spoil:
                case Spoil.NOT_JSON:
                    self._answer(200, kind, b'{"skill": ')
                case Spoil.TRUNCATED:
                    self._answer(200, kind, body, length=len(body) + 50)
                case Spoil.COMPRESSED:
                    self._answer(200, kind, body, more={"Content-Encoding": "gzip"})
                case Spoil.ENDLESS:
                    self._start(200, kind, 1 << 40)
                    while not front.stopping.is_set() and self._send(b" " * (1 << 20)):
                        pass
                case Spoil.DRIP:
                    self._start(200, kind, 1 << 20)
                    while not front.stopping.wait(0.05) and self._send(b" "):
                        pass
                case Spoil.HANG_UP:
                    pass
                case _:
                    raise AssertionError(spoil)

        def _answer(
            self,
            status: int,
            kind: str,
            body: bytes,
            *,
            length: int | None = None,
            more: dict[str, str] | None = None,
        ) -> None:
            self._start(status, kind, len(body) if length is None else length, more)
            self._send(body)

        def _start(self, status: int, kind: str, length: int, more: dict[str, str] | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(length))
            for name, value in (more or {}).items():
                self.send_header(name, value)
            self.end_headers()

        def _send(self, data: bytes) -> bool:
            try:
                self.wfile.write(data)
                self.wfile.flush()
            except OSError:
                return False
            return True

    return Handler
