"""A web site of one's own: a table of answers, served on 127.0.0.1.

    with LoopbackSite({"/index.json": Page(b"{}")}) as site:
        requests.get(f"{site.url}/index.json")

Keys are paths, with the query when that matters (``/x?version=1``). ``__BASE_URL__`` in a text stands for the
site's own address. What is not in the table is 404; ``site.requests`` is the log, and ``site.tokens`` says with which
``Authorization`` each came.
"""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

_PLACEHOLDER = b"__BASE_URL__"


@dataclass(frozen=True, slots=True)
class Page:
    """One answer. ``length`` is what is announced, when it is not the truth."""

    body: bytes = b""
    kind: str = "application/octet-stream"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None

    @classmethod
    def json(cls, value: Any, **more: Any) -> Self:
        return cls(json.dumps(value).encode(), "application/json", **more)

    @classmethod
    def redirect(cls, target: str) -> Self:
        return cls(status=302, headers={"Location": target})


class LoopbackSite:
    """The server; use as a context manager. ``routes`` may be changed while it runs."""

    def __init__(self, routes: Mapping[str, Page]) -> None:
        self.routes = dict(routes)
        self.requests: list[str] = []
        self.tokens: list[str | None] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, path: str) -> Page:
        """Return the answer to GET ``path``: with its query if that is in the table, or without."""
        page = self.routes.get(path) or self.routes.get(path.partition("?")[0])
        return page or Page(b"Not found", "text/plain", 404)


def _handler_for(site: LoopbackSite) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing; ``site.requests`` is the log."""

        def do_GET(self) -> None:
            site.requests.append(self.path)
            site.tokens.append(self.headers.get("Authorization"))
            page = site.answer(self.path)
            text = page.kind.startswith(("application/json", "text/"))
            body = page.body.replace(_PLACEHOLDER, site.url.encode()) if text else page.body
            self.send_response(page.status)
            self.send_header("Content-Type", page.kind)
            for name, value in page.headers.items():
                self.send_header(name, value.replace(_PLACEHOLDER.decode(), site.url))
            self.send_header("Content-Length", str(len(body) if page.length is None else page.length))
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            self.wfile.write(body)

    return Handler
