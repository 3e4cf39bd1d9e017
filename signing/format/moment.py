"""Points in time: UTC, whole seconds, written ``2026-11-22T12:00:00Z`` and no other way."""

import re
from datetime import UTC, datetime

from signing.errors import FormatError

_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)


def render_moment(moment: datetime) -> str:
    """Return ``moment`` (which must know its zone) in the one spelling."""
    # Not strftime: on some systems its %Y writes the year 999 with three digits.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def parse_moment(text: object, *, where: str = "time") -> datetime:
    """Return ``text`` as a point in time.

    Raises:
        FormatError: not ``YYYY-MM-DDThh:mm:ssZ``.
    """
    if not isinstance(text, str) or not _MOMENT.fullmatch(text):
        raise FormatError("not a time like 2026-11-22T12:00:00Z", where=where)
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise FormatError("not a time on the calendar", where=where) from error
