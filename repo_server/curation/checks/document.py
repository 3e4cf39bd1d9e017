"""One text of a skill, as the checks look at it.

A `Document` is a file, or what was decoded from a piece of one. Its ``text`` is folded and unquoted (see `folding`
and `unquoting`) with the line feeds where they were; ``joined`` has continued lines made one, offset for offset.
What several checks need is worked out once, when it is first asked for.
"""

import ast
import re
import textwrap
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, wraps
from itertools import islice
from typing import TypeVar, cast

from repo_server.curation.checks import late, spoken
from repo_server.curation.checks.decoding import CUT, MAX_DEPTH, Decoded, decoded_in
from repo_server.curation.checks.folding import folded
from repo_server.curation.checks.languages import BY_ENDING, Language, language_of
from repo_server.curation.checks.phrases import Phrases
from repo_server.curation.checks.python_values import parsed
from repo_server.curation.checks.searching import MAX_PLACES, Haystack
from repo_server.curation.checks.sentences import Sentences
from repo_server.curation.checks.unquoting import unquoted
from repo_server.curation.reading import examined
from repo_server.curation.textsafe import excerpt
from repo_server.curation.tree import SourceTree
from signing.format.finding import Finding, Severity
from signing.format.manifest import MemberPath

__all__ = ["MAX_PLACES", "Document", "Hit", "Language", "documents_of", "language_of", "once"]

T = TypeVar("T")

_MAX_DECODED_DOCUMENTS = 300  # of one skill
_MAX_DECODED_TEXT = 1 << 20  # characters of one skill
_BACK = 60
_SHOWN = 400
_FENCE = late.pattern(r"^[ \t>]{0,12}(?:```|~~~)[ \t]{0,8}([\w+.-]{0,20})", re.MULTILINE)


@dataclass(slots=True, kw_only=True)
class Hit:
    """What a judgement noticed, and where in its document."""

    check: str
    severity: Severity
    at: int
    message: str


@dataclass(kw_only=True)
class Document:
    """A text, and where it comes from. ``how`` is empty for a file, else the code it was decoded from."""

    path: MemberPath
    original: str
    language: Language
    how: str = ""
    first_line: int = 1
    depth: int = 0
    crowded: bool = field(init=False, default=False)
    """Whether there was more in it than the checks look at; such a text blocks."""
    text: str = field(init=False)
    """The text to judge: folded and unquoted."""
    apart: tuple[int, ...] = field(init=False)
    """The offsets at which a harmful word was spelled apart."""
    _haystack: Haystack = field(init=False)
    _worked_out: dict[Callable[..., object], object] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        # A shell does not see a NUL either.
        self.text, self.apart, self.crowded = unquoted(folded(self.original.replace("\0", "")))
        self._haystack = Haystack(self.text, flows=self.language is not Language.DATA and not self.is_code)

    @cached_property
    def lower(self) -> str:
        """The text in lower case, offset for offset."""
        return self._haystack.lower

    @cached_property
    def sentences(self) -> Sentences:
        """The meaningful words."""
        return Sentences(self.lower)

    @cached_property
    def joined(self) -> str:
        """The text with continued lines made one, offset for offset."""
        return self._haystack.joined

    @cached_property
    def flowing(self) -> str:
        """The text in lower case with the lines of a paragraph made one, offset for offset."""
        return self._haystack.flowing

    @cached_property
    def _ends(self) -> list[int]:
        return [match.start() for match in re.finditer("\n", self.text)]

    @cached_property
    def fences(self) -> list[tuple[int, int, str]]:
        """Begin, end and language of each fenced piece of code."""
        found, opened = [], None
        for match in _FENCE.finditer(self.text):
            if opened is None:
                opened = match
            else:
                found.append((opened.end(), match.start(), opened.group(1).lower()))
                opened = None
        if opened is not None:
            found.append((opened.end(), len(self.text), opened.group(1).lower()))
        return found

    @cached_property
    def trees(self) -> list[tuple[int, ast.Module]]:
        """What of it is Python and can be parsed: the row at which each piece begins, from 0, and its tree."""
        if self.how and self.how != spoken.HOW:
            return []
        pieces = []
        if self.language is Language.PYTHON:
            pieces.append((0, self.original))
        elif self.language is Language.PROSE:
            lines = self.original.split("\n")
            for begin, end, language in self.fences:
                if language in {"python", "py", "python3"}:
                    first, last = self.row(begin) + 1, self.row(end)
                    pieces.append((first, textwrap.dedent("\n".join(lines[first:last]))))
        trees = ((row, parsed(piece)) for row, piece in pieces)
        return [(row, tree) for row, tree in trees if tree is not None]

    @property
    def is_code(self) -> bool:
        """Whether it is run, not read."""
        return self.language in {Language.SHELL, Language.PYTHON, Language.SCRIPT}

    def in_fence(self, at: int) -> bool:
        """Return whether ``at`` is inside a fenced piece of code."""
        index = bisect_right(self.fences, at, key=lambda fence: fence[0])
        return index > 0 and at < self.fences[index - 1][1]

    def in_code_span(self, at: int) -> bool:
        """Return whether ``at`` is inside a code span of its line: a command that is described, not told."""
        begin, _ = self.line_bounds(self.row(at))
        return self.text.count("`", begin, at) % 2 == 1

    def row(self, at: int) -> int:
        """The line of ``at`` within this text, from 0."""
        return bisect_right(self._ends, at - 1) if at else 0

    def line(self, at: int) -> int:
        """The line of the file, from 1; for a decoded text that of the piece it was decoded from."""
        return self.first_line if self.how else self.row(at) + 1

    def line_bounds(self, row: int) -> tuple[int, int]:
        """Begin and end of a line within this text; of the last one for a row beyond it."""
        row = max(0, min(row, len(self._ends)))
        begin = self._ends[row - 1] + 1 if row > 0 else 0
        return begin, self._ends[row] if row < len(self._ends) else len(self.text)

    def line_text(self, at: int) -> str:
        """Return the line of ``at``."""
        begin, end = self.line_bounds(self.row(at))
        return self.text[begin:end]

    def around(self, at: int) -> str:
        """Return what is shown of the place ``at``."""
        begin = max(self.joined.rfind("\n", 0, at) + 1, at - _BACK)
        return self.joined[begin : at + _SHOWN].partition("\n")[0]

    def places(self, pattern: re.Pattern[str] | Phrases, *needles: str) -> list[re.Match[str]]:
        """Return the matches of ``pattern``, in order, at most `MAX_PLACES` of each alternative.

        With needles (lower case) only the lines that hold one are searched, and a few hundred characters after them.
        """
        haystack = self._haystack
        if isinstance(pattern, Phrases):
            found = haystack.matches(pattern)
        elif needles:
            found = haystack.in_lines(pattern, needles)
        else:
            found = haystack.everywhere(pattern)
        self.crowded = self.crowded or haystack.crowded
        return found

    def finding(self, hit: Hit) -> Finding:
        """Return ``hit`` as it stands in a report."""
        origin = f" (in text decoded from {self.how})" if self.how else ""
        return Finding(
            check=hit.check,
            severity=hit.severity,
            path=self.path,
            line=self.line(hit.at),
            message=hit.message + origin,
            excerpt=excerpt(self.around(hit.at)),
        )


