"""Findings about the front matter of SKILL.md; the rules are in `repo_server.curation.frontmatter`."""

from collections.abc import Iterator

from repo_server.curation.frontmatter import read_front_matter
from repo_server.curation.textsafe import excerpt
from repo_server.curation.tree import SourceTree
from signing.format.manifest import SKILL_NAME
from signing.format.names import SkillName
from signing.format.review import Finding


def check(tree: SourceTree, *, name: SkillName | None = None, strict: bool = False) -> Iterator[Finding]:
    """Yield one finding for each problem."""
    _, problems = read_front_matter(tree.skill_md, strict=strict, expected=name)
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
