"""Holding a review to what a host demands of it (pure): reviewers, engines, the curators' policy, and caps.

The surface is what the curators' checks saw and signed. A cap compares with that: it finds what a review says, and
cannot find what nobody saw.
"""

from collections.abc import Sequence

from hive.policy import Policy
from signing.errors import DemandError, ExceedsCapError, ThresholdError
from signing.evidence import VerifiedRelease
from signing.format.caps import Caps

_SHOWN = 20


def check_demands(release: VerifiedRelease, policy: Policy, caps: Sequence[Caps]) -> None:
    """Return None when the review of ``release`` is what ``policy`` demands, within all ``caps``.

    Raises:
        ThresholdError: too few reviewers.
        DemandError: an engine is missing or failed, or the curators held it to another policy.
        ExceedsCapError: the surface holds more than is allowed; the error names the difference.
    """
    review = release.review
    # A person may have an old and a new key, and keys are what signs: neither makes two of one.
    persons = min(len(set(review.reviewers)), len(set(review.reviewer_keyids)))
    if persons < policy.reviewers:
        raise ThresholdError("review", signed=persons, threshold=policy.reviewers)
    ran = {engine.name for engine in review.review.engines if not engine.failure}
    if missing := sorted(set(policy.engines) - ran):
        raise DemandError(
            f"the review of {release.pin} has no result of {', '.join(missing)}",
            hint="review it again with that engine; this host's policy demands it",
            engines=missing,
        )
    if policy.review_policies and review.review.policy_sha256 not in policy.review_policies:
        raise DemandError(
            f"the curators did not hold {release.pin} to a policy that this host demands",
            hint="review it under that policy.toml; its digest stands in the review",
            found=review.review.policy_sha256,
        )
    excess = [item for cap in caps for item in cap.excess(review.review.surface)]
    if excess:
        shown = sorted({str(item) for item in excess})
        raise ExceedsCapError(
            f"{release.pin} may touch more than is allowed here: " + "; ".join(shown[:_SHOWN]),
            hint="raise the cap for good reason (policy, profile), or pin a version that needs less",
            excess=shown,
        )
