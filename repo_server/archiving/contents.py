"""What an archive of a repository state holds, computed from what the anchor vouches for.

    survey(trusted, files=…, roots=…, choice=…, load=…) -> Contents

Whoever writes an archive and whoever takes one in ask this same function, so they cannot disagree about what is complete. No disk,
no clock; ``load`` gives the few documents that say what else is needed, and they are verified here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from tuf.api.metadata import Root, Targets, Timestamp

from repo_server.archiving.format import (
    BY_SHA256,
    METADATA,
    SERIALS,
    TARGETS,
    ArchiveIndex,
    Choice,
    FileFact,
)
from signing.errors import CouldNotVerifyError, NotFoundError, WrongSubjectError
from signing.evidence import verify_profile, verify_revocations
from signing.format.digest import Sha256, sha256_of
from signing.format.names import REVOCATIONS_PATH, Pin, TargetPath
from signing.format.pkg.index import RepoIndex
from signing.format.pkg.names import ADVISORIES_PATH, PackageRepo
from signing.format.profile import Profile
from signing.format.revocations import Revocations
from signing.metadata import lint_meta, parse
from signing.package_evidence import verify_package_set
from signing.roles import ADVISORIES, ROOT, SNAPSHOT, TIMESTAMP, hashed_path, is_pkg
from signing.roles import TARGETS as TARGETS_ROLE
from signing.trusted import TrustedMetadata, VouchedTarget

Load = Callable[[VouchedTarget], bytes]
_TOP: Final = frozenset({ROOT, SNAPSHOT, TIMESTAMP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Every file of an archive; ``indexes`` are the package repositories that it holds as a whole.

    ``roles`` are the versions of all roles that the snapshot names, also of those that a choice leaves out.
    """

    index: ArchiveIndex
    indexes: Mapping[PackageRepo, RepoIndex]
    serials: Mapping[PackageRepo, tuple[str, int]]
    revocations: Revocations = field(repr=False)
    online_sha256: Sha256
    roles: Mapping[str, int]
    advisories: str | None = None

    def document_paths(self) -> Iterator[tuple[PackageRepo, str]]:
        """Yield where the index of each whole repository stands among the targets."""
        for repo, index in self.indexes.items():
            yield repo, TARGETS + hashed_path(repo.index_path, sha256_of(index.render()))


@dataclass(slots=True)
class _Survey:
    """What was found needed so far."""

    trusted: TrustedMetadata
    files: Mapping[str, bytes]
    load: Load
    found: dict[str, FileFact] = field(default_factory=dict)
    roles: set[str] = field(default_factory=set)
    indexes: dict[PackageRepo, RepoIndex] = field(default_factory=dict)

    def target(self, path: TargetPath) -> VouchedTarget:
        """Note that the target ``path`` is needed, and return the evidence for it."""
        target = self.trusted.vouch(path)
        self.found[TARGETS + hashed_path(path, target.sha256)] = FileFact(target.length, target.sha256)
        self.roles.add(target.role)
        return target

    def paths(self, role: str) -> Iterable[TargetPath]:
        """Return the paths that the metadata of ``role`` names."""
        return [TargetPath(path) for path in parse(self.files[role], Targets, where=role).signed.targets]

    def repository(self, repo: PackageRepo) -> RepoIndex:
        """Return the index of ``repo``; it is needed too."""
        if repo not in self.indexes:
            target = self.target(repo.index_path)
            self.indexes[repo] = verify_package_set(self.load(target), repo=repo, target=target).index
        return self.indexes[repo]


def survey(
    trusted: TrustedMetadata,
    *,
    anchor: bytes,
    files: Mapping[str, bytes],
    roots: Sequence[bytes],
    choice: Choice,
    load: Load,
) -> Contents:
    """Return what an archive of ``trusted`` holds.

    Args:
        trusted: the state, verified now.
        anchor: from which it was verified.
        files: the metadata, role by role.
        roots: those that follow the anchor, oldest first.
        choice: what is wanted.
        load: gives the bytes of a target.

    Raises:
        NotFoundError: a profile or repository that was chosen is not published, or a file is missing.
        VerificationError, FormatError: a document is not what is signed, or a role that signs for it has ended.
    """
    work = _Survey(trusted=trusted, files=files, load=load)
    _add_metadata(work, anchor=anchor, roots=roots)
    target = work.target(REVOCATIONS_PATH)
    revocations = verify_revocations(load(target), target=target, trusted=trusted).revocations
    for pin in choice.profiles:
        _add_profile(work, pin)
    if not choice.profiles:
        _add_skills(work)
    repos = _all_repositories(work) if choice.repos is None and not choice.profiles else choice.repos or ()
    for repo in repos:
        _add_repository(work, work.repository(repo))
    advisories = None
    if (
        work.indexes
        and f"{ADVISORIES}.json" in trusted.snapshot.meta
        and ADVISORIES_PATH in work.paths(ADVISORIES)
    ):
        advisories = TARGETS + hashed_path(ADVISORIES_PATH, work.target(ADVISORIES_PATH).sha256)
    index = ArchiveIndex(
        anchor_sha256=sha256_of(anchor),
        versions={role: trusted.versions[role] for role in _TOP},
        ends=_end(work),
        choice=Choice(profiles=tuple(sorted(set(choice.profiles), key=str)), repos=tuple(sorted(set(repos)))),
        files=work.found,
    )
    return Contents(
        index=index,
        indexes={repo: work.indexes[repo] for repo in repos},
        serials={repo: (one.repository, one.serial) for repo, one in work.indexes.items()},
        revocations=revocations,
        online_sha256=trusted.online_sha256,
        roles={name.removesuffix(".json"): meta.version for name, meta in trusted.snapshot.meta.items()},
        advisories=advisories,
    )


