"""Counting answers, where somebody adds them up (`repo_server.web.metrics`)."""

import os
from typing import Final

from flask import Flask, Response, request

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client's own: where processes count


def count_requests(app: Flask) -> None:
    """Let ``app`` count what it answers, where somebody adds it up; else do nothing."""
    if VARIABLE not in os.environ:
        return
    from prometheus_client import Counter  # noqa: PLC0415 - an extra

    total = Counter("skillrepo_requests", "Requests answered.", ["part", "code"], registry=None)

    def count(response: Response) -> Response:
        # By our own words only: a path is the client's, and one number a path would be without end.
        total.labels(request.blueprint or "none", f"{response.status_code // 100}xx").inc()
        return response

    app.after_request(count)
