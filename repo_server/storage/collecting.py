"""Removing blobs that nothing names (edge): `skillrepo gc`.

Such blobs are what is left of an import that ended half-way, of a draft that was decided anew, of an upload whose build never came.
A blob goes when no row names it (candidates in whatever state, releases, proposals, profiles, evidence, metadata,
serials of packages, records of the log), nor any list that those name, and it was not stored again within the grace period.

How old a blob is, is asked of the store alone: its clock and its dates, never this machine's clock beside the store's dates.
So a clock that is a month ahead, here or there, makes nothing old.

Listing takes place beside the work of others, and so does reading what the lists name: of a store far away that takes minutes.
Removing happens in short transactions that keep other writers out. Each of them reads the rows anew, and removes only while they
name what they named when the lists were read; else these are read again, beside the work of others. Whoever stores a blob again makes it young; whoever counts on one that is gone is told by the
same transaction. Evidence that was accepted is a row, so it stays.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

from sqlalchemy import delete
from sqlalchemy.orm import Session

from repo_server.db import log
from repo_server.db.models import PackageDigestRow
from repo_server.db.session import snapshot, transaction
from repo_server.repository import Repository
from repo_server.storage.blobs import EndlessListError
from repo_server.storage.references import References, digests_in_rows
from signing.errors import HostError
from signing.format.digest import Sha256, sha256_of
from signing.format.moment import render_moment

GRACE: Final = timedelta(days=7)  # uploads are continued for two days, and an import takes minutes
LEAST_GRACE: Final = timedelta(hours=1)
# What was computed of a package's bytes names no package; digests of tokens are none of blobs.
_NAMES_NOTHING: Final = frozenset({"package_digests", "tokens"})
_MOST_AT_ONCE: Final = 1_000_000  # a run keeps them in memory; the next run goes on
_SECONDS_AT_ONCE: Final = 3.0  # publishers wait for so long
_TRIES: Final = 5  # where somebody writes all the time, they wait for us then


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """Blobs that nothing names, with their sizes, and files that killed processes left half written.

    ``since`` is what they are older than, by the store's clock. ``listed_whole`` is whether the store's list came to an end.
    """

    since: datetime
    blobs: Mapping[Sha256, int]
    unfinished: tuple[Path, ...] = ()
    listed_whole: bool = True

    @property
    def bytes(self) -> int:
        """How many bytes the blobs take."""
        return sum(self.blobs.values())

    def to_json(self) -> dict[str, Any]:
        """Return what goes, as ``--json`` answers it and the log keeps it: no digest, or the log would name the blob."""
        names = "".join(f"{digest}\n" for digest in sorted(self.blobs))
        return {
            "blobs": len(self.blobs),
            "bytes": self.bytes,
            "unfinished": len(self.unfinished),
            "untouched_since": render_moment(self.since.replace(microsecond=0)),
            "listed_whole": self.listed_whole,
            # Who has the answer of a dry run can show that these were the ones; half a digest names nothing.
            "names": sha256_of(names.encode())[:32],
        }


@dataclass(slots=True)
class _Removed:
    blobs: dict[Sha256, int] = field(default_factory=dict)
    unfinished: list[Path] = field(default_factory=list)


@dataclass(slots=True)
class _Named:
    """What is named, worked out while others write; it holds as long as no row names anything else."""

    references: References
    rows: set[Sha256] | None = None
    digests: set[Sha256] = field(default_factory=set)
    tries: int = 0

    def work_out(self, repository: Repository) -> None:
        """Read rows and lists, if that was not done since somebody wrote."""
        if self.rows is None:
            with snapshot(repository.engine) as session:
                self.rows = _in_rows(session)
            self.digests = self.references.all_from(self.rows)

    def holds(self, session: Session) -> bool:
        """Return whether it is what is named in this transaction; when it is not, it has to be worked out again.

        Every record of the log has a digest of its own, so whoever wrote one is noticed whatever it names.
        """
        rows = _in_rows(session)
        if rows == self.rows:
            return True
        self.tries += 1
        if self.tries < _TRIES:
            self.rows = None
            return False
        self.rows, self.digests = rows, self.references.all_from(rows)
        return True


def find_leftovers(repository: Repository, *, grace: timedelta, references: References) -> Leftovers:
    """Return what nothing names and was not stored again for ``grace``. Nothing is changed; nobody waits.

    Raises:
        HostError: the store, or the database, cannot be asked.
    """
    blobs = repository.package_blobs
    since = blobs.clock() - grace
    listed, whole = _listed(blobs.untouched(since=since))
    with snapshot(repository.engine) as session:
        rows = _in_rows(session)
    named = references.all_from(rows)
    return Leftovers(
        since=since,
        blobs={digest: size for digest, size in listed.items() if digest not in named},
        unfinished=tuple(blobs.unfinished(since=since)),
        listed_whole=whole,
    )


def collect_leftovers(
    repository: Repository, *, now: datetime, grace: timedelta = GRACE, dry_run: bool = False
) -> Leftovers:
    """Remove what nothing names, and return what went; with ``dry_run``, what would go.

    Args:
        repository: its blobs are looked at; its log says what went.
        now: dates the records; nothing is judged by it.
        grace: how long nobody may have stored a blob again.
        dry_run: change nothing.

    Raises:
        HostError: the store, or the database, cannot be asked, or something cannot be removed; run it again.
        ConflictError: other writers kept the database busy for too long.
    """
    references = References(repository.package_blobs)
    found = find_leftovers(repository, grace=grace, references=references)
    if dry_run or not (found.blobs or found.unfinished):
        return found
    with transaction(repository.engine) as session:
        log.append(session, event="blobs.collecting", facts=found.to_json(), now=now)
    removed = _Removed()
    waiting, named = iter(sorted(found.blobs.items())), _Named(references)
    try:
        while _remove_some(repository, named, waiting, removed, since=found.since):
            pass
        _remove_unfinished(found.unfinished, removed)
    finally:
        gone = Leftovers(
            since=found.since,
            blobs=removed.blobs,
            unfinished=tuple(removed.unfinished),
            listed_whole=found.listed_whole,
        )
        with transaction(repository.engine) as session:
            log.append(session, event="blobs.collected", facts=gone.to_json(), now=now)
    return gone


def _listed(listing: Iterator[tuple[Sha256, int]]) -> tuple[dict[Sha256, int], bool]:
    """Return what was listed, and whether that was all: each is looked at by itself, so a part is of use too."""
    found: dict[Sha256, int] = {}
    try:
        found.update(islice(listing, _MOST_AT_ONCE))  # what came before an error stays
    except EndlessListError:
        return found, False
    return found, len(found) < _MOST_AT_ONCE


def _in_rows(session: Session) -> set[Sha256]:
    return set(digests_in_rows(session, except_for=_NAMES_NOTHING))


def _remove_some(
    repository: Repository,
    named: _Named,
    waiting: Iterator[tuple[Sha256, int]],
    removed: _Removed,
    *,
    since: datetime,
) -> bool:
    """Remove what is due, for a few seconds, and return whether there may be more."""
    blobs = repository.package_blobs
    named.work_out(repository)
    with transaction(repository.engine) as session:
        if not named.holds(session):
            return True
        end = time.monotonic() + _SECONDS_AT_ONCE
        for digest, size in waiting:
            if digest not in named.digests and blobs.remove_untouched(digest, since=since):
                session.execute(delete(PackageDigestRow).where(PackageDigestRow.sha256 == digest))
                removed.blobs[digest] = size
            if time.monotonic() >= end:
                return True
    return False


def _remove_unfinished(paths: tuple[Path, ...], removed: _Removed) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise HostError(f"cannot remove {path}: {error.strerror}", hint="run it again") from error
        removed.unfinished.append(path)
