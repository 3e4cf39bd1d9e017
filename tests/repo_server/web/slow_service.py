"""The service with one slow answer, as a program: KIND SOCKET-OR-PORT WORKERS GRACE FOLDER."""

import sys
import time
from functools import partial
from pathlib import Path

from flask import Flask, Response

from repo_server.web.serve import ServerKind, serve
from tests.repo_server.web.published import make_app

SLOW_SECONDS = 1.0


def make_slow_app(folder: Path) -> Flask:
    """The service; ``/api/v1/slow`` takes its time, and ``/api/v1/generation`` says which settings were read."""
    app = make_app(folder)
    generation = (folder / "generation").read_text()

    @app.get("/api/v1/slow")
    def slow() -> Response:
        time.sleep(SLOW_SECONDS)
        return Response("slow but whole", mimetype="text/plain")

    @app.get("/api/v1/generation")
    def said() -> Response:
        return Response(generation, mimetype="text/plain")

    return app


if __name__ == "__main__":
    kind, where, workers, grace, folder = sys.argv[1:]
    serve(
        partial(make_slow_app, Path(folder)),
        host="127.0.0.1",
        port=int(where) if where.isdigit() else 0,
        socket_path=None if where.isdigit() else Path(where),
        workers=int(workers),
        server=ServerKind(kind),
        grace=int(grace),
    )
