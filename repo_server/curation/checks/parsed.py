"""A skill as the checks read it: everything that is worked out once for its findings and for its surface.

    skill = ParsedSkill.of(tree)
    run_checks(skill), surface_of(skill)

Reading is most of the work: YAML, letters, quoting, encodings, words. Whoever wants findings and surface makes this
value and passes it on; it holds nothing of any other skill, and what it keeps goes when it goes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from repo_server.curation.checks.document import Document, Hit, documents_of
from repo_server.curation.checks.hosts import Named, named_in
from repo_server.curation.checks.purpose import Purpose
from repo_server.curation.frontmatter import FrontMatter, Problem, read_front_matter
from repo_server.curation.tree import SourceTree
from signing.format.names import SkillName

Judge = Callable[[Document, Purpose], Iterator[Hit]]


@dataclass(kw_only=True)
class ParsedSkill:
    """The files of one skill, and what they say. ``problems`` are those of its front matter, by ``of``'s profile."""

    tree: SourceTree
    front: FrontMatter
    problems: tuple[Problem, ...]
    strict: bool
    name: SkillName | None
    _hits: dict[Judge, list["_Hits"]] = field(init=False, repr=False, default_factory=dict)

    @classmethod
    def of(cls, tree: SourceTree, *, name: SkillName | None = None, strict: bool = False) -> Self:
        """Return ``tree`` parsed.

        Args:
            tree: the files.
            name: the name under which they are to be published, when that is known.
            strict: the publish profile of the front matter; otherwise the import profile.
        """
        front, problems = read_front_matter(tree.skill_md, strict=strict, expected=name)
        return cls(tree=tree, front=front, problems=tuple(problems), strict=strict, name=name)

    @cached_property
    def purpose(self) -> Purpose:
        """What it says it is for."""
        return Purpose.said_by(self.front, self.tree)

    @cached_property
    def documents(self) -> list[Document]:
        """Every text in it: its files, then what they decode to."""
        return documents_of(self.tree)

    @cached_property
    def hosts(self) -> Named:
        """Every host that it names."""
        return named_in(self.tree)

    def judged(self, judge: Judge) -> Iterator[tuple[Document, Hit]]:
        """Yield what ``judge`` notices in each text; a text is judged once, and no further than somebody looks."""
        if judge not in self._hits:
            self._hits[judge] = [_Hits(judge(document, self.purpose)) for document in self.documents]
        for document, hits in zip(self.documents, self._hits[judge], strict=True):
            for hit in hits:
                yield document, hit


class _Hits:
    """What a judge yields, for whoever comes first and for those who come later."""

    def __init__(self, coming: Iterator[Hit]) -> None:
        self._known: list[Hit] = []
        self._coming = coming

    def __iter__(self) -> Iterator[Hit]:
        number = 0
        while True:
            if number == len(self._known):
                following = next(self._coming, None)
                if following is None:
                    return
                self._known.append(following)
            yield self._known[number]
            number += 1
