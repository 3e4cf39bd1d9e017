"""Accepting a build: what a builder hands in is checked again, from its bytes, and becomes the next serial.

    blobs (packages, catalogue files, repo.json) are here already, by digest
    accept_build(repository, session, repo, metadata, online, now=…)

The builder's key says what the repository holds; it does not say that it is consistent, newer, or here. So nothing of
it is published before

1. the role's metadata is signed by the key that the anchor's chain appoints, and is the next one (`check_next`);
2. the index follows the last one: number, date, what is kept and gone; no version goes back unless somebody meant it and
   wrote why (`repo_server.pkgrepo.succession`), and a rollback brings back exactly what it says;
3. nothing of it is revoked or under examination;
4. every byte that it names is here;
5. pkg's own catalogue lists exactly these packages, under signatures that the index names and none that is revoked.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from securesystemslib.signer import Signer
from sqlalchemy.orm import Session
from tuf.api.metadata import TargetFile

from repo_server.db import log
from repo_server.db.models import PackageDigestRow, PackageSerialRow, TargetRow
from repo_server.pkgrepo.against_index import check_catalogue
from repo_server.pkgrepo.fingerprints import FingerprintAnchors, load_revoked
from repo_server.pkgrepo.going_back import going_back
from repo_server.pkgrepo.indexes import continued_index, published_index
from repo_server.pkgrepo.intake import known_digests
from repo_server.pkgrepo.places import fingerprints_folder
from repo_server.pkgrepo.serials import serial_index
from repo_server.pkgrepo.succession import check_comes_back, check_follows
from repo_server.publishing.alone import check_next
from repo_server.publishing.online import OnlineState, sign_state
from repo_server.publishing.state import add_versions
from repo_server.publishing.withdrawals import curators_of, published_list
from repo_server.repository import Repository
from signing.errors import NotFoundError, WrongSubjectError
from signing.format.digest import Sha256
from signing.format.pkg.index import IntentKind, RepoIndex
from signing.format.pkg.names import PackageRepo
from signing.format.pkg.sums import Digests, Hasher
from signing.format.withdrawal import Withdrawn
from signing.withdrawals import refusal

_CHUNK: Final = 1 << 20
_LOGGED: Final = 50


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
        RollbackError: serial, time or a version goes back. RevokedError: a package, or a key for pkg's catalogue, is.
        VerificationError, FormatError: it is not what it says.
    """
    targets, target, signers = check_next(repository, session, repo.role, metadata, now=now)
    published = published_index(repository, session, repo)
    index = _load_index(repository, target)
    renewed = published is not None and index == published
    back: list[str] = []
    if not renewed:
        previous = continued_index(repository, session, repo)
        if previous is not None and published is None and index.kept:
            # A key may have been replaced because somebody else had it: what it left is not handed on unseen.
            raise WrongSubjectError("keeps what another builder left", where=repo.index_path)
        check_follows(index, previous, repo, now=now)
        back = [str(step) for step in going_back(previous, index.packages)] if previous is not None else []
        if index.intent is not None and index.intent.kind is IntentKind.ROLLBACK:
            check_comes_back(index, serial_index(repository, session, repo, index.intent.serial))
        _check_not_withdrawn(repository, session, index)
        _check_here(repository, index)
        _check_catalogue(repository, session, index)
        _record(session, index, target, targets.version, signers, now=now)
    add_versions(session, [(repo.role, targets.version, metadata)], now=now)
    state = sign_state(session, online, now=now)
    event = "packages.renewed" if renewed else "packages.published"
    facts = {
        "repository": str(repo),
        "serial": index.serial,
        "index_sha256": target.hashes["sha256"],
        "packages": len(index.packages),
        "build": dict(index.build),
        "intent": index.intent.to_json() if index.intent is not None else None,
        "went_back": len(back),
        "first_back": back[:_LOGGED],
        "signed_by": list(signers),
        "snapshot": state.snapshot,
    }
    log.append(session, event=event, facts=facts, now=now)
    return AcceptedBuild(
        index=index, role_version=targets.version, signed_by=signers, renewed=renewed, online=state
    )


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


def _check_catalogue(repository: Repository, session: Session, index: RepoIndex) -> None:
    """A key that clients were told to refuse signs nothing more: with it, they would refuse all that is served."""
    revoked = load_revoked(fingerprints_folder(repository.pkg_root, index.repo))
    anchors = FingerprintAnchors(trusted=frozenset(index.fingerprints), revoked=revoked)
    digests = _digests(repository, session, index)
    check_catalogue(index, repository.blobs.load, anchors, digests=digests)


def _digests(repository: Repository, session: Session, index: RepoIndex) -> dict[Sha256, Digests]:
    """Return both digests of every listed package; each file is read once in its life here."""
    wanted = sorted({package.sha256 for package in index.packages})
    known = known_digests(session, wanted)
    for digest in wanted:
        if digest not in known:
            found, size = _read(repository, digest)
            known[digest] = found.blake2b
            session.add(PackageDigestRow(sha256=digest, blake2b=found.blake2b, size=size))
    return {digest: Digests(sha256=digest, blake2b=blake2b) for digest, blake2b in known.items()}


def _read(repository: Repository, digest: Sha256) -> tuple[Digests, int]:
    hasher, size = Hasher(), 0
    with repository.package_blobs.open(digest) as stream:
        while piece := stream.read(_CHUNK):
            hasher.update(piece)
            size += len(piece)
    found = hasher.digests()
    if found.sha256 != digest:
        raise WrongSubjectError(f"blob {digest[:16]}… is damaged on disk", hint="send it again")
    return found, size


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
