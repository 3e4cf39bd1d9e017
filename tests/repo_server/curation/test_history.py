import dataclasses

import pytest

from repo_server.curation.history import HistoryFacts, history_findings
from signing.format.names import parse_version
from signing.format.review import Finding, Severity

OLD = HistoryFacts(version=parse_version("1.2"), source="clawhub", publisher="@o", licence="MIT")
NEXT = dataclasses.replace(OLD, version=parse_version("1.10"))


def test_a_first_release_and_a_next_one_have_no_findings() -> None:
    assert history_findings(new=OLD, old=None) == ()
    assert history_findings(new=NEXT, old=OLD) == ()


@pytest.mark.parametrize(
    ("changed", "check"),
    [
        ({"version": "1.1"}, "backwards"),
        ({"version": "1.2"}, "backwards"),
        ({"source": "git"}, "source-changed"),
        ({"publisher": "@\u043e"}, "publisher-changed"),
        ({"licence": ""}, "licence-changed"),
    ],
)
def test_each_change_is_looked_at(changed: dict[str, str], check: str) -> None:
    [finding] = history_findings(new=dataclasses.replace(NEXT, **changed), old=OLD)
    assert (finding.check, finding.severity, finding.path, finding.line) == (
        f"history.{check}",
        Severity.LOOK,
        "SKILL.md",
        0,
    )
    assert finding.message.isascii()
    assert finding.message.isprintable()
    assert Finding.from_json(finding.to_json(), "f") == finding
