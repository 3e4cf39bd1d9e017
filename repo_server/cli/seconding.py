"""Where somebody else approved already: whether a second curator signs that review, or puts another in its place."""

from typing import TYPE_CHECKING

from signing.errors import UsageError
from signing.format.review import Decision

if TYPE_CHECKING:
    from repo_server.curation.deciding import Verdict
    from repo_server.curation.examination import Examination
    from repo_server.curation.seconding import Seconding
    from repo_server.desk import Desk
    from repo_server.policy import Policy
    from signing.console import Console
    from signing.format.review import Review


def approval_of(desk: "Desk", seen: "Examination") -> "Review | None":
    """Return the approval that stands, if one does."""
    from repo_server.curation.examination import load_review

    if seen.row.review_sha256 is None:
        return None
    review = load_review(desk.repository, seen.row)[1]
    return review if review.decision is Decision.APPROVE else None


def differences_from(approval: "Review | None", seen: "Examination") -> tuple[str, ...]:
    """Return what engines say here otherwise than in ``approval``."""
    from repo_server.curation.seconding import plan_seconding

    return plan_seconding(seen, approval).differences if approval is not None else ()


def note_differences(approval: "Review | None", seen: "Examination", console: "Console") -> None:
    """Tell a reader that engines say something else here than in the approval that stands."""
    differences = differences_from(approval, seen)
    if approval is not None and differences:
        console.note(f"{approval.reviewer} approved this; engines say something else here:")
        for difference in differences:
            console.note(f"  {difference}")


def seconding_of(
    approval: "Review | None", seen: "Examination", *, name: str, replace: bool, why: str | None
) -> "Seconding | None":
    """Return what it means to sign ``approval`` as ``name``; None when a statement of one's own is to be made.

    A statement of one's own is made where there is nothing of somebody else to sign, or ``replace`` says so. Where
    an engine blocks here on what the approval leaves out, one is made unless ``why`` asks for the other.

    Raises:
        UsageError: ``why`` is given, and there is no approval by somebody else to sign.
        BlockedError: engines say something else here, and it is not said what is to be done about that.
    """
    from repo_server.curation.seconding import plan_seconding

    if approval is None or approval.reviewer == name or replace:
        if why is not None:
            raise UsageError(
                "--engine-differs is for signing somebody else's approval",
                hint="leave it out" if approval is not None else "there is none",
            )
        return None
    seconding = plan_seconding(seen, approval)
    if seconding.left_out and why is None:
        return None
    seconding.check(why or "")
    return seconding


def other_parts(
    examination: "Examination", standing: "Review", verdict: "Verdict", *, by: str, policy: "Policy | None"
) -> tuple[str, ...]:
    """Return in which parts what ``by`` would sign about ``examination`` differs from ``standing``."""
    from repo_server.cli.context import clock
    from repo_server.curation.deciding import differences, draft_review
    from signing.format.names import parse_holder_name

    mine = draft_review(
        examination,
        verdict,
        reviewer=parse_holder_name(by),
        now=clock(),
        policy_sha256=policy.digest if policy is not None else None,
    )
    return differences(standing, mine)


def note_displaced(
    desk: "Desk", seen: "Examination", verdict: "Verdict", *, by: str, console: "Console"
) -> None:
    """Say so when an approval would take the place of another one, and of the signatures on it."""
    standing = approval_of(desk, seen)
    if standing is None or verdict.decision is not Decision.APPROVE:
        return
    parts = ", ".join(other_parts(seen, standing, verdict, by=by, policy=desk.repository.policy))
    if parts or standing.reviewer == by:
        console.note(
            f"{standing.reviewer} approved this already. Yours "
            + (f"says something else ({parts})" if parts else "is a new statement")
            + " and takes the place of that review, also of the signatures that others gave on it"
        )
