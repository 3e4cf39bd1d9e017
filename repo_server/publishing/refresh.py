"""Renewing what the online key signs, and completing the published tree."""

from datetime import datetime, timedelta

from securesystemslib.signer import Signer

from repo_server.db import log
from repo_server.db.session import transaction
from repo_server.publishing.behind import check_not_behind
from repo_server.publishing.online import OnlineState, sign_state, timestamp_is_due
from repo_server.publishing.projection import project
from repo_server.repository import Repository


def refresh(
    repository: Repository,
    online: Signer,
    *,
    now: datetime,
    older_than: timedelta | None = None,
    repair: bool = False,
) -> OnlineState | None:
    """Sign a new timestamp (and snapshot when due) and write it; None when the last one is not ``older_than`` that.

    Whether it is, is asked in the transaction that signs: of two who ask at once, one signs. With ``repair``, published
    files that are not what they should be are written again; else only missing ones.

    Raises:
        KeyAccessError, ExpiredError: see `repo_server.publishing.online.sign_state`.
        RollbackError: the published tree is newer than the database; nothing is signed.
        HostError: the published tree cannot be written.
    """
    state = None
    with transaction(repository.engine) as session:
        check_not_behind(repository, session)
        if older_than is None or timestamp_is_due(session, older_than=older_than, now=now):
            state = sign_state(session, online, now=now)
            facts = {"snapshot": state.snapshot, "timestamp": state.timestamp}
            log.append(session, event="refreshed", facts=facts, now=now)
    with transaction(repository.engine) as session:
        project(repository, session, repair=repair)
    return state
