"""What admission demands of first-party evidence. A host can demand more than this, and never less.

paid   first-party only. No flag, variable, file, empty list, outage or exception weakens this: it is code.
free   first-party, or an external bundle that the operator opted in to by digest, with owner, reason and end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from signing.errors import FormatError
from signing.format.canonical import canonical
from signing.format.caps import Caps
from signing.format.digest import Sha256, sha256_of

SCHEMA: Final = "https://skills.clawdie.si/schema/admission-policy/v1"
_FEWEST_REVIEWERS: Final = 1
_LONGEST_LIFE: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The demands on first-party evidence; both tiers' rules above them are fixed.

    Attributes:
        reviewers: how many curators must have signed the review.
        evidence_life: evidence is about "now": what was verified longer ago has to be verified again.
        engines: each of these ran to its end, and its findings stand in the review.
        review_policies: where there are any, the curators held the candidate to one of these (by digest); that is
            how a host demands the identities of continuous integration that such a policy names.
        caps: what a skill's signed surface may hold, by tier.

    Raises:
        FormatError: it demands less than the floor.
    """

    reviewers: int = _FEWEST_REVIEWERS
    evidence_life: timedelta = _LONGEST_LIFE
    engines: tuple[str, ...] = ()
    review_policies: tuple[Sha256, ...] = ()
    caps: Mapping[str, Caps] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if self.reviewers < _FEWEST_REVIEWERS or not timedelta(0) < self.evidence_life <= _LONGEST_LIFE:
            raise FormatError("demands less than the floor, which is code", where="policy")

    def caps_of(self, tier: str) -> Caps:
        """Return the caps for a tier."""
        return self.caps.get(tier, Caps.none())

    def to_json(self) -> dict[str, Any]:
        """Return the policy as audit records name it."""
        more: dict[str, Any] = {
            "engines": list(self.engines),
            "review_policies": list(self.review_policies),
            "caps": {tier: caps.to_json() for tier, caps in sorted(self.caps.items()) if caps},
        }
        return {
            "schema": SCHEMA,
            "paid": "first-party only",
            "free": "first-party, or external by recorded opt-in",
            "reviewers": self.reviewers,
            "evidence_seconds": int(self.evidence_life.total_seconds()),
            **{key: value for key, value in more.items() if value},
        }

    @property
    def sha256(self) -> Sha256:
        """The digest that audit records carry."""
        return sha256_of(canonical(self.to_json()))


# The floor: what every host demands.
POLICY: Final = Policy()
