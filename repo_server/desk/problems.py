"""Errors on their way over HTTP: a problem document on one side, the same error on the other.

    {"code":"conflict","detail":"…","error":{"code":"conflict","hint":"…","message":"…"},"status":409,…}

The server's `error` member is what `--json` carries. The client makes the class of that code again, so a command
ends with the same words and the same exit status as on the server's own machine. Words from the server are text
from outside: cut to length and shown with everything hidden spelled out.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from repo_server.curation.textsafe import excerpt
from repo_server.tokens import TokenRefusedError
from signing import errors
from signing.errors import FormatError, SkillRepoError, TransportError
from signing.format.canonical import parse_json
from signing.format.chain import BrokenChainError

MEDIA_TYPE: Final = "application/problem+json"
_SERVER: Final = 500
_MAX_WORDS: Final = 400
_MAX_FACTS: Final = 20
_FACT: Final = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
_SECONDS: Final = re.compile(r"[0-9]{1,5}", re.ASCII)


class TooManyRequestsError(TransportError):
    """The other side asks to slow down."""

    code = "too-many-requests"

    def __init__(self, seconds: int) -> None:
        super().__init__("too many requests", hint=f"try again in {seconds} seconds", seconds=seconds)
        self.seconds = seconds


class ServerFailedError(TransportError):
    """The server could not answer, for reasons of its own."""

    code = "server-failed"


def error_of(status: int, media_type: str, body: bytes, *, retry_after: str = "") -> SkillRepoError:
    """Return the error that an answer other than success means."""
    if status == 429:  # noqa: PLR2004 - a status
        return TooManyRequestsError(int(retry_after) if _SECONDS.fullmatch(retry_after) else 60)
    document = _document(media_type, body)
    said = document.get("error")
    code = said.get("code") if isinstance(said, dict) else None
    if isinstance(said, dict) and isinstance(code, str) and code in _CLASSES and status < _SERVER:
        return _made(_CLASSES[code], said)
    words = excerpt(str(document.get("detail", "")), limit=_MAX_WORDS)
    if status >= _SERVER:
        return ServerFailedError(
            f"the server failed ({status})" + (f": {words}" if words else ""),
            hint="try again later; its log says why",
        )
    return FormatError(
        f"the server answers with status {status}" + (f": {words}" if words else ""), where="desk"
    )


def _document(media_type: str, body: bytes) -> dict[str, Any]:
    if media_type != MEDIA_TYPE:
        return {}
    try:
        document = parse_json(body, where="problem", max_bytes=64 << 10)
    except FormatError:
        return {}
    return document if isinstance(document, dict) else {}


def _made(kind: type[SkillRepoError], said: dict[str, Any]) -> SkillRepoError:
    """Return an error of ``kind`` with the server's words; not by its own constructor, which has other arguments."""
    error = kind.__new__(kind)
    SkillRepoError.__init__(
        error,
        excerpt(str(said.get("message", "")), limit=_MAX_WORDS),
        hint=excerpt(str(said.get("hint", "")), limit=_MAX_WORDS),
        **_facts(said.get("facts")),
    )
    return error


def _facts(value: object) -> dict[str, Any]:
    """Return facts that are plain, few, and do not collide with the arguments of an error."""
    if not isinstance(value, dict):
        return {}
    found: dict[str, Any] = {}
    for key, item in sorted(value.items())[:_MAX_FACTS]:
        if not _FACT.fullmatch(key) or key in {"message", "hint", "where", "self"}:
            continue
        if item is None or isinstance(item, bool | int):
            found[key] = item
        elif isinstance(item, str):
            found[key] = excerpt(item, limit=_MAX_WORDS)
        elif isinstance(item, list):
            found[key] = [excerpt(str(part), limit=_MAX_WORDS) for part in item[:_MAX_FACTS]]
    return found


def _kinds(kind: type[SkillRepoError]) -> Iterator[type[SkillRepoError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


def _named() -> dict[str, type[SkillRepoError]]:
    """Return the classes that a server may answer with: those of the error tree, and few more."""
    tree = [kind for kind in _kinds(SkillRepoError) if kind.__module__ == errors.__name__]
    named: list[type[SkillRepoError]] = [*tree, TokenRefusedError, BrokenChainError]
    return {kind.code: kind for kind in named}


_CLASSES: Final = _named()