def _add_metadata(work: _Survey, *, anchor: bytes, roots: Sequence[bytes]) -> None:
    first = parse(anchor, Root, where="trust anchor").signed.version
    for number, data in enumerate((anchor, *roots)):
        version = parse(data, Root, where=ROOT).signed.version
        if number and version <= first:
            continue  # nobody who begins at this anchor looks at it, and nothing vouches for it
        work.found[f"{METADATA}{version}.{ROOT}.json"] = FileFact(len(data), sha256_of(data))
    for role, path in (
        (TIMESTAMP, f"{METADATA}{TIMESTAMP}.json"),
        (SNAPSHOT, f"{METADATA}{work.trusted.snapshot.version}.{SNAPSHOT}.json"),
    ):
        work.found[path] = FileFact(len(work.files[role]), sha256_of(work.files[role]))
    for name, meta in work.trusted.snapshot.meta.items():
        size, digest = lint_meta(meta, where=SNAPSHOT)
        document = work.files.get(name.removesuffix(".json"))
        if document is None or (len(document), sha256_of(document)) != (size, digest):
            raise CouldNotVerifyError(f"{meta.version}.{name} is missing, or not what the snapshot names")
        work.found[f"{METADATA}{meta.version}.{name}"] = FileFact(size, digest)


def _add_skills(work: _Survey) -> None:
    for role in _delegated(work):
        if not is_pkg(role) and role != ADVISORIES:
            for path in work.paths(role):
                work.target(path)


def _add_profile(work: _Survey, pin: Pin) -> None:
    target = work.target(pin.profile_path)
    profile = verify_profile(work.load(target), pin=pin, target=target).profile
    for item in (*profile.skills, *profile.souls):
        bundle, review = work.target(item.pin.bundle_path), work.target(item.pin.review_path)
        if (bundle.sha256, review.sha256) != (item.bundle_sha256, item.review_sha256):
            raise WrongSubjectError(f"{pin} pins other bytes of {item.pin} than are published")
    _add_pinned_packages(work, profile)


def _add_pinned_packages(work: _Survey, profile: Profile) -> None:
    for pins in profile.packages:
        known = work.repository(pins.repo).by_sha256()
        for item in pins.items:
            package = known.get(item.sha256)
            if package is None:
                raise NotFoundError(
                    f"{profile.pin} pins {item.pin}, which {pins.repo} does not hold any more",
                    hint="draft and sign the profile again",
                )
            work.found[f"{BY_SHA256}{item.sha256}.pkg"] = FileFact(package.size, package.sha256)


def _add_repository(work: _Survey, index: RepoIndex) -> None:
    for package in index.all_packages():
        work.found[f"{BY_SHA256}{package.sha256}.pkg"] = FileFact(package.size, package.sha256)
    for file in index.catalogue:
        work.found[f"{SERIALS}{index.repo}/{index.serial}/{file.name}"] = FileFact(file.size, file.sha256)


def _all_repositories(work: _Survey) -> list[PackageRepo]:
    roles = [role for role in _delegated(work) if is_pkg(role)]
    return [
        PackageRepo.of_role(role)
        for role in roles
        if PackageRepo.of_role(role).index_path in work.paths(role)
    ]


def _delegated(work: _Survey) -> list[str]:
    names = (name.removesuffix(".json") for name in work.trusted.snapshot.meta)
    return sorted(name for name in names if name != TARGETS_ROLE)


def _end(work: _Survey) -> datetime:
    """Return when the first of what signs for it ends: from then on a client refuses it, or a part of it."""
    trusted = work.trusted
    ends = [parse(work.files[role], Targets, where=role).signed.expires for role in work.roles]
    timestamp = parse(work.files[TIMESTAMP], Timestamp, where=TIMESTAMP).signed
    return min(
        *ends, trusted.root.expires, trusted.snapshot.expires, trusted.targets.expires, timestamp.expires
    )
