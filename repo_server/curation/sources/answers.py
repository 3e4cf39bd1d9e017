"""What a server answered: JSON, a file, or one of our errors (pure).

Every status but 200 is an error, the same for all sources:

    401 403 451   PolicyError      withheld; or, when GitHub says that our allowance is used up, like 429
    404           NotFoundError    there is no such thing
    410           NotFoundError    it was withdrawn
    409           ConflictError    several things have this name; those that the answer lists are named
    429           TransportError   too many requests; the hint says how long to wait
    5xx           TransportError   the other side's own failure
    others        FormatError
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from repo_server.curation.sources.base import fact, plain_fact, text_at
from signing.errors import ConflictError, FormatError, NotFoundError, PolicyError, TransportError

_OK, _FORBIDDEN, _SERVER = 200, 403, 500
_MAX_WAIT: Final = 24 * 60 * 60
_MAX_MATCHES: Final = 20
# What servers of plain files call a JSON file, besides what it is.
_JSON_KINDS: Final = {"", "application/json", "text/json", "text/plain", "application/octet-stream"}
_MAX_VALUES: Final = 1_000_000
# A text that does not end ends with the body: from each of its escaped quotes on, it would be read once more.
_JSON_TEXT: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)', re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A complete answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """The media type, without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self, what: str) -> dict[str, Any]:
        """Return the body as a JSON object.

        Raises:
            FormatError: it is something else, such as an HTML page.
        """
        value = self.json_value(what)
        if not isinstance(value, dict):
            raise FormatError("answers with JSON that is not an object", where=what)
        return value

    def json_value(self, what: str) -> Any:
        """Return the body as JSON of any shape.

        Raises:
            FormatError: it is something else, such as an HTML page.
        """
        if self.is_page or self.body.lstrip()[:1] == b"<":
            raise FormatError(
                "answers with a web page, not with JSON", where=what, hint="is the base URL right?"
            )
        if self.kind not in _JSON_KINDS and not self.kind.endswith("+json"):
            raise FormatError(f"answers with {plain_fact(self.kind)[:80]}, not with JSON", where=what)
        if _has_too_many_values(self.body):
            raise FormatError(f"answers with JSON of more than {_MAX_VALUES} values", where=what)
        try:
            # Not signing.format.canonical: foreign registries may write floats, which nobody signs here.
            value = json.loads(self.body.decode("utf-8"), object_pairs_hook=_without_duplicates)
            # "\ud800" is JSON for half a character, which can be written nowhere.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except FormatError as error:
            raise FormatError(error.message, where=what) from error
        except (ValueError, RecursionError) as error:
            raise FormatError("answers with something that is not JSON", where=what) from error
        return value

    @property
    def is_page(self) -> bool:
        """Whether the server calls it a web page: a captive portal, a login, an error in disguise."""
        return self.kind in {"text/html", "application/xhtml+xml"}

    def file(self, what: str) -> bytes:
        """Return the body as a file, which is no web page.

        For what no digest vouches for. A caller that compares a digest can take `body`.

        Raises:
            FormatError: the server calls it a web page.
        """
        if self.is_page:
            raise FormatError(
                "answers with a web page, not with a file", where=what, hint="is the base URL right?"
            )
        return self.body


def check_status(answer: Answer, where: str) -> None:
    """Refuse every status but 200, in our words.

    Raises:
        SkillRepoError: see the table above.
    """
    if answer.status != _OK:
        _refuse(answer, where)


def _refuse(answer: Answer, where: str) -> NoReturn:
    said = "" if answer.is_page else fact(answer.body[:200].decode("utf-8", errors="replace").strip())
    because = f" ({said})" if said else ""
    used_up = (
        answer.headers.get("x-ratelimit-remaining") == "0"
        or "retry-after" in answer.headers
        or b"rate limit" in answer.body[:1_000].lower()  # GitHub's second limit says so in words only
    )
    match answer.status:
        case 404:
            raise NotFoundError(f"there is no such thing upstream{because}", where=where, status=404)
        case 410:
            hint = "ask why before using an older copy"
            raise NotFoundError(f"withdrawn: deleted upstream{because}", where=where, hint=hint)
        case 409:
            raise _ambiguous(answer, where)
        case 401 | 403 | 451 if not (answer.status == _FORBIDDEN and used_up):
            hint = "withheld or private; take it from elsewhere only if you know why"
            raise PolicyError(f"upstream refuses to hand it out{because}", where=where, hint=hint)
        case 403 | 429:
            message = f"upstream asks us to slow down ({answer.status})"
            raise TransportError(message, where=where, hint=_wait(answer.headers))
        case status if status >= _SERVER:
            message = f"upstream has a failure of its own ({status})"
            raise TransportError(message, where=where, hint=_wait(answer.headers))
        case status:
            raise FormatError(f"answers with status {status}", where=where, status=status)


def _wait(headers: Mapping[str, str]) -> str:
    """Return when to try again. What the server says is only passed on: nobody here waits for it."""
    seconds = headers.get("retry-after", "")
    if re.fullmatch(r"[0-9]{1,6}", seconds, re.ASCII) and int(seconds) <= _MAX_WAIT:
        return f"try again in {int(seconds)} seconds"
    reset = headers.get("x-ratelimit-reset", "")  # GitHub's: seconds since 1970
    if re.fullmatch(r"[0-9]{1,10}", reset, re.ASCII):
        return f"try again after {datetime.fromtimestamp(int(reset), UTC):%Y-%m-%d %H:%M} UTC"
    return "try again later"


def _ambiguous(answer: Answer, where: str) -> ConflictError:
    try:
        found = answer.json(where).get("matches")
    except FormatError:
        found = None
    matches = [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
    names = [
        f"@{plain_fact(text_at(item, 'ownerHandle'))}/{plain_fact(text_at(item, 'slug'))}"
        for item in matches[:_MAX_MATCHES]
    ]
    listed = f": {', '.join(names)}" if names else ""
    return ConflictError(
        f"several things upstream have this name{listed}",
        where=where,
        hint="name the owner too, and compare the owners letter by letter",
        matches=names,
    )


def _has_too_many_values(body: bytes) -> bool:
    """Return whether ``body`` holds more than `_MAX_VALUES` values, if it is JSON.

    Counted before it is read: as objects, 60 MiB of empty lists take two gigabytes.
    """
    # Each value but the first stands behind a comma, or opens what it stands in; outside of texts, that is.
    if sum(map(body.count, (b",", b"[", b"{"))) < _MAX_VALUES:
        return False
    # A value has two texts at most (its key, itself), and a text two quotes without a backslash before them.
    if body.count(b'"') - body.count(b'\\"') > 4 * _MAX_VALUES:
        return True
    bare = _JSON_TEXT.sub(b"", body)
    return sum(map(bare.count, (b",", b"[", b"{"))) >= _MAX_VALUES


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise FormatError("answers with JSON in which a key appears twice")
    return values
