"""What a skill says it is for: its name and description, which every user sees before installing it.

A skill for editing CLAUDE.md may edit CLAUDE.md; one for translating recipes may not. What stands in the description
is no proof of honesty, but it cannot hide anything.
"""

from dataclasses import dataclass
from typing import Self

from repo_server.curation.frontmatter import FrontMatter, read_front_matter
from repo_server.curation.tree import SourceTree

_MAX_HEAD = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """The name and the description, in lower case."""

    text: str

    @classmethod
    def of(cls, tree: SourceTree) -> Self:
        """Return the purpose that the SKILL.md of ``tree`` declares."""
        return cls.said_by(read_front_matter(tree.skill_md)[0], tree)

    @classmethod
    def said_by(cls, front: FrontMatter, tree: SourceTree) -> Self:
        """Return the purpose that ``front``, the front matter of ``tree``, declares."""
        said = f"{front.name} {front.description}"
        if not front.description:  # a front matter that only more forgiving readers understand
            said = tree.skill_md[:_MAX_HEAD].decode("utf-8", errors="replace").partition("\n---")[0]
        return cls(text=said.lower()[:_MAX_HEAD])

    def names(self, *words: str) -> bool:
        """Return whether one of ``words`` (lower case) stands in it."""
        return any(word in self.text for word in words)
