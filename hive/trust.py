"""What this host trusts, remembered in its database: one anchor, and the newest state that it has seen.

The first birth pins the anchor that the operator configured by file. From then on another anchor, by whatever
option or variable, is refused until the operator replaces it in a recorded act (``hive trust replace``); and a
repository state older than one already seen, or with a list that lost an entry, is refused even if the client's
own memory was lost. The same for packages: a builder's key that signs an old index again, or another repository's.
"""

from datetime import datetime

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from hive import audit
from hive.db.models import SeenSerialRow, TrustRow
from repo_client.client import Standing
from signing.errors import CouldNotVerifyError, RollbackError
from signing.format.digest import Sha256
from signing.format.pkg.index import RepoIndex
from signing.withdrawals import check_continues

_ROW = 1


def check_anchor(session: Session, anchor_sha256: Sha256) -> None:
    """Return None when this is the anchor of this host, or the host has none yet.

    Raises:
        CouldNotVerifyError: the host trusts another one.
    """
    row = session.get(TrustRow, _ROW)
    if row is not None and row.anchor_sha256 != anchor_sha256:
        raise CouldNotVerifyError(
            f"this host trusts the anchor {row.anchor_sha256[:16]}…, given is {anchor_sha256[:16]}…",
            hint="name the right file; or, if the repository was founded anew: hive trust replace",
        )


def check_not_older(session: Session, standing: Standing) -> None:
    """Return None when ``standing`` is not older than what this host has seen; nothing is remembered.

    Raises:
        CouldNotVerifyError: another anchor.
        RollbackError: an older state than one already seen, or a list of withdrawals that lost an entry.
    """
    check_anchor(session, standing.anchor_sha256)
    row = session.get(TrustRow, _ROW)
    if row is None:
        return
    anew = _appoints_others(row, standing)
    seen = (row.root_version, 0 if anew else row.timestamp_version, 0 if anew else row.snapshot_version)
    offered = (standing.root, standing.timestamp, standing.snapshot)
    if any(new < old for new, old in zip(offered, seen, strict=True)):
        raise RollbackError(
            f"root, timestamp and snapshot are at versions {offered}, this host has seen {seen}",
            hint="do not go on: the server (or a mirror) serves a state older than one already seen",
        )
    if row.withdrawals:
        check_continues(standing.revocations, count=row.withdrawals, head=Sha256(row.withdrawals_head))


def remember(session: Session, standing: Standing) -> None:
    """Raise the highest versions seen to those of ``standing``; the first call pins the anchor.

    Raises:
        CouldNotVerifyError, RollbackError: see `check_not_older`.
    """
    _queue(session)
    session.get(TrustRow, _ROW, populate_existing=True)  # what stood before we waited may be older
    check_not_older(session, standing)
    row = session.get(TrustRow, _ROW)
    if row is None:
        row = TrustRow(id=_ROW, anchor_sha256=standing.anchor_sha256, root_version=0, online_sha256="")
        session.add(row)
    if _appoints_others(row, standing):
        row.online_sha256 = standing.online_sha256
    row.root_version = standing.root
    row.timestamp_version, row.snapshot_version = standing.timestamp, standing.snapshot
    row.withdrawals = len(standing.revocations.entries)
    row.withdrawals_head = standing.revocations.head()
    session.flush()


def _queue(session: Session) -> None:
    """Let no two transactions remember at once: the later of two would write the older state over the newer.

    A row that is not there yet cannot be locked; the table can, and readers pass it. SQLite's writers queue already.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("LOCK TABLE trust IN SHARE ROW EXCLUSIVE MODE"))


def _appoints_others(row: TrustRow, standing: Standing) -> bool:
    """Return whether a newer root appoints other online keys: their versions start anew then.

    See `signing.trusted.TrustedMetadata.online_sha256`.
    """
    return standing.root > row.root_version and standing.online_sha256 != row.online_sha256


def remember_serial(session: Session, index: RepoIndex) -> None:
    """Raise the highest serial seen of this package repository to that of ``index``.

    Raises:
        RollbackError: it is lower than one already seen, or the index is another repository's.
    """
    _queue(session)
    row = session.get(SeenSerialRow, str(index.repo), populate_existing=True)
    if row is None:
        row = SeenSerialRow(repo=str(index.repo), repository=index.repository, serial=0)
        session.add(row)
    if row.repository != index.repository or index.serial < row.serial:
        raise RollbackError(
            f"{index.repo}: serial {index.serial} of {index.repository} is offered,"
            f" this host has seen serial {row.serial} of {row.repository}",
            hint="do not go on: the builder's key signs an older or another repository",
        )
    row.serial = index.serial
    session.flush()


def serials(session: Session) -> dict[str, int]:
    """Return the highest serial seen of each package repository."""
    rows = session.scalars(select(SeenSerialRow).order_by(SeenSerialRow.repo))
    return {row.repo: row.serial for row in rows}


def replace(session: Session, anchor_sha256: Sha256, *, reason: str, now: datetime) -> str | None:
    """Trust another anchor from now on, on record; return the digest of the one before."""
    row = session.get(TrustRow, _ROW)
    before = row.anchor_sha256 if row is not None else None
    if row is None:
        row = TrustRow(id=_ROW)
        session.add(row)
    row.anchor_sha256, row.online_sha256 = anchor_sha256, ""
    row.root_version = row.timestamp_version = row.snapshot_version = row.withdrawals = 0
    row.withdrawals_head = ""
    session.execute(delete(SeenSerialRow))  # whoever founds anew begins with serial 1 again
    facts = {"before": before, "anchor_sha256": anchor_sha256, "reason": reason}
    audit.append(session, event="trust.replaced", facts=facts, now=now)
    return before


def load(session: Session) -> TrustRow | None:
    """Return what this host trusts and has seen, or None before its first birth."""
    return session.get(TrustRow, _ROW)
