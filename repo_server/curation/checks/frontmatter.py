"""Findings about the front matter of SKILL.md; the rules are in `repo_server.curation.frontmatter`."""

from collections.abc import Iterable, Iterator

from repo_server.curation.frontmatter import Problem
from repo_server.curation.textsafe import excerpt
from repo_server.curation.tree import SourceTree
from signing.format.finding import Finding
from signing.format.manifest import SKILL_NAME


def check(tree: SourceTree, problems: Iterable[Problem]) -> Iterator[Finding]:
    """Yield one finding for each of ``problems``, which `read_front_matter` found in the SKILL.md of ``tree``."""
    lines = tree.skill_md.decode("utf-8", errors="replace").split("\n")
    for problem in problems:
        yield Finding(
            check=f"frontmatter.{problem.code}",
            severity=problem.severity,
            path=SKILL_NAME,
            line=problem.line,
            message=problem.message,
            excerpt=excerpt(lines[problem.line - 1]) if 1 <= problem.line <= len(lines) else "",
        )
