"""Bringing a profile's packages to this host, and admitting each of them: all, or an error.

Looking at the repository (a session, which locks this host's memory of it) and fetching large files are apart: other
births go on meanwhile. And what was looked at grows old while bytes arrive; whoever waited long looks again.
"""

import contextlib
import resource
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from hive.admission import PackageAdmission, admit
from hive.policy import POLICY
from hive.tenants import Tenant
from repo_client.client import RepoClient, Session
from repo_client.packages import PackageStore, Progress, indexed
from signing.errors import HostError
from signing.evidence import VerifiedProfile, VerifiedRevocations
from signing.format.pkg.names import Abi
from signing.format.pkg.pins import PackagePins, check_complete
from signing.package_evidence import VerifiedAdvisories, VerifiedPackageSet

_SPARE_HANDLES: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedSet:
    """What a profile pins for this host, and the evidence by which it is judged."""

    pins: PackagePins
    packages: VerifiedPackageSet
    advisories: VerifiedAdvisories


@dataclass(frozen=True, slots=True, kw_only=True)
class Pantry:
    """Where a host keeps packages, and for which ABI its jails are."""

    store: PackageStore
    abi: Abi | None = None
    progress: Progress | None = None


def look(session: Session, profile: VerifiedProfile, abi: Abi | None) -> PinnedSet | None:
    """Return what ``profile`` pins for hosts of ``abi``, checked as a list; None when it pins no packages.

    Raises:
        NotEntitledError: it pins packages, but none for ``abi``.
        NotFoundError: the repository does not hold one of them any more.
        FormatError: the list is incomplete or out of order: pkg would not resolve anything.
        VerificationError: index or advisories cannot be trusted.
    """
    pins = profile.profile.packages_for(abi)
    if pins is None:
        return None
    packages = session.packages(pins.repo)
    by_sha256 = packages.index.by_sha256()
    check_complete([by_sha256.get(item.sha256) or indexed(packages, item.sha256) for item in pins.items])
    return PinnedSet(pins=pins, packages=packages, advisories=session.advisories())


def open_packages(
    pinned: PinnedSet,
    tenant: Tenant,
    client: RepoClient,
    pantry: Pantry,
    *,
    profile: VerifiedProfile,
    revocations: VerifiedRevocations,
    clock: Callable[[], datetime],
) -> tuple[PackageAdmission, ...]:
    """Return every pinned package, open and admitted, in the profile's order. The caller closes all of them.

    Raises:
        RejectedError, NotFoundError, TransportError, HostError: one cannot be admitted, or had; none is left open.
    """
    _allow_handles(len(pinned.pins.items))
    admissions = []
    with contextlib.ExitStack() as opened:
        for item in pinned.pins.items:
            package = client.package(
                item.sha256, packages=pinned.packages, store=pantry.store, progress=pantry.progress
            )
            opened.callback(package.close)
            admissions.append(
                admit(
                    package,
                    tenant=tenant,
                    profile=profile,
                    revocations=revocations,
                    advisories=pinned.advisories,
                    policy=POLICY,
                    now=clock(),
                )
            )
        opened.pop_all()
    return tuple(admissions)


def fetch_missing(pinned: PinnedSet, client: RepoClient, pantry: Pantry) -> None:
    """Bring every pinned package into the store, one after the other, so that admitting them takes no long time.

    Raises:
        DigestMismatchError, NotFoundError, TransportError, HostError: one cannot be had.
    """
    for item in pinned.pins.items:
        if not pantry.store.holds(item.sha256):
            client.package(
                item.sha256, packages=pinned.packages, store=pantry.store, progress=pantry.progress
            ).close()


def _allow_handles(count: int) -> None:
    """Let this process hold a handle of every package at once.

    Raises:
        HostError: the system does not allow so many.
    """
    wanted = count + _SPARE_HANDLES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise HostError(f"{wanted} open files are needed, {hard} are allowed", hint="raise ulimit -n")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
