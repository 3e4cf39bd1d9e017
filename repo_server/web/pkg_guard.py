"""The door of the package site, where packages are not for everybody (edge).

    401 token-refused       no token, or not one that is good now; with the challenge that makes pkg show its own
    403 not-entitled        good, but for another repository
    429 too-many-requests   too many bad tokens from this address; with Retry-After

A request without a token counts as no failure: pkg asks so first, each time, and shows its token when challenged.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from flask import Response, jsonify
from sqlalchemy import Engine

from repo_server.desk.problems import MEDIA_TYPE, TooManyRequestsError
from repo_server.pkgrepo.access import CHALLENGE, shown_token
from repo_server.tokens import Grant, TokenRefusedError
from repo_server.web.grants import grant_of
from repo_server.web.limiter import Limiter
from repo_server.web.problems import Problem
from signing.errors import FormatError, PolicyError, SkillRepoError


@dataclass(frozen=True, slots=True, kw_only=True)
class PullGuard:
    """Checks who fetches packages."""

    engine: Engine
    clock: Callable[[], datetime]
    failures: Limiter = field(default_factory=lambda: Limiter(capacity=20, per_second=0.2))

    def admit(self, header: str | None, address: str) -> Grant:
        """Return what the token in the Authorization header grants.

        Raises:
            TokenRefusedError: there is none, or it is not good now.
            TooManyRequestsError: not good, and too often so from ``address``.
        """
        now = self.clock()
        try:
            text = shown_token(header)
        except FormatError as error:
            self.failures.take(address, now=now)
            raise TokenRefusedError(f"this shows no token: {error}") from error
        if text is None:
            raise TokenRefusedError(
                "these packages take a token", hint="skillrepo token new --scope pull-pkg:…"
            )
        try:
            return grant_of(self.engine, text, now=now)
        except TokenRefusedError:
            self.failures.take(address, now=now)
            raise


def refused(error: SkillRepoError) -> Response:
    """Return the answer to who may not fetch what was asked for."""
    if isinstance(error, TokenRefusedError):
        status, headers = 401, {"WWW-Authenticate": CHALLENGE}
    elif isinstance(error, TooManyRequestsError):
        status, headers = 429, {"Retry-After": str(error.seconds)}
    elif isinstance(error, PolicyError):
        status, headers = 403, {}
    else:
        raise error
    response = jsonify(Problem(status=status, code=error.code, detail=error.message).to_json())
    response.status_code = status
    response.content_type = MEDIA_TYPE
    response.headers.update({"Cache-Control": "no-store", **headers})
    return response
