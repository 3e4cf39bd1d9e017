"""What the hive logs; see `signing.log_lines`. For `hive serve` and `hive sweep`, when they are asked for it."""

import logging
import re
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from signing import log_lines

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_ROUTES: Final = re.compile(
    r"/v1/(?:agents/(?:register|heartbeat|capabilities)|jobs/(?:submit|claim)"
    r"|jobs/[^/]+/(?:heartbeat|complete|fail|refuse|show|cancel))",
    re.ASCII,
)
_JOB: Final = re.compile(r"(?<=^/v1/jobs/)[^/]+(?=/)", re.ASCII)
_log: Final = logging.getLogger("hive.events")


def note(event: str, /, *, level: int = logging.INFO, **facts: Any) -> None:
    """Log one event of ours."""
    log_lines.note(_log, event, level=level, **facts)


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
