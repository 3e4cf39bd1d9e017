"""Renewing what the online key signs, and completing the published tree."""

from datetime import datetime

from securesystemslib.signer import Signer

from repo_server.db import log
from repo_server.db.session import transaction
from repo_server.publishing.online import OnlineState, needs_renewal, sign_state
from repo_server.publishing.projection import project
from repo_server.repository import Repository


def refresh(
    repository: Repository, online: Signer, *, now: datetime, only_if_due: bool = False, repair: bool = False
) -> OnlineState | None:
    """Sign a new timestamp (and snapshot when due) and write it; return None when it was not due.

    With ``repair``, published files that are not what they should be are written again; else only missing ones.

    Raises:
        HostError: the published tree cannot be written.
    """
    state = None
    with transaction(repository.engine) as session:
        if not only_if_due or needs_renewal(session, now=now):
            state = sign_state(session, online, now=now)
            facts = {"snapshot": state.snapshot, "timestamp": state.timestamp}
            log.append(session, event="refreshed", facts=facts, now=now)
    with transaction(repository.engine) as session:
        project(repository, session, repair=repair)
    return state
