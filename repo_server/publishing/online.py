"""What the online key signs: a snapshot of everything published, and a timestamp over it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from securesystemslib.signer import Signer
from sqlalchemy import select
from sqlalchemy.orm import Session
from tuf.api.metadata import Snapshot, Timestamp

from repo_server.db.models import MetadataRow
from repo_server.publishing.state import add_versions, current, current_files
from signing.metadata import build_snapshot, build_timestamp, parse, render, sign
from signing.roles import SNAPSHOT, TIMESTAMP, life_of


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineState:
    """The versions that the online key signed last."""

    snapshot: int
    timestamp: int


def sign_state(
    session: Session, signer: Signer, *, now: datetime, force_snapshot: bool = False
) -> OnlineState:
    """Sign a new timestamp, and before it a new snapshot when something changed or it is near its end."""
    files = current_files(session)
    snapshot_bytes, snapshot_version = _snapshot(session, files, signer, now=now, force=force_snapshot)
    timestamp = build_timestamp(snapshot_bytes, version=_next_version(session, TIMESTAMP), now=now)
    sign(timestamp, signer)
    add_versions(session, [(TIMESTAMP, timestamp.signed.version, render(timestamp))], now=now)
    return OnlineState(snapshot=snapshot_version, timestamp=timestamp.signed.version)


def timestamp_age(session: Session, *, now: datetime) -> timedelta:
    """Return how long ago the timestamp was signed."""
    timestamp = parse(current(session, TIMESTAMP).content, Timestamp, where=TIMESTAMP).signed
    return now - (timestamp.expires - life_of(TIMESTAMP).expiry)


def _snapshot(
    session: Session, files: dict[str, bytes], signer: Signer, *, now: datetime, force: bool
) -> tuple[bytes, int]:
    version = _next_version(session, SNAPSHOT)
    fresh = build_snapshot(files, version=version, now=now)
    if version > 1 and not force:
        row = current(session, SNAPSHOT)
        known = parse(row.content, Snapshot, where=SNAPSHOT).signed
        if known.meta == fresh.signed.meta and known.expires - now >= life_of(SNAPSHOT).renew:
            return row.content, row.version
    sign(fresh, signer)
    content = render(fresh)
    add_versions(session, [(SNAPSHOT, version, content)], now=now)
    return content, version


def _next_version(session: Session, role: str) -> int:
    statement = select(MetadataRow.version).where(MetadataRow.role == role)
    newest = session.scalars(statement.order_by(MetadataRow.version.desc()).limit(1)).first()
    return (newest or 0) + 1
