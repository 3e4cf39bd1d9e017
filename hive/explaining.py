"""What a digest is, to this host: a policy, or something that was let in or refused; and what would be said of it now (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from hive.policy import Policy
from signing.format.chain import Record

# The keys under which records of admissions name digests.
_DIGESTS: Final = (
    "bundle_sha256",
    "tree_sha256",
    "review_sha256",
    "sha256",
    "index_sha256",
    "policy_sha256",
    "lock_sha256",
)
SHORTEST: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """One record about the digest, and as what it names it."""

    record: Record
    role: str

    def to_json(self) -> dict[str, Any]:
        """Return it as ``--json`` answers it."""
        facts = self.record.facts
        return {
            "sequence": self.record.sequence,
            "event": self.record.event,
            "as": self.role,
            "tenant": facts.get("tenant"),
            "pin": facts.get("pin"),
            "kind": facts.get("kind"),
            "verdict": facts.get("verdict"),
            "signed_by": facts.get("signed_by"),
            "reviewed_by": facts.get("reviewed_by"),
        }


def mentions(digest: str, records: Sequence[Record]) -> tuple[Mention, ...]:
    """Return every record that names ``digest``, whole or by its first SHORTEST digits or more."""
    found = []
    for record in records:
        for key in _DIGESTS:
            value = record.facts.get(key)
            if isinstance(value, str) and value.startswith(digest):
                found.append(Mention(record=record, role=key.removesuffix("_sha256")))
                break
    return tuple(found)


def is_policy(digest: str, policy: Policy) -> bool:
    """Return whether ``digest`` names the policy of this host."""
    return policy.sha256.startswith(digest)
