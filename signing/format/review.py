"""The review: what a curator saw and decided, as the predicate of an in-toto statement.

    {"candidate":{"address":"clawhub:@northwind-tools/csv-summarizer@1.0.1","imported_at":"2026-11-22T12:00:00Z",
                  "licence":"MIT-0","publisher":"@northwind-tools","resolved":{"version":"1.0.1"},
                  "source":"clawhub","tree_sha256":"5d…"},
     "decision":"approve",
     "engines":[{"findings":[{"check":"hosts.listed","excerpt":"…","id":"1f2e…","line":12,"message":"…",
                              "path":"SKILL.md","severity":"note"}],
                 "name":"skillrepo-checks","policy_sha256":"77…","version":"1"}],
     "previous":null,
     "reason":"reads one file, no network","reviewed_at":"2026-11-22T12:03:00Z","reviewer":"alice",
     "surface":{"executables":[],"hosts":["example.com"]},
     "waivers":[{"by":"alice","finding":"1f2e…","reason":"…","until":"2027-02-22T00:00:00Z"}]}

The statement's subjects are the bundle's target path with the archive's sha256, and ``tree:NAME==VERSION``
with the tree digest, so that both the transported and the unpacked form can be traced to it.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from signing.errors import FormatError, WrongSubjectError
from signing.format.canonical import canonical
from signing.format.digest import Sha256, parse_sha256, sha256_of
from signing.format.fields import Fields
from signing.format.moment import parse_moment, render_moment
from signing.format.names import HolderName, Pin, ReleaseVersion, parse_holder_name, parse_version
from signing.format.statement import Statement, Subject

PREDICATE_TYPE = "https://skills.clawdie.si/attestations/review/v1"


class Severity(enum.StrEnum):
    """How much a finding weighs: block until waived, a reviewer must look, or a note."""

    BLOCK = "block"
    LOOK = "look"
    NOTE = "note"


class Decision(enum.StrEnum):
    """What a reviewer decided."""

    APPROVE = "approve"
    REJECT = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a check noticed. ``line`` counts from 1; 0 means the file as a whole."""

    check: str
    severity: Severity
    path: str
    line: int
    message: str
    excerpt: str = ""

    @property
    def id(self) -> str:
        """A short name that stays the same while the finding does; waivers refer to it."""
        return sha256_of(canonical([self.check, self.path, self.line, self.message, self.excerpt]))[:16]

    def to_json(self) -> dict[str, Any]:
        """Return the finding as it stands in a review and in ``--json`` answers."""
        return {
            "id": self.id,
            "check": self.check,
            "severity": self.severity.value,
            "path": self.path,
            "line": self.line,
            "message": self.message,
            "excerpt": self.excerpt,
        }

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the finding written as ``value``."""
        fields = Fields.of(value, where=where)
        finding = cls(
            check=fields.text("check", max_length=100),
            severity=_severity(fields.text("severity"), fields.place("severity")),
            path=fields.text("path", max_length=500),
            line=fields.integer("line", maximum=10_000_000),
            message=fields.text("message", max_length=2_000),
            excerpt=fields.text("excerpt", max_length=2_000),
        )
        if fields.text("id") != finding.id:
            raise FormatError("is not the id of this finding", where=fields.place("id"))
        fields.done()
        return finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Where the reviewed files came from: a record of provenance, not a promise by the upstream."""

    source: str
    address: str
    resolved: Mapping[str, str]
    publisher: str
    licence: str
    imported_at: datetime
    tree_sha256: Sha256

    def to_json(self) -> dict[str, Any]:
        """Return the candidate as it stands in a review."""
        return {
            "source": self.source,
            "address": self.address,
            "resolved": dict(self.resolved),
            "publisher": self.publisher,
            "licence": self.licence,
            "imported_at": render_moment(self.imported_at),
            "tree_sha256": self.tree_sha256,
        }

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the candidate written as ``value``."""
        fields = Fields.of(value, where=where)
        candidate = cls(
            source=fields.text("source", max_length=100),
            address=fields.text("address", max_length=2_000),
            resolved=_text_map(fields.mapping("resolved"), fields.place("resolved")),
            publisher=fields.text("publisher", max_length=500),
            licence=fields.text("licence", max_length=500),
            imported_at=parse_moment(fields.take("imported_at"), where=fields.place("imported_at")),
            tree_sha256=parse_sha256(fields.take("tree_sha256"), where=fields.place("tree_sha256")),
        )
        fields.done()
        return candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineReport:
    """What one engine found, with its version and the digest of the policy that it ran with."""

    name: str
    version: str
    policy_sha256: Sha256
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the report as it stands in a review."""
        return {
            "name": self.name,
            "version": self.version,
            "policy_sha256": self.policy_sha256,
            "findings": [finding.to_json() for finding in self.findings],
        }

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the report written as ``value``."""
        fields = Fields.of(value, where=where)
        report = cls(
            name=fields.text("name", max_length=100),
            version=fields.text("version", max_length=100),
            policy_sha256=parse_sha256(fields.take("policy_sha256"), where=fields.place("policy_sha256")),
            findings=fields.items("findings", Finding.from_json),
        )
        fields.done()
        return report


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A blocking finding that somebody answers for, until a date."""

    finding: str
    reason: str
    by: HolderName
    until: datetime

    def to_json(self) -> dict[str, Any]:
        """Return the waiver as it stands in a review."""
        return {
            "finding": self.finding,
            "reason": self.reason,
            "by": self.by,
            "until": render_moment(self.until),
        }

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the waiver written as ``value``."""
        fields = Fields.of(value, where=where)
        waiver = cls(
            finding=fields.text("finding", max_length=100),
            reason=fields.text("reason", max_length=2_000),
            by=parse_holder_name(fields.take("by"), where=fields.place("by")),
            until=parse_moment(fields.take("until"), where=fields.place("until")),
        )
        fields.done()
        return waiver


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """What the files say they touch: hosts they name, files they want to execute. Sorted."""

    hosts: tuple[str, ...] = ()
    executables: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the surface as it stands in a review."""
        return {"hosts": list(self.hosts), "executables": list(self.executables)}

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the surface written as ``value``."""
        fields = Fields.of(value, where=where)
        surface = cls(hosts=fields.items("hosts", _text), executables=fields.items("executables", _text))
        fields.done()
        return surface


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A curator's decision about one bundle, with everything that it rests on."""

    pin: Pin
    bundle_sha256: Sha256
    tree_sha256: Sha256
    candidate: Candidate
    engines: tuple[EngineReport, ...]
    surface: Surface
    previous: ReleaseVersion | None
    waivers: tuple[Waiver, ...]
    decision: Decision
    reason: str
    reviewer: HolderName
    reviewed_at: datetime

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings of all engines."""
        return tuple(finding for engine in self.engines for finding in engine.findings)

    def unwaived(self, now: datetime) -> tuple[Finding, ...]:
        """Return the blocking findings for which nobody answers at ``now``."""
        waived = {waiver.finding for waiver in self.waivers if waiver.until > now}
        return tuple(f for f in self.findings if f.severity is Severity.BLOCK and f.id not in waived)

    def to_statement(self) -> Statement:
        """Return the review as an in-toto statement."""
        return Statement(
            subjects=_subjects(self.pin, self.bundle_sha256, self.tree_sha256),
            predicate_type=PREDICATE_TYPE,
            predicate={
                "candidate": self.candidate.to_json(),
                "engines": [engine.to_json() for engine in self.engines],
                "surface": self.surface.to_json(),
                "previous": self.previous,
                "waivers": [waiver.to_json() for waiver in self.waivers],
                "decision": self.decision.value,
                "reason": self.reason,
                "reviewer": self.reviewer,
                "reviewed_at": render_moment(self.reviewed_at),
            },
        )

    @classmethod
    def from_statement(
        cls, statement: Statement, *, pin: Pin, bundle_sha256: Sha256, tree_sha256: Sha256
    ) -> Self:
        """Return the review that ``statement`` holds about exactly this bundle.

        Raises:
            WrongSubjectError: it is about something else, or another kind of claim.
            FormatError: the predicate is not a review.
        """
        if statement.predicate_type != PREDICATE_TYPE:
            raise WrongSubjectError(f"claims {statement.predicate_type!r}, not a review", where="review")
        if statement.subjects != _subjects(pin, bundle_sha256, tree_sha256):
            raise WrongSubjectError(f"is not about {pin} with these digests", where="review")
        fields = Fields.of(statement.predicate, where="review")
        decision = fields.text("decision")
        if decision not in {item.value for item in Decision}:
            raise FormatError("must be approve or reject", where=fields.place("decision"))
        review = cls(
            pin=pin,
            bundle_sha256=bundle_sha256,
            tree_sha256=tree_sha256,
            candidate=Candidate.from_json(fields.take("candidate"), fields.place("candidate")),
            engines=fields.items("engines", EngineReport.from_json, maximum=20),
            surface=Surface.from_json(fields.take("surface"), fields.place("surface")),
            previous=fields.optional(
                "previous", lambda key: parse_version(fields.take(key), where=fields.place(key))
            ),
            waivers=fields.items("waivers", Waiver.from_json),
            decision=Decision(decision),
            reason=fields.text("reason"),
            reviewer=parse_holder_name(fields.take("reviewer"), where=fields.place("reviewer")),
            reviewed_at=parse_moment(fields.take("reviewed_at"), where=fields.place("reviewed_at")),
        )
        fields.done()
        return review


def _subjects(pin: Pin, bundle_sha256: Sha256, tree_sha256: Sha256) -> tuple[Subject, ...]:
    return (
        Subject(name=pin.bundle_path, sha256=bundle_sha256),
        Subject(name=f"tree:{pin}", sha256=tree_sha256),
    )


def _severity(text: str, where: str) -> Severity:
    if text not in {item.value for item in Severity}:
        raise FormatError("must be block, look or note", where=where)
    return Severity(text)


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise FormatError("not a string", where=where)
    return value


def _text_map(values: Mapping[str, Any], where: str) -> dict[str, str]:
    return {key: _text(value, f"{where}.{key}") for key, value in values.items()}
