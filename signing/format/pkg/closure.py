"""Which packages one package needs, and in which order they can be installed.

pkg asks for dependencies by name; the version in a dependency is the one it was built against and is not enforced
(reference/freebsd-pkg §4.2). So a repository is closed when every name that is asked for is there, and of several
versions the one that is named is taken, else the newest.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from signing.errors import FormatError, NotFoundError
from signing.format.pkg.index import IndexedPackage
from signing.format.pkg.names import PackageName, PackagePin
from signing.format.pkg.version import newest

MAX_CLOSURE: Final = 20_000


class Candidates:
    """The packages of a repository by name."""

    def __init__(self, packages: Iterable[IndexedPackage]) -> None:
        self._by_name: dict[PackageName, list[IndexedPackage]] = {}
        for package in packages:
            self._by_name.setdefault(package.name, []).append(package)

    def choose(self, name: PackageName, *, version: str | None = None) -> IndexedPackage | None:
        """Return the package ``name``: of ``version`` when it is there, else the newest; None when there is none."""
        found = self._by_name.get(name, [])
        for package in found:
            if package.version == version:
                return package
        return newest(found, version=lambda package: package.version) if found else None


def open_dependencies(packages: Sequence[IndexedPackage]) -> tuple[tuple[PackagePin, PackagePin], ...]:
    """Return what is asked for and not there: pairs of the asking package and the dependency."""
    names = {package.name for package in packages}
    return tuple((package.pin, dep) for package in packages for dep in package.deps if dep.name not in names)


def closure(packages: Iterable[IndexedPackage], wanted: Iterable[PackageName]) -> tuple[IndexedPackage, ...]:
    """Return ``wanted`` and all that they need, dependencies first, in an order that depends on the set alone.

    Raises:
        NotFoundError: a package, or one that it needs, is not there.
        FormatError: packages need each other in a circle.
    """
    candidates = Candidates(packages)
    chosen: dict[PackageName, IndexedPackage] = {}
    pending: list[tuple[PackageName, str | None, PackagePin | None]] = [
        (n, None, None) for n in sorted(set(wanted))
    ]
    while pending:
        name, version, asked_by = pending.pop()
        if name in chosen:
            continue
        package = candidates.choose(name, version=version)
        if package is None or len(chosen) >= MAX_CLOSURE:
            asked = f", which {asked_by} needs," if asked_by is not None else ""
            raise NotFoundError(
                f"package {name}{asked} is not in this repository", hint="build it, or pin another"
            )
        chosen[name] = package
        pending += [(dep.name, dep.version, package.pin) for dep in package.deps]
    return in_order(chosen)


def in_order(chosen: Mapping[PackageName, IndexedPackage]) -> tuple[IndexedPackage, ...]:
    """Return the packages so that each stands behind everything that it needs; among equals by name.

    Raises:
        FormatError: packages need each other in a circle, or one needs what is not among them.
    """
    done: dict[PackageName, IndexedPackage] = {}
    for name in sorted(chosen):
        # An own stack: a chain of a thousand dependencies must not meet Python's limit of recursion.
        stack: dict[PackageName, Iterator[PackageName]] = {}
        _enter(name, chosen, done, stack)
        while stack:
            current, rest = next(reversed(stack.items()))
            following = next((dep for dep in rest if dep not in done), None)
            if following is None:
                del stack[current]
                done[current] = chosen[current]
            else:
                _enter(following, chosen, done, stack)
    return tuple(done.values())


def _enter(
    name: PackageName,
    chosen: Mapping[PackageName, IndexedPackage],
    done: Mapping[PackageName, IndexedPackage],
    stack: dict[PackageName, Iterator[PackageName]],
) -> None:
    if name in done:
        return
    if name not in chosen:
        raise FormatError(f"{name} is needed and not there", where="packages")
    if name in stack:
        raise FormatError(f"{name} needs itself, by way of others", where="packages")
    stack[name] = iter(sorted(dep.name for dep in chosen[name].deps))
