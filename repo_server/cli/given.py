"""What the command line says about a decision, and what a person is asked when it does not say it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

import click

from repo_server.cli.context import acting_as, clock
from repo_server.cli.seconding import approval_of
from signing.errors import BlockedError, FormatError, UsageError
from signing.format.finding import Severity
from signing.format.review import Decision

if TYPE_CHECKING:
    from repo_server.curation.deciding import Verdict
    from repo_server.curation.examination import Examination
    from repo_server.desk import Desk
    from repo_server.policy import Policy

SHORT = 12  # characters of an acknowledgement that are enough


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the command line says about the decision."""

    decision: str | None
    reason: str | None
    waive: tuple[str, ...]
    waive_until: datetime | None
    renew_waivers: bool
    acknowledge: str | None
    engine_differs: str | None
    replace: bool


def check_given(given: Given) -> None:
    """Check that what is said about another's approval goes with an approval, and with itself.

    Raises:
        UsageError: it does not.
    """
    about_another = given.replace or given.engine_differs is not None
    if about_another and given.decision not in {None, Decision.APPROVE.value}:
        raise UsageError("--engine-differs and --replace go with --approve")
    if given.replace and given.engine_differs is not None:
        raise UsageError(
            "--engine-differs signs another's approval, --replace puts yours in its place: choose"
        )
    if given.engine_differs is not None and not given.engine_differs.strip():
        raise UsageError("--engine-differs needs a reason", hint="it is kept in the log")


def verdict_of(examination: "Examination", given: Given, policy: "Policy | None") -> "Verdict":
    """Return what ``given`` decides about ``examination``.

    Raises:
        UsageError: no reason, or a waiver without one. BlockedError: what is acknowledged is not what changed.
    """
    from repo_server.curation.deciding import Verdict
    from repo_server.curation.waiving import WAIVER_LIFE
    from signing.format.digest import Sha256

    if not given.reason:
        raise UsageError("a decision needs a reason", hint="--reason 'what you saw and why it is enough'")
    waive = _waivers(given.waive)
    if given.renew_waivers:
        waive = {waiver.finding: waiver.reason for waiver in examination.earlier_waivers} | waive
    expected, acknowledged = examination.acknowledgement, None
    if given.acknowledge is not None:
        text = given.acknowledge.lower()
        if expected is None or len(text) < SHORT or not expected.startswith(text):
            raise BlockedError(
                "what you acknowledge is not what changed"
                + ("" if expected is None else f": that is {expected[:SHORT]}"),
                hint="review it again, and read what it may touch that the last version could not",
            )
        acknowledged = Sha256(expected)
    until = given.waive_until
    if until is None and policy is not None and policy.waiver_life is not None:
        until = clock() + min(policy.waiver_life, WAIVER_LIFE)
    return Verdict(
        decision=Decision(given.decision or ""),
        reason=given.reason,
        waive=waive,
        waive_until=until,
        acknowledged=acknowledged,
    )


def ask(desk: "Desk", examination: "Examination", given: Given, holder: str | None) -> Given:
    """Ask a person for the decision; nothing is decided by pressing Enter."""
    choices = [Decision.APPROVE.value, Decision.REJECT.value, Decision.NEEDS_WORK.value, "later"]
    choice = click.prompt(
        "approve, reject, needs-work, or later", type=click.Choice(choices), err=True, show_choices=False
    )
    if choice == "later":
        return given
    if choice == Decision.APPROVE.value:
        given = _ask_about_changes(examination, given)
        given, examination = _ask_about_engines(
            desk, examination, given, acting_as(holder, desk.repository, "curator")
        )
        known = {waiver.finding: waiver for waiver in examination.earlier_waivers}
        asked = set(_waivers(given.waive))
        for finding in examination.findings:
            if finding.severity is Severity.BLOCK and finding.id not in asked:
                earlier = known.get(finding.id)
                if earlier is not None:
                    click.echo(f"{earlier.by} waived this in the last version: {earlier.reason}", err=True)
                why = click.prompt(f"{finding.check} blocks ({finding.id}); why is it acceptable?", err=True)
                given = replace(given, waive=(*given.waive, f"{finding.id}={why}"))
    return replace(given, decision=choice, reason=given.reason or click.prompt("reason", err=True))


def _ask_about_changes(examination: "Examination", given: Given) -> Given:
    if examination.acknowledgement is None or given.acknowledge is not None:
        return given
    count = len(examination.surface_changes)
    click.confirm(
        f"it may touch what the last version could not ({count} change{'s' * (count > 1)} above); "
        "have you read them, and are they meant?",
        err=True,
        abort=True,
    )
    return replace(given, acknowledge=examination.acknowledgement)


def _ask_about_engines(
    desk: "Desk", examination: "Examination", given: Given, name: str
) -> "tuple[Given, Examination]":
    """Ask whether somebody else's approval is to be signed although engines say something else here.

    Also returns what is decided about: with the engines' reports of whoever made the statement.
    """
    from repo_server.curation.seconding import plan_seconding

    approval = approval_of(desk, examination)
    if approval is None or approval.reviewer == name or given.replace:
        return given, examination
    seconding = plan_seconding(examination, approval)
    if given.engine_differs is None and seconding.left_out:
        return given, examination  # these are in no statement yet
    if given.engine_differs is None and seconding.differences:
        question = (
            f"sign {approval.reviewer}'s review, although engines say something else here (above)? "
            "No: yours takes its place, and the signatures on it are lost"
        )
        if not click.confirm(question, err=True):
            return replace(given, replace=True), examination
        given = replace(given, engine_differs=click.prompt("why is that right?", err=True))
    return given, seconding.examination


def _waivers(given: Sequence[str]) -> dict[str, str]:
    result = {}
    for item in given:
        finding, separator, why = item.partition("=")
        if not separator or not why.strip():
            raise UsageError(f"{item!r} is not FINDING=REASON", hint="use the finding's id from review")
        result[finding] = why.strip()
    return result


def end_of(day: datetime | None) -> datetime | None:
    """Return the last second of ``day``, at which waivers end.

    Raises:
        FormatError: it is over.
    """
    if day is None:
        return None
    end = datetime.combine(day.date(), time(23, 59, 59), tzinfo=UTC)
    if end <= clock():
        raise FormatError("that day is over", where="--waive-until")
    return end
