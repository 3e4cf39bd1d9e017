r"""Patterns that cost nothing where they cannot match.

A list of alternatives is tried by `re` at every character of a text. Here each alternative is compiled on its own, when
it is first needed, with its *needles* (see `needles`): sets of plain text, of each of which one piece stands in every
match. Looking for a piece of text is a hundred times faster than looking for a pattern, so an alternative runs only
where something of every set stands.

    >>> [needles for needles, _ in Phrases(r"no need to (?:tell|mention)|\bbetween us\b").alternatives]
    [(('no need to ',), ('mention', 'tell')), (('between us',),)]

All phrases of all checks are asked at once: of a text it is found out once which needles stand in it (`vocabulary`),
and from these, which alternatives can match at all. `searching` does the rest.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache, cached_property, lru_cache

from repo_server.curation.checks.needles import Needles, read, spaced, split
from repo_server.curation.checks.vocabulary import Standing, Vocabulary

_UPPER = re.compile(r"(?<!\\)[A-Z]")


class Alternative:
    """One alternative, and the sets of its needles, the best first."""

    __slots__ = ("_compiled", "_flags", "_plain", "_source", "narrow", "pieces", "sets", "starts")

    def __init__(self, source: str, *, prose: bool, flags: int) -> None:
        """Read the needles off ``source``."""
        found = read(source, prose=prose)
        self.sets: tuple[Needles, ...] = found.sets
        self.narrow = found.narrow
        """Whether its first set is more than signs, which stand too often to look around them."""
        self.starts = found.starts
        """Texts with one of which every match begins; none, when it can begin with anything."""
        self.pieces: tuple[frozenset[str], ...] = tuple(_shared(found.needles) for found in self.sets)
        self._source, self._flags = spaced(source) if prose else source, flags
        self._compiled: re.Pattern[str] | None = None
        # In a text of lower-case ASCII letters it matters only for speed that letters are equal in both cases.
        can_be_plain = prose and flags == re.IGNORECASE and source.isascii() and not _UPPER.search(source)
        self._plain: re.Pattern[str] | bool = can_be_plain

    @property
    def pattern(self) -> re.Pattern[str]:
        """What it looks for; compiled when a text first has its needles, because most never have."""
        if self._compiled is None:
            self._compiled = re.compile(self._source, self._flags)
        return self._compiled

    @property
    def pattern_for_ascii(self) -> re.Pattern[str]:
        """What finds the same in lower-case ASCII text."""
        if self._plain is False:
            return self.pattern
        if self._plain is True:
            self._plain = re.compile(self._source)
        return self._plain


class Phrases:
    """An alternation, taken apart when it is first looked for."""

    def __init__(self, source: str, *, prose: bool = False, flags: int = re.IGNORECASE) -> None:
        """Keep ``source``; in ``prose`` each blank stands for any number, as at the end of a wrapped line."""
        self.prose = prose
        self._source, self._flags = source, flags
        _KNOWN.append(self)

    @property
    def alternatives(self) -> list[tuple[tuple[tuple[str, ...], ...], re.Pattern[str]]]:
        """Each alternative, with its needles."""
        return [(tuple(found.needles for found in one.sets), one.pattern) for one in self.taken_apart]

    @cached_property
    def taken_apart(self) -> list[Alternative]:
        """Its alternatives."""
        return [Alternative(piece, prose=self.prose, flags=self._flags) for piece in split(self._source)]


_KNOWN: list[Phrases] = []  # phrases are made when a module is imported, never for one text


@cache
def _shared(needles: tuple[str, ...]) -> frozenset[str]:
    """Return ``needles`` as a set, always the same one: what is worked out of it once need not be again."""
    return frozenset(needles)


class _Index:
    """All alternatives, each under the needles of its first set: most are ruled out by not being asked."""

    def __init__(self, known: Iterable[Phrases]) -> None:
        self._all = [(phrases, alternative) for phrases in known for alternative in phrases.taken_apart]
        self._rest = [alternative.pieces[1:] for _, alternative in self._all]
        self._always = [number for number, (_, alternative) in enumerate(self._all) if not alternative.sets]
        self._asked: dict[str, list[int]] = {}
        for number, (_, alternative) in enumerate(self._all):
            for needle in alternative.pieces[0] if alternative.pieces else ():
                self._asked.setdefault(needle, []).append(number)
        self.vocabulary = Vocabulary(
            {needle for _, one in self._all for set_ in (*one.pieces, one.starts) for needle in set_}
        )

    def possible(self, present: frozenset[str]) -> dict[Phrases, list[Alternative]]:
        """Return the alternatives that can match where only the needles ``present`` stand."""
        asked, rest = self._asked, self._rest
        numbers = set(self._always).union(*[asked[needle] for needle in present & asked.keys()])
        found: dict[Phrases, list[Alternative]] = {}
        for number in sorted(numbers):
            for pieces in rest[number]:
                if pieces.isdisjoint(present):
                    break
            else:
                phrases, alternative = self._all[number]
                found.setdefault(phrases, []).append(alternative)
        return found


@lru_cache(maxsize=1)
def _index(_known: int) -> _Index:
    return _Index(_KNOWN)


def standing_in(lower: str) -> Standing:
    """Return which needles stand in ``lower``, and where."""
    return Standing(_index(len(_KNOWN)).vocabulary, lower)


def possible_with(present: frozenset[str]) -> Mapping[Phrases, list[Alternative]]:
    """Return the alternatives that can match where only the needles ``present`` stand."""
    return _index(len(_KNOWN)).possible(present)
