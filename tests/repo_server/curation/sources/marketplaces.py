"""What the tests of marketplaces have in common: recorded answers, expected digests, one import."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from repo_server.curation.limits import Limits
from repo_server.curation.sources import Fetched, Hit, SourceSettings, fetch, parse_address, source_of
from signing.format.finding import Severity
from tests.repo_server.curation.material import NOW

RECORDED = Path(__file__).parents[3] / "data" / "marketplaces"
EXPECTED = json.loads((RECORDED / "expected.json").read_text())


def take(address: str, bases: Mapping[str, str], *, limits: Limits | None = None) -> Fetched:
    """Import ``address`` from the servers ``bases``."""
    settings = SourceSettings(bases=dict(bases))
    return fetch(parse_address(address), limits=limits or Limits(seconds=20), settings=settings, now=NOW)


def look(scheme: str, query: str, bases: Mapping[str, str]) -> tuple[Hit, ...]:
    """Search ``scheme`` on the servers ``bases``."""
    settings = SourceSettings(bases=dict(bases))
    return source_of(scheme).search(query, limits=Limits(seconds=20), settings=settings)


def digests(fetched: Fetched) -> dict[str, str]:
    """The sha256 of every file, as expected.json has them."""
    files = fetched.tree.files.items()
    return {path: hashlib.sha256(file.content).hexdigest() for path, file in files}


def expected_files(release: str) -> dict[str, str]:
    files: dict[str, str] = EXPECTED["skills"][release]["files"]
    return files


def observed(fetched: Fetched, severity: Severity) -> set[str]:
    """The checks of the source's observations of one severity, without ``source.``."""
    found = (o for o in fetched.observations if o.severity is severity)
    return {o.check.removeprefix("source.") for o in found}
