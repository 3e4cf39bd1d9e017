"""Where many pieces of text stand in a text: asked of its words, and of each word once.

Most words of a skill were in the skill before it. So a text is taken apart into its words, and of each word is kept
which pieces it holds. A piece that is more than one word is asked for by its longest, and then looked for in the text.
"""

import re
from collections import Counter
from collections.abc import Collection
from itertools import accumulate, islice, pairwise

_RUN = re.compile(r"(\w{2,})")
_LONGEST = 32  # characters of a word that is kept; longer ones are code, or a language that writes no blanks
_MOST = 60_000  # words kept


class Vocabulary:
    """Pieces of lower-case text, and the words in which they were found."""

    def __init__(self, pieces: Collection[str]) -> None:
        """Put each of ``pieces`` under the one of its threes that the fewest others have."""
        self._runs = {piece: max(_RUN.findall(piece), key=len, default="") for piece in pieces}
        self.no_words = frozenset(piece for piece, run in self._runs.items() if run != piece)
        """Those that are more than one word, or none."""
        self.wordless = tuple(piece for piece, run in self._runs.items() if not run)
        common = Counter(three for run in self._runs.values() for three in _threes(run))
        self._by_sign: dict[str, list[str]] = {}
        for piece, run in self._runs.items():
            if run:
                sign = min(_threes(run), key=common.__getitem__, default=run)
                self._by_sign.setdefault(sign, []).append(piece)
        self._known: dict[str, tuple[str, ...]] = {}

    def held_by(self, word: str) -> tuple[str, ...]:
        """Return the pieces that ``word`` holds, or of which it holds the longest word."""
        known = self._known.get(word)
        if known is None:
            runs, signs = self._runs, self._by_sign
            found = signs.keys() & {*_threes(word), *map("".join, pairwise(word))}
            known = tuple(piece for sign in found for piece in signs[sign] if runs[piece] in word)
            if len(word) <= _LONGEST:
                if len(self._known) >= _MOST:
                    self._known.clear()
                self._known[word] = known
        return known


class Standing:
    """Where the pieces of a vocabulary stand in one text."""

    def __init__(self, vocabulary: Vocabulary, lower: str) -> None:
        """Look at each word of ``lower``."""
        self._lower = lower
        between = _RUN.split(lower)
        words = between[1::2]
        self._at: dict[str, list[int]] = {}
        self._holders: dict[str, list[str]] = {}
        for word in set(words):
            if held := vocabulary.held_by(word):
                self._at[word] = []
                for piece in held:
                    self._holders.setdefault(piece, []).append(word)
        offsets = islice(accumulate(map(len, between)), 0, None, 2)
        for word, offset in zip(words, offsets, strict=False):
            if word in self._at:
                self._at[word].append(offset)
        self._others: dict[str, int] = {}
        for piece in (*(self._holders.keys() & vocabulary.no_words), *vocabulary.wordless):
            self._holders.pop(piece, None)
            if count := lower.count(piece):
                self._others[piece] = count
        self.pieces = frozenset([*self._holders, *self._others])
        """Those that stand in it."""

    def count(self, piece: str) -> int:
        """Return how often ``piece``, one of `pieces`, stands in the text."""
        if piece in self._others:
            return self._others[piece]
        return sum(len(self._at[word]) * word.count(piece) for word in self._holders[piece])

    def places(self, piece: str, *, overlapping: bool = False) -> list[int]:
        """Return where ``piece`` stands, in order; it may be any text."""
        step = 1 if overlapping else len(piece)
        holders = self._holders.get(piece)
        if holders is None:
            return _begins(self._lower, piece, step)
        at = self._at
        return sorted(
            [place + begin for word in holders for begin in _begins(word, piece, step) for place in at[word]]
        )


def _begins(text: str, piece: str, step: int) -> list[int]:
    """Return where ``piece`` stands in ``text``, each time at least ``step`` behind the time before."""
    found, at = [], text.find(piece)
    while at >= 0:
        found.append(at)
        at = text.find(piece, at + step)
    return found


def _threes(text: str) -> list[str]:
    """Return every three characters that follow each other in ``text``; two alone have none."""
    return list(map("".join, zip(text, text[1:], text[2:], strict=False)))
