"""The real engine, where it is installed: SKILLREPO_ENGINES names the folder."""

import os
from pathlib import Path

import pytest

from repo_server.curation.engines.cisco import CISCO, cisco
from repo_server.curation.engines.confinement import best_confinement
from repo_server.curation.engines.engine import Engine, EngineLimits
from repo_server.curation.engines.installing import absence_of
from signing.format.finding import Severity
from tests.repo_server.curation.material import DEPLOY, fetched, recorded

FOLDER = Path(os.environ.get("SKILLREPO_ENGINES", "/nonexistent"))
ABSENCE = absence_of(CISCO, FOLDER)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(ABSENCE), reason=f"{ABSENCE} --engines DIR, and SKILLREPO_ENGINES=DIR"),
]


@pytest.fixture
def engine() -> Engine:
    return cisco(FOLDER)


def test_a_hostile_a_subtle_and_a_benign_skill(engine: Engine) -> None:
    """One process for all: starting takes longer than looking. The first comes again, and gets the same answer."""
    trees = [
        fetched(str(DEPLOY)).tree,
        recorded("meeting-notes-polisher.1.1.0"),
        recorded("csv-summarizer.1.0.1"),
        fetched(str(DEPLOY)).tree,
    ]
    reports = engine.run_all(trees, limits=EngineLimits())
    assert [report.failure for report in reports] == [""] * 4
    assert {report.version for report in reports} == {"2.3.2"}
    hostile, subtle, benign, again = reports
    assert again == hostile
    blocking = [finding for finding in hostile.findings if finding.severity is Severity.BLOCK]
    assert ("scripts/bootstrap.sh", 3) in {(finding.path, finding.line) for finding in blocking}
    # What scanners miss is why a person decides, with the difference to the last version at hand.
    for report in (subtle, benign):
        assert not [finding for finding in report.findings if finding.severity is Severity.BLOCK]
    assert best_confinement().cuts_network == (
        "engine.cisco.network-not-cut" not in {finding.check for finding in hostile.findings}
    )


def test_too_little_memory_is_a_failure_not_a_clean_report(engine: Engine) -> None:
    report = engine.run(recorded("csv-summarizer.1.0.1"), limits=EngineLimits(memory_bytes=24 << 20))
    assert report.failure
    assert "engine.cisco.failed" in {finding.check for finding in report.findings}