def once(function: Callable[[Document], T]) -> Callable[[Document], T]:
    """Make ``function`` of a document work only the first time; several checks ask for the same."""

    @wraps(function)
    def remembered(document: Document) -> T:
        known = document._worked_out  # noqa: SLF001 - the document keeps it, so that it goes when the document goes
        if function not in known:
            known[function] = function(document)
        return cast("T", known[function])

    return remembered


def documents_of(tree: SourceTree) -> list[Document]:
    """Return every text of ``tree``: its files, then what they decode to, layer by layer."""
    files = [
        Document(path=path, original=text, language=language_of(path, text)) for path, text in examined(tree)
    ]
    return [*files, *_spoken(files), *_decoded(files)]


def _spoken(files: list[Document]) -> Iterator[Document]:
    """Yield the command lines that programs give in pieces, and the programs that stand in a command line."""
    for file in files:
        lines = (
            spoken.lines_in(file.original, file.trees, python=file.language is not Language.SCRIPT)
            if file.is_code or file.trees
            else ()
        )
        found = [(row, line, ".sh") for row, line in islice(lines, spoken.MAX_LINES)]
        if file.language is not Language.PYTHON:
            found += islice(spoken.programs_in(file.original), spoken.MAX_LINES)
        file.crowded |= len(found) >= spoken.MAX_LINES
        for row, text, ending in found:
            yield Document(
                path=file.path,
                original=text,
                language=BY_ENDING[ending],
                how=spoken.HOW,
                first_line=row + 1,
                depth=MAX_DEPTH,
            )


def _decoded(documents: list[Document]) -> Iterator[Document]:
    """Yield what the texts decode to, layer by layer; a text of which not all was decoded is `crowded`."""
    count = size = 0
    layer = documents
    for depth in range(1, MAX_DEPTH + 1):
        following = []
        for parent in layer:
            for piece in decoded_in(parent.text):
                count += 1
                size += len(piece.text)
                if piece.how == CUT or count > _MAX_DECODED_DOCUMENTS or size > _MAX_DECODED_TEXT:
                    parent.crowded = True
                    break
                following.append(_document(parent, piece, depth))
        yield from following
        layer = following


def _document(parent: Document, piece: Decoded, depth: int) -> Document:
    how = f"{piece.how} in {parent.how}" if parent.how else piece.how
    language = Language.SHELL if parent.language is Language.DATA else parent.language
    return Document(
        path=parent.path,
        original=piece.text,
        language=Language.PROSE if language is Language.PYTHON else language,
        how=how,
        first_line=parent.line(piece.at),
        depth=depth,
    )
