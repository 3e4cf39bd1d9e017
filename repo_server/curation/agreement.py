"""Whether a review says what is found here: no curator's machine is believed about what another can look up.

A review is made elsewhere, by a machine that may be out of date, or lie for somebody who wants the second
curator to sign blindly. The version that it was compared with, the surface, what changed in it and what our own
checks report follow from the candidate's files and from what is published, so whoever takes a review, signs by it or
publishes by it finds them out again. What an engine of somebody else reported is its reviewer's word: the engine
need not be here.
"""

from collections.abc import Collection
from typing import Final

from repo_server.curation.examination import Examination
from repo_server.curation.waiving import WAIVER_LIFE
from signing.errors import BlockedError, ConflictError, NotEntitledError, WrongSubjectError
from signing.format.finding import EngineReport
from signing.format.review import Review

_AGAIN: Final = (
    "review it again; if it was just reviewed, do not sign: its reviewer's machine shows something else"
)


def check_agrees(review: Review, seen: Examination) -> None:
    """Return None when ``review`` says of the candidate what ``seen`` does.

    Raises:
        ConflictError: it was compared with another release than it is here, or made with other checks.
        WrongSubjectError: it says something else of the files, or leaves something out.
    """
    if review.previous != seen.previous:
        raise ConflictError(
            f"the review of {review.pin} compares it with {_shown(review.previous)}; published last, and not"
            f" withdrawn, is {_shown(seen.previous)}",
            hint="review it again: nobody has seen yet what it may do that the last version cannot",
        )
    changes = seen.surface_changes if seen.previous is not None else ()
    if (review.surface, review.surface_changes) != (seen.surface, changes):
        raise _disagrees(review, "what it may touch, or what is new in that")
    names = [report.name for report in review.engines]
    for report in seen.own_reports:
        if names.count(report.name) != 1:
            raise _disagrees(review, f"the report of {report.name}")
        _check_report(review, review.engines[names.index(report.name)], report)


def check_waivers(review: Review, *, signers: Collection[str]) -> None:
    """Return None when everybody in whose name ``review`` waives is among its ``signers``, with a reason, and an end.

    Raises:
        NotEntitledError: it waives in the name of somebody who did not sign.
        BlockedError: without a reason, or for too long.
    """
    for waiver in review.waivers:
        if waiver.by not in signers:
            raise NotEntitledError(
                f"{waiver.by}, who is said to waive {waiver.finding}, did not sign the review of {review.pin}",
                hint="answer for findings in your own name",
            )
        if not waiver.reason.strip() or waiver.until - review.reviewed_at > WAIVER_LIFE:
            raise BlockedError(
                f"the review of {review.pin} waives {waiver.finding} without a reason, or for more than"
                f" {WAIVER_LIFE.days} days",
                hint="review it again",
                findings=[waiver.finding],
            )


def _check_report(review: Review, given: EngineReport, found: EngineReport) -> None:
    if (given.version, given.policy_sha256) != (found.version, found.policy_sha256):
        raise ConflictError(
            f"{review.pin} was checked by {given.name} {given.version}; here it is {found.version}, or has other rules",
            hint="use the same version of skillrepo on both sides, then review it again",
        )
    if given.to_json() != found.to_json():
        raise _disagrees(review, f"what {given.name} finds")


def _disagrees(review: Review, what: str) -> WrongSubjectError:
    return WrongSubjectError(
        f"the review of {review.pin} by {review.reviewer} does not give {what} as it is found here",
        where="review",
        hint=_AGAIN,
    )


def _shown(version: str | None) -> str:
    return version if version is not None else "nothing"
