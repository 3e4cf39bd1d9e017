"""Whether the database is older than what was published from it: restored from a backup, most likely (edge).

Clients remember the newest versions that they saw, and refuse older ones. A database from last night would sign version 31 again for
another state, and every client that saw the first 31 would refuse it, or, worse, hold one of two states for the other. And its list
of withdrawals may lack the last one. So nothing is signed and no file is written before somebody has said how to go on
(`skillrepo resume`, docs/restore.md).
"""

import re
from pathlib import Path
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from tuf.api.metadata import Timestamp

from repo_server.db.models import MetadataRow
from repo_server.repository import Repository
from signing.errors import RollbackError, SkillRepoError
from signing.metadata import parse
from signing.roles import TIMESTAMP

_MAX_BYTES: Final = 16_384
_VERSIONED: Final = re.compile(r"([1-9][0-9]{0,15})\.([A-Za-z0-9_-]+)\.json", re.ASCII)


def check_not_behind(repository: Repository, session: Session) -> None:
    """Return None when the served timestamp is none that this database does not know yet.

    Raises:
        RollbackError: it is newer than the newest of the database.
    """
    served = served_version(repository.skills_root)
    known = _newest(session).get(TIMESTAMP, 0)
    if served > known:
        raise RollbackError(
            f"timestamp {served} is published, and the newest in the database is {known}: an older database was restored",
            hint="do not publish; skillrepo resume takes up what is missing (docs/restore.md)",
        )


def roles_behind(repository: Repository, session: Session) -> dict[str, tuple[int, int]]:
    """Return the roles of which the published tree has a higher version than the database: both versions."""
    published = {TIMESTAMP: served_version(repository.skills_root)}
    for path in (repository.skills_root / "metadata").glob("*.json"):
        if match := _VERSIONED.fullmatch(path.name):
            published[match[2]] = max(int(match[1]), published.get(match[2], 0))
    known = _newest(session)
    return {
        role: (version, known.get(role, 0))
        for role, version in sorted(published.items())
        if version > known.get(role, 0)
    }


def served_version(tree: Path) -> int:
    """Return the version of the timestamp that a tree of the skills site serves; 0 where there is none, or no good one."""
    try:
        with (tree / "metadata" / "timestamp.json").open("rb") as stream:
            return int(parse(stream.read(_MAX_BYTES), Timestamp, where=TIMESTAMP).signed.version)
    except (OSError, SkillRepoError):
        return 0  # a torn or missing file is no sign of a newer state, and is written anew


def _newest(session: Session) -> dict[str, int]:
    rows = session.execute(select(MetadataRow.role, func.max(MetadataRow.version)).group_by(MetadataRow.role))
    return {role: version for role, version in rows}  # noqa: C416 - rows are not pairs for the type checker
