"""The log of a service, one JSON object a line (edge); for `hive serve` and `hive sweep` when they are asked for it.

    {"at": "2026-11-22T10:00:00.123Z", "level": "info", "event": "request", "route": "/v1/jobs/claim", "status": 200, …}

An event has a fixed name and facts; nothing that came from outside is in either, but for names and reasons when the
operator asked for those (``names``). Without, no tenant, agent, path in a jail or message of an error is written:
the log may go to whoever collects logs. Tokens and secrets are in no event at all. It records what went on; what was
decided, and by whom, is in the audit log, and only there provably.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_ROUTES: Final = re.compile(
    r"/v1/(?:agents/(?:register|heartbeat|capabilities)|jobs/(?:submit|claim)"
    r"|jobs/[^/]+/(?:heartbeat|complete|fail|refuse|show|cancel))",
    re.ASCII,
)
_JOB: Final = re.compile(r"(?<=^/v1/jobs/)[^/]+(?=/)", re.ASCII)
_FACTS: Final = "facts"
_log: Final = logging.getLogger("hive.events")


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON; of a library's record the template only, unless names are wanted."""

    def __init__(self, *, names: bool) -> None:
        super().__init__()
        self._names = names

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = datetime.fromtimestamp(record.created, UTC)
        document: dict[str, Any] = {
            "at": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage() if self._names else str(record.msg),
        }
        if record.exc_info is not None and record.exc_info[0] is not None:
            # Its kind only: the frames and texts of an error may hold anything.
            document["error"] = record.exc_info[0].__name__
        return json.dumps({**document, **getattr(record, _FACTS, {})}, ensure_ascii=True, default=str)


def log_json(*, names: bool = False) -> None:
    """Send everything that this process logs to stderr, one JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(names=names))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


def note(event: str, /, *, level: int = logging.INFO, **facts: Any) -> None:
    """Log one event of ours."""
    _log.log(level, event, extra={_FACTS: facts})


def logged(application: "WSGIApplication") -> "WSGIApplication":
    """Return ``application`` so that every request it answers is one event: its route, status and milliseconds."""

    def answer(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        begun = time.monotonic()

        def started(status: str, *rest: Any) -> Callable[[bytes], object]:
            note(
                "request",
                route=route_of(str(environ.get("PATH_INFO", ""))),
                status=int(status[:3]),
                ms=round(1000 * (time.monotonic() - begun)),
            )
            return start(status, *rest)

        return application(environ, started)

    return answer


def route_of(path: str) -> str:
    """Return the route of a request, never what a stranger wrote there."""
    return _JOB.sub("<job>", path) if _ROUTES.fullmatch(path) else "other"
