"""Whether the process lives and whether it should get requests.

    GET /healthz    200 {"status": "ok"}, as long as the process answers at all
    GET /readyz     200 {"status": "ready", "reasons": []}
                    503 {"status": "not ready", "reasons": ["timestamp.json has expired"]}

Readiness reads the timestamp as clients will get it, but verifies no signature: that is the clients' part.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, jsonify

from repo_server.web.catalogue import Catalogue
from repo_server.web.tree import read_published
from signing.errors import FormatError, NotFoundError
from signing.format.canonical import parse_json
from signing.format.moment import parse_moment, render_moment

_TIMESTAMP: Final = "metadata/timestamp.json"
_MAX_TIMESTAMP_BYTES: Final = 64 * 1024

_log = logging.getLogger(__name__)


def health_blueprint(*, catalogue: Catalogue, skills_root: Path, clock: Callable[[], datetime]) -> Blueprint:
    """Return the views of both checks."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return _answer(200, status="ok")

    @blueprint.get("/readyz")
    def readyz() -> Response:
        reasons = [*_catalogue_reasons(catalogue), *timestamp_reasons(skills_root, now=clock())]
        if reasons:
            return _answer(503, status="not ready", reasons=reasons)
        return _answer(200, status="ready", reasons=[])

    return blueprint


def timestamp_reasons(skills_root: Path, *, now: datetime) -> list[str]:
    """Return why clients would refuse the published timestamp at ``now``; empty when they would not."""
    try:
        expires = _expiry(skills_root)
    except NotFoundError:
        return ["timestamp.json is missing"]
    except OSError:
        _log.exception("cannot read %s", _TIMESTAMP)
        return ["timestamp.json cannot be read"]
    except (FormatError, LookupError, TypeError):
        return ["timestamp.json is malformed"]
    # TUF specification 5.4.4: metadata is expired when its expiry is not later than now.
    return [] if now < expires else [f"timestamp.json expired at {render_moment(expires)}"]


def published_expiry(skills_root: Path) -> datetime | None:
    """Return when the published timestamp ends; None when it cannot be read."""
    try:
        return _expiry(skills_root)
    except (NotFoundError, OSError, FormatError, LookupError, TypeError):
        return None


def _expiry(skills_root: Path) -> datetime:
    document = parse_json(
        read_published(skills_root, _TIMESTAMP, limit=_MAX_TIMESTAMP_BYTES), where="timestamp.json"
    )
    return parse_moment(document["signed"]["expires"])


def _catalogue_reasons(catalogue: Catalogue) -> list[str]:
    try:
        catalogue.status()
    except Exception:  # noqa: BLE001 - whatever a database library throws, the answer is no and never a crash
        _log.exception("the catalogue does not answer")
        return ["the catalogue does not answer"]
    return []


def _answer(code: int, **members: object) -> Response:
    response = jsonify(members)
    response.status_code = code
    response.headers["Cache-Control"] = "no-store"
    return response
