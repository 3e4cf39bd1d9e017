"""Which births are affected by what is known now: advisories and withdrawals that came after a package did (pure).

    examine(birth, known, waivers, now=…)    → BirthExam: affected packages, withdrawn ones, what is open

A birth is judged by its record (`hive.birth.recorded`) and by what curators have signed now; a feed that nobody
signed can be held against it besides, and what only that says is marked. A waiver answers for exactly one package and
one advisory, until its end.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hive.birth.recorded import BornPackage, RecordedBirth
from signing.evidence import VerifiedRevocations
from signing.format.moment import render_moment
from signing.format.pkg.names import PackagePin
from signing.format.pkg.pins import VulnerabilityWaiver
from signing.format.pkg.vuxml import Advisories, Advisory
from signing.format.withdrawal import Withdrawal, Withdrawn
from signing.package_evidence import VerifiedAdvisories

Waivers = Mapping[tuple[PackagePin, str], VulnerabilityWaiver]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known now: two lists that were verified, and perhaps a feed that was not."""

    advisories: VerifiedAdvisories
    revocations: VerifiedRevocations
    feed: Advisories | None = None

    def affecting(self, pin: PackagePin) -> Iterator[tuple[Advisory, bool]]:
        """Yield the advisories that affect a package, and whether a curator signed them."""
        signed = self.advisories.advisories.affecting(pin.name, pin.version)
        yield from ((advisory, True) for advisory in signed)
        if self.feed is not None:
            known = {advisory.vid for advisory in signed}
            more = self.feed.affecting(pin.name, pin.version)
            yield from ((advisory, False) for advisory in more if advisory.vid not in known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """One package of a birth, one advisory, and who answers for it, if anybody does."""

    package: BornPackage
    advisory: Advisory
    signed: bool
    waiver: VulnerabilityWaiver | None
    open: bool

    def to_json(self) -> dict[str, Any]:
        """Return it as ``--json`` answers it."""
        waiver = self.waiver
        return {
            "package": self.package.pin.name,
            "version": self.package.pin.version,
            "sha256": self.package.sha256,
            "vid": self.advisory.vid,
            "topic": self.advisory.topic,
            "cves": list(self.advisory.cves),
            "signed": self.signed,
            "waived": {
                "by": waiver.owner,
                "until": render_moment(waiver.expires_at),
                "reason": waiver.reason,
                "ended": self.open,
            }
            if waiver is not None
            else None,
            "open": self.open,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """One package of a birth that was withdrawn. A yanked one goes on; the others do not."""

    package: BornPackage
    entry: Withdrawal

    @property
    def open(self) -> bool:
        """Whether something has to be done."""
        return self.entry.state is not Withdrawn.YANKED

    def to_json(self) -> dict[str, Any]:
        """Return it as ``--json`` answers it."""
        return {
            "package": self.package.pin.name,
            "version": self.package.pin.version,
            "sha256": self.package.sha256,
            "withdrawal": self.entry.id,
            "state": self.entry.state.value,
            "severity": self.entry.severity.value if self.entry.severity is not None else None,
            "by": self.entry.by,
            "at": render_moment(self.entry.at),
            "reason": self.entry.reason,
            "open": self.open,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BirthExam:
    """What is known now about the packages of one birth; ``problem`` says why that is not all."""

    birth: RecordedBirth
    affected: tuple[Affected, ...]
    withdrawn: tuple[Withheld, ...]
    problem: str = ""

    @property
    def open(self) -> int:
        """How many things nobody answers for."""
        return sum(item.open for item in self.affected) + sum(item.open for item in self.withdrawn)

    def to_json(self) -> dict[str, Any]:
        """Return it as ``--json`` answers it."""
        tenant = self.birth.tenant
        return {
            "tenant": tenant.tenant_id,
            "status": tenant.status.value,
            "profile": str(tenant.profile),
            "begun": self.birth.begun,
            "lock_sha256": self.birth.lock_sha256,
            "packages": len(self.birth.packages),
            "affected": [item.to_json() for item in self.affected],
            "withdrawn": [item.to_json() for item in self.withdrawn],
            "problem": self.problem or None,
        }


def affects(birth: RecordedBirth, known: Known) -> bool:
    """Return whether an advisory affects a package of this birth, so that its waivers are needed."""
    return any(True for package in birth.packages for _ in known.affecting(package.pin))


def examine(
    birth: RecordedBirth,
    known: Known,
    waivers: Sequence[VulnerabilityWaiver],
    *,
    now: datetime,
    problem: str = "",
) -> BirthExam:
    """Return what is known now about ``birth``; ``problem`` is why ``waivers`` are not all there are."""
    by_key = {waiver.key: waiver for waiver in waivers}
    return BirthExam(
        birth=birth,
        affected=tuple(_affected(birth.packages, known, by_key, now)),
        withdrawn=tuple(
            Withheld(package=package, entry=entry)
            for package in birth.packages
            for entry in known.revocations.covering_package(package.pin, sha256=package.sha256)
        ),
        problem="; ".join(text for text in (birth.problem, problem) if text),
    )


def _affected(
    packages: Iterable[BornPackage], known: Known, waivers: Waivers, now: datetime
) -> Iterator[Affected]:
    for package in packages:
        for advisory, signed in known.affecting(package.pin):
            waiver = waivers.get((package.pin, advisory.vid))
            yield Affected(
                package=package,
                advisory=advisory,
                signed=signed,
                waiver=waiver,
                open=waiver is None or now >= waiver.expires_at,
            )
