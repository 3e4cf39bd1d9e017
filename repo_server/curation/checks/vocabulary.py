"""Where many pieces of text stand in a text: asked of its words, and of each word once.

The pieces come in groups, and the answer is one number a group: the `blocks` in which one of its pieces can begin. Most
words of a skill were in the skill before it, so a text is taken apart into its words, and of each word is kept which
groups have a piece in it. A piece that is no word, or more than one, is looked for in the text.
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, chain, pairwise
from typing import NamedTuple

from repo_server.curation.checks.blocks import BITS, SIZE, behind, in_blocks, shifts

_RUN = re.compile(r"(\w{2,})")
_LONGEST = 32  # characters of a word that is kept; longer ones are code, or a language that writes no blanks
_MOST = 60_000  # words kept
_AT_ONCE = 8_000  # words whose blocks are added up as small numbers


class _Held(NamedTuple):
    """What a word holds: pieces, their groups, and pieces of more than one word of which it holds the longest."""

    pieces: tuple[str, ...]
    groups: tuple[int, ...]
    others: tuple[str, ...]


class Standing(NamedTuple):
    """What stands in a text: pieces, and for each of their groups the blocks in which one can begin."""

    pieces: set[str]
    blocks: dict[int, int]


class Vocabulary:
    """Groups of pieces of lower-case text, and the words in which they were found."""

    def __init__(self, groups: Sequence[frozenset[str]]) -> None:
        """Put each piece under the one of its threes that the fewest others have."""
        self.groups_of: dict[str, list[int]] = {}
        for number, pieces in enumerate(groups):
            for piece in pieces:
                self.groups_of.setdefault(piece, []).append(number)
        self._runs = {piece: max(_RUN.findall(piece), key=len, default="") for piece in self.groups_of}
        self.wordless = tuple(piece for piece, run in self._runs.items() if not run)
        self.ascii_wordless = tuple(filter(str.isascii, self.wordless))
        common = Counter(three for run in self._runs.values() for three in _threes(run))
        self._by_sign: dict[str, list[str]] = {}
        for piece, run in self._runs.items():
            if run:
                sign = min(_threes(run), key=common.__getitem__, default=run)
                self._by_sign.setdefault(sign, []).append(piece)
        self.known: dict[str, _Held] = {}

    def held_by(self, word: str) -> _Held:
        """Return what ``word`` holds, and keep it in `known`."""
        runs, signs = self._runs, self._by_sign
        found = signs.keys() & {*_threes(word), *map("".join, pairwise(word))}
        asked = [piece for sign in found for piece in signs[sign] if runs[piece] in word]
        pieces = tuple(piece for piece in asked if runs[piece] == piece)
        groups = {number for piece in pieces for number in self.groups_of[piece]}
        held = _Held(pieces, tuple(groups), tuple(piece for piece in asked if runs[piece] != piece))
        if len(word) <= _LONGEST:
            if len(self.known) >= _MOST:
                self.known.clear()
            self.known[word] = held
        return held


def standing_in(vocabulary: Vocabulary, lower: str) -> Standing:
    """Return what of ``vocabulary`` stands in ``lower``."""
    between = _RUN.split(lower)
    words, offsets = between[1::2], list(accumulate(map(len, between)))[::2]
    pieces, others, blocks = _in_words(vocabulary, words[:_AT_ONCE], offsets)
    for first in range(_AT_ONCE, len(words), _AT_ONCE):
        last = first + _AT_ONCE
        base = offsets[first] >> BITS
        more = _in_words(vocabulary, words[first:last], [at - (base << BITS) for at in offsets[first:last]])
        pieces |= more[0]
        others |= more[1]
        for group, touched in more[2].items():
            blocks[group] = blocks.get(group, 0) | touched << base
    others.update(vocabulary.ascii_wordless if lower.isascii() else vocabulary.wordless)
    for piece in [piece for piece in others if piece in lower]:
        pieces.add(piece)
        # One sign stands so often that it tells nothing where it stands.
        touched = in_blocks(places(lower, piece)) if len(piece) > 1 else -1
        for group in vocabulary.groups_of[piece]:
            blocks[group] = blocks.get(group, 0) | touched
    return Standing(pieces, blocks)


def _in_words(
    vocabulary: Vocabulary, words: list[str], offsets: list[int]
) -> tuple[set[str], set[str], dict[int, int]]:
    """Return the pieces in ``words``, those that may be around them, and the blocks of the groups of the first."""
    known = vocabulary.known
    held = {word: known.get(word) or vocabulary.held_by(word) for word in set(words)}
    begun = dict.fromkeys(held, 0)
    for word, at in zip(words, offsets, strict=False):
        begun[word] |= 1 << (at >> BITS)
    blocks = dict.fromkeys(chain.from_iterable([one.groups for one in held.values()]), 0)
    for word, (_, groups, _) in held.items():
        touched = begun[word]
        touched |= touched << 1 if len(word) <= SIZE else behind(touched, shifts(len(word)))
        for group in groups:
            blocks[group] |= touched
    pieces = {piece for one in held.values() for piece in one.pieces}
    return pieces, {piece for one in held.values() for piece in one.others}, blocks


def places(text: str, piece: str, begin: int = 0, end: int | None = None, *, step: int = 1) -> list[int]:
    """Return where ``piece`` stands in ``text[begin:end]``, each time at least ``step`` behind the time before."""
    found = []
    at = text.find(piece, begin, end)
    while at >= 0:
        found.append(at)
        at = text.find(piece, at + step, end)
    return found


def _threes(text: str) -> list[str]:
    """Return every three characters that follow each other in ``text``; two alone have none."""
    return list(map("".join, zip(text, text[1:], text[2:], strict=False)))
