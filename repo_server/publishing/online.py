"""What the online key signs: a snapshot of everything published, and a timestamp over it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from securesystemslib.signer import Signer
from sqlalchemy import select
from sqlalchemy.orm import Session
from tuf.api.metadata import MetaFile, Root, Snapshot, Targets, Timestamp

from repo_server.db.models import MetadataRow
from repo_server.publishing.state import (
    add_versions,
    current,
    current_root,
    newest_versions,
    published_content,
)
from signing.errors import ExpiredError, KeyAccessError
from signing.format.moment import render_moment
from signing.metadata import build_timestamp, describe, parse, parse_signed, render, sign, snapshot_of
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
    root = _check_appointed(session, signer, now=now)
    snapshot_bytes, snapshot_version = _snapshot(session, root, signer, now=now, force=force_snapshot)
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


def _check_appointed(session: Session, signer: Signer, *, now: datetime) -> Root:
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
    return root


def _snapshot(
    session: Session, root: Root, signer: Signer, *, now: datetime, force: bool
) -> tuple[bytes, int]:
    version = _next_version(session, SNAPSHOT)
    row = current(session, SNAPSHOT) if version > 1 else None
    fresh = snapshot_of(_named(session, _own_words(row, root)), version=version, now=now)
    if row is not None and not force:
        known = parse(row.content, Snapshot, where=SNAPSHOT).signed
        life, left = life_of(SNAPSHOT), known.expires - now
        # One that lives for longer than it may was signed by a clock that was ahead.
        if known.meta == fresh.signed.meta and life.renew <= left <= life.expiry + _CLOCK_SLACK:
            return row.content, row.version
    sign(fresh, signer)
    content = render(fresh)
    add_versions(session, [(SNAPSHOT, version, content)], now=now)
    return content, version


def _own_words(row: MetadataRow | None, root: Root) -> Mapping[str, MetaFile]:
    """Return what the snapshot in ``row`` says of each role, when an online key that root appoints signed just that.

    Whoever can write to the database could else have it say something that is then signed again.
    """
    if row is None:
        return {}
    metadata, about = parse_signed(row.content, Snapshot, where=SNAPSHOT)
    if not root.get_verification_result(SNAPSHOT, about, metadata.signatures).verified:
        return {}
    return {name.removesuffix(".json"): meta for name, meta in metadata.signed.meta.items()}


def _named(session: Session, known: Mapping[str, MetaFile]) -> dict[str, MetaFile]:
    """Return how a snapshot names every role: as ``known`` where the version is still the same, else read anew."""
    named = {}
    for role, version in newest_versions(session).items():
        meta = known.get(role)
        if meta is None or meta.version != version:
            meta = describe(published_content(session, role, version), Targets, where=role)
        named[role] = meta
    return named


def _next_version(session: Session, role: str) -> int:
    statement = select(MetadataRow.version).where(MetadataRow.role == role)
    newest = session.scalars(statement.order_by(MetadataRow.version.desc()).limit(1)).first()
    return (newest or 0) + 1
