"""What is published, and where it came from, read from signed bytes: what a withdrawal is resolved against.

The database lists releases too; but a withdrawal that misses one because a row was altered protects nobody.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session
from tuf.api.metadata import Targets

from repo_server.curation.checks.names import other_of
from repo_server.db import log
from repo_server.db.models import ReleaseRow
from repo_server.pkgrepo.indexes import appointed_repos, published_index
from repo_server.publishing.ceremony import bin_names, succinct
from repo_server.publishing.vouched import CACHED_ROLES, vouched_content, vouched_targets
from repo_server.repository import Repository
from signing.errors import WrongSubjectError
from signing.format.digest import Sha256, parse_sha256
from signing.format.envelope import Envelope
from signing.format.names import Pin, version_key
from signing.format.pkg.names import PackagePin, PackageRepo
from signing.format.profile import Profile
from signing.format.review import Review
from signing.format.scope import NamedRelease, Scope
from signing.format.statement import Statement
from signing.format.withdrawal import NamedProfile
from signing.metadata import parse
from signing.roles import PROFILES, SKILLS

_CLOCK_SLACK: Final = timedelta(days=1)  # a review is dated by its reviewer's clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A published release, and the digest of the review that stands beside it."""

    release: NamedRelease
    review_sha256: Sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Releases to compare a candidate with, and the names that are taken."""

    released: tuple[Published, ...]
    names: frozenset[str]


def published_releases(repository: Repository, session: Session) -> Iterator[Published]:
    """Yield every release that curators' signed metadata names.

    Raises:
        BadSignatureError, WrongSubjectError, FormatError: the metadata is not what they signed, or not ours.
    """
    anchor = repository.anchor
    for role in bin_names(vouched_targets(session, SKILLS, anchor=anchor)):
        yield from _releases_in(vouched_content(session, role, anchor=anchor), role)


def whole_history(repository: Repository, session: Session) -> History:
    """Return everything that was published, from every bin: what a curator goes by.

    Raises:
        BadSignatureError, WrongSubjectError, FormatError: as for `published_releases`.
    """
    released = tuple(published_releases(repository, session))
    return History(released=released, names=frozenset(item.release.pin.name for item in released))


def history_for(
    repository: Repository, session: Session, review: Review, *, beside: Iterable[Pin] = ()
) -> History:
    """Return as much of it as says whether ``review`` still holds: what a publisher goes by.

    Curators looked at everything when they signed, each on a machine of their own. Since then may have come: releases of
    the same name, taken from the bins in which the database says they are; and other names, by the log, and those of
    ``beside``, which are published in the same run. So this does not grow
    with the repository. Whoever takes a release out of the database makes ``review`` disagree with what is found here, and
    whoever adds one is not believed, because the bin does not name it.

    Raises:
        BadSignatureError, WrongSubjectError, FormatError: as for `published_releases`.
    """
    mentioned = (other_of(finding) for engine in review.engines for finding in engine.findings)
    names = {name for name in mentioned if name is not None}
    names |= {
        *_names_published_since(session, review.reviewed_at - _CLOCK_SLACK),
        *(pin.name for pin in beside),
    }
    released = _releases_called(repository, session, review.pin.name)
    return History(released=tuple(released), names=frozenset(names))


def published_packages(
    repository: Repository, session: Session, scope: Scope
) -> list[tuple[PackageRepo, PackagePin]]:
    """Return the packages that ``scope`` covers, in what builders signed last.

    Raises:
        BadSignatureError, FormatError, NotFoundError: an index cannot be read as its builder signed it.
    """
    found: list[tuple[PackageRepo, PackagePin]] = []
    if scope.sha256 is None and scope.package is None:
        return found  # a skill is withdrawn also while an index of packages cannot be read
    for repo in appointed_repos(repository, session):
        index = published_index(repository, session, repo)
        if index is not None:
            found += [
                (repo, package.pin)
                for package in index.all_packages()
                if scope.covers_package(package.pin, sha256=package.sha256)
            ]
    return sorted(set(found))


def last_of(released: Iterable[Published], name: str) -> Published | None:
    """Return the one of ``released`` that is called ``name`` and has the highest version, or None.

    What a new version is compared with is not the database's to choose: without the row of the last release a new
    version would look like the first, and with an older one like a harmless step.
    """
    found = [item for item in released if item.release.pin.name == name]
    return max(found, key=lambda item: version_key(item.release.pin.version), default=None)


def load_published_review(repository: Repository, item: Published) -> Review:
    """Return the review that was published with a release.

    Raises:
        NotFoundError, DigestMismatchError, FormatError, WrongSubjectError: it is not here as it was signed.
    """
    envelope = Envelope.parse(repository.blobs.load(item.review_sha256), where="review")
    return Review.from_statement(
        Statement.parse(envelope.payload),
        pin=item.release.pin,
        bundle_sha256=item.release.bundle_sha256,
        tree_sha256=item.release.tree_sha256,
    )


def releases_from(repository: Repository, session: Session, publisher: str) -> tuple[NamedRelease, ...]:
    """Return the releases whose reviewed candidate came from ``publisher`` (``SOURCE:NAME``), by their reviews.

    Capital letters do not count: at most sources they do not make another publisher.

    Raises:
        RejectedError, NotFoundError: a review cannot be read; then nobody knows whose that release is.
    """
    return tuple(
        sorted(
            item.release
            for item in published_releases(repository, session)
            if publisher_of(load_published_review(repository, item)).casefold() == publisher.casefold()
        )
    )


def publisher_of(review: Review) -> str:
    """Return ``SOURCE:NAME``, as a withdrawal names a publisher."""
    return f"{review.candidate.source}:{review.candidate.publisher}"


def published_profiles(repository: Repository, session: Session, scope: Scope) -> list[NamedProfile]:
    """Return the published profiles that pin something which ``scope`` covers.

    Raises:
        BadSignatureError, FormatError, NotFoundError: they cannot be read as operators signed them.
    """
    found = []
    for target in vouched_targets(session, PROFILES, anchor=repository.anchor).targets.values():
        digest = Sha256(target.hashes["sha256"])
        profile = Profile.parse(repository.blobs.load(digest))
        if any(
            scope.covers(item.pin, bundle_sha256=item.bundle_sha256, tree_sha256=item.tree_sha256)
            for _, item in profile.items()
        ) or any(
            scope.covers_package(item.pin, sha256=item.sha256)
            for pins in profile.packages
            for item in pins.items
        ):
            found.append(NamedProfile(pin=profile.pin, sha256=digest))
    return sorted(found)


def _releases_called(repository: Repository, session: Session, name: str) -> Iterator[Published]:
    anchor = repository.anchor
    bins = succinct(vouched_targets(session, SKILLS, anchor=anchor))
    for version in session.scalars(select(ReleaseRow.version).where(ReleaseRow.name == name)):
        pin = Pin.parse(f"{name}=={version}", where="release")
        role = bins.get_role_for_target(pin.bundle_path)
        found = _releases_in(vouched_content(session, role, anchor=anchor), role)
        yield from (item for item in found if item.release.pin == pin)


def _names_published_since(session: Session, moment: datetime) -> Iterator[str]:
    for record in log.backwards(session):
        if record.time < moment:
            return
        if record.event == "published":
            yield from (str(pin).partition("==")[0] for pin in record.facts.get("releases", ()))


@lru_cache(maxsize=CACHED_ROLES)
def _releases_in(content: bytes, role: str) -> tuple[Published, ...]:
    found = []
    for path, target in parse(content, Targets, where=role).signed.targets.items():
        custom = target.custom if isinstance(target.custom, dict) else {}
        if "tree_sha256" not in custom:
            continue  # the review that stands beside a bundle
        pin = Pin.parse(f"{custom.get('name')}=={custom.get('version')}", where=path)
        if path != pin.bundle_path:
            raise WrongSubjectError(f"is {pin} by its metadata", where=path)
        release = NamedRelease(
            pin=pin,
            bundle_sha256=Sha256(target.hashes["sha256"]),
            tree_sha256=parse_sha256(custom["tree_sha256"], where=path),
        )
        found.append(
            Published(release=release, review_sha256=parse_sha256(custom.get("review_sha256"), where=path))
        )
    return tuple(found)
