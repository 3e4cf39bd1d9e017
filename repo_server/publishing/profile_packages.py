"""The packages of a profile: resolved from what builders published, held against known vulnerabilities.

pin_packages(…, repo, names)     names → the complete set to the byte, dependencies first
check_pinned_packages(…)         every pin is still what its builder signed, complete and in order
check_vulnerabilities(…)         nothing is known to be vulnerable that nobody waived
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from repo_server.pkgrepo.advisories import published_advisories
from repo_server.pkgrepo.indexes import published_index
from repo_server.repository import Repository
from signing.errors import CouldNotVerifyError, NotFoundError, VulnerableError, WrongSubjectError
from signing.format.pkg.closure import closure
from signing.format.pkg.index import RepoIndex
from signing.format.pkg.names import PackageName, PackagePin, PackageRepo
from signing.format.pkg.pins import PackagePins, PinnedPackage, VulnerabilityWaiver, check_complete
from signing.format.profile import Profile

_NAMED: Final = 5


def pin_packages(
    repository: Repository, session: Session, wanted: Mapping[PackageRepo, Sequence[PackageName]]
) -> tuple[PackagePins, ...]:
    """Return ``wanted`` and everything that they need, pinned, for one repository after another.

    Raises:
        NotFoundError: a repository holds nothing, or a package is not in it.
        WrongSubjectError: two repositories of one ABI: a jail has packages of one.
        BadSignatureError, FormatError: what is published is not what its builder signed.
    """
    abis = [repo.abi for repo in wanted]
    if len(set(abis)) != len(abis):
        raise WrongSubjectError("pins packages of two repositories for one ABI", where="--package")
    pinned = []
    for repo, names in sorted(wanted.items()):
        chosen = closure(_index(repository, session, repo).packages, names)
        items = tuple(PinnedPackage(pin=package.pin, sha256=package.sha256) for package in chosen)
        pinned.append(PackagePins(repo=repo, items=items))
    return tuple(pinned)


def check_pinned_packages(repository: Repository, session: Session, profile: Profile) -> None:
    """Return None when every pinned package is what its builder vouches for now, with all that it needs before it.

    Raises:
        NotFoundError, WrongSubjectError, FormatError: it is not.
    """
    for pins in profile.packages:
        known = _index(repository, session, pins.repo).by_sha256()
        found = [known.get(item.sha256) for item in pins.items]
        for item, package in zip(pins.items, found, strict=True):
            if package is None or package.pin != item.pin:
                raise WrongSubjectError(
                    f"{item.pin} is not what the builder of {pins.repo} signed under that name",
                    hint="draft the profile again",
                )
        check_complete([package for package in found if package is not None])


def check_vulnerabilities(
    repository: Repository, session: Session, profile: Profile, *, now: datetime
) -> list[VulnerabilityWaiver]:
    """Return the waivers by which vulnerable packages are let in.

    Raises:
        VulnerableError: a package is known to be vulnerable, and no waiver in force answers for it.
        CouldNotVerifyError: there is no list of vulnerabilities to ask, or none that still holds.
    """
    if not profile.packages:
        return []
    advisories = published_advisories(repository, session, holding_at=now)
    if advisories is None:
        # One past its end is none: whoever holds newer ones back would have old holes signed.
        raise CouldNotVerifyError(
            "no list of vulnerabilities is published that still holds",
            hint="skillrepo pkg advisories vuln.xml --as CURATOR",
        )
    waivers = {waiver.key: waiver for waiver in profile.waivers if now < waiver.expires_at}
    used: list[VulnerabilityWaiver] = []
    open_ones: list[str] = []
    for pin in _pins(profile):
        for advisory in advisories.affecting(pin.name, pin.version):
            waiver = waivers.get((pin, advisory.vid))
            if waiver is not None:
                used.append(waiver)
            else:
                open_ones.append(f"{pin}: {advisory.topic} ({advisory.vid})")
    if open_ones:
        raise VulnerableError(
            f"{len(open_ones)} known vulnerability(ies), first: {'; '.join(open_ones[:_NAMED])}",
            hint="pin other versions; or answer for each: --waive-vulnerability PACKAGE=VID with owner, reason, end",
            vulnerabilities=open_ones,
        )
    return used


def _index(repository: Repository, session: Session, repo: PackageRepo) -> RepoIndex:
    index = published_index(repository, session, repo)
    if index is None:
        raise NotFoundError(f"{repo} holds nothing yet", hint="skillrepo pkg publish, on its build host")
    return index


def _pins(profile: Profile) -> Iterable[PackagePin]:
    return dict.fromkeys(item.pin for pins in profile.packages for item in pins.items)
