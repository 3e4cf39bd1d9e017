"""What these tests have in common: recorded data, small trees, severities."""

from datetime import UTC, datetime
from pathlib import Path

from repo_server.curation.limits import Limits
from repo_server.curation.sources import Fetched, SourceSettings, fetch, parse_address
from repo_server.curation.tree import SourceTree
from repo_server.curation.unpack import unpack
from signing.format.review import EngineReport, Severity

DATA = Path(__file__).parents[2] / "data"
HOSTILE = DATA / "hostile"
CLAWHUB = DATA / "marketplaces" / "clawhub"
NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
SKILL_MD = b"---\nname: x\ndescription: ok\nlicense: MIT\n---\n\n# X\n"
DEPLOY = DATA / "skills" / "deploy-quickstart"


def tree_of(**files: bytes | str) -> SourceTree:
    """A tree with a decent SKILL.md; ``a__b_md="…"`` is the file a/b.md."""
    named = {
        name.replace("__", "/").replace("_", "."): content.encode() if isinstance(content, str) else content
        for name, content in files.items()
    }
    return SourceTree.of((path, content, False) for path, content in ({"SKILL.md": SKILL_MD} | named).items())


def recorded(name: str) -> SourceTree:
    """The tree of a recorded ClawHub archive, like ``csv-summarizer.1.0.1``."""
    data = (CLAWHUB / f"GET_api_v1_download.{name}.zip").read_bytes()
    return SourceTree.of(entry for entry in unpack(data, Limits()) if entry[0] != "_meta.json")


def fetched(address: str, *, limits: Limits | None = None, settings: SourceSettings | None = None) -> Fetched:
    return fetch(
        parse_address(address), limits=limits or Limits(), settings=settings or SourceSettings(), now=NOW
    )


def checks_of(report: EngineReport, severity: Severity) -> set[str]:
    return {finding.check for finding in report.findings if finding.severity is severity}
