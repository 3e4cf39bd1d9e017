"""A package repository as its server serves it, believed as far as the anchor vouches for it (edge: it reads).

    site = ServedSite(skills="https://skills.clawdie.si", packages="https://pkg.clawdie.si", anchor=…)
    state = site.state(repo, now=…)                    metadata, walked from the anchor: fresh, of one state
    state.index()                                      repo.json, as its builder signed it; None before the first
    check_served(site, repo, index, metadata, now=…)   that what is served is what was handed in, to the byte

What is published next continues what is published now: number, kept packages, versions that must not go back. If
that were read from the server's own words, a server could have an old number signed once more, or foreign packages
kept. So it is read like a client reads it, and compared with what was seen here before (`repo_server.desk.seen`).
"""

import hashlib
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from tuf.api.metadata import MetaFile, Root, Snapshot, Targets, Timestamp

from repo_server.pkgrepo.places import BY_SHA256
from repo_server.pkgrepo.reading import RepositoryReader, open_repository
from repo_server.storage.blobs import Blobs
from signing.errors import (
    BadSignatureError,
    CouldNotVerifyError,
    DigestMismatchError,
    NotFoundError,
    PolicyError,
    RollbackError,
    WrongSubjectError,
)
from signing.format.digest import Sha256, check_sha256, sha256_of
from signing.format.names import TargetPath
from signing.format.pkg.index import MAX_INDEX_BYTES, IndexedPackage, RepoIndex
from signing.format.pkg.names import ADVISORIES_PATH, INDEX_NAME, PackageRepo
from signing.format.pkg.vuxml import MAX_FEED_BYTES, Advisories, parse_vuxml
from signing.metadata import lint_meta, lint_targets, parse, target_sha256
from signing.roles import ADVISORIES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from signing.trusted import TrustedMetadata, verify_metadata

