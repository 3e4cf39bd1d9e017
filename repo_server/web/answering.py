"""What an answer with a published file says, decided in one place for every way that a request comes; pure.

    asked = Asked.of(environ)                       the headers of a request that matter to a file
    reply = decide(asked, offered)                  status, headers, and which bytes

The ETag is strong, and each encoding has its own: one that a client got for the bytes as they are never makes a
compressed answer "not modified". Ranges are of the bytes as they are; of a compressed answer none is given.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from werkzeug.http import parse_etags, quote_etag

from repo_server.web.ranges import Span, parse_range

IMMUTABLE: Final = "public, max-age=31536000, immutable"
REVALIDATE: Final = "no-cache"
GZIP: Final = "gzip"

_VERSIONED_METADATA = re.compile(r"metadata/[1-9][0-9]{0,9}\.[A-Za-z0-9_-]+\.json", re.ASCII)
_HASHED_TARGET = re.compile(r"targets/(?:[^/]+/)*([0-9a-f]{64})\.[^/]+", re.ASCII)
# A short list: what a browser could run (HTML, SVG, scripts from a skill) stays octet-stream.
_CONTENT_TYPES: Final = (
    (".json", "application/json"),
    (".gz", "application/gzip"),
    (".tgz", "application/gzip"),
    (".md", "text/markdown; charset=utf-8"),
    (".txt", "text/plain; charset=utf-8"),
)
_HTTP_OK: Final = 200
_HTTP_PARTIAL: Final = 206
_HTTP_NOT_MODIFIED: Final = 304
_NO_QUALITY: Final = re.compile(r"q=0(?:\.0{0,3})?", re.ASCII | re.IGNORECASE)


class FileFacts(Protocol):
    """What the file system says of a file."""

    @property
    def size(self) -> int:
        """How many bytes it has."""
        ...

    @property
    def modified_ns(self) -> int:
        """When it was written."""
        ...

    @property
    def inode(self) -> int:
        """Which file it is."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Caching:
    """What an answer says about itself to whoever keeps it. ``tag`` is a strong ETag, unquoted; ``modified`` is text."""

    tag: str
    control: str
    modified: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What there is to be sent for a path: ``size`` bytes, compressed where ``encoding`` says so; ``varies``: it could be other."""

    path: str
    size: int
    caching: Caching
    encoding: str | None = None
    varies: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The part of a request that matters to a file."""

    head: bool = False
    range: str | None = None
    if_range: str | None = None
    if_none_match: str | None = None
    if_modified_since: str | None = None
    accept_encoding: str | None = None

    @classmethod
    def of(cls, environ: Mapping[str, Any]) -> Self:
        """Return what the WSGI environment of a GET or HEAD asks."""
        get = environ.get
        return cls(
            head=environ["REQUEST_METHOD"] == "HEAD",
            range=get("HTTP_RANGE"),
            if_range=get("HTTP_IF_RANGE"),
            if_none_match=get("HTTP_IF_NONE_MATCH"),
            if_modified_since=get("HTTP_IF_MODIFIED_SINCE"),
            accept_encoding=get("HTTP_ACCEPT_ENCODING"),
        )

    @property
    def takes_gzip(self) -> bool:
        """Whether gzip is named, and not with a quality of zero. ``*`` names nothing: identity is never wrong."""
        for item in (self.accept_encoding or "").split(","):
            coding, *parameters = (part.strip(" \t") for part in item.split(";"))
            if coding.lower() == GZIP:
                return not any(_NO_QUALITY.fullmatch(parameter) for parameter in parameters)
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The head of an answer, and the bytes that follow it: ``span``, or none at all."""

    status: int
    headers: tuple[tuple[str, str], ...]
    span: Span | None = None


def cache_control(path: str) -> str:
    """Return the Cache-Control of the file at ``path`` of the skills site."""
    return IMMUTABLE if is_immutable(path) else REVALIDATE


def is_immutable(path: str) -> bool:
    """Return whether the name of ``path`` on the skills site promises the bytes."""
    return bool(_VERSIONED_METADATA.fullmatch(path) or _HASHED_TARGET.fullmatch(path))


def caching_of(path: str, file: FileFacts, *, encoding: str | None = None) -> Caching:
    """Return what the answer with ``file``, the one at ``path`` or its sibling in ``encoding``, says to whoever keeps it."""
    match = _HASHED_TARGET.fullmatch(path)
    tag = match[1] if match else changing_tag(file)
    return Caching(tag=f"{tag}-{encoding}" if encoding else tag, control=cache_control(path))


def changing_tag(file: FileFacts) -> str:
    """Return the strong ETag of a file whose name does not tell its bytes, unquoted."""
    # The inode too: two timestamps have the same size, and can be renamed into place within one tick of a
    # file system's clock. A 304 for the newer one would freeze its reader at the older.
    return f"{file.size:x}-{file.modified_ns:x}-{file.inode:x}"


def content_type(path: str) -> str:
    """Return the media type of the file at ``path``."""
    for ending, media_type in _CONTENT_TYPES:
        if path.endswith(ending):
            return media_type
    return "application/octet-stream"


def decide(asked: Asked, offered: Offered) -> Reply:
    """Return how ``asked`` is answered with what is ``offered``.

    Raises:
        UnsatisfiableRangeError: not one byte of it was asked for.
    """
    caching, plain = offered.caching, offered.encoding is None
    headers = [("ETag", quote_etag(caching.tag)), ("Cache-Control", caching.control)]
    if offered.varies:
        headers.append(("Vary", "Accept-Encoding"))
    if plain:
        headers.append(("Accept-Ranges", "bytes"))
    if caching.modified is not None:
        headers.append(("Last-Modified", caching.modified))
    if _is_known(asked, caching):
        return Reply(status=_HTTP_NOT_MODIFIED, headers=tuple(headers))
    headers.append(("Content-Type", content_type(offered.path)))
    if offered.encoding is not None:
        headers.append(("Content-Encoding", offered.encoding))
    if asked.head:
        return Reply(status=_HTTP_OK, headers=(*headers, ("Content-Length", str(offered.size))))
    part = parse_range(asked.range, offered.size) if plain and _range_applies(asked, caching) else None
    span = part or Span(0, offered.size)
    headers.append(("Content-Length", str(span.length)))
    if part is None:
        return Reply(status=_HTTP_OK, headers=tuple(headers), span=span)
    headers.append(("Content-Range", part.content_range(offered.size)))
    return Reply(status=_HTTP_PARTIAL, headers=tuple(headers), span=span)


def _is_known(asked: Asked, caching: Caching) -> bool:
    """Return whether the client says that it has exactly this file (RFC 9110 section 13.2.2: tags go before dates).

    A date counts only when it is letter for letter the one that we gave. "Not newer than what you have" would keep a
    client whose clock, or memory, is ahead on its old file for as long as it asks (reference/freebsd-pkg §1.2, freeze);
    a malformed date, one of another time, and two of them are no date at all.
    """
    if asked.if_none_match is not None:
        return parse_etags(asked.if_none_match).contains_weak(caching.tag)
    since = asked.if_modified_since
    return since is not None and since.strip(" \t") == caching.modified


def _range_applies(asked: Asked, caching: Caching) -> bool:
    # RFC 9110 section 13.1.5: If-Range compares strongly, so W/"…" never matches, and a date only where we give dates.
    # Otherwise a download continued over a replaced file would mix two files.
    condition = asked.if_range
    return condition is None or condition.strip() in {quote_etag(caching.tag), caching.modified}
