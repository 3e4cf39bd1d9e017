"""The log for people: what is about one thing, since when, and one line for each record."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from repo_server.curation.textsafe import visible
from repo_server.db.models import CandidateRow
from signing.errors import FormatError, UsageError
from signing.format.chain import Record
from signing.format.moment import parse_moment, render_moment

_AGO: Final = re.compile(r"([0-9]{1,4})([hdw])", re.ASCII)
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DIGEST: Final = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,52}\b", re.ASCII)
_WORDS: Final = re.compile(r"[\s,()]+")
# What a record is about comes first, then who did it; the rest by name.
_FIRST: Final = ("pin", "profile", "state", "scope", "by", "reason")


def about_filter(session: Session, about: str) -> Callable[[Record], bool]:
    """Return whether a record is about ``about``: an event, a name (also NAME==VERSION), a candidate's id.

    Records that speak of a name's candidates by their ids only are about that name too.
    """
    name = about.partition("==")[0]
    rows = session.scalars(select(CandidateRow).where(CandidateRow.name == name))
    ids = {row.id for row in rows if about in {row.name, f"{row.name}=={row.version}"}}

    def is_about(record: Record) -> bool:
        if record.event == about or record.event.startswith(f"{about}."):
            return True
        words = {word for text in _texts(record.facts) for word in _WORDS.split(text)}
        return any(
            word == about
            or word in ids
            or word.startswith(f"{about}==")
            or (len(about) >= 6 and re.fullmatch("[0-9a-f]+", about) and word.startswith(about))  # noqa: PLR2004
            for word in words
        )

    return is_about


def parse_since(text: str, *, now: datetime) -> datetime:
    """Return the moment that ``text`` means: a day, a moment, or so long ago.

    Raises:
        UsageError: it is none of these.
    """
    if ago := _AGO.fullmatch(text):
        unit = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}[ago[2]]
        return now - int(ago[1]) * unit
    try:
        if _DAY.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        return parse_moment(text)
    except (FormatError, ValueError) as error:
        raise UsageError(f"{text!a} is no time", hint="2026-11-22, 12h, 7d or 4w") from error


def render_record(record: Record) -> str:
    """Return one line: when, what, about what, by whom; digests shortened (``--json`` has them whole)."""
    rank = {key: index for index, key in enumerate(_FIRST)}
    facts = sorted(record.facts.items(), key=lambda item: (rank.get(item[0], len(rank)), item[0]))
    # One line: a reason with a line break in it would be read as records that nobody made.
    shown = "  ".join(
        f"{key}={visible(_DIGEST.sub(_short, str(value)), keep='')}" for key, value in facts if value
    )
    return f"{record.sequence:5}  {render_moment(record.time)}  {record.event:25} {shown}"


def _short(found: re.Match[str]) -> str:
    return f"{found[1]}…"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
    else:
        yield str(value)
