"""Bringing a profile's packages to this host, and admitting each of them: all, or an error.

look             what the profile pins, by the index of now (in a session, which locks this host's memory of it)
bring            every one of them fetched, verified, and held open; large files take long, and no session waits
admit_packages   … each of them, by the index of the newest look; again whenever there is a newer one
"""

import contextlib
import resource
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from hive.admission import PackageAdmission, admit
from hive.policy import POLICY, Policy
from hive.refusals import about_listed
from hive.tenants import Tenant
from repo_client.at_once import Stopped, at_once
from repo_client.client import RepoClient, Session
from repo_client.packages import PackageStore, Progress
from signing.errors import HostError
from signing.evidence import VerifiedProfile, VerifiedRevocations
from signing.format.digest import Sha256
from signing.format.pkg.index import IndexedPackage
from signing.format.pkg.names import Abi
from signing.format.pkg.pins import PackagePins, check_complete
from signing.package_evidence import (
    VerifiedAdvisories,
    VerifiedPackage,
    VerifiedPackageSet,
    verify_package_again,
)

_SPARE_HANDLES: Final = 128
_AT_ONCE: Final = 4


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
    check_complete([packages.listed(item.sha256) for item in pins.items])
    return PinnedSet(pins=pins, packages=packages, advisories=session.advisories())


@contextlib.contextmanager
def bring(
    pinned: PinnedSet | None, client: RepoClient, pantry: Pantry
) -> Iterator[tuple[VerifiedPackage, ...]]:
    """Yield every pinned package, open, in the profile's order; what is not in the store is fetched.

    Each is held from the moment it is here: else another birth could make room of it for its own.

    Raises:
        DigestMismatchError, NotFoundError, TransportError, HostError: one cannot be had; none is left open.
    """
    with contextlib.ExitStack() as opened:
        held: tuple[VerifiedPackage, ...] = ()
        if pinned is not None:
            _allow_handles(len(pinned.pins.items))
            here = {}
            for item in pinned.pins.items:  # one after the other: what is unchanged takes no time
                with about_listed(item.sha256, pinned.packages):
                    found = pantry.store.load(item.sha256, packages=pinned.packages)
                if found is not None:
                    opened.callback(found.close)
                    here[item.sha256] = found
            wanted = [item.sha256 for item in pinned.pins.items if item.sha256 not in here]
            tasks = [partial(_bring_one, sha256, pinned, client, pantry) for sha256 in wanted]
            # A connection waits for its server, a digest for its core and a file for the disk: not for each other.
            fetched = at_once(tasks, most=_AT_ONCE, undo=VerifiedPackage.close)
            for package in fetched:
                opened.callback(package.close)
            here |= dict(zip(wanted, fetched, strict=True))
            held = tuple(here[item.sha256] for item in pinned.pins.items)
        yield held


def _bring_one(
    sha256: Sha256, pinned: PinnedSet, client: RepoClient, pantry: Pantry, stopped: Stopped
) -> VerifiedPackage:
    def told(package: IndexedPackage, received: int) -> None:
        if stopped():
            raise HostError(f"{package.pin} was not fetched to its end: the birth has ended")
        if pantry.progress is not None:
            pantry.progress(package, received)

    with about_listed(sha256, pinned.packages):
        return client.package(sha256, packages=pinned.packages, store=pantry.store, progress=told)


def admit_packages(
    held: Sequence[VerifiedPackage],
    pinned: PinnedSet | None,
    tenant: Tenant,
    *,
    profile: VerifiedProfile,
    revocations: VerifiedRevocations,
    clock: Callable[[], datetime],
    policy: Policy = POLICY,
) -> tuple[PackageAdmission, ...]:
    """Return the admission of every package that is held, by the index of ``pinned``.

    Raises:
        RejectedError, NotFoundError: one cannot be admitted, or not any more.
    """
    if pinned is None:
        return ()
    return tuple(
        admit(
            verify_package_again(package, packages=pinned.packages),
            tenant=tenant,
            profile=profile,
            revocations=revocations,
            advisories=pinned.advisories,
            policy=policy,
            now=clock(),
        )
        for package in held
    )


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
