"""What a skill says it is for: its name and description, which every user sees before installing it.

A skill for editing CLAUDE.md may edit CLAUDE.md; one for translating recipes may not. What stands in the description
is no proof of honesty, but it cannot hide anything.
"""

from dataclasses import dataclass
from typing import Self

from repo_server.curation.frontmatter import FrontMatter
from repo_server.curation.tree import SourceTree

_MAX_HEAD = 4_000
_LEAST = 3  # letters of a word that names a service
_COMMON_LABELS = frozenset({"www", "api", "com", "co", "app"})
_COMMON_WORDS = frozenset({"the", "hooks", "share", "data", "files", "cloud", "sync", "copy"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """The name and the description, in lower case."""

    text: str
    described: str = ""  # the description alone: whoever names a skill can name his host alike

    @classmethod
    def said_by(cls, front: FrontMatter, tree: SourceTree) -> Self:
        """Return the purpose that ``front``, the front matter of ``tree``, declares."""
        said = f"{front.name} {front.description}"
        if not front.description:  # a front matter that only more forgiving readers understand
            said = tree.skill_md[:_MAX_HEAD].decode("utf-8", errors="replace").partition("\n---")[0]
        described = (front.description or said).lower()[:_MAX_HEAD]
        return cls(text=said.lower()[:_MAX_HEAD], described=described)

    def names_host(self, host: str) -> bool:
        """Return whether the description speaks of the service at ``host`` (or of a mailbox there) by a label of it."""
        labels = [label for label in host.rpartition("@")[2].split(".")[:-1] if label not in _COMMON_LABELS]
        words = {
            word
            for label in labels
            for word in (label, *label.split("-"))
            if len(word) >= _LEAST and word not in _COMMON_WORDS
        }
        return any(label in self.described for label in labels if len(label) >= _LEAST) or (
            bool(words) and all(word in self.described for word in words)
        )

    def names(self, *words: str) -> bool:
        """Return whether one of ``words`` (lower case) stands in it."""
        return any(word in self.text for word in words)
