"""Serves the published trees: plain files with the caching that their names promise.

    metadata/7.snapshot.json, targets/…/<sha256>.<name>   public, max-age=31536000, immutable
    metadata/timestamp.json, index.json, everything else  no-cache (kept, but asked again by ETag)

What the package site says instead stands in `repo_server.web.pkg_site`.

The ETag is strong: the digest in the name where there is one, else size, time of change and inode. Nothing here
verifies a file; clients do. Metadata is served from disk as the publisher wrote it, so nginx can take this over
without anybody noticing (documented in deploy/).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Self

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.http import quote_etag

from repo_server.web.config import WebConfig
from repo_server.web.ranges import Span, UnsatisfiableRangeError, parse_range
from repo_server.web.sites import SITE_KEY, Site
from repo_server.web.tree import PublishedFile, open_published

IMMUTABLE: Final = "public, max-age=31536000, immutable"
REVALIDATE: Final = "no-cache"

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
_CHUNK: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Caching:
    """What an answer says about itself to whoever keeps it. ``tag`` is a strong ETag, unquoted; ``modified`` is text."""

    tag: str
    control: str
    modified: str | None = None


def cache_control(path: str) -> str:
    """Return the Cache-Control of the file at ``path`` of the skills site."""
    frozen = _VERSIONED_METADATA.fullmatch(path) or _HASHED_TARGET.fullmatch(path)
    return IMMUTABLE if frozen else REVALIDATE


def entity_tag(path: str, file: PublishedFile) -> str:
    """Return the strong ETag of the file at ``path`` of the skills site, unquoted."""
    match = _HASHED_TARGET.fullmatch(path)
    return match[1] if match else changing_tag(file)


def changing_tag(file: PublishedFile) -> str:
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


class FileBody:
    """The bytes of a span, in pieces; owns the file and closes it, also when the client goes away."""

    def __init__(self, file: PublishedFile, span: Span) -> None:
        self._file = file
        self._offset = span.start
        self._left = span.length

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        # An empty piece before the end: somebody writes into a published file instead of replacing it. The
        # body ends early, and the client sees that the promised length was not reached.
        piece = self._file.read(self._offset, min(_CHUNK, self._left)) if self._left else b""
        if not piece:
            self._left = 0
            self.close()
            raise StopIteration
        self._offset += len(piece)
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        """Close the file. May be called again."""
        self._file.close()

    @classmethod
    def small_or_streamed(cls, file: PublishedFile, span: Span) -> bytes | Self:
        """Return small spans as bytes, so that no open file waits for a slow reader."""
        if span.length > _CHUNK:
            return cls(file, span)
        with file:
            return file.read(span.start, span.length)


def files_blueprint(config: WebConfig, *, package: Callable[[str], Response]) -> Blueprint:
    """Return the views of both published trees; ``package`` answers for the package site."""
    blueprint = Blueprint("files", __name__)

    @blueprint.get("/", defaults={"path": ""})
    @blueprint.get("/<path:path>")
    def published(path: str) -> Response:
        """Answer with one file. There are no listings: "" and folders are not found."""
        if request.environ[SITE_KEY] is Site.PKG:
            return package(path)
        file = open_published(config.skills_root, path)
        caching = Caching(tag=entity_tag(path, file), control=cache_control(path))
        return answer_file(path, file, caching)

    return blueprint


def answer_file(path: str, file: PublishedFile, caching: Caching) -> Response:
    """Return the answer to the present request for ``file``, which is closed when it is sent, or an error is raised.

    Raises:
        RequestedRangeNotSatisfiable: not one byte of it was asked for.
    """
    try:
        return _answer(path, file, caching)
    except BaseException:
        file.close()
        raise


def _answer(path: str, file: PublishedFile, caching: Caching) -> Response:
    headers = {
        "ETag": quote_etag(caching.tag),
        "Cache-Control": caching.control,
        "Accept-Ranges": "bytes",
    }
    if caching.modified is not None:
        headers["Last-Modified"] = caching.modified
    if _is_known(caching):
        file.close()
        return Response(status=304, headers=headers)
    headers["Content-Type"] = content_type(path)
    if request.method == "HEAD":
        file.close()
        return Response(headers={**headers, "Content-Length": str(file.size)})
    try:
        part = parse_range(request.headers.get("Range"), file.size) if _range_applies(caching) else None
    except UnsatisfiableRangeError as error:
        raise RequestedRangeNotSatisfiable(length=file.size) from error
    span = part or Span(0, file.size)
    headers["Content-Length"] = str(span.length)
    if part:
        headers["Content-Range"] = part.content_range(file.size)
    return Response(FileBody.small_or_streamed(file, span), status=206 if part else 200, headers=headers)


def _is_known(caching: Caching) -> bool:
    """Return whether the client says that it has exactly this file (RFC 9110 section 13.2.2: tags go before dates).

    A date counts only when it is letter for letter the one that we gave. "Not newer than what you have" would keep a
    client whose clock, or memory, is ahead on its old file for as long as it asks (reference/freebsd-pkg §1.2, freeze);
    a malformed date, one of another time, and two of them are no date at all.
    """
    if "If-None-Match" in request.headers:
        return request.if_none_match.contains_weak(caching.tag)
    since = request.headers.get("If-Modified-Since")
    return since is not None and since.strip(" \t") == caching.modified


def _range_applies(caching: Caching) -> bool:
    # RFC 9110 section 13.1.5: If-Range compares strongly, so W/"…" never matches, and a date only where we give dates.
    # Otherwise a download continued over a replaced file would mix two files.
    condition = request.headers.get("If-Range")
    return condition is None or condition.strip() in {quote_etag(caching.tag), caching.modified}
