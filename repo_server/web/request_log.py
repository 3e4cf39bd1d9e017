"""One line of JSON a request, where the operator asked for it: which part answered, how, and how long it took.

    {"at": "…", "event": "request", "part": "files", "route": "files.skills", "method": "GET", "status": 200, "ms": 3, "bytes": 1514, …}

No address, no path, no name of a token: what a client wrote is not in it. Workers are processes of their own, so they are told by
a variable.
"""

import logging
import os
import time
from typing import Final

from flask import Flask, Response, g, request

from signing.log_lines import log_json, note

VARIABLE: Final = "SKILLREPO_LOG_JSON"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_log: Final = logging.getLogger("skillrepo.events")


def log_requests(app: Flask) -> bool:
    """Let ``app`` log what it answers, where that is asked for; return whether it is."""
    if os.environ.get(VARIABLE) not in {"1", "true"}:
        return False
    log_json()

    def begin() -> None:
        g.begun = time.monotonic()

    def end(response: Response) -> Response:
        begun = g.get("begun")  # nothing, where the request was refused before
        log_request(
            part=request.blueprint or "none",
            route=request.endpoint or "none",
            method=request.method,
            status=response.status_code,
            seconds=time.monotonic() - begun if begun is not None else None,
            length=response.content_length,
        )
        return response

    app.before_request_funcs.setdefault(None, []).insert(0, begin)
    app.after_request(end)
    return True


def log_request(
    *, part: str, route: str, method: str, status: int, seconds: float | None, length: int | None
) -> None:
    """Write the line of one request."""
    note(
        _log,
        "request",
        part=part,
        route=route,
        method=method if method in _METHODS else "other",
        status=status,
        ms=round(1000 * seconds) if seconds is not None else None,
        bytes=length,
    )
