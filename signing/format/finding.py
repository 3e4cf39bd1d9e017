"""What a check or an engine noticed, and the report in which a review records it.

    {"check":"hosts.listed","excerpt":"…","id":"1f2e…","line":12,"message":"…","path":"SKILL.md","severity":"note"}

    {"failure":"","findings":[…],"name":"skillrepo-checks","policy_sha256":"77…","version":"1"}

An engine that did not run to its end is recorded too, with what went wrong: silence is not a clean report.
"""

import enum
from dataclasses import dataclass
from typing import Any, Self

from signing.errors import FormatError
from signing.format.canonical import canonical
from signing.format.digest import Sha256, parse_sha256, sha256_of
from signing.format.fields import Fields


class Severity(enum.StrEnum):
    """How much a finding weighs: block until waived, a reviewer must look, or a note."""

    BLOCK = "block"
    LOOK = "look"
    NOTE = "note"


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
class EngineReport:
    """What one engine found, with its version and the digest of the policy that it ran with.

    ``failure`` says why it did not run to its end, and is empty when it did.
    """

    name: str
    version: str
    policy_sha256: Sha256
    findings: tuple[Finding, ...]
    failure: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the report as it stands in a review."""
        return {
            "name": self.name,
            "version": self.version,
            "policy_sha256": self.policy_sha256,
            "findings": [finding.to_json() for finding in self.findings],
            "failure": self.failure,
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
            failure=fields.text("failure", max_length=2_000),
        )
        fields.done()
        return report


def _severity(text: str, where: str) -> Severity:
    if text not in {item.value for item in Severity}:
        raise FormatError("must be block, look or note", where=where)
    return Severity(text)
