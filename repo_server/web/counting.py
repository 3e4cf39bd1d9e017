"""Counting answers, where somebody adds them up (`repo_server.web.metrics`)."""

import os
from collections.abc import Callable
from typing import Final

from flask import Flask, Response, request

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client's own: where processes count


def count_requests(app: Flask) -> Callable[[str, int], None] | None:
    """Let ``app`` count what it answers, where somebody adds it up; else do nothing.

    Return what counts an answer that goes past it, by the part that gave it and its status.
    """
    if VARIABLE not in os.environ:
        return None
    from prometheus_client import Counter  # noqa: PLC0415 - an extra

    total = Counter("skillrepo_requests", "Requests answered.", ["part", "code"], registry=None)

    def count(part: str, status: int) -> None:
        # By our own words only: a path is the client's, and one number a path would be without end.
        total.labels(part, f"{status // 100}xx").inc()

    def counted(response: Response) -> Response:
        count(request.blueprint or "none", response.status_code)
        return response

    app.after_request(counted)
    return count