MAX_ROLE_BYTES: Final = 1 << 20
_MAX_METADATA: Final = 8 << 20
_MAX_ROOTS: Final = 1_000
_MAX_HISTORY: Final = 400
_PIECE: Final = 1 << 20
_COMPROMISED: Final = "look at the server: publish again, and if it repeats treat it as compromised"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedSite:
    """Where both sites are: folders, or URLs as text. ``kept`` keeps indexes, so that none is fetched twice."""

    skills: Path | str
    packages: Path | str
    anchor: bytes = field(repr=False)
    kept: Blobs | None = None

    def below(self, place: Path | str, path: str) -> RepositoryReader:
        """Return a reader of the folder ``path`` of one of the sites."""
        return open_repository(place / path if isinstance(place, Path) else f"{place.rstrip('/')}/{path}")

    def state(self, repo: PackageRepo, *, now: datetime) -> "ServedState":
        """Return what is served now about ``repo``, walked from the anchor.

        Raises:
            VerificationError: it is not what the anchor vouches for now. FormatError: it is no metadata.
            NotFoundError: a file is withheld. TransportError, HostError: it cannot be read.
        """
        with self.below(self.skills, "metadata") as reader:
            files, roots = _fetch(reader, repo, self.anchor)
        trusted = verify_metadata(self.anchor, roots=roots, files=files, now=now)
        # `verify_metadata` has walked them: each is signed by the one before it.
        chain = [parse(root, Root, where=ROOT).signed for root in (self.anchor, *roots)]
        return ServedState(site=self, repo=repo, trusted=trusted, files=files, roots=tuple(reversed(chain)))

    def target(self, folder: str, name: str, digest: Sha256, *, max_bytes: int) -> bytes:
        """Return the target file ``folder``/``name`` with ``digest``, compared with it.

        Raises:
            DigestMismatchError: the server has something else under this name. NotFoundError: nothing.
        """
        if self.kept is not None:
            with suppress(NotFoundError, DigestMismatchError):
                return self.kept.load(digest)
        with self.below(self.skills, f"targets/{folder}") as reader:
            data = reader.load(f"{digest}.{name}", max_bytes=max_bytes)
        check_sha256(data, digest, where=name)
        if self.kept is not None:
            self.kept.store(data)
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedState:
    """One state of the repository; everything in it belongs to one snapshot."""

    site: ServedSite
    repo: PackageRepo
    trusted: TrustedMetadata
    files: dict[str, bytes] = field(repr=False)
    roots: tuple[Root, ...] = field(repr=False)

    def targets(self) -> Targets | None:
        """Return the metadata of the builder's role, also past its end; None before its first.

        The fresh snapshot says that it is the newest. Whoever comes back after months has to continue it.

        Raises:
            VerificationError, FormatError: it is not what the builder signed.
        """
        return self.signed_targets(self.repo.role)

    def index(self) -> RepoIndex | None:
        """Return ``repo.json``; None before the first.

        Raises:
            VerificationError, FormatError: it is not what the builder signed. NotFoundError: it is withheld.
        """
        targets = self.targets()
        return self.index_of(targets) if targets is not None else None

    def history(self, *, since: datetime) -> tuple[RepoIndex, ...]:
        """Return the serials that were served after ``since``, the newest first, as far as they are still there.

        Raises:
            VerificationError, FormatError: the newest is not what the builder signed.
        """
        found: list[RepoIndex] = []
        for index in self.serials():
            found.append(index)
            if index.created < since or len(found) >= _MAX_HISTORY:
                break
        return tuple(found)

    def serial(self, number: int) -> RepoIndex:
        """Return serial ``number``, as the present builder signed it.

        Raises:
            NotFoundError: there is none, it is not kept any more, or a builder who was replaced signed it.
            VerificationError, FormatError: the newest is not what the builder signed.
        """
        for index in self.serials():
            if index.serial == number:
                return index
            if index.serial < number:
                break
        raise NotFoundError(
            f"{self.repo} shows no serial {number} of its present builder",
            hint="skillrepo pkg serials shows what there is; a key that was replaced brings nothing back",
        )

    def advisories(self, *, also_ended: bool = False) -> Advisories | None:
        """Return the list of known vulnerabilities; None when there is none that still holds.

        With ``also_ended``, one past its end counts too: whoever brings a newer one compares the two.

        Raises:
            VerificationError, FormatError: it is not what a curator signed.
        """
        targets = self.signed_targets(ADVISORIES)
        target = targets.targets.get(ADVISORIES_PATH) if targets is not None else None
        if targets is None or target is None:
            return None
        if targets.is_expired(self.trusted.checked_at) and not also_ended:
            return None
        digest = target_sha256(target, where=ADVISORIES)
        return parse_vuxml(self._file(ADVISORIES_PATH, digest, max_bytes=MAX_FEED_BYTES))

    def signed_targets(self, role: str) -> Targets | None:
        """Return the metadata of ``role`` that the snapshot names, signed by its holder; None before its first.

        Raises:
            VerificationError, FormatError: it is something else.
        """
        meta = self.trusted.snapshot.meta.get(f"{role}.json")
        if meta is None:
            return None
        return self._as_named(_signed(self.files[role], self.trusted.targets, role), role, meta)

    def left_behind(self) -> Targets | None:
        """Return what an earlier builder left, whose key was replaced since: the next version follows it.

        None when the present builder, or nobody, signed what is served.

        Raises:
            BadSignatureError: nobody ever appointed signed it. VerificationError, FormatError: it is something else.
        """
        role = self.repo.role
        meta = self.trusted.snapshot.meta.get(f"{role}.json")
        if meta is None or _is_signed(self.files[role], self.trusted.targets, role):
            return None
        with self.site.below(self.site.skills, "metadata") as reader, suppress(NotFoundError):
            for version in range(self.trusted.targets.version - 1, 0, -1):
                data = reader.load(f"{version}.{TARGETS}.json", max_bytes=MAX_ROLE_BYTES)
                # By the curators of then, who may have left since.
                under = next(
                    (root for root in self.roots if _is_signed(data, root, TARGETS)), self.trusted.root
                )
                earlier = _signed(data, under, TARGETS)
                if _is_signed(self.files[role], earlier, role):
                    return self._as_named(_signed(self.files[role], earlier, role), role, meta)
        raise BadSignatureError("is signed by nobody who was ever appointed", where=role)

    def _as_named(self, targets: Targets, role: str, meta: MetaFile) -> Targets:
        length, digest = lint_meta(meta, where=role)
        data = self.files[role]
        check_sha256(data, digest, where=role)
        if (len(data), targets.version) != (length, meta.version):
            raise RollbackError("is not what the snapshot names", where=role)
        return targets

    def versions(self) -> dict[str, int]:
        """Return the versions that are to be remembered: what people and builders sign, never the online key's."""
        found = {ROOT: self.trusted.root.version, TARGETS: self.trusted.targets.version}
        if (targets := self.left_behind() or self.targets()) is not None:
            found[self.repo.role] = targets.version
        return found

    def serials(self) -> Iterator[RepoIndex]:
        """Yield the serials of the present builder, the newest first, as far as they are still there.

        Raises:
            VerificationError, FormatError: the newest is not what the builder signed.
        """
        last: int | None = None
        for index in self._backwards():
            if last is None or index.serial < last:  # a renewal names the same one again
                last = index.serial
                yield index

    def _backwards(self) -> Iterator[RepoIndex]:
        targets = self.targets()
        if targets is None:
            return
        yield self.index_of(targets)
        with self.site.below(self.site.skills, "metadata") as reader:
            for version in range(targets.version - 1, 0, -1):
                name = f"{version}.{self.repo.role}.json"
                try:
                    data = reader.load(name, max_bytes=MAX_ROLE_BYTES)
                    yield self.index_of(_signed(data, self.trusted.targets, self.repo.role))
                except (NotFoundError, BadSignatureError):
                    return  # dropped here, or signed by a builder that was replaced

    def index_of(self, targets: Targets) -> RepoIndex:
        """Return the index that ``targets`` of this role names.

        Raises:
            NotFoundError: it names none, or that is withheld. VerificationError, FormatError: it is something else.
        """
        target = targets.targets.get(self.repo.index_path)
        if target is None:
            raise NotFoundError(f"{self.repo.role} names no index")
        digest = target_sha256(target, where=self.repo.role)
        index = RepoIndex.parse(self._file(self.repo.index_path, digest, max_bytes=MAX_INDEX_BYTES))
        if index.repo != self.repo:
            raise WrongSubjectError(f"is an index of {index.repo}", where=self.repo.index_path)
        return index

    def _file(self, path: TargetPath, digest: Sha256, *, max_bytes: int) -> bytes:
        folder, _, name = path.rpartition("/")
        return self.site.target(folder, name, digest, max_bytes=max_bytes)


