import json
from typing import Any

import pytest

from repo_server.curation.engines.answers import MAX_FINDINGS, Answer, parse_answer
from repo_server.curation.tree import SourceTree
from signing.format.finding import Finding, Severity
from tests.repo_server.curation.engines.fake_engine import FINDING

TREE = SourceTree.of([("SKILL.md", b"text", False)])


def parsed(*findings: Any) -> Answer:
    line = json.dumps({"version": "1.0", "findings": findings, "failed": []}).encode()
    return parse_answer(line, engine="fake", tree=TREE, strip=lambda text: text)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("CRITICAL", Severity.BLOCK),
        ("HIGH", Severity.BLOCK),
        ("MEDIUM", Severity.LOOK),
        ("LOW", Severity.NOTE),
        ("INFO", Severity.NOTE),
        ("SAFE", Severity.NOTE),
        ("high", Severity.LOOK),  # not a word of theirs: a person looks
        ("CATASTROPHIC", Severity.LOOK),
    ],
)
def test_severities(theirs: str, ours: Severity) -> None:
    [finding] = parsed({**FINDING, "severity": theirs}).findings
    assert finding.severity is ours


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"path": "/etc/passwd"}, {"path": "", "line": 0}),
        ({"path": "../SKILL.md"}, {"path": "", "line": 0}),
        ({"path": None}, {"path": "", "line": 0}),
        ({"path": ["SKILL.md"]}, {"path": "", "line": 0}),
        ({"line": None}, {"path": "SKILL.md", "line": 0}),
        ({"line": -1}, {"line": 0}),
        ({"line": True}, {"line": 0}),
        ({"line": 10**30}, {"line": 0}),
        ({"line": "3"}, {"line": 0}),
        ({"rule": "a b"}, {"check": "engine.fake.unnamed"}),
        ({"rule": "x" * 71}, {"check": "engine.fake.unnamed"}),
        ({"rule": "../../x"}, {"check": "engine.fake.unnamed"}),
        ({"rule": "RULE-1.a_b"}, {"check": "engine.fake.RULE-1.a_b"}),
        ({"message": ""}, {"message": "(no words)"}),
        ({"message": None}, {"message": "(no words)"}),
        ({"message": "a\u202eb\x1b[2J\nc"}, {"message": "a<U+202E>b<U+001B>[2J<U+000A>c"}),
        ({"excerpt": None}, {"excerpt": ""}),
    ],
    ids=str,
)
def test_what_a_stranger_writes_is_taken_with_care(change: dict[str, Any], expected: dict[str, Any]) -> None:
    [finding] = parsed({**FINDING, **change}).findings
    for key, value in expected.items():
        assert getattr(finding, key) == value
    assert Finding.from_json(finding.to_json(), "finding") == finding


def test_long_texts_are_cut() -> None:
    [finding] = parsed({**FINDING, "message": "\u200b" * 100_000, "excerpt": "y" * 100_000}).findings
    assert len(finding.message) < 2_000
    assert len(finding.excerpt) < 2_000


def test_the_gravest_come_first_and_noise_hides_nothing() -> None:
    noise = [{**FINDING, "severity": "INFO", "line": n} for n in range(1, 1_000)]
    answer = parsed(*noise, {**FINDING, "line": 5_000})
    assert answer.findings[0].severity is Severity.BLOCK
    assert len(answer.findings) == MAX_FINDINGS + 1
    assert (answer.findings[-1].check, answer.findings[-1].severity) == (
        "engine.fake.too-many",
        Severity.BLOCK,
    )


def test_the_same_thing_twice_is_one_finding() -> None:
    assert len(parsed(FINDING, FINDING).findings) == 1


def test_the_order_of_the_engine_does_not_matter() -> None:
    several = [{**FINDING, "line": n, "severity": s} for n in (3, 1, 2) for s in ("LOW", "HIGH")]
    assert parsed(*several) == parsed(*reversed(several))
