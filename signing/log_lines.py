"""The log of a service, one JSON object a line (edge).

    {"at": "2026-11-22T10:00:00.123Z", "level": "info", "event": "request", "route": "/v1/jobs/claim", "status": 200, …}

An event has a fixed name and facts; nothing that came from outside is in either, but for names and reasons when the
operator asked for those (``names``). Without, no tenant, agent, path in a jail or message of an error is written:
the log may go to whoever collects logs. Of what a library logs only the place in its code is written then: libraries
put what strangers sent (the path of a request, a header) into the very text of a message. Tokens and secrets are in no event at all. It records what went on; what was
decided, and by whom, is in the audit log, and only there provably.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

_FACTS: Final = "facts"
_OURS: Final = frozenset({"hive", "repo_server", "signing", "skillrepo"})


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON; of our own the template only, of a library's its place, unless names are wanted."""

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
            "event": record.getMessage() if self._names else _without_names(record),
        }
        if record.exc_info is not None and record.exc_info[0] is not None:
            # Its kind only: the frames and texts of an error may hold anything.
            document["error"] = record.exc_info[0].__name__
        return json.dumps({**document, **getattr(record, _FACTS, {})}, ensure_ascii=True, default=str)


def _without_names(record: logging.LogRecord) -> str:
    """Return what a record says without anything that came from outside."""
    if record.name.partition(".")[0] in _OURS:
        return str(record.msg)
    return f"{record.module}.{record.funcName}:{record.lineno}"


def log_json(*, names: bool = False) -> None:
    """Send everything that this process logs to stderr, one JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(names=names))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


def note(logger: logging.Logger, event: str, /, *, level: int = logging.INFO, **facts: Any) -> None:
    """Log one event of ours."""
    logger.log(level, event, extra={_FACTS: facts})
