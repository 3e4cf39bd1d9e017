"""Published files, answered before anything is routed: for 4 KiB of metadata, routing costs five times the answer.

WSGI middleware behind `repo_server.web.sites.SiteDispatch`. It answers a GET or HEAD of a file that is there, in the folders that
hold nothing but published files, by the same decision as the view of Flask (`repo_server.web.files`). Everything else goes on
to that: what is not found, other methods, bodies, hosts that were refused. So an error has one place too.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from werkzeug.exceptions import RequestedRangeNotSatisfiable

from repo_server.web.answering import Asked, Reply
from repo_server.web.files import published_reply
from repo_server.web.hot import HotFiles
from repo_server.web.ranges import UnsatisfiableRangeError
from repo_server.web.sites import REFUSAL_KEY, SITE_KEY, Site
from signing.errors import NotFoundError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication

# What is told of each answer: method, answer, seconds.
Told = Callable[[str, Reply, float], None]

_FOLDERS: Final = ("/metadata/", "/targets/", "/.well-known/")
_METHODS: Final = frozenset({"GET", "HEAD"})
_STATUS_LINES: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class QuickFiles:
    """Answers files of the skills site; ``application`` answers the rest."""

    def __init__(
        self,
        application: "WSGIApplication",
        files: HotFiles,
        *,
        headers: Mapping[str, str],
        told: Iterable[Told] = (),
    ) -> None:
        self._application, self._files = application, files
        self._headers, self._told = tuple(headers.items()), tuple(told)

    def __call__(self, environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        path = environ.get("PATH_INFO", "")
        if not path.startswith(_FOLDERS) or not _is_plain(environ, path):
            return self._application(environ, start_response)
        begun = time.monotonic()
        try:
            reply, body = published_reply(self._files, path[1:], Asked.of(environ))
        except NotFoundError:
            return self._application(environ, start_response)
        except UnsatisfiableRangeError as error:
            refusal = RequestedRangeNotSatisfiable(length=error.size)
            return self._application({**environ, REFUSAL_KEY: refusal}, start_response)
        for tell in self._told:
            tell(environ["REQUEST_METHOD"], reply, time.monotonic() - begun)
        start_response(_STATUS_LINES[reply.status], [*reply.headers, *self._headers])
        return body


def _is_plain(environ: Mapping[str, Any], path: str) -> bool:
    """Return whether this is a request without a body for a path that is spelled in ASCII, by a name of the skills site."""
    return (
        environ.get(SITE_KEY) is Site.SKILLS
        and environ["REQUEST_METHOD"] in _METHODS
        and path.isascii()
        and environ.get("CONTENT_LENGTH", "") in {"", "0"}
        and "HTTP_TRANSFER_ENCODING" not in environ
    )
