"""Every identifier that can be emitted has a rule that explains it."""

import re
from pathlib import Path

import pytest

import repo_server.curation
from repo_server.curation import frontmatter
from repo_server.curation.checks import run_checks
from repo_server.curation.checks.catalogue import RULES, rule_of
from tests.repo_server.curation.checks.material import skill
from tests.repo_server.curation.checks.test_corpus import DEV, trees
from tests.repo_server.curation.checks.test_judgements import HOSTILE

CHECKS = Path(repo_server.curation.__file__).parent / "checks"


def emitted_by_source() -> set[str]:
    """The identifiers that stand in the sources: whole, or as the name given to a module's own helper."""
    found: set[str] = set()
    for path in CHECKS.glob("*.py"):
        text = path.read_text()
        found |= set(re.findall(r'check="([a-z-]+\.[a-z-]+)"', text))
        prefix = re.search(r'_CHECK = "([a-z-]+)\."', text)
        if prefix:
            found |= {f"{prefix[1]}.{name}" for name in re.findall(r'check=f"\{_CHECK\}([a-z-]+)"', text)}
        family = re.search(r'check=f"([a-z-]+)\.\{(?:check_id|hit\.check)\}"', text)
        if family:
            names = re.findall(r'(?:_finding\(\s*|_Hit\([^,]+, |return )"([a-z-]+)"', text)
            found |= {f"{family[1]}.{name}" for name in names}
    problems = re.findall(r'problem\(\s*"([a-z-]+)"', Path(frontmatter.__file__).read_text())
    return found | {f"frontmatter.{code}" for code in problems}


def test_every_identifier_in_the_sources_has_a_rule() -> None:
    found = emitted_by_source()
    assert len(found) > 80
    for check in sorted(found):
        assert rule_of(check).check == check


def test_every_finding_of_the_corpus_has_a_rule() -> None:
    reports = [run_checks(tree) for _, tree in trees(DEV / "hostile.jsonl")]
    reports += [run_checks(skill(text)) for _, text in HOSTILE]
    checks = {finding.check for report in reports for finding in report.findings}
    assert len(checks) > 40
    for check in sorted(checks):
        rule = rule_of(check)
        assert rule.why.endswith(".")
        assert "waive" in rule.fix


@pytest.mark.parametrize(
    "check",
    [
        "source.evidence",
        "history.backwards",
        "engine.cisco.X1",
        "upstream.identity-vanished",
        "unicode.too-many",
    ],
)
def test_families_have_a_rule(check: str) -> None:
    assert rule_of(check).check == check


def test_an_unknown_check_has_none() -> None:
    with pytest.raises(KeyError):
        rule_of("nothing.known")


def test_rules_are_sentences() -> None:
    for rule in RULES.values():
        assert rule.title[0].isupper()
        assert len(rule.why) > 10
