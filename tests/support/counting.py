"""A server of plain files that counts, and that can be overloaded: 503 with Retry-After, as a proxy answers then."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class CountingServer:
    root: Path
    answers: Mapping[str, bytes] = field(default_factory=dict)  # before what stands in ``root``
    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    overloaded: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, part: str) -> dict[str, int]:
        """How often each path with ``part`` in it was asked for."""
        return {path: number for path, number in self.asked.items() if part in path}

    @contextmanager
    def running(self) -> Iterator["CountingServer"]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                return

            def do_GET(self) -> None:
                with server.lock:
                    server.asked[self.path] += 1
                path = server.root / self.path.lstrip("/")
                found = server.answers.get(self.path) or (path.read_bytes() if path.is_file() else None)
                status = 503 if server.overloaded else 200 if found is not None else 404
                body = found if found is not None and status == 200 else b""
                self.send_response(status)
                if status == 503:
                    self.send_header("Retry-After", "1")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        http = Server(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{http.server_port}"
        try:
            yield self
        finally:
            http.shutdown()
            http.server_close()
            thread.join()
