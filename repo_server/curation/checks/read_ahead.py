"""What `needles` reads off the phrases of the checks, read ahead (edge): that takes longer than a review of one skill.

``read_ahead.json`` holds each alternative by its own text, so that one that was changed since is not found and is read
again: a table that lags behind makes a process slower to start, never a review other. A test compares the two, and
says how the table is made anew.
"""

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from repo_server.curation.checks.needles import Needles, Read, read

TABLE = Path(__file__).with_name("read_ahead.json")


def read_of(source: str, *, prose: bool) -> Read:
    """Return what `needles.read` returns."""
    found = _table().get(_key(source, prose=prose))
    if found is None:
        return read(source, prose=prose)
    sets, starts = found
    return Read(tuple(Needles(tuple(one), before, behind) for one, before, behind in sets), frozenset(starts))


def table_of(sources: Iterable[tuple[str, bool]]) -> str:
    """Return the text of a table for ``sources``, each with whether it is prose."""
    lines = set()
    for source, prose in sources:
        found = read(source, prose=prose)
        value = [found.sets, sorted(found.starts)]
        lines.add(f"{json.dumps(_key(source, prose=prose))}: {json.dumps(value)}")
    return "{\n" + ",\n".join(sorted(lines)) + "\n}\n"


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    try:
        table = json.loads(TABLE.read_bytes())
    except (OSError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}


def _key(source: str, *, prose: bool) -> str:
    return f"{'prose' if prose else 'code'} {source}"
