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
from functools import cached_property, lru_cache
from itertools import chain
from typing import NamedTuple

from repo_server.curation.checks.blocks import Shifts, shifts
from repo_server.curation.checks.needles import FAR, Needles, spaced, split
from repo_server.curation.checks.read_ahead import read_of
from repo_server.curation.checks.vocabulary import Standing, Vocabulary, standing_in

_UPPER = re.compile(r"(?<!\\)[A-Z]")


class Near(NamedTuple):
    """A set of needles, by its number, and how far a match can begin before it and end behind it."""

    group: int
    before: Shifts
    behind: Shifts


class Alternative:
    """One alternative, and the sets of its needles, the best first."""

    __slots__ = (
        "_compiled",
        "_flags",
        "_plain",
        "_source",
        "first",
        "groups",
        "is_ascii",
        "is_far",
        "narrow",
        "near",
        "sets",
        "start",
        "starts",
    )

    def __init__(self, source: str, *, prose: bool, flags: int) -> None:
        """Read the needles off ``source``."""
        found = read_of(source, prose=prose)
        self.sets: tuple[Needles, ...] = tuple(
            one for number, one in enumerate(found.sets) if number == 0 or one.tells
        )
        self.is_ascii = source.isascii()
        """Whether it names no letter beyond ASCII."""
        self.narrow = found.narrow
        """Whether its first set is more than signs, which stand too often to look around them."""
        self.is_far = found.narrow and not found.sets[0].is_near
        """Whether a match can be so long that it is not wholly seen around its first set."""
        self.starts = found.starts
        """Texts with one of which every match begins; none, when it can begin with anything."""
        self.start = _group(self.starts) if self.starts else None
        """The number of these texts, as a set of needles."""
        numbers = [_group(frozenset(one.needles)) for one in self.sets]
        self.groups = frozenset(numbers)
        """The numbers of its sets."""
        self.first = numbers[0] if numbers else None
        """That of the best of them."""
        self.near = tuple(
            Near(group, shifts(one.before), shifts(one.behind))
            for group, one in zip(numbers, self.sets, strict=True)
            if max(one.before, one.behind) <= FAR
        )
        """Those around which a match is wholly seen."""
        self._source, self._flags = spaced(source) if prose else source, flags
        self._compiled: re.Pattern[str] | None = None
        # In a text of lower-case letters it matters only for speed that letters are equal in both cases.
        can_be_plain = prose and flags == re.IGNORECASE and self.is_ascii and not _UPPER.search(source)
        self._plain: re.Pattern[str] | bool = can_be_plain

    @property
    def pattern(self) -> re.Pattern[str]:
        """What it looks for; compiled when a text first has its needles, because most never have."""
        if self._compiled is None:
            self._compiled = re.compile(self._source, self._flags)
        return self._compiled

    @property
    def pattern_for_ascii(self) -> re.Pattern[str]:
        """What finds the same in lower-case text of which no other letter is equal to one of ASCII."""
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

    @property
    def sources(self) -> list[tuple[str, bool]]:
        """The text of each alternative, and whether it is prose."""
        return [(piece, self.prose) for piece in split(self._source)]

    @cached_property
    def taken_apart(self) -> list[Alternative]:
        """Its alternatives."""
        return [Alternative(piece, prose=self.prose, flags=self._flags) for piece in split(self._source)]


_KNOWN: list[Phrases] = []  # phrases are made when a module is imported, never for one text


def known() -> tuple[Phrases, ...]:
    """Return all phrases of the modules that are imported."""
    return tuple(_KNOWN)


_GROUPS: dict[frozenset[str], int] = {}  # each set of needles once, with its number


def _group(needles: frozenset[str]) -> int:
    return _GROUPS.setdefault(needles, len(_GROUPS))


class _Index:
    """All alternatives, each under the number of its first set: most are ruled out by not being asked."""

    def __init__(self, known: Iterable[Phrases]) -> None:
        self._all = [(phrases, alternative) for phrases in known for alternative in phrases.taken_apart]
        self._always = [number for number, (_, alternative) in enumerate(self._all) if not alternative.sets]
        self._asked: dict[int, list[int]] = {}
        for number, (_, alternative) in enumerate(self._all):
            if alternative.first is not None:
                self._asked.setdefault(alternative.first, []).append(number)
        self.vocabulary = Vocabulary(list(_GROUPS))

    def possible(self, standing: Mapping[int, int]) -> dict[Phrases, list[Alternative]]:
        """Return the alternatives of which all sets stand in a text."""
        asked, there = self._asked, frozenset(standing)
        numbers = [
            *self._always,
            *chain.from_iterable([asked[group] for group in there & asked.keys()]),
        ]
        found: dict[Phrases, list[Alternative]] = {}
        for number in sorted(numbers):
            phrases, alternative = self._all[number]
            if alternative.groups <= there:
                found.setdefault(phrases, []).append(alternative)
        return found


@lru_cache(maxsize=1)
def _index(_known: int) -> _Index:
    return _Index(_KNOWN)


def needles_in(lower: str) -> Standing:
    """Return which needles stand in ``lower``, and of each set of needles, by its number, the blocks."""
    return standing_in(_index(len(_KNOWN)).vocabulary, lower)


def possible_with(standing: Standing) -> Mapping[Phrases, list[Alternative]]:
    """Return the alternatives of which all sets stand in a text."""
    return _index(len(_KNOWN)).possible(standing.blocks)
