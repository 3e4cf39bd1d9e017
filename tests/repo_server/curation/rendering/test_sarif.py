import json
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest

from repo_server.curation.rendering import render_sarif
from signing.format.finding import Severity
from tests.repo_server.curation.material import DATA
from tests.repo_server.curation.rendering.material import (
    finding,
    hostile_page,
    page,
    report,
    review,
    tree,
    waiver,
)

SCHEMA = json.loads((DATA / "sarif" / "sarif-schema-2.1.0.json").read_text())


def check(log: dict[str, Any]) -> None:
    """Check ``log`` against the official schema, as it is after it was written and read."""
    jsonschema.Draft4Validator(SCHEMA).validate(json.loads(json.dumps(log)))


def results(log: dict[str, Any]) -> list[dict[str, Any]]:
    return [result for run in log["runs"] for result in run["results"]]


@pytest.mark.parametrize(
    "shown",
    [
        page(),
        page(engines=()),
        page(old=None, previous=None, candidate=""),
        hostile_page("http://127.0.0.1:9"),
    ],
    ids=["quiet", "nobody looked", "first", "hostile"],
)
def test_the_log_is_valid(shown: Any) -> None:
    check(render_sarif(shown))


def test_the_schema_refuses_what_it_should() -> None:
    log = render_sarif(page(engines=(report(finding()),)))
    results(log)[0]["level"] = "terrible"
    with pytest.raises(jsonschema.ValidationError):
        check(log)


def test_findings_become_results_with_a_place_and_a_rule() -> None:
    found = finding(
        "secrets.sent",
        severity=Severity.BLOCK,
        path="notes & more/a%20b.md",
        line=3,
        message="sent",
        excerpt="x",
    )
    log = render_sarif(page(engines=(report(found, finding(severity=Severity.LOOK), finding(line=0)),)))
    check(log)
    [run] = log["runs"]
    assert run["tool"]["driver"]["name"] == "skillrepo-checks"
    assert run["tool"]["driver"]["version"] == "3"
    first = results(log)[0]
    assert first["level"] == "error"
    assert [result["level"] for result in results(log)] == ["error", "warning", "note"]
    assert first["partialFingerprints"] == {"skillrepoFinding/v1": found.id}
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "notes%20%26%20more/a%2520b.md"
    assert unquote(place["artifactLocation"]["uri"]) == found.path
    assert place["region"] == {"startLine": 3, "snippet": {"text": "x"}}
    assert "region" not in results(log)[2]["locations"][0]["physicalLocation"]
    for result in results(log):
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["suppressions"] == []


def test_a_finding_about_the_skill_as_a_whole_has_no_place() -> None:
    log = render_sarif(page(engines=(report(finding(path="", line=0)),)))
    check(log)
    assert "locations" not in results(log)[0]


def test_a_waived_finding_is_suppressed_not_removed() -> None:
    found = finding("secrets.sent", severity=Severity.BLOCK)
    engines = (report(found, finding()),)
    log = render_sarif(page(engines=engines, reviews=(review(page(engines=engines), waiver(found)),)))
    check(log)
    suppressed, other = results(log)
    assert suppressed["level"] == "error"
    assert suppressed["suppressions"][0]["status"] == "accepted"
    assert suppressed["suppressions"][0]["justification"] == "alice, until 2027-02-01: an example, never run"
    assert other["suppressions"] == []


def test_a_failed_engine_did_not_succeed() -> None:
    log = render_sarif(page(engines=(report(name="cisco", failure="not finished"), report())))
    check(log)
    assert [run["invocations"][0]["executionSuccessful"] for run in log["runs"]] == [False, True]


def test_no_path_leaves_the_skill_and_no_message_is_a_link() -> None:
    found = finding(message="[click](javascript:alert(1)) \\[x]", path="javascript:alert(1)")
    log = render_sarif(page(engines=(report(found),), new=tree({"SKILL.md": "x"})))
    check(log)
    [result] = results(log)
    assert result["message"]["text"] == "\\[click\\](javascript:alert(1)) \\\\\\[x\\]"
    assert (
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "javascript%3Aalert%281%29"
    )


def test_hidden_characters_do_not_travel() -> None:
    text = json.dumps(render_sarif(hostile_page("http://127.0.0.1:9")), ensure_ascii=False)
    assert not set(text) & {"\u202e", "\u2066", "\u200b", "\ufeff", "\u2028", "\x1b", "\0"}
    assert "<U+202E>" in text


def test_a_message_has_no_places_to_be_filled_in() -> None:
    log = render_sarif(page(engines=(report(finding(message="${HOME} and {0}")),)))
    check(log)
    assert results(log)[0]["message"]["text"] == "${{HOME}} and {{0}}"
