"""The door of the desk (edge): who may talk, how often, how much at once; and how the desk says no.

    401 token-refused       no token, or not one that is good now
    403 not-entitled, …     good, but not for this; or the key is not one that may
    409 conflict, …         somebody was first, or the online key is not here
    422 bad-signature, …    nobody whom the anchor names vouches for it
    429 too-many-requests   with Retry-After
    503                     this server cannot just now

The token is asked for before the body is read. A token that is good is never kept out because of others: only
failures are counted by address, which behind a proxy is the proxy's.
"""

import logging
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from flask import Response, g, jsonify, request
from securesystemslib.signer import Signer
from werkzeug.exceptions import UnsupportedMediaType

from repo_server.desk.problems import MEDIA_TYPE, TooManyRequestsError
from repo_server.pkgrepo.uploads import QUOTA, Uploads
from repo_server.repository import Repository
from repo_server.tokens import Grant, Scope, TokenRefusedError
from repo_server.web.grants import grant_of
from repo_server.web.limiter import Limiter
from repo_server.web.problems import UNKNOWN, Problem
from repo_server.web.routes import Route
from repo_server.web.sites import MisdirectedRequestError
from signing.errors import (
    ConflictError,
    FormatError,
    HostError,
    KeyAccessError,
    NotFoundError,
    PolicyError,
    SkillRepoError,
    TransportError,
    UsageError,
    VerificationError,
)

_BODIES_AT_ONCE: Final = 4
_BODY_WAIT_SECONDS: Final = 2.0
_ROOM: Final = 1 << 30
_STATUS_OF: Final[tuple[tuple[type[SkillRepoError], HTTPStatus], ...]] = (
    (TokenRefusedError, HTTPStatus.UNAUTHORIZED),
    (TooManyRequestsError, HTTPStatus.TOO_MANY_REQUESTS),
    (FormatError, HTTPStatus.BAD_REQUEST),
    (UsageError, HTTPStatus.BAD_REQUEST),
    (MisdirectedRequestError, HTTPStatus.MISDIRECTED_REQUEST),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (ConflictError, HTTPStatus.CONFLICT),
    (KeyAccessError, HTTPStatus.CONFLICT),
    (PolicyError, HTTPStatus.FORBIDDEN),
    (VerificationError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (TransportError, HTTPStatus.SERVICE_UNAVAILABLE),
    (HostError, HTTPStatus.SERVICE_UNAVAILABLE),
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskService:
    """What the views of the desk need.

    Attributes:
        repository: the repository on this machine.
        online: returns the online key, or raises KeyAccessError where there is none.
        clock: returns the present with its zone.
        requests: how often one token may ask. failures: how often one address may fail to show a good token.
        upload_quota: how many bytes one token may have sent that no published build names.
    """

    repository: Repository
    online: Callable[[], Signer]
    clock: Callable[[], datetime]
    requests: Limiter = field(default_factory=lambda: Limiter(capacity=240, per_second=4))
    failures: Limiter = field(default_factory=lambda: Limiter(capacity=20, per_second=0.2))
    bodies: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(_BODIES_AT_ONCE)
    )
    upload_quota: int = QUOTA
    uploads: Uploads = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "uploads", Uploads(repository=self.repository, quota=self.upload_quota))

    def check_room(self) -> None:
        """Return None when the disk has room for one more candidate and what it takes to publish.

        Raises:
            HostError: it has not. A full disk would stop more than staging.
        """
        if shutil.disk_usage(self.repository.folder).free < _ROOM:
            raise HostError("less than 1 GiB is free; nothing more is staged", hint="make room")


def guarded(
    service: DeskService, route: Route[DeskService], view: Callable[..., Response]
) -> Callable[..., Response]:
    """Return ``view`` behind the door; a scope may name parts of the path, as ``{abi}``."""

    def call(**parts: str) -> Response:
        grant = _admit(service)
        service.requests.take(grant.id, cost=route.cost, now=service.clock())
        grant.require(Scope.parse((route.scope or "").format(**parts)))
        g.grant = grant
        if route.body is None:
            return view(**parts)
        if request.mimetype != route.body.media_type:
            raise UnsupportedMediaType(f"send {route.body.media_type}")
        # A body that drips in holds a thread: few at a time, so that reading always finds one.
        if not service.bodies.acquire(timeout=_BODY_WAIT_SECONDS):
            raise TooManyRequestsError(int(_BODY_WAIT_SECONDS))
        try:
            return view(**parts)
        finally:
            service.bodies.release()

    return call


def refused(error: SkillRepoError) -> Response:
    """Return the problem document for an error in a view of the desk."""
    status = next(
        (status for kind, status in _STATUS_OF if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR
    )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("%s %r failed", request.method, request.path, exc_info=error)
        problem = Problem(status=status, code=error.code, detail=UNKNOWN.detail)
        return _problem(problem.to_json(), status)
    # A place inside what was sent is for its sender; a path of this machine is not.
    shown = error.message if error.where.startswith("/") else str(error)
    said = {**error.to_document(), "message": shown}
    said.pop("where", None)
    document = Problem(status=status, code=error.code, detail=shown).to_json()
    response = _problem({**document, "error": said}, status)
    if isinstance(error, TokenRefusedError):
        response.headers["WWW-Authenticate"] = 'Bearer realm="skillrepo desk"'
    if isinstance(error, TooManyRequestsError):
        response.headers["Retry-After"] = str(error.seconds)
    return response


def _problem(document: dict[str, Any], status: HTTPStatus) -> Response:
    response = jsonify(document)
    response.status_code = status
    response.content_type = MEDIA_TYPE
    response.headers["Cache-Control"] = "no-store"
    return response


def _admit(service: DeskService) -> Grant:
    now = service.clock()
    try:
        return grant_of(service.repository.engine, _bearer(), now=now)
    except TokenRefusedError:
        service.failures.take(request.remote_addr or "", now=now)
        raise


def _bearer() -> str:
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not text:
        raise TokenRefusedError("the desk needs a token", hint="skillrepo --token-file FILE")
    return text.strip()
