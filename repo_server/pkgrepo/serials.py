"""Serials of a package repository: what a new one keeps of earlier ones, and the way back by a new one.

    keep_of(packages, history, now=…)      which earlier packages stay vouched for: 14 days after they were last listed
    rolled_back(old, previous, …)          the index of a rollback: the packages of serial 5 as serial 8

Nothing ever goes back by serving something old again: whoever remembers serial 7 refuses serial 5, and rightly. A
rollback is the next serial, dated now, signed by the builder, and says who meant it and why; how it is published stands
in `repo_server.pkgrepo.rolling_back`.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session
from tuf.api.metadata import Targets

from repo_server.db.models import MetadataRow, PackageSerialRow
from repo_server.pkgrepo.going_back import gone_after
from repo_server.pkgrepo.succession import MIN_STEP
from repo_server.publishing.vouched import vouched_targets
from repo_server.repository import Repository
from signing.errors import BadSignatureError, ConflictError, NotFoundError, WrongSubjectError
from signing.format.digest import Sha256
from signing.format.pkg.index import MAX_PACKAGES, IndexedPackage, Intent, IntentKind, RepoIndex
from signing.format.pkg.names import PackageRepo
from signing.metadata import lint_targets, parse
from signing.roles import TARGETS

GRACE: Final = timedelta(days=14)


def keep_of(
    packages: Iterable[IndexedPackage],
    history: Sequence[RepoIndex],
    *,
    grace: timedelta = GRACE,
    now: datetime,
) -> tuple[IndexedPackage, ...]:
    """Return what a serial listing ``packages`` keeps of earlier serials: sorted, as an index takes it.

    A package is kept until ``grace`` after the day when it was listed last: a profile that pins it can still be born,
    and a client that has just read the old catalogue still gets what that names.

    Args:
        packages: what the new serial lists.
        history: earlier serials, the newest first, as far as they are known; at least the one that is followed. Where
            they do not reach back for ``grace``, what the oldest of them keeps is kept on: nobody knows since when.
        grace: how long a package outlives its listing.
        now: the present.
    """
    if not history:
        return ()
    found: dict[Sha256, IndexedPackage] = {}
    end, listed_until = now - grace, now
    for index in history:
        if listed_until < end:
            break
        for package in index.packages:
            found.setdefault(package.sha256, package)
        listed_until = index.created
    else:
        if listed_until >= end:
            for package in history[-1].kept:
                found.setdefault(package.sha256, package)
    return _kept(found.values(), packages, history[0])


def rolled_back(
    index_old: RepoIndex,
    previous: RepoIndex,
    *,
    by: str,
    reason: str,
    now: datetime,
    kept: Iterable[IndexedPackage] | None = None,
) -> RepoIndex:
    """Return the index that follows ``previous`` and lists again what ``index_old`` listed.

    Packages and catalogue files are those of ``index_old``, to the byte; number and date are new, so that every client
    fetches them. ``kept`` is everything else that ``previous`` vouches for, unless it is given.

    Raises:
        WrongSubjectError: they are not of one repository.
        ConflictError: ``index_old`` is not older, or nothing would change.
        FormatError: nobody, or no reason, is given.
    """
    if (index_old.repository, index_old.repo) != (previous.repository, previous.repo):
        raise WrongSubjectError(f"serial {index_old.serial} is of another repository", where="--to")
    if index_old.serial >= previous.serial:
        raise ConflictError(
            f"serial {index_old.serial} is not older than {previous.serial}, which is published",
            hint="skillrepo pkg serials shows what there is",
        )
    if (index_old.packages, index_old.catalogue) == (previous.packages, previous.catalogue):
        raise ConflictError(f"serial {previous.serial} holds exactly what serial {index_old.serial} held")
    intent = Intent(kind=IntentKind.ROLLBACK, by=by, reason=reason, serial=index_old.serial)
    return RepoIndex(
        repository=previous.repository,
        repo=previous.repo,
        serial=previous.serial + 1,
        created=max(now.replace(microsecond=0), previous.created + MIN_STEP),
        build=index_old.build,
        catalogue=index_old.catalogue,
        packages=index_old.packages,
        kept=_kept(previous.all_packages() if kept is None else kept, index_old.packages, previous),
        fingerprints=index_old.fingerprints,
        intent=Intent.from_json(intent.to_json(), "intent"),
        gone=gone_after(previous, index_old.packages),
    )


def serial_index(repository: Repository, session: Session, repo: PackageRepo, serial: int) -> RepoIndex:
    """Return a published serial as its builder signed it: the database only says where to look.

    Raises:
        NotFoundError: there is none of that number, or its list is not here any more.
        BadSignatureError: it was not signed by whom the anchor's chain appoints now.
        WrongSubjectError: it is another serial. FormatError, DigestMismatchError: it is damaged.
    """
    row = session.get(PackageSerialRow, (str(repo), serial))
    if row is None:
        raise NotFoundError(
            f"{repo} has no serial {serial}", hint="skillrepo pkg serials shows what there is"
        )
    signed = session.get(MetadataRow, (repo.role, row.role_version))
    if signed is None:
        raise NotFoundError(f"version {row.role_version} of {repo.role} is not in the database")
    metadata = parse(signed.content, Targets, where=repo.role)
    delegator = vouched_targets(session, TARGETS, anchor=repository.anchor)
    try:
        verified = delegator.get_verification_result(
            repo.role, metadata.signed_bytes, metadata.signatures
        ).verified
    except ValueError:  # nobody is appointed any more
        verified = False
    if not verified:
        raise BadSignatureError(
            f"serial {serial} of {repo} was not signed with a key that is appointed now",
            hint="a key that was replaced brings nothing back: build the packages again",
        )
    lint_targets(metadata.signed, where=repo.role)
    target = metadata.signed.targets.get(repo.index_path)
    if target is None:
        raise WrongSubjectError("names no index", where=repo.role)
    index = RepoIndex.parse(repository.blobs.load(Sha256(target.hashes["sha256"])))
    if (index.repo, index.serial) != (repo, serial):
        raise WrongSubjectError(f"is serial {index.serial} of {index.repo}", where=f"serial {serial}")
    return index


def earlier(
    repository: Repository, session: Session, repo: PackageRepo, *, since: datetime
) -> list[RepoIndex]:
    """Return the serials that were served at some time after ``since``, the newest first, for `keep_of`.

    Where an older one cannot be read or verified, the list ends before it.
    """
    found: list[RepoIndex] = []
    newest = max((row.serial for row in rows_of(session, repo)), default=0)
    for serial in range(newest, 0, -1):
        try:
            found.append(serial_index(repository, session, repo, serial))
        except (NotFoundError, BadSignatureError):
            break
        if found[-1].created < since:
            break
    return found


def rows_of(session: Session, repo: PackageRepo | None = None) -> list[PackageSerialRow]:
    """Return the published serials, of one repository or of all, the newest first."""
    statement = select(PackageSerialRow).order_by(PackageSerialRow.repo, PackageSerialRow.serial.desc())
    if repo is not None:
        statement = statement.where(PackageSerialRow.repo == str(repo))
    return list(session.scalars(statement))


def _kept(
    candidates: Iterable[IndexedPackage], listed: Iterable[IndexedPackage], previous: RepoIndex
) -> tuple[IndexedPackage, ...]:
    """Return ``candidates`` that are not listed; only what ``previous`` vouches for may be kept on."""
    known, taken = previous.by_sha256(), {package.sha256 for package in listed}
    chosen: dict[tuple[str, str, str], IndexedPackage] = {}
    for package in candidates:
        if package.sha256 in known and package.sha256 not in taken and len(chosen) < MAX_PACKAGES:
            chosen.setdefault((package.name, package.version, package.sha256), package)
    return tuple(chosen[key] for key in sorted(chosen))
