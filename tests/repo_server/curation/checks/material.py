"""One paragraph in an otherwise decent skill, and what the checks say of it."""

from repo_server.curation.checks import run_checks
from repo_server.curation.tree import SourceTree
from signing.format.finding import EngineReport, Severity

HEAD = "---\nname: table-notes\ndescription: {description}\nlicense: MIT\n---\n\n# Table notes\n\nKeep tables tidy.\n\n"


def skill(text: str, *, description: str = "Tidy tables in notes.", **files: str | bytes) -> SourceTree:
    """A skill whose SKILL.md holds ``text``; ``scripts__a_py="…"`` is the file scripts/a.py."""
    entries = [("SKILL.md", (HEAD.format(description=description) + text + "\n").encode(), False)]
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        entries.append((name.replace("__", "/").replace("_", "."), data, False))
    return SourceTree.of(entries)


def weighed(report: EngineReport, severity: Severity) -> set[str]:
    return {finding.check for finding in report.findings if finding.severity is severity}


def blocked(text: str, *, description: str = "Tidy tables in notes.", **files: str | bytes) -> set[str]:
    """The identifiers of what blocks."""
    return weighed(run_checks(skill(text, description=description, **files)), Severity.BLOCK)
