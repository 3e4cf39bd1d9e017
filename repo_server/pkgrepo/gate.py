"""What must hold before a build is published (no IO: it decides over what was read).

    every package      its file has the size and the sum of the catalogue, and says of itself what the catalogue says
                       it is for this ABI
    all together       nothing is asked for that is not there; there is at least one
    against last time  nothing goes back, also not after a serial without it, unless somebody means it and says why
    vulnerabilities    known ones are reported; refused, if that is asked for, unless somebody answers for them until a date

Reported and not refused: packages that are gone, and packages built again under the same version (a rebuild is other
bytes; whoever pinned the old ones still gets them for the grace period). The server does not take our word for any
of this: it checks bytes and signatures again. The gate is there so that a bad build is named on the host that made it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from repo_server.pkgrepo.catalogue import CatalogueEntry
from repo_server.pkgrepo.facts import PackageFacts
from repo_server.pkgrepo.going_back import going_back, newest_versions
from repo_server.pkgrepo.verdict import MAX_PROBLEMS, Problem, Severity
from signing.errors import (
    CouldNotVerifyError,
    DigestMismatchError,
    FormatError,
    NotFoundError,
    PolicyError,
    RollbackError,
    SkillRepoError,
    WrongSubjectError,
)
from signing.format.collector import collector_paused
from signing.format.pkg.closure import open_dependencies
from signing.format.pkg.index import IndexedPackage, Intent, IntentKind, RepoIndex, fits
from signing.format.pkg.json_text import read_json
from signing.format.pkg.manifest import MAX_MANIFEST_BYTES
from signing.format.pkg.names import PackageRepo
from signing.format.pkg.pins import VulnerabilityWaiver
from signing.format.pkg.version import compare_versions
from signing.format.pkg.vuxml import Advisories, Advisory

_OF_CATALOGUE: Final = frozenset({"sum", "path", "repopath", "pkgsize"})
# Up to pkg 2.7 a catalogue repeats these from the full manifest; clients take them from the package.
_ONLY_IN_FULL: Final = frozenset({"files", "directories", "scripts", "lua_scripts", "config"})
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePolicy:
    """How strict the gate is about known vulnerabilities, and who answers for which."""

    refuse_vulnerable: bool = False
    waivers: tuple[VulnerabilityWaiver, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is different from the last serial: package names, sorted."""

    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    upgraded: tuple[str, ...] = ()
    downgraded: tuple[str, ...] = ()
    rebuilt: tuple[str, ...] = ()

    def to_json(self) -> dict[str, list[str]]:
        """Return the changes as ``--json`` has them."""
        return {
            "new": list(self.new),
            "gone": list(self.gone),
            "upgraded": list(self.upgraded),
            "downgraded": list(self.downgraded),
            "rebuilt": list(self.rebuilt),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What the gate found. ``packages`` are those that passed, as ``repo.json`` lists them."""

    packages: tuple[IndexedPackage, ...]
    problems: tuple[Problem, ...]
    changes: Changes

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that refuse the build."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that are reported."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.WARNING)

    def check(self) -> None:
        """Return None when the build may be published.

        Raises:
            PolicyError: it may not; the first problems stand in the message, all of them in ``facts``.
        """
        if not (errors := self.errors):
            return
        shown = "; ".join(f"{problem.where}: {problem.message}" for problem in errors[:_SHOWN])
        more = f"; and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
        raise PolicyError(
            f"the build is not published: {shown}{more}",
            hint=errors[0].hint or "mend the build, then publish again",
            problems=[f"{problem.code} {problem.where}: {problem.message}" for problem in errors],
        )

    def to_json(self) -> dict[str, Any]:
        """Return the report as ``--json`` has it."""
        return {
            "accepted": not self.errors,
            "packages": len(self.packages),
            "problems": [problem.to_json() for problem in self.problems],
            "changes": self.changes.to_json(),
        }


class _Found:
    """Problems, while they are collected. Each kind has its own bound: a thousand warnings must not hide one error."""

    def __init__(self) -> None:
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []

    def add(self, error: SkillRepoError, *, where: str, severity: Severity = Severity.ERROR) -> None:
        problems = self.errors if severity is Severity.ERROR else self.warnings
        if len(problems) < MAX_PROBLEMS:
            problems.append(Problem.of(error, where=where, severity=severity))


@collector_paused()
def check_build(
    entries: Sequence[CatalogueEntry],
    facts: Mapping[str, PackageFacts],
    *,
    repo: PackageRepo,
    previous: RepoIndex | None,
    advisories: Advisories | None,
    policy: GatePolicy,
    allow_downgrade: Intent | None,
    now: datetime,
) -> Gate:
    """Return what is to be said about a build whose catalogue lists ``entries`` and whose files are as in ``facts``.

    Raises:
        WrongSubjectError: ``previous`` is about another repository.
    """
    if previous is not None and previous.repo != repo:
        raise WrongSubjectError(f"the last serial is of {previous.repo}, this build is for {repo}")
    found = _Found()
    packages = []
    for entry in entries:
        try:
            packages.append(_checked(entry, facts.get(entry.path), repo))
        except SkillRepoError as error:
            found.add(error, where=str(entry.pin))
    packages.sort(key=lambda package: (package.name, package.version, package.sha256))
    if not entries:
        found.add(
            FormatError("the build holds no package at all", hint="every client would lose every package"),
            where="build",
        )
    _check_closed(entries, packages, found)
    changes = _changes(packages, previous)
    _check_changes(changes, allow_downgrade, found)
    _check_vulnerabilities(packages, advisories, policy, now, found)
    return Gate(packages=tuple(packages), problems=(*found.errors, *found.warnings), changes=changes)


def _checked(entry: CatalogueEntry, facts: PackageFacts | None, repo: PackageRepo) -> IndexedPackage:
    again = "build the package again: poudriere bulk -C"
    if facts is None:
        raise NotFoundError(f"{entry.path} is listed and was not read", hint=again)
    if facts.size != entry.size:
        raise DigestMismatchError(
            f"{entry.path} has {facts.size} bytes, the catalogue says {entry.size}", hint=again
        )
    if not entry.sum.matches(facts.digests):
        raise DigestMismatchError(f"{entry.path} is not the file that the catalogue names", hint=again)
    if not fits(entry.abi, repo):
        raise WrongSubjectError(
            f"is for {entry.abi}, not for {repo.abi}", hint="is this the jail that --abi and --channel mean?"
        )
    _check_manifest(entry, facts)
    return IndexedPackage(
        name=entry.name,
        version=entry.version,
        origin=entry.origin,
        path=entry.path,
        sha256=facts.digests.sha256,
        size=facts.size,
        abi=entry.abi,
        deps=entry.deps,
    )


def _check_manifest(entry: CatalogueEntry, facts: PackageFacts) -> None:
    manifest = read_json(facts.manifest, where=entry.path, max_bytes=MAX_MANIFEST_BYTES)
    if not isinstance(manifest, dict):
        raise FormatError("its manifest is not an object", where=entry.path)
    listed = {key: value for key, value in entry.raw.items() if key not in _OF_CATALOGUE}
    for key in sorted({*listed, *manifest}) if listed != manifest else ():
        if (key in manifest or key not in _ONLY_IN_FULL) and listed.get(key) != manifest.get(key):
            raise DigestMismatchError(
                f"its own manifest and the catalogue differ in {key[:40]!a}",
                hint="the catalogue is of other packages: run pkg repo, or poudriere, again",
            )


def _check_closed(
    entries: Sequence[CatalogueEntry], packages: Sequence[IndexedPackage], found: _Found
) -> None:
    if len(packages) != len(entries):
        return  # what was refused is missing here, and its dependents are not to blame
    for asking, wanted in open_dependencies(packages):
        found.add(
            NotFoundError(
                f"needs {wanted}, and no {wanted.name} is in this build",
                hint=f"add its origin to the list that poudriere builds, or take {asking.name} out",
            ),
            where=str(asking),
        )


def _changes(packages: Sequence[IndexedPackage], previous: RepoIndex | None) -> Changes:
    if previous is None:
        return Changes(new=tuple(sorted({package.name for package in packages})))
    before, after = newest_versions(previous.packages), newest_versions(packages)
    moved = [name for name in sorted(before.keys() & after.keys()) if before[name] != after[name]]
    known = {package.pin: package.sha256 for package in previous.packages}
    return Changes(
        new=tuple(sorted(after.keys() - before.keys())),
        gone=tuple(sorted(before.keys() - after.keys())),
        upgraded=tuple(
            f"{name}-{before[name]} -> {after[name]}"
            for name in moved
            if compare_versions(before[name], after[name]) < 0
        ),
        downgraded=tuple(str(step) for step in going_back(previous, packages)),
        rebuilt=tuple(
            str(package.pin)
            for package in packages
            if known.get(package.pin, package.sha256) != package.sha256
        ),
    )


def _check_changes(changes: Changes, allowed: Intent | None, found: _Found) -> None:
    meant = allowed is not None and allowed.kind is IntentKind.DOWNGRADE
    for change in changes.downgraded:
        found.add(
            RollbackError(
                "is older than what was published" + (f" ({allowed.reason})" if allowed and meant else ""),
                hint="is this an old build? If it is meant: --allow-downgrade REASON",
            ),
            where=change,
            severity=Severity.WARNING if meant else Severity.ERROR,
        )
    if changes.rebuilt:
        found.add(
            PolicyError(f"{len(changes.rebuilt)} package(s) are other bytes under the same version"),
            where=changes.rebuilt[0],
            severity=Severity.WARNING,
        )
    if changes.gone:
        found.add(
            PolicyError(f"{len(changes.gone)} package(s) are not in this build any more"),
            where=changes.gone[0],
            severity=Severity.WARNING,
        )


def _check_vulnerabilities(
    packages: Sequence[IndexedPackage],
    advisories: Advisories | None,
    policy: GatePolicy,
    now: datetime,
    found: _Found,
) -> None:
    severity = Severity.ERROR if policy.refuse_vulnerable else Severity.WARNING
    if advisories is None:
        found.add(
            CouldNotVerifyError(
                "known vulnerabilities were not looked up", hint="publish the list: skillrepo pkg advisories"
            ),
            where="vuln.xml",
            severity=severity,
        )
        return
    waived = MappingProxyType({waiver.key: waiver for waiver in policy.waivers if waiver.expires_at > now})
    for package in packages:
        for advisory in advisories.affecting(package.name, package.version):
            waiver = waived.get((package.pin, advisory.vid))
            found.add(
                PolicyError(
                    _described(advisory) + (f"; {waiver.owner} answers for it" if waiver else ""),
                    hint="build a mended version, or have somebody answer for it until a date",
                ),
                where=str(package.pin),
                severity=Severity.WARNING if waiver else severity,
            )


def _described(advisory: Advisory) -> str:
    names = ", ".join(advisory.cves[:_SHOWN]) or advisory.vid
    return f"known vulnerability {names}: {advisory.topic[:120]}"
