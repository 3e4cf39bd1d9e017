"""A second curator's signature on the first one's review, where other people's scanners are concerned.

What follows from the files and from what is published (the surface, its changes, what our own checks find) is found
again on each machine, and must be the same to the letter. What an engine reports need not be: it may be missing
there, or another version, or not confined. Its report is evidence, and the word of whoever ran it. So the second

    whose engines say the same            signs the first one's statement, with the reports that are in it
    whose engines say something else      signs it too, once they say in writing why; that is kept in the log
    whose engines block on something      cannot: they make a statement of their own, in which that stands
    that the statement leaves out

How well an engine was confined is about the machine and not about the skill, so it is no difference.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from repo_server.curation.examination import Examination
from repo_server.curation.textsafe import excerpt, visible
from repo_server.curation.waiving import needs_waiver
from signing.errors import BlockedError, FormatError
from signing.format.fields import Fields
from signing.format.finding import EngineReport, Finding, Severity
from signing.format.review import Review

MAX_REASON: Final = 2_000
MAX_DIFFERENCES: Final = 50
MAX_DIFFERENCE: Final = 1_000
_UNCONFINED: Final = "network-not-cut"


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """Why a second curator signs although the engines say something else on their machine, and what."""

    reason: str
    differences: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as it is handed in."""
        return {"reason": self.reason, "differences": list(self.differences)}

    def to_facts(self) -> dict[str, Any]:
        """Return it as the log keeps it, beside the reason of the review."""
        return {"engines_differ": self.reason, "engine_differences": list(self.differences)}

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return what is written as ``value``.

        Raises:
            FormatError: it is something else, or no reason is given.
        """
        fields = Fields.of(value, where=where)
        found = cls(
            reason=fields.text("reason", max_length=MAX_REASON),
            differences=fields.items("differences", _difference, maximum=MAX_DIFFERENCES),
        )
        fields.done()
        if not found.reason.strip():
            raise FormatError("is empty", where=fields.place("reason"))
        return found


@dataclass(frozen=True, kw_only=True)
class Seconding:
    """What signing somebody's review means to a second curator.

    Attributes:
        standing: the review.
        examination: what the second curator found, with the engines' reports of ``standing`` in place of their own.
        differences: what the engines say otherwise here, for people.
        left_out: what blocks here, by an engine, and does not in ``standing``.
    """

    standing: Review
    examination: Examination
    differences: tuple[str, ...]
    left_out: tuple[Finding, ...]

    def check(self, reason: str) -> Differing | None:
        """Return what is to be kept about signing ``standing`` for ``reason``; None when there is nothing to say.

        Raises:
            BlockedError: the engines say something else here and no reason is given, or none would be enough.
        """
        who = self.standing.reviewer
        if self.left_out:
            raise BlockedError(
                f"an engine blocks here on what {who}'s review leaves out: {_shown(self.left_out[0])}",
                hint="decide by a review of your own, in which it stands: --replace",
                findings=[finding.id for finding in self.left_out],
            )
        if not self.differences:
            return None
        if not reason.strip():
            raise BlockedError(
                f"engines say something else here than in {who}'s review: {self.differences[0]}",
                hint=f"to sign {who}'s review all the same: --engine-differs 'why'; to put one of your own in its "
                "place, without the signatures on it: --replace",
            )
        return Differing(reason=reason[:MAX_REASON], differences=self.differences)


def plan_seconding(seen: Examination, standing: Review) -> Seconding:
    """Return what it would mean to sign ``standing`` for whoever found ``seen``."""
    own = {report.name for report in seen.own_reports}
    theirs = tuple(report for report in standing.engines if report.name not in own)
    blocking = {finding.id for report in theirs for finding in report.findings if needs_waiver(finding)}
    mine = [finding for report in seen.reports for finding in report.findings if needs_waiver(finding)]
    return Seconding(
        standing=standing,
        examination=replace(seen, engines=(*seen.own_reports, *theirs), reports=theirs),
        differences=engine_differences(theirs, seen.reports, by=standing.reviewer),
        left_out=tuple(finding for finding in mine if finding.id not in blocking),
    )


def engine_differences(
    theirs: Sequence[EngineReport], mine: Sequence[EngineReport], *, by: str
) -> tuple[str, ...]:
    """Return in words what ``mine`` say otherwise than ``theirs``, which ``by`` signed; nothing when they agree."""
    names = sorted({report.name for report in (*theirs, *mine)})
    found = [line[:MAX_DIFFERENCE] for name in names for line in _compared(name, theirs, mine, by)]
    if len(found) > MAX_DIFFERENCES:
        more = len(found) - MAX_DIFFERENCES + 1
        found = [*found[: MAX_DIFFERENCES - 1], f"and {more} differences more"]
    return tuple(found)


def _compared(
    name: str, theirs: Sequence[EngineReport], mine: Sequence[EngineReport], by: str
) -> Iterator[str]:
    shown = excerpt(name)
    there, here = ([report for report in reports if report.name == name] for reports in (theirs, mine))
    if len(there) > 1 or len(here) > 1:
        yield f"{shown}: more than one report of it; which one counts?"
        return
    if not here:
        yield f"{shown}: did not look here; {by}'s report of it {_sum(there[0])}"
        return
    if not there:
        yield f"{shown}: is not in {by}'s review; here it {_sum(here[0])}"
        return
    yield from _compared_reports(shown, there[0], here[0], by)


def _compared_reports(shown: str, there: EngineReport, here: EngineReport, by: str) -> Iterator[str]:
    if there.version != here.version:
        yield f"{shown}: version {excerpt(there.version)} at {by}'s, {excerpt(here.version)} here"
    elif there.policy_sha256 != here.policy_sha256:
        yield f"{shown}: other rules or options at {by}'s than here"
    if there.failure != here.failure:
        ran = "ran to its end"
        at_theirs = f"failed ({excerpt(there.failure)})" if there.failure else ran
        at_mine = f"failed ({excerpt(here.failure)})" if here.failure else ran
        yield f"{shown}: {at_theirs} at {by}'s, {at_mine} here"
    left, right = _findings(there), _findings(here)
    yield from _only(shown, left, right.values(), f"only {by}'s finds")
    yield from _only(shown, right, left.values(), "only here is found")


def _only(shown: str, findings: dict[str, Finding], others: Collection[Finding], words: str) -> Iterator[str]:
    for finding in findings.values():
        if finding not in others:
            yield f"{shown}: {words}: {_shown(finding)}"


def _findings(report: EngineReport) -> dict[str, Finding]:
    """Return the findings about the skill, by what is compared: id and weight."""
    about_the_machine = (f"engine.{report.name}.{_UNCONFINED}", Severity.NOTE)
    return {
        f"{finding.id} {finding.severity}": finding
        for finding in report.findings
        if (finding.check, finding.severity) != about_the_machine
    }


def _sum(report: EngineReport) -> str:
    if report.failure:
        return f"failed ({excerpt(report.failure)})"
    findings = _findings(report).values()
    blocking = sum(needs_waiver(finding) for finding in findings)
    return f"has {len(findings)} finding{'s' * (len(findings) != 1)}, {blocking} blocking"


def _shown(finding: Finding) -> str:
    place = f"{visible(finding.path, keep='')}:{finding.line} " if finding.path else ""
    return f"{finding.severity.value} {finding.check} {place}{excerpt(finding.message)} ({finding.id})"


def _difference(value: object, where: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_DIFFERENCE:
        raise FormatError(f"not a text of at most {MAX_DIFFERENCE} characters", where=where)
    return value
