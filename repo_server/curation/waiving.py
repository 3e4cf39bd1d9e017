"""Which findings somebody may answer for, and for how long."""

from datetime import timedelta
from typing import Final

from signing.format.finding import Finding, Severity

WAIVER_LIFE: Final = timedelta(days=180)
# What the publish profile demands of the front matter is not a matter of judgement.
_NOT_WAIVABLE: Final = "frontmatter."


def needs_waiver(finding: Finding) -> bool:
    """Return whether ``finding`` stands in the way until somebody answers for it."""
    return finding.severity is Severity.BLOCK


def is_waivable(finding: Finding) -> bool:
    """Return whether anybody can: the rules of publishing are kept, not waived."""
    return not finding.check.startswith(_NOT_WAIVABLE)
