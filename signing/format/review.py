"""The review: what a curator saw and decided, as the predicate of an in-toto statement.

    {"candidate":{"address":"clawhub:@northwind-tools/csv-summarizer@1.0.1","imported_at":"2026-11-22T12:00:00Z",
                  "licence":"MIT-0","publisher":"@northwind-tools","resolved":{"version":"1.0.1"},
                  "source":"clawhub","tree_sha256":"5d…"},
     "decision":"approve",
     "engines":[…signing.format.finding…],
     "policy_sha256":null,
     "previous":"1.0.0",
     "reason":"reads one file, no network","reviewed_at":"2026-11-22T12:03:00Z","reviewer":"alice",
     "surface":{…signing.format.surface…},
     "surface_changes":{"acknowledged":true,"changes":[{"added":true,"entry":"example.com","kind":"hosts"}]},
     "waivers":[{"by":"alice","finding":"1f2e…","reason":"…","until":"2027-02-22T00:00:00Z"}]}

The statement's subjects are the bundle's target path with the archive's sha256, and ``tree:NAME==VERSION``
with the tree digest, so that both the transported and the unpacked form can be traced to it. ``surface_changes``
is what came and went since ``previous``; an approval must acknowledge it. ``policy_sha256`` is the digest of the
policy that the reviewer held the candidate to, or null where there is none.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from signing.errors import FormatError, WrongSubjectError
from signing.format.digest import Sha256, parse_sha256
from signing.format.fields import Fields
from signing.format.finding import EngineReport, Finding, Severity
from signing.format.moment import parse_moment, render_moment
from signing.format.names import HolderName, Pin, ReleaseVersion, parse_holder_name, parse_version
from signing.format.statement import Statement, Subject
from signing.format.surface import Surface, SurfaceChange

__all__ = [
    "PREDICATE_TYPE",
    "Candidate",
    "Decision",
    "EngineReport",
    "Finding",
    "Review",
    "Severity",
    "Surface",
    "Waiver",
]

MAX_CHANGES = 100_000
PREDICATE_TYPE = "https://skills.clawdie.si/attestations/review/v1"


class Decision(enum.StrEnum):
    """What a reviewer decided."""

    APPROVE = "approve"
    REJECT = "reject"
    NEEDS_WORK = "needs-work"


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
class Review:
    """A curator's decision about one bundle, with everything that it rests on."""

    pin: Pin
    bundle_sha256: Sha256
    tree_sha256: Sha256
    candidate: Candidate
    engines: tuple[EngineReport, ...]
    surface: Surface
    previous: ReleaseVersion | None
    surface_changes: tuple[SurfaceChange, ...] = ()
    acknowledged: bool = False
    policy_sha256: Sha256 | None = None
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
                "surface_changes": {
                    "acknowledged": self.acknowledged,
                    "changes": [change.to_json() for change in self.surface_changes],
                },
                "policy_sha256": self.policy_sha256,
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
            raise FormatError("must be approve, reject or needs-work", where=fields.place("decision"))
        changes, acknowledged = _changes(fields.take("surface_changes"), fields.place("surface_changes"))
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
            surface_changes=changes,
            acknowledged=acknowledged,
            policy_sha256=fields.optional(
                "policy_sha256", lambda key: parse_sha256(fields.take(key), where=fields.place(key))
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


def _changes(value: object, where: str) -> tuple[tuple[SurfaceChange, ...], bool]:
    fields = Fields.of(value, where=where)
    changes = fields.items("changes", SurfaceChange.from_json, maximum=MAX_CHANGES)
    acknowledged = fields.take("acknowledged")
    if not isinstance(acknowledged, bool):
        raise FormatError("must be true or false", where=fields.place("acknowledged"))
    fields.done()
    return changes, acknowledged


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise FormatError("not a string", where=where)
    return value


def _text_map(values: Mapping[str, Any], where: str) -> dict[str, str]:
    return {key: _text(value, f"{where}.{key}") for key, value in values.items()}
