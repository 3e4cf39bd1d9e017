"""What `jls` and `bastille list` print, read with suspicion (pure).

    {"__version": "2", "jail-information": {"jail": [{"jid": 7, "name": "acme", "path": "/usr/local/bastille/…"}]}}

    [{"JID":"7","NAME":"acme","BOOT":"off","PRIO":"99","STATE":"Up","TYPE":"thin","IP ADDRESS":"10.17.89.2",
      "PORTS":"-","RELEASE":"14.3-RELEASE","TAGS":"-"}]

The first is made by libxo, which escapes. The second is put together by awk, which does not, and some of its values are
answers of programs that ran inside the jails: a tenant can close a string there and go on with a jail of its own
invention. So everything about it is fixed: the fields, their types and lengths, the names, each once. What does not
fit is refused whole, and nothing is decided by it alone.
"""

import itertools
import re
from dataclasses import dataclass
from typing import Any, Final

from signing.errors import FormatError
from signing.format.canonical import parse_json

MAX_ANSWER: Final = 1 << 20
_JLS: Final = "jls"
_LIST: Final = "bastille list"
_FIELDS: Final = frozenset(
    {"JID", "NAME", "BOOT", "PRIO", "STATE", "TYPE", "IP ADDRESS", "PORTS", "RELEASE", "TAGS"}
)
# What Bastille accepts as a name (create.sh, validate_name), and the kernel as a jail's (MAXHOSTNAMELEN).
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}", re.ASCII)
_JID: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_STATES: Final = {"Up": True, "Down": False}
_MAX_VALUE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RunningNow:
    """A jail that the kernel runs."""

    name: str
    jid: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ListedJail:
    """A jail that Bastille knows."""

    name: str
    running: bool


def parse_jls(answer: bytes) -> tuple[RunningNow, ...]:
    """Return the jails that run, by name; ``answer`` is what ``jls --libxo json jid name path`` printed.

    Raises:
        FormatError: it is something else.
    """
    value = parse_json(answer, where=_JLS, max_bytes=MAX_ANSWER)
    information = value.get("jail-information") if isinstance(value, dict) else None
    if not isinstance(information, dict):
        raise FormatError("has no jail-information", where=_JLS)
    listed = information.get("jail", [])  # no jail at all: libxo leaves an empty list out
    if not isinstance(listed, list):
        raise FormatError("lists no jails", where=_JLS)
    found = tuple(sorted(_running(item) for item in listed))
    _check_distinct([item.name for item in found], _JLS)
    return found


def parse_list(answer: bytes) -> tuple[ListedJail, ...]:
    """Return the jails that Bastille knows, by name; ``answer`` is what ``bastille list -j`` printed.

    Raises:
        FormatError: it is something else, or may have been put together by somebody in a jail.
    """
    value = parse_json(answer, where=_LIST, max_bytes=MAX_ANSWER)
    if not isinstance(value, list):
        raise FormatError("is not a list", where=_LIST)
    found = tuple(sorted(_listed(item) for item in value))
    _check_distinct([item.name for item in found], _LIST)
    return found


def _running(item: Any) -> RunningNow:
    if not isinstance(item, dict) or set(item) != {"jid", "name", "path"}:
        raise FormatError("a jail has other fields than were asked for", where=_JLS)
    jid, name, path = str(item["jid"]), item["name"], item["path"]
    if isinstance(item["jid"], bool) or not _JID.fullmatch(jid):
        raise FormatError(f"{jid[:40]!a} is no jail's number", where=_JLS)
    if not isinstance(name, str) or not isinstance(path, str) or not path.startswith("/"):
        raise FormatError("a jail has no name, or no path", where=_JLS)
    return RunningNow(name=name, jid=int(jid), path=path)


def _listed(item: Any) -> ListedJail:
    if not isinstance(item, dict) or set(item) != _FIELDS:
        raise FormatError("a jail has other fields than Bastille's", where=_LIST)
    if not all(isinstance(text, str) and len(text) <= _MAX_VALUE for text in item.values()):
        raise FormatError("a value is no text, or too long", where=_LIST)
    name, state = item["NAME"], item["STATE"]
    if not _NAME.fullmatch(name) or state not in _STATES:
        raise FormatError(f"{name[:40]!a} in state {state[:40]!a} is no jail", where=_LIST)
    if _STATES[state] != bool(_JID.fullmatch(item["JID"])):
        raise FormatError(f"the number and the state of {name} contradict each other", where=_LIST)
    return ListedJail(name=name, running=_STATES[state])


def _check_distinct(names: list[str], where: str) -> None:
    """Return None when the sorted ``names`` are each there once."""
    for name, other in itertools.pairwise(names):
        if name == other:
            raise FormatError(f"{name[:40]!a} is listed twice", where=where)