def check_served(
    site: ServedSite, repo: PackageRepo, index: RepoIndex, metadata: bytes, *, now: datetime
) -> bool:
    """Return whether pkg's files could be looked at too, after checking that what is served is what was handed in.

    As a birth sees it (from the anchor) and as pkg sees it (the catalogue, and one package, drawn at random). False
    where the package site shows its files only to who has a token for them.

    Raises:
        DigestMismatchError, CouldNotVerifyError: it is not.
        VerificationError, TransportError: see `ServedSite.state`.
    """
    state = site.state(repo, now=now)
    state.trusted.vouch(repo.index_path)
    targets = state.targets()
    if targets is None or state.files[repo.role] != metadata or state.index_of(targets) != index:
        raise CouldNotVerifyError(
            f"the server took serial {index.serial} of {repo} and serves something else", hint=_COMPROMISED
        )
    digest = target_sha256(targets.targets[repo.index_path], where=repo.role)
    try:
        with site.below(site.packages, f"{repo.abi}/{repo.channel}") as reader:
            for file in index.catalogue:
                _same(reader.load(file.name, max_bytes=file.size), file.sha256, file.name)
            _same(reader.load(INDEX_NAME, max_bytes=MAX_INDEX_BYTES), digest, INDEX_NAME)
            package = random.SystemRandom().choice(index.packages)
            _same_package(reader, package.path, package)
        with site.below(site.packages, BY_SHA256) as reader:
            _same_package(reader, f"{package.sha256}.pkg", package)
    except PolicyError:
        return False
    return True


def _fetch(
    reader: RepositoryReader, repo: PackageRepo, anchor: bytes
) -> tuple[dict[str, bytes], list[bytes]]:
    roots: list[bytes] = []
    version = parse(anchor, Root, where="trust anchor").signed.version
    with suppress(NotFoundError):
        while len(roots) < _MAX_ROOTS:
            roots.append(reader.load(f"{version + len(roots) + 1}.{ROOT}.json", max_bytes=MAX_ROLE_BYTES))
    files = {TIMESTAMP: reader.load(f"{TIMESTAMP}.json", max_bytes=MAX_ROLE_BYTES)}
    timestamp = parse(files[TIMESTAMP], Timestamp, where=TIMESTAMP).signed
    version = timestamp.snapshot_meta.version
    files[SNAPSHOT] = reader.load(f"{version}.{SNAPSHOT}.json", max_bytes=_MAX_METADATA)
    named = parse(files[SNAPSHOT], Snapshot, where=SNAPSHOT).signed.meta
    for role in (TARGETS, repo.role, ADVISORIES):
        if (meta := named.get(f"{role}.json")) is not None:
            files[role] = reader.load(f"{meta.version}.{role}.json", max_bytes=_MAX_METADATA)
    return files, roots


def _signed(data: bytes, delegator: Root | Targets, role: str) -> Targets:
    """Return metadata of ``role`` signed by whom ``delegator`` appoints."""
    if not _is_signed(data, delegator, role):
        raise BadSignatureError("is not signed by whom the anchor's chain appoints now", where=role)
    targets = parse(data, Targets, where=role).signed
    lint_targets(targets, where=role)
    return targets


def _is_signed(data: bytes, delegator: Root | Targets, role: str) -> bool:
    metadata = parse(data, Targets, where=role)
    try:
        return delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures).verified
    except ValueError:  # nobody is appointed
        return False


def _same(data: bytes, digest: Sha256, name: str) -> None:
    if sha256_of(data) != digest:
        raise DigestMismatchError("is served otherwise than it was handed in", where=name, hint=_COMPROMISED)


def _same_package(reader: RepositoryReader, name: str, package: IndexedPackage) -> None:
    found = hashlib.sha256()
    with reader.open(name, max_bytes=package.size) as stream:
        while piece := stream.read(_PIECE):
            found.update(piece)
    if found.hexdigest() != package.sha256:
        raise DigestMismatchError("is served otherwise than it was handed in", where=name, hint=_COMPROMISED)
