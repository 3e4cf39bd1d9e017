"""Accepting a build: what a builder hands in is checked again, from its bytes, and becomes the next serial.

    blobs (packages, catalogue files, repo.json) are here already, by digest
    accept_build(repository, session, repo, metadata, online, now=…)

The builder's key says what the repository holds; it does not say that it is consistent, newer, or here. So nothing of
it is published before: the key is the one that the anchor's chain appoints, serial and time follow the last ones, every
byte is here, pkg's own catalogue lists exactly these packages under signatures that the index names, and no version
goes back unless somebody meant it and wrote why.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from securesystemslib.signer import Signer
from sqlalchemy import select
from sqlalchemy.orm import Session
from tuf.api.metadata import TargetFile

from repo_server.db import log
from repo_server.db.models import PackageDigestRow, PackageSerialRow, TargetRow
from repo_server.pkgrepo.fingerprints import FingerprintAnchors
from repo_server.pkgrepo.indexes import continued_index, published_index
from repo_server.pkgrepo.verifying import check_catalogue
from repo_server.publishing.alone import check_next
from repo_server.publishing.online import OnlineState, sign_state
from repo_server.publishing.state import add_versions
from repo_server.publishing.withdrawals import curators_of, published_list
from repo_server.repository import Repository
from signing.errors import ConflictError, NotFoundError, RollbackError, WrongSubjectError
from signing.format.digest import Sha256
from signing.format.pkg.index import IndexedPackage, RepoIndex
from signing.format.pkg.names import PackageName, PackageRepo
from signing.format.pkg.sums import Digests, Hasher
from signing.format.pkg.version import VersionKey, compare_versions
from signing.format.withdrawal import Withdrawn
from signing.withdrawals import refusal

_CLOCK_SLACK: Final = timedelta(minutes=10)
# pkg compares whole seconds, and the files of one catalogue are a second apart (reference/freebsd-pkg §1.3).
MIN_STEP: Final = timedelta(seconds=3)
_CHUNK: Final = 1 << 20
_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedBuild:
    """What became of a build that was handed in."""

    index: RepoIndex
    role_version: int
    signed_by: tuple[str, ...]
    renewed: bool
    online: OnlineState

    def to_json(self) -> dict[str, Any]:
        """Return the result as ``--json`` answers it."""
        return {
            "repository": str(self.index.repo),
            "serial": self.index.serial,
            "packages": len(self.index.packages),
            "kept": len(self.index.kept),
            "role_version": self.role_version,
            "signed_by": list(self.signed_by),
            "renewed": self.renewed,
            "snapshot_version": self.online.snapshot,
            "timestamp_version": self.online.timestamp,
        }


def accept_build(
    repository: Repository,
    session: Session,
    repo: PackageRepo,
    metadata: bytes,
    online: Signer,
    *,
    now: datetime,
) -> AcceptedBuild:
    """Publish the build that ``metadata`` names, or renew what is published when it names the same.

    The caller writes the published tree afterwards (`repo_server.pkgrepo.published`).

    Raises:
        NotFoundError: nobody is appointed for ``repo``, or bytes are missing.
        ThresholdError: not the builder's signature. ConflictError: another build was published meanwhile.
        RollbackError: serial, time or a version goes back.
        VerificationError, FormatError: it is not what it says.
    """
    targets, target, signers = check_next(repository, session, repo.role, metadata, now=now)
    published = published_index(repository, session, repo)
    digest = Sha256(target.hashes["sha256"])
    index = _load_index(repository, target)
    renewed = published is not None and index == published
    if not renewed:
        check_follows(index, continued_index(repository, session, repo), repo, now=now)
        if published is None and index.kept:
            # A key may have been replaced because somebody else had it: what it left is not handed on unseen.
            raise WrongSubjectError("keeps what another builder left", where=repo.index_path)
        _check_not_withdrawn(repository, session, index)
        _check_here(repository, index)
        check_catalogue(
            index,
            repository.blobs.load,
            FingerprintAnchors(trusted=frozenset(index.fingerprints), revoked=frozenset()),
            digests=_digests(repository, session, index),
        )
        _record(session, index, target, targets.version, signers, now=now)
    add_versions(session, [(repo.role, targets.version, metadata)], now=now)
    state = sign_state(session, online, now=now)
    event = "packages.renewed" if renewed else "packages.published"
    facts = {
        "repository": str(repo),
        "serial": index.serial,
        "index_sha256": digest,
        "packages": len(index.packages),
        "build": dict(index.build),
        "intent": index.intent.to_json() if index.intent is not None else None,
        "signed_by": list(signers),
        "snapshot": state.snapshot,
    }
    log.append(session, event=event, facts=facts, now=now)
    return AcceptedBuild(
        index=index, role_version=targets.version, signed_by=signers, renewed=renewed, online=state
    )


def serials(session: Session, repo: PackageRepo) -> list[PackageSerialRow]:
    """Return the published serials of ``repo``, the newest first."""
    statement = select(PackageSerialRow).where(PackageSerialRow.repo == str(repo))
    return list(session.scalars(statement.order_by(PackageSerialRow.serial.desc())))


def check_follows(index: RepoIndex, previous: RepoIndex | None, repo: PackageRepo, *, now: datetime) -> None:
    """Return None when ``index`` may come after ``previous``.

    Raises:
        WrongSubjectError: it is about another repository, or keeps packages that were never published here.
        ConflictError, RollbackError: serial, time or a version does not follow.
    """
    if index.repo != repo or (previous is not None and index.repository != previous.repository):
        raise WrongSubjectError(f"is an index of {index.repository}, {index.repo}", where=repo.index_path)
    following = 1 if previous is None else previous.serial + 1
    if index.serial != following:
        raise ConflictError(
            f"serial {index.serial} is handed in, the next one is {following}",
            hint="somebody published meanwhile: run the same command again",
        )
    if index.created > now + _CLOCK_SLACK:
        raise RollbackError(
            "was made in the future", where=repo.index_path, hint="check the build host's clock"
        )
    if previous is None:
        if index.kept:
            raise WrongSubjectError("keeps packages of builds that there never were", where=repo.index_path)
        return
    if index.created < previous.created + MIN_STEP:
        # Clients ask "is there anything newer than …": a build that is not newer is never fetched.
        raise RollbackError(
            f"was made at {index.created}, serial {previous.serial} at {previous.created}",
            where=repo.index_path,
            hint="check the build host's clock",
        )
    # To the letter: under another name it would escape a revocation, and without its dependencies every check of them.
    known = set(previous.all_packages())
    if strange := [package for package in index.kept if package not in known]:
        raise WrongSubjectError(f"keeps {strange[0].pin}, which serial {previous.serial} does not hold")
    if index.intent is None and (back := going_back(previous.packages, index.packages)):
        named = ", ".join(f"{name} {old} -> {new}" for name, old, new in back[:_NAMED])
        raise RollbackError(
            f"{len(back)} package(s) go back to an older version: {named}",
            hint="build the newer ones; or, if it is meant: --allow-downgrade REASON, or pkg rollback",
        )


def going_back(
    before: Iterable[IndexedPackage], after: Iterable[IndexedPackage]
) -> list[tuple[PackageName, str, str]]:
    """Return the packages whose newest version is older than it was: name, old version, new version."""
    old, new = _newest(before), _newest(after)
    return [
        (name, old[name], version)
        for name, version in sorted(new.items())
        if name in old and compare_versions(version, old[name]) < 0
    ]


def _newest(packages: Iterable[IndexedPackage]) -> dict[PackageName, str]:
    found: dict[PackageName, str] = {}
    for package in packages:
        known = found.get(package.name)
        if known is None or VersionKey.of(known) < VersionKey.of(package.version):
            found[package.name] = package.version
    return found


def _check_not_withdrawn(repository: Repository, session: Session, index: RepoIndex) -> None:
    """A package that is revoked or examined is not handed out again by the next build, nor kept by it."""
    curators, revocations = curators_of(repository, session), published_list(repository, session)
    if not any(entry.scope.sha256 or entry.scope.package for entry in revocations.entries):
        return
    for package in index.all_packages():
        for entry in curators.covering_package(revocations, package.pin, sha256=package.sha256):
            if entry.state is not Withdrawn.YANKED:
                raise refusal(entry, package.pin)


def _load_index(repository: Repository, target: TargetFile) -> RepoIndex:
    data = repository.blobs.load(Sha256(target.hashes["sha256"]))
    if len(data) != target.length:
        raise WrongSubjectError(f"is {len(data)} bytes long, not {target.length}", where=target.path)
    return RepoIndex.parse(data)


def _check_here(repository: Repository, index: RepoIndex) -> None:
    wanted = [(package.sha256, package.size, package.path) for package in index.all_packages()]
    wanted += [(file.sha256, file.size, file.name) for file in index.catalogue]
    missing = [path for digest, size, path in wanted if repository.package_blobs.size_of(digest) != size]
    if missing:
        raise NotFoundError(
            f"{len(missing)} file(s) are not here, first: {missing[0]}",
            hint="run skillrepo pkg publish again: it sends what is missing",
        )


def _digests(repository: Repository, session: Session, index: RepoIndex) -> dict[Sha256, Digests]:
    """Return both digests of every listed package; each file is read once in its life here."""
    wanted = {package.sha256 for package in index.packages}
    rows = session.scalars(select(PackageDigestRow))
    known = {Sha256(row.sha256): row for row in rows if row.sha256 in wanted}
    for digest in sorted(wanted - set(known)):
        hasher, size = Hasher(), 0
        with repository.package_blobs.open(digest) as stream:
            while piece := stream.read(_CHUNK):
                hasher.update(piece)
                size += len(piece)
        found = hasher.digests()
        if found.sha256 != digest:
            raise WrongSubjectError(f"blob {digest[:16]}… is damaged on disk", hint="send it again")
        known[digest] = PackageDigestRow(sha256=digest, blake2b=found.blake2b, size=size)
        session.add(known[digest])
    return {digest: Digests(sha256=digest, blake2b=row.blake2b) for digest, row in known.items()}


def _record(
    session: Session,
    index: RepoIndex,
    target: TargetFile,
    role_version: int,
    signers: tuple[str, ...],
    *,
    now: datetime,
) -> None:
    digest = target.hashes["sha256"]
    session.merge(TargetRow(path=index.repo.index_path, sha256=digest, length=target.length))
    session.add(
        PackageSerialRow(
            repo=str(index.repo),
            serial=index.serial,
            index_sha256=digest,
            role_version=role_version,
            packages=len(index.packages),
            signed_by=",".join(signers),
            created_at=index.created,
            published_at=now,
        )
    )
    session.flush()
