"""The findings as SARIF 2.1.0, for code hosts and editors that show such logs.

One run for each report: our own checks, the source's word, the history, and each engine, with its real version. Paths are
relative to the skill's folder and percent-encoded; no path of this machine is in it. A waived finding stays in
the log, suppressed, with the reason: what somebody answers for is not what nobody saw.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from repo_server.curation.rendering.page import ReviewPage
from repo_server.curation.rendering.words import rule_words
from repo_server.curation.textsafe import visible
from signing.format.finding import EngineReport, Finding, Severity
from signing.format.review import Waiver

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: Final = {Severity.BLOCK: "error", Severity.LOOK: "warning", Severity.NOTE: "note"}
_BASE: Final = "SKILL"  # what relative paths start from; whoever reads the log knows where that is


def render_sarif(page: ReviewPage) -> dict[str, Any]:
    """Return the findings of ``page`` as a SARIF log."""
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(page, report) for report in page.engines]}


def _run(page: ReviewPage, report: EngineReport) -> dict[str, Any]:
    checks = sorted({finding.check for finding in report.findings})
    index = {check: number for number, check in enumerate(checks)}
    driver: dict[str, Any] = {"name": report.name, "rules": [_rule(check, report) for check in checks]}
    if report.version:
        driver["version"] = report.version
    return {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"skillrepo-review/{visible(_title(page), keep='')}/{report.name}"},
        "invocations": [_invocation(report)],
        "originalUriBaseIds": {_BASE: {"description": {"text": "The folder that holds SKILL.md."}}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(f, index[f.check], page.waivers) for f in report.findings],
        "properties": {
            "policySha256": report.policy_sha256,
            "treeSha256": page.provenance.tree_sha256,
            "candidate": page.candidate,
        },
    }


def _title(page: ReviewPage) -> str:
    return f"{page.name}=={page.version}" if page.version else page.name


def _invocation(report: EngineReport) -> dict[str, Any]:
    if not report.failure:
        return {"executionSuccessful": True}
    notice = {"level": "error", "message": {"text": visible(report.failure)}}
    return {"executionSuccessful": False, "toolExecutionNotifications": [notice]}


def _rule(check: str, report: EngineReport) -> dict[str, Any]:
    words = rule_words(check)
    gravest = min((f.severity for f in report.findings if f.check == check), key=list(Severity).index)
    rule: dict[str, Any] = {
        "id": check,
        "shortDescription": {"text": visible(words.title, keep="")},
        "defaultConfiguration": {"level": _LEVELS[gravest]},
    }
    if words.why:
        rule["fullDescription"] = {"text": visible(words.why)}
    if advice := " ".join(text for text in (words.why, words.fix) if text):
        rule["help"] = {"text": visible(advice)}
    return rule


def _result(finding: Finding, rule: int, waivers: Mapping[str, Waiver]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.check,
        "ruleIndex": rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": _literally(visible(finding.message))},
        "partialFingerprints": {"skillrepoFinding/v1": finding.id},
        "suppressions": [],
    }
    if finding.path:
        result["locations"] = [{"physicalLocation": _place(finding)}]
    if (waiver := waivers.get(finding.id)) is not None:
        result["suppressions"] = [
            {
                "kind": "external",
                "status": "accepted",
                "justification": visible(f"{waiver.by}, until {waiver.until:%Y-%m-%d}: {waiver.reason}"),
            }
        ]
    return result


def _place(finding: Finding) -> dict[str, Any]:
    # No character is safe but these: a colon in the first part of a path would be read as a scheme.
    uri = quote(finding.path.encode(errors="surrogatepass"), safe="/-._~")
    place: dict[str, Any] = {"artifactLocation": {"uri": uri, "uriBaseId": _BASE}}
    if finding.line:
        place["region"] = {"startLine": finding.line}
        if finding.excerpt:
            place["region"]["snippet"] = {"text": visible(finding.excerpt)}
    return place


def _literally(text: str) -> str:
    """Return ``text`` as a message without links and without places to be filled in.

    Viewers make ``[text](target)`` one to click on (3.11.6), and ``{0}`` the first of the arguments, of which there
    are none (3.11.5).
    """
    for sign, literally in (("\\", "\\\\"), ("[", "\\["), ("]", "\\]"), ("{", "{{"), ("}", "}}")):
        text = text.replace(sign, literally)
    return text
