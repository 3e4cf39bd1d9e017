"""What a digest is, to this host: a policy, or something that was let in or refused; and what would be said of it now (pure)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hive.policy_file import HostPolicy
from signing.format.chain import Record

# The keys under which records of admissions name digests.
_DIGESTS: Final = (
    "bundle_sha256",
    "tree_sha256",
    "review_sha256",
    "sha256",
    "index_sha256",
    "policy_sha256",
    "policy_file_sha256",
    "lock_sha256",
)
SHORTEST: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """One record about the digest, and as what it names it; ``facts`` are those about the thing that has it."""

    record: Record
    role: str
    facts: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return it as ``--json`` answers it."""
        facts = self.facts
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
        facts = {**_refused(record), **record.facts}
        for key in _DIGESTS:
            value = facts.get(key)
            if isinstance(value, str) and value.startswith(digest):
                found.append(Mention(record=record, role=key.removesuffix("_sha256"), facts=facts))
                break
    return tuple(found)


def _refused(record: Record) -> Mapping[str, Any]:
    """Return what a refusal was about, as `hive.refusals` put it into the error; nothing for other records."""
    facts: Any = record.facts
    for key in ("error", "facts", "evidence"):
        facts = facts.get(key)
        if not isinstance(facts, dict):
            return {}
    return dict(facts)


def is_policy(digest: str, found: HostPolicy) -> bool:
    """Return whether ``digest`` names the policy of this host, or the file in which it is written."""
    named = [found.policy.sha256, *([found.file_sha256] if found.file_sha256 is not None else [])]
    return any(sha256.startswith(digest) for sha256 in named)
