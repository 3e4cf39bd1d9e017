"""Two texts beside each other, line by line, and inside a line word by word.

The whole text is in it, also what did not change. What is too long to compare is shown whole, the old text and
then the new one: a comparison that gave up in the middle would show a reviewer less than there is.
"""

import difflib
import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

# difflib's time grows with the square of the lines, and a hostile text can ask for all of it.
_MAX_LINES = 3_000
_MAX_PRODUCT = 20_000_000  # lines of old times lines of new, of all files together
_MAX_WORDS = 400  # of one line; a longer one is emphasised from its first to its last difference
_MAX_WORD_PAIRS = 2_000  # lines compared word by word, of all files together
_WORDS = re.compile(r"\w+|\s+|.", re.DOTALL)
_ALIKE = 0.35  # below this, two lines have nothing to do with each other


class Change(enum.StrEnum):
    """What happened to a line."""

    SAME = "same"
    CHANGED = "changed"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a line; ``changed`` when the line on the other side does not have it."""

    text: str
    changed: bool = False


Line = tuple[Piece, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of each side, with its number from 1; 0 and no pieces where a side has none."""

    change: Change
    old: int = 0
    new: int = 0
    left: Line = ()
    right: Line = ()


@dataclass(slots=True)
class Effort:
    """How much comparing is left, for a whole tree: a thousand files can each ask for a little too much."""

    product: int = field(default=_MAX_PRODUCT)
    word_pairs: int = field(default=_MAX_WORD_PAIRS)

    def allows(self, old: list[str], new: list[str]) -> bool:
        """Return whether the two texts may be compared line by line, and count it."""
        if not old or not new:
            return True
        self.product -= len(old) * len(new)
        return max(len(old), len(new)) <= _MAX_LINES and self.product >= 0

    def allows_words(self) -> bool:
        """Return whether two more lines may be compared word by word, and count it."""
        self.word_pairs -= 1
        return self.word_pairs >= 0


def compare(old: list[str], new: list[str], effort: Effort) -> Iterator[Row]:
    """Yield all lines of both texts, those that belong together in one row."""
    if not effort.allows(old, new):
        yield from _replaced(old, new, 0, 0)
        return
    matcher = difflib.SequenceMatcher(None, old, new)
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if tag == "equal":
            for offset, text in enumerate(old[old_from:old_to]):
                line = (Piece(text),)
                yield Row(
                    change=Change.SAME,
                    old=old_from + offset + 1,
                    new=new_from + offset + 1,
                    left=line,
                    right=line,
                )
        else:
            yield from _beside(old[old_from:old_to], new[new_from:new_to], old_from, new_from, effort)


def _beside(old: list[str], new: list[str], old_from: int, new_from: int, effort: Effort) -> Iterator[Row]:
    """Yield what was replaced: line beside line, then what one side has more."""
    both = min(len(old), len(new))
    for index in range(both):
        left, right = _emphasised(old[index], new[index], effort)
        yield Row(
            change=Change.CHANGED,
            old=old_from + index + 1,
            new=new_from + index + 1,
            left=left,
            right=right,
        )
    yield from _replaced(old[both:], new[both:], old_from + both, new_from + both)


def _replaced(old: list[str], new: list[str], old_from: int, new_from: int) -> Iterator[Row]:
    for index, text in enumerate(old, start=old_from + 1):
        yield Row(change=Change.REMOVED, old=index, left=(Piece(text),))
    for index, text in enumerate(new, start=new_from + 1):
        yield Row(change=Change.ADDED, new=index, right=(Piece(text),))


def _emphasised(old: str, new: str, effort: Effort) -> tuple[Line, Line]:
    before, after = _WORDS.findall(old[: 8 * _MAX_WORDS]), _WORDS.findall(new[: 8 * _MAX_WORDS])
    short = len(old) <= 8 * _MAX_WORDS and len(new) <= 8 * _MAX_WORDS
    if not (short and max(len(before), len(after)) <= _MAX_WORDS and effort.allows_words()):
        return _between_ends(old, new)
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    if matcher.ratio() < _ALIKE:
        return (Piece(old),), (Piece(new),)
    left, right = [], []
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        left.append(Piece("".join(before[old_from:old_to]), changed=tag != "equal"))
        right.append(Piece("".join(after[new_from:new_to]), changed=tag != "equal"))
    return tuple(p for p in left if p.text), tuple(p for p in right if p.text)


def _between_ends(old: str, new: str) -> tuple[Line, Line]:
    """Emphasise everything between the beginning and the end that two long lines have in common."""
    shorter = min(len(old), len(new))
    head = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    tail = next((i for i in range(shorter - head) if old[-1 - i] != new[-1 - i]), shorter - head)
    return _middle(old, head, tail), _middle(new, head, tail)


def _middle(text: str, head: int, tail: int) -> Line:
    end = len(text) - tail
    pieces = (Piece(text[:head]), Piece(text[head:end], changed=True), Piece(text[end:]))
    return tuple(piece for piece in pieces if piece.text)
