"""Every error as ``application/problem+json`` (RFC 9457).

    HTTP/1.1 404 NOT FOUND
    Content-Type: application/problem+json

    {"code": "not-found", "detail": "nothing is published at this address", "status": 404,
     "title": "Not found", "type": "https://skills.clawdie.si/problems/not-found"}

``code`` is stable and the same as in the error tree. Below 500 the error is about the request, and ``detail``
says what; from 500 on it is about us, and its message (paths, SQL, addresses) goes to the log, not to strangers.
"""

import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from repo_server.web.sites import MisdirectedRequestError
from repo_server.web.tree import NOTHING_HERE
from signing.errors import (
    ConflictError,
    FormatError,
    HostError,
    NotFoundError,
    SkillRepoError,
    TransportError,
)

TYPE_PREFIX: Final = "https://skills.clawdie.si/problems/"
MEDIA_TYPE: Final = "application/problem+json"

_STATUS_OF: Final[tuple[tuple[type[SkillRepoError], HTTPStatus], ...]] = (
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (FormatError, HTTPStatus.BAD_REQUEST),
    (ConflictError, HTTPStatus.CONFLICT),
    (MisdirectedRequestError, HTTPStatus.MISDIRECTED_REQUEST),
    # Something behind us is away for now; everything else that we raise is a fault of ours.
    (TransportError, HTTPStatus.SERVICE_UNAVAILABLE),
    (HostError, HTTPStatus.SERVICE_UNAVAILABLE),
)
_OUR_FAULT_DETAIL: Final = "the server could not answer; the reason is in its log"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """The members of one problem document."""

    status: int
    code: str
    detail: str

    @property
    def title(self) -> str:
        """The summary, the same for all problems of one code."""
        return self.code.replace("-", " ").capitalize()

    def to_json(self) -> dict[str, object]:
        """Return the problem document."""
        return {
            "type": TYPE_PREFIX + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }


UNKNOWN: Final = Problem(
    status=HTTPStatus.INTERNAL_SERVER_ERROR, code="internal-error", detail=_OUR_FAULT_DETAIL
)


def problem_of(error: SkillRepoError) -> Problem:
    """Return the problem that an error of our tree is to a client."""
    status = next(
        (status for kind, status in _STATUS_OF if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR
    )
    ours = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return Problem(status=status, code=error.code, detail=_OUR_FAULT_DETAIL if ours else str(error))


def problem_of_http(error: HTTPException) -> Problem:
    """Return the problem that an error of the framework is to a client."""
    absent = error.code == HTTPStatus.NOT_FOUND
    return Problem(
        status=error.code or HTTPStatus.INTERNAL_SERVER_ERROR,
        code=error.name.lower().replace(" ", "-"),
        # The same words as for a file that is not there: whether a route exists is nobody's business either.
        detail=NOTHING_HERE if absent else error.description or error.name,
    )


def install_problems(app: Flask) -> None:
    """Make ``app`` answer every error with a problem document."""

    @app.errorhandler(SkillRepoError)
    def known(error: SkillRepoError) -> Response:
        problem = problem_of(error)
        if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _log_fault(error)
        return _answer(problem)

    @app.errorhandler(HTTPException)
    def framework(error: HTTPException) -> Response:
        response = _answer(problem_of_http(error))
        for name, value in error.get_headers():
            # What the status needs to be understood: Allow, Content-Range.
            if name.lower() != "content-type":
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    def unknown(error: Exception) -> Response:
        _log_fault(error)
        return _answer(UNKNOWN)


def _log_fault(error: Exception) -> None:
    # %r: a path with line breaks must not write lines of its own into the log.
    _log.error("%s %r failed", request.method, request.path, exc_info=error)


def _answer(problem: Problem) -> Response:
    response = jsonify(problem.to_json())
    response.status_code = problem.status
    response.content_type = MEDIA_TYPE
    # A client asks for the next root until it gets 404; that answer must not outlive the next publication.
    response.headers["Cache-Control"] = "no-store"
    return response
