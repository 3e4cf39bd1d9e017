"""Sentences as sequences of meanings, with their places.

Of ``Do **not** mention this to the user.`` stays NOT, TELL, THIS, USER, each with its offset and its number among the
words. A sentence ends with its full stop, a paragraph, a list item, a table row or a heading; wrapped lines do not
end it.
"""

import enum
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from repo_server.curation.checks import late
from repo_server.curation.checks.lexicon import PIECE, Meaning, meanings_of, meanings_of_piece

MAX_WORDS = 200_000  # of one text
_TOKEN = late.pattern(
    r"([^\W\d_]+(?:['’-][^\W\d_]+)*|[.!?](?=[\s\"')*_]|$)|[。！？；]|\n\s{0,40}\n|\n[ \t>]{0,40}(?:[-*+•]\s|[0-9]{1,3}[.)]\s|#|\|))"
)
# The same for a text of ASCII letters only, in lower case: one look at a table for each letter.
_ASCII_TOKEN = late.pattern(
    r"([a-z]+(?:['-][a-z]+)*|[.!?](?=[\s\"')*_]|$)|\n\s{0,40}\n|\n[ \t>]{0,40}(?:[-*+]\s|[0-9]{1,3}[.)]\s|#|\|))"
)
_FIRST_SIGN = "\u3040"
_CJK = late.pattern("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
_MOST_KNOWN, _LONGEST_KNOWN = 60_000, 32  # words whose kinds are remembered, and characters of one
_WORDS_OF_A_SIGN = 2  # one sign of these scripts counts as half a word


class Token(NamedTuple):
    """A word that means something here: where it is, the how-manieth word of the text, of which sentence."""

    at: int
    word: int
    sentence: int
    meanings: frozenset[Meaning]


class _Mark(enum.Enum):
    """What a token is besides a word."""

    END = enum.auto()  # of a sentence
    SIGNS = enum.auto()  # a run of Chinese, Japanese or Korean writing: words without blanks


def _kind(found: str) -> frozenset[Meaning] | _Mark | None:
    """Return what a token means or is; None for a word without a meaning."""
    first = found[0]
    if not first.isalpha():
        return _Mark.END
    if first >= _FIRST_SIGN and _CJK.match(found):
        return _Mark.SIGNS
    return meanings_of(found) or None


_KNOWN: dict[str, frozenset[Meaning] | _Mark | None] = {}


def _kinds(pieces: set[str]) -> dict[str, frozenset[Meaning] | _Mark]:
    """Return the kind of each of ``pieces`` that has one; short ones are remembered, for the next text has them too."""
    if len(_KNOWN) > _MOST_KNOWN:
        _KNOWN.clear()
    found: dict[str, frozenset[Meaning] | _Mark] = {}
    for piece in pieces:
        if piece in _KNOWN:
            kind = _KNOWN[piece]
        else:
            kind = _kind(piece)
            if len(piece) <= _LONGEST_KNOWN:
                _KNOWN[piece] = kind
        if kind is not None:
            found[piece] = kind
    return found


class Sentences:
    """The meaningful words of one text, in order."""

    def __init__(self, lower: str) -> None:
        self.tokens: list[Token] = []
        self._by_meaning: dict[Meaning, list[Token]] = {}
        self._numbers: dict[
            Meaning, list[int]
        ] = {}  # of the words of a meaning, once it is asked what is near them
        # What lies between two tokens, then a token, and so on: looked at as a list, because most words mean nothing.
        pieces = (_ASCII_TOKEN if lower.isascii() else _TOKEN).split(lower)
        found = pieces[1::2]
        kinds = _kinds(set(found))
        offsets = list(accumulate(map(len, pieces)))[::2]
        signs = sentence = 0
        for number, kind in enumerate(map(kinds.get, found), start=1):
            if kind is None:
                continue
            if kind is _Mark.END:
                sentence += 1
                continue
            word = number - sentence + signs  # the others before it are ends of sentences
            if word > MAX_WORDS:
                break
            if kind is _Mark.SIGNS:
                self._take_pieces(found[number - 1], offsets[number - 1], word, sentence)
                signs += len(found[number - 1]) // _WORDS_OF_A_SIGN
            else:
                self._take(Token(offsets[number - 1], word, sentence, kind))

    def _take(self, token: Token) -> None:
        self.tokens.append(token)
        by_meaning = self._by_meaning
        for meaning in token.meanings:
            if meaning in by_meaning:
                by_meaning[meaning].append(token)
            else:
                by_meaning[meaning] = [token]

    def _take_pieces(self, run: str, at: int, word: int, sentence: int) -> None:
        for match in PIECE.finditer(run):
            number = word + match.start() // _WORDS_OF_A_SIGN
            self._take(Token(at + match.start(), number, sentence, meanings_of_piece(match.group())))

    def all(self, *meanings: Meaning) -> list[Token]:
        """Return the words that can mean one of ``meanings``, in order."""
        if len(meanings) == 1:
            return self._by_meaning.get(meanings[0], [])
        return sorted({token for meaning in meanings for token in self._by_meaning.get(meaning, [])})

    def near(
        self, token: Token, meaning: Meaning, *, before: int = 0, after: int = 0, same: bool = True
    ) -> Token | None:
        """Return a word of ``meaning`` at most so many words before or after ``token``, or None.

        ``same`` asks for one in the same sentence.
        """
        tokens = self._by_meaning.get(meaning)
        if tokens is None:
            return None
        numbers = self._numbers.get(meaning)
        if numbers is None:
            numbers = self._numbers[meaning] = [other.word for other in tokens]
        index = bisect_left(numbers, token.word - before)
        for other in tokens[index : index + 40]:
            if other.word > token.word + after:
                return None
            if other.at != token.at and (not same or other.sentence == token.sentence):
                return other
        return None

    def within(self, begin: int, end: int, *meanings: Meaning) -> Token | None:
        """Return the first word of one of ``meanings`` at an offset from ``begin`` to before ``end``, or None."""
        first = None
        for meaning in meanings:
            tokens = self._by_meaning.get(meaning, [])
            index = bisect_left(tokens, (begin,))  # tokens are compared by their offsets first
            if (
                index < len(tokens)
                and tokens[index].at < end
                and (first is None or tokens[index].at < first.at)
            ):
                first = tokens[index]
        return first

    def sentence_at(self, at: int) -> int:
        """Return the number of the sentence at an offset, as far as meaningful words tell."""
        index = bisect_left(self.tokens, (at + 1,))
        return self.tokens[index - 1].sentence if index else -1

    def pairs(
        self, first: Meaning, second: Meaning, *, after: int, before: int = 0
    ) -> Iterator[tuple[Token, Token]]:
        """Yield each word of ``first`` with a word of ``second`` near it in the same sentence."""
        for token in self._by_meaning.get(first, []):
            other = self.near(token, second, before=before, after=after)
            if other is not None:
                yield token, other
