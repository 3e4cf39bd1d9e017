"""What a build would take back: to older versions, or to earlier bytes of the same version (pure).

    going_back(previous, packages)     each name that goes back, and how
    gone_after(previous, packages)     the names that are listed no more, and the version in which they were last

A name that vanishes for one serial would be forgotten if only the last list were asked: whoever gets one build out
without it, by a port that fails, has the vulnerable version back with the next. So an index names what is gone, and each
next one carries that on. It is signed with the rest: no `pkg gc`, no restored database and no server forgets it.

An old tree handed in once more can hold no older version at all, where packages were built again under the same one. Its
bytes are known then: they are kept, and others are listed in their place.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from signing.format.pkg.index import IndexedPackage, RepoIndex
from signing.format.pkg.names import PackageName, PackagePin, PackageVersion
from signing.format.pkg.version import VersionKey, compare_versions


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBack:
    """A name that goes back; with ``rebuilt``, to what its version was before it was built again."""

    name: PackageName
    old: PackageVersion
    new: PackageVersion
    rebuilt: bool = False

    def __str__(self) -> str:
        return f"{self.name}-{self.old} -> " + ("its earlier bytes" if self.rebuilt else self.new)


def going_back(previous: RepoIndex, packages: Iterable[IndexedPackage]) -> list[StepBack]:
    """Return what goes back when ``packages`` follow ``previous``, sorted by name.

    What counts is the newest version of a name, also of one that an earlier serial listed last.
    """
    listed = tuple(packages)
    before, after = _last_versions(previous), newest_versions(listed)
    steps = [
        StepBack(name=name, old=before[name], new=version)
        for name, version in after.items()
        if name in before and version != before[name] and compare_versions(version, before[name]) < 0
    ]
    steps += [
        StepBack(name=package.name, old=package.version, new=package.version, rebuilt=True)
        for package in _earlier_bytes(previous, listed)
    ]
    return sorted(steps, key=lambda step: (step.name, step.old))


def gone_after(previous: RepoIndex | None, packages: Iterable[IndexedPackage]) -> tuple[PackagePin, ...]:
    """Return what the index that lists ``packages`` after ``previous`` says is gone."""
    if previous is None:
        return ()
    listed = {package.name for package in packages}
    before = _last_versions(previous)
    return tuple(PackagePin(name, before[name]) for name in sorted(before.keys() - listed))


def newest_versions(packages: Iterable[IndexedPackage]) -> dict[PackageName, PackageVersion]:
    """Return the newest version of each name."""
    found: dict[PackageName, PackageVersion] = {}
    for package in packages:
        known = found.get(package.name)
        if known is None or VersionKey.of(known) < VersionKey.of(package.version):
            found[package.name] = package.version
    return found


def _last_versions(index: RepoIndex) -> dict[PackageName, PackageVersion]:
    """Return in which version each name was listed last: here, or by an earlier serial."""
    return {pin.name: pin.version for pin in index.gone} | newest_versions(index.packages)


def _earlier_bytes(previous: RepoIndex, packages: Iterable[IndexedPackage]) -> list[IndexedPackage]:
    if previous.intent is not None:
        return []  # it went back itself, on purpose: what it keeps is newer, and the way forward leads there
    replaced = {package.sha256 for package in previous.kept}
    listed = {package.pin: package.sha256 for package in previous.packages}
    return [
        package
        for package in packages
        if package.sha256 in replaced and listed.get(package.pin, package.sha256) != package.sha256
    ]
