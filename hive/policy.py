"""What admission demands. There is no setting in here: a paid tenant's rule is code, not configuration.

paid   first-party only. No flag, variable, file, empty list, outage or exception weakens this.
free   first-party, or an external bundle that the operator opted in to by digest, with owner, reason and end.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from signing.format.canonical import canonical
from signing.format.digest import Sha256, sha256_of

SCHEMA: Final = "https://skills.clawdie.si/schema/admission-policy/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The demands on first-party evidence; both tiers' rules above them are fixed."""

    reviewers: int = 1
    # Evidence is about "now": what was verified longer ago has to be verified again.
    evidence_life: timedelta = timedelta(minutes=15)

    def to_json(self) -> dict[str, Any]:
        """Return the policy as audit records name it."""
        return {
            "schema": SCHEMA,
            "paid": "first-party only",
            "free": "first-party, or external by recorded opt-in",
            "reviewers": self.reviewers,
            "evidence_seconds": int(self.evidence_life.total_seconds()),
        }

    @property
    def sha256(self) -> Sha256:
        """The digest that audit records carry."""
        return sha256_of(canonical(self.to_json()))


POLICY: Final = Policy()
