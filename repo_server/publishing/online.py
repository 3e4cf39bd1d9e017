"""What the online key signs: a snapshot of everything published, and a timestamp over it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from securesystemslib.signer import Signer
from sqlalchemy import select
from sqlalchemy.orm import Session
from tuf.api.metadata import Snapshot, Timestamp

from repo_server.db.models import MetadataRow
from repo_server.publishing.state import add_versions, current, current_files, current_root
from signing.errors import ExpiredError, KeyAccessError
from signing.format.moment import render_moment
from signing.metadata import build_snapshot, build_timestamp, parse, render, sign
from signing.roles import ROOT, SNAPSHOT, TIMESTAMP, life_of

_CLOCK_SLACK: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineState:
    """The versions that the online key signed last."""

    snapshot: int
    timestamp: int


def sign_state(
    session: Session, signer: Signer, *, now: datetime, force_snapshot: bool = False
) -> OnlineState:
    """Sign a new timestamp, and before it a new snapshot when something changed or it is near its end.

    Raises:
        KeyAccessError: root appoints another key; what this one signs nobody would follow.
        ExpiredError: root has ended; or this machine's clock is a year ahead, and what it signs would live as long.
    """
    _check_appointed(session, signer, now=now)
    files = current_files(session)
    snapshot_bytes, snapshot_version = _snapshot(session, files, signer, now=now, force=force_snapshot)
    timestamp = build_timestamp(snapshot_bytes, version=_next_version(session, TIMESTAMP), now=now)
    sign(timestamp, signer)
    add_versions(session, [(TIMESTAMP, timestamp.signed.version, render(timestamp))], now=now)
    return OnlineState(snapshot=snapshot_version, timestamp=timestamp.signed.version)


def timestamp_is_due(session: Session, *, older_than: timedelta, now: datetime) -> bool:
    """Return whether the timestamp was signed longer ago than that, or has yet to be signed by the clock of ``now``.

    A clock that was ahead leaves a timestamp that lives too long: it has to be followed by a right one at once, and
    not when the wrong time has come.
    """
    timestamp = parse(current(session, TIMESTAMP).content, Timestamp, where=TIMESTAMP).signed
    age = now - (timestamp.expires - life_of(TIMESTAMP).expiry)
    return age >= older_than or age < -_CLOCK_SLACK


def _check_appointed(session: Session, signer: Signer, *, now: datetime) -> None:
    root = current_root(session)
    if signer.public_key.keyid not in root.roles[TIMESTAMP].keyids:
        raise KeyAccessError(
            "root appoints another online key than this one",
            hint="put the key file of the new one in its place, on every machine that signs",
        )
    if root.is_expired(now):
        raise ExpiredError(
            f"root ended at {render_moment(root.expires)}; nothing is signed under it",
            hint="is this machine's clock right? If so: skillrepo root next",
            role=ROOT,
        )


def _snapshot(
    session: Session, files: dict[str, bytes], signer: Signer, *, now: datetime, force: bool
) -> tuple[bytes, int]:
    version = _next_version(session, SNAPSHOT)
    fresh = build_snapshot(files, version=version, now=now)
    if version > 1 and not force:
        row = current(session, SNAPSHOT)
        known = parse(row.content, Snapshot, where=SNAPSHOT).signed
        life, left = life_of(SNAPSHOT), known.expires - now
        # One that lives for longer than it may was signed by a clock that was ahead.
        if known.meta == fresh.signed.meta and life.renew <= left <= life.expiry + _CLOCK_SLACK:
            return row.content, row.version
    sign(fresh, signer)
    content = render(fresh)
    add_versions(session, [(SNAPSHOT, version, content)], now=now)
    return content, version


def _next_version(session: Session, role: str) -> int:
    statement = select(MetadataRow.version).where(MetadataRow.role == role)
    newest = session.scalars(statement.order_by(MetadataRow.version.desc()).limit(1)).first()
    return (newest or 0) + 1
