"""What a token that somebody shows is good for (edge); the desk and the package site ask it the same way."""

import contextlib
from datetime import datetime

from sqlalchemy import Engine

from repo_server.db.session import snapshot, transaction
from repo_server.tokens import Grant, check_token, record_use, use_is_stale
from signing.errors import ConflictError


def grant_of(engine: Engine, token: str, *, now: datetime) -> Grant:
    """Return what ``token`` grants, and note that it was used.

    Raises:
        TokenRefusedError: it is not good now.
    """
    with snapshot(engine) as session:
        grant = check_token(session, token, now=now)
        stale = use_is_stale(session, grant.id, now=now)
    if stale:
        # A note for people; that the database is busy is no reason to turn anybody away.
        with contextlib.suppress(ConflictError), transaction(engine) as session:
            record_use(session, grant.id, now=now)
    return grant
