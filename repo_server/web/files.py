"""Serves the published trees: plain files with the caching that their names promise.

    metadata/7.snapshot.json, targets/…/<sha256>.<name>   public, max-age=31536000, immutable
    metadata/timestamp.json, index.json, everything else  no-cache (kept, but asked again by ETag)

What the package site says instead stands in `repo_server.web.pkg_site`.

What an answer says is decided in `repo_server.web.answering`; files of the usual places are answered by
`repo_server.web.quick` before anything is routed. Nothing here verifies a file; clients do. Metadata is served from disk
as the publisher wrote it, so nginx can take this over without anybody noticing (documented in deploy/).
"""

from collections.abc import Callable, Iterator
from typing import Final, Self

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from repo_server.publishing.siblings import SUFFIX, is_sibling, may_have_sibling
from repo_server.web.answering import (
    GZIP,
    Asked,
    Caching,
    Offered,
    Reply,
    caching_of,
    decide,
    is_immutable,
)
from repo_server.web.hot import HeldFile, HotFiles
from repo_server.web.ranges import Span, UnsatisfiableRangeError
from repo_server.web.sites import SITE_KEY, Site
from repo_server.web.tree import NOTHING_HERE, PublishedFile
from signing.errors import NotFoundError

_CHUNK: Final = 64 * 1024


class FileBody:
    """The bytes of a span, in pieces; owns the file and closes it, also when the client goes away."""

    def __init__(self, file: PublishedFile | HeldFile, span: Span) -> None:
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
    def small_or_streamed(cls, file: PublishedFile | HeldFile, span: Span) -> list[bytes] | Self:
        """Return small spans, and those in memory, as bytes, so that no open file waits for a slow reader."""
        if span.length > _CHUNK and isinstance(file, PublishedFile):
            return cls(file, span)
        try:
            return [file.read(span.start, span.length)]
        finally:
            file.close()


def files_blueprint(files: HotFiles, *, package: Callable[[str], Response]) -> Blueprint:
    """Return the views of both published trees; ``package`` answers for the package site."""
    blueprint = Blueprint("files", __name__)

    @blueprint.get("/", defaults={"path": ""})
    @blueprint.get("/<path:path>")
    def published(path: str) -> Response:
        """Answer with one file. There are no listings: "" and folders are not found."""
        if request.environ[SITE_KEY] is Site.PKG:
            return package(path)
        try:
            reply, body = published_reply(files, path, Asked.of(request.environ))
        except UnsatisfiableRangeError as error:
            raise RequestedRangeNotSatisfiable(length=error.size) from error
        return _response(reply, body)

    return blueprint


def published_reply(files: HotFiles, path: str, asked: Asked) -> tuple[Reply, list[bytes] | FileBody]:
    """Return head and body of the answer with the file at ``path`` of the skills site.

    Raises:
        NotFoundError: there is none. UnsatisfiableRangeError: not one byte of it was asked for.
    """
    if is_sibling(path):
        raise NotFoundError(NOTHING_HERE)
    file = files.open(path)
    try:
        sibling = _sibling(files, path, file)
        if sibling is None or not asked.takes_gzip:
            if sibling is not None:
                sibling.close()
            offered = Offered(
                path=path, size=file.size, caching=caching_of(path, file), varies=sibling is not None
            )
            return reply_with(file, asked, offered)
    except BaseException:
        file.close()
        raise
    file.close()
    caching = caching_of(path, sibling, encoding=GZIP)
    return reply_with(
        sibling,
        asked,
        Offered(path=path, size=sibling.size, caching=caching, encoding=GZIP, varies=True),
    )


def reply_with(
    file: PublishedFile | HeldFile, asked: Asked, offered: Offered
) -> tuple[Reply, list[bytes] | FileBody]:
    """Return head and body of the answer with ``file``, which is closed when that is sent, or an error is raised.

    Raises:
        UnsatisfiableRangeError: not one byte of it was asked for.
    """
    try:
        reply = decide(asked, offered)
        if reply.span is not None:
            return reply, FileBody.small_or_streamed(file, reply.span)
    except BaseException:
        file.close()
        raise
    file.close()
    return reply, []


def answer_file(path: str, file: PublishedFile, caching: Caching) -> Response:
    """Return the answer to the present request for ``file``, which is closed when it is sent, or an error is raised.

    Raises:
        RequestedRangeNotSatisfiable: not one byte of it was asked for.
    """
    offered = Offered(path=path, size=file.size, caching=caching)
    try:
        return _response(*reply_with(file, Asked.of(request.environ), offered))
    except UnsatisfiableRangeError as error:
        raise RequestedRangeNotSatisfiable(length=file.size) from error


def _sibling(files: HotFiles, path: str, file: PublishedFile | HeldFile) -> PublishedFile | HeldFile | None:
    """Return the compressed sibling of the file at ``path``; None where there is none, or one of another file."""
    if not may_have_sibling(path):
        return None
    try:
        sibling = files.open(f"{path}{SUFFIX}")
    except NotFoundError:
        return None
    # The name tells the bytes, or the publisher dates both alike: between the two the file was replaced, or a copy lost the times.
    if is_immutable(path) or sibling.modified_ns == file.modified_ns:
        return sibling
    sibling.close()
    return None


def _response(reply: Reply, body: list[bytes] | FileBody) -> Response:
    return Response(body, status=reply.status, headers=list(reply.headers))
