r"""Patterns that cost nothing where they cannot match.

A list of alternatives is tried by `re` at every character of a text. Here each alternative is compiled on its own,
with its *needles*: sets of plain text, of each of which one piece stands in every match. Looking for a piece of text is
a hundred times faster than looking for a pattern, so an alternative runs only where something of every set stands.

    >>> [needles for needles, _ in Phrases(r"no need to (?:tell|mention)|\bbetween us\b").alternatives]
    [(('no need to ',), ('mention', 'tell')), (('between us',),)]

The needles are read off the pattern: literal text outside of groups, and every branch of a group that must be there.
So is how far a match can reach before and behind its needle: no more of the text is searched.
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cached_property, lru_cache

_OPTIONAL = re.compile(r"[?*]|\{0?,|\{0\}")
_QUANTIFIER = re.compile(r"(?:[?*+]|\{[0-9]*,?[0-9]*\})[?+]?")
_MARKED = re.compile(r"\?(?::|P<\w+>|<?[=!])")
_SHORTEST = 2
_NO_WIDTH = frozenset({r"\b", r"\B", r"\A", r"\Z"})
_ENDLESS = 1_000_000  # the width of what has no bound
_BLANKS = 8  # as many as one blank of a phrase in prose stands for, at most
_MARGIN = 2  # characters that a pattern looks at beyond its match, to see whether a word ends there
_MOST = 3  # sets of needles kept of one alternative

Needles = tuple[tuple[str, ...], ...]


class Alternative:
    """One alternative, its needles, and how far a match reaches before and behind each of the first set."""

    __slots__ = ("_compiled", "_flags", "_source", "before", "behind", "needles")

    def __init__(self, source: str, *, prose: bool, flags: int) -> None:
        """Read the needles off ``source``."""
        reaches = _reaches(source, prose=prose)
        self.needles: Needles = tuple(reaches)
        self.before, self.behind = next(iter(reaches.values()), (0, 0))
        self._source, self._flags = _spaced(source) if prose else source, flags
        self._compiled: re.Pattern[str] | None = None

    @property
    def pattern(self) -> re.Pattern[str]:
        """What it looks for; compiled when a text first has its needles, because most never have."""
        if self._compiled is None:
            self._compiled = re.compile(self._source, self._flags)
        return self._compiled


class Phrases:
    """An alternation, taken apart when it is first looked for."""

    def __init__(self, source: str, *, prose: bool = False, flags: int = re.IGNORECASE) -> None:
        """Keep ``source``; in ``prose`` each blank stands for any number, as at the end of a wrapped line."""
        self.prose = prose
        self._source, self._flags = source, flags
        _KNOWN.append(self)

    @property
    def alternatives(self) -> list[tuple[Needles, re.Pattern[str]]]:
        """Each alternative, with its needles."""
        return [(alternative.needles, alternative.pattern) for alternative in self._alternatives]

    @property
    def needles(self) -> Iterator[str]:
        """All needles of all alternatives."""
        return (needle for sets in self._sets for needles in sets for needle in needles)

    @cached_property
    def _alternatives(self) -> list[Alternative]:
        return [Alternative(piece, prose=self.prose, flags=self._flags) for piece in _split(self._source)]

    @cached_property
    def _sets(self) -> list[tuple[frozenset[str], ...]]:
        return [tuple(map(frozenset, alternative.needles)) for alternative in self._alternatives]

    @cached_property
    def _asked(self) -> dict[str, tuple[int, ...]]:
        """Which alternatives have this needle in their first set: most are ruled out by not being asked."""
        asked: dict[str, tuple[int, ...]] = {}
        for number, sets in enumerate(self._sets):
            for needle in sets[0] if sets else ():
                asked[needle] = (*asked.get(needle, ()), number)
        return asked

    @cached_property
    def _always(self) -> tuple[int, ...]:
        return tuple(number for number, sets in enumerate(self._sets) if not sets)

    def present_in(self, present: frozenset[str]) -> Iterator[tuple[Alternative, list[frozenset[str]]]]:
        """Yield the alternatives that can match in a text, each with what is there of each of its sets.

        ``present`` are the needles of all phrases that stand in the text (see `needles_in`).
        """
        asked = self._asked
        found = asked.keys() & present
        if not found and not self._always:
            return
        numbers = {number for needle in found for number in asked[needle]}
        for number in sorted(numbers.union(self._always)):
            given = []
            for needles in self._sets[number]:
                if needles.isdisjoint(present):
                    break
                given.append(needles & present)
            else:
                yield self._alternatives[number], given


_KNOWN: list[Phrases] = []  # phrases are made when a module is imported, never for one text


class _Signs:
    """All needles of all phrases, each under the one of its threes that the fewest other needles have."""

    def __init__(self, needles: frozenset[str]) -> None:
        threes = {needle: _threes(needle) for needle in needles}
        common = Counter(three for found in threes.values() for three in found)
        self._short = [needle for needle, found in threes.items() if not found]
        self._by_sign: dict[str, list[str]] = {}
        for needle, found in threes.items():
            if found:
                self._by_sign.setdefault(min(found, key=common.__getitem__), []).append(needle)

    def within(self, lower: str) -> frozenset[str]:
        """Return the needles that stand in ``lower``."""
        signs = self._by_sign
        possible = [
            needle for sign in signs.keys() & set(_threes(lower)) for needle in signs[sign] if needle in lower
        ]
        return frozenset([*possible, *[needle for needle in self._short if needle in lower]])


@lru_cache(maxsize=1)
def _signs_of(_known: int) -> _Signs:
    return _Signs(frozenset(needle for phrases in _KNOWN for needle in phrases.needles))


def needles_in(lower: str) -> frozenset[str]:
    """Return the needles of all phrases that stand in ``lower``: looked for once, asked for by every phrase."""
    return _signs_of(len(_KNOWN)).within(lower)


def _threes(text: str) -> list[str]:
    """Return every three characters that follow each other in ``text``; two alone have none."""
    return list(map("".join, zip(text, text[1:], text[2:], strict=False)))


def needles_of(pattern: str, *, prose: bool = False) -> Needles:
    """Return sets of lower-case text; of each, one piece is in every match of ``pattern``. The best set comes first."""
    return tuple(_reaches(pattern, prose=prose))


def _reaches(pattern: str, *, prose: bool) -> dict[tuple[str, ...], tuple[int, int]]:
    """Return the sets of `needles_of`, each with how far a match reaches before and behind its needle."""
    blank = _BLANKS if prose else 1
    whole = _width(pattern, blank)
    found: dict[tuple[str, ...], tuple[int, int]] = {}
    for candidate, begin, end in _candidates(pattern, blank):
        needles = tuple(sorted(set(_words(candidate) if prose else candidate)))
        if _worth(needles) >= _SHORTEST:
            margin = _MARGIN + max(map(len, needles))
            before, behind = found.get(needles, (0, 0))
            found[needles] = max(before, end + margin), max(behind, whole - begin + margin)
    best = sorted(found, key=lambda needles: (-_worth(needles), len(needles), needles))[:_MOST]
    return {needles: found[needles] for needles in best}


def _width(pattern: str, blank: int) -> int:
    """Return how many characters ``pattern`` matches or looks at, at most."""
    widest = 0
    for branch in _split(pattern):
        at = width = 0
        while at < len(branch):
            end, piece = _piece(branch, at, blank)
            at, width = end, width + piece
        widest = max(widest, width)
    return widest


def _piece(pattern: str, at: int, blank: int) -> tuple[int, int]:
    """Return where the element at ``at`` ends with its quantifier, and how many characters it matches at most."""
    end = _element(pattern, at)[2]
    sign = pattern[at]
    width = blank if sign == " " else 0 if sign in "^$" or pattern[at:end] in _NO_WIDTH else 1
    if sign == "(":
        inside = pattern[at + 1 : end - 1]
        marked = _MARKED.match(inside)
        plain = marked is not None or not inside.startswith("?")
        width = _width(inside[marked.end() if marked else 0 :], blank) if plain else _ENDLESS
    quantifier = _QUANTIFIER.match(pattern, end)
    if quantifier is None:
        return end, width
    most = quantifier.group().rstrip("?+}").rpartition(",")[2].lstrip("{") or quantifier.group()[0]
    times = int(most) if most.isdigit() else 1 if most == "?" else _ENDLESS
    return quantifier.end(), width * times


def _words(needles: tuple[str, ...]) -> tuple[str, ...]:
    """Return of each needle its longest word, where blanks may be many."""
    return tuple(max(needle.split(" "), key=len) for needle in needles)


def _spaced(pattern: str) -> str:
    r"""Return ``pattern`` with each blank outside of brackets as ``[ \t]{1,8}``, and each optional one likewise."""
    pieces, at = [], 0
    while at < len(pattern):
        if pattern[at] == "[":
            end = _element(pattern, at)[2]
        elif pattern[at] == "\\":
            end = at + 2
        elif pattern[at] == " ":
            optional = pattern[at + 1 : at + 2] == "?"
            pieces.append("[ \\t]{0,8}" if optional else "[ \\t]{1,8}")
            at += 2 if optional else 1
            continue
        else:
            end = at + 1
        pieces.append(pattern[at:end])
        at = end
    return "".join(pieces)


def _worth(needles: tuple[str, ...]) -> int:
    return min((len(needle) for needle in needles), default=0)


def _candidates(pattern: str, blank: int) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Yield each run of literal text, and each group all of whose branches have needles.

    With each come two numbers: as many characters of a match come before it, and up to its end, at most.
    """
    run, at, begin, passed = "", 0, 0, 0
    while at < len(pattern):
        begin = begin if run else passed
        literal, group, end = _element(pattern, at)
        quantifier = _QUANTIFIER.match(pattern, end)
        optional = quantifier is not None and _OPTIONAL.match(quantifier.group()) is not None
        at, width = _piece(pattern, at, blank)
        if literal and quantifier is None:
            run += literal
        else:
            yield (run + (literal if quantifier and not optional else ""),), begin, passed + width
            run = ""
            if group and not optional:
                branches = [needles_of(branch) for branch in _split(group)]
                needles = tuple(needle for sets in branches for needle in sets[0]) if all(branches) else ()
                yield needles, passed, passed + width
        passed += width
    yield (run,), begin, passed


def _element(pattern: str, at: int) -> tuple[str, str, int]:
    """Return the literal character or the group's inside that begins at ``at``, and where it ends."""
    sign = pattern[at]
    if sign == "\\":
        escaped = pattern[at + 1]
        return ("" if escaped.isalnum() else escaped, "", at + 2)
    if sign == "[":
        end = at + 2 if pattern[at + 1 : at + 2] != "^" else at + 3
        while pattern[end - 1] != "]" or end - 1 <= at + 1:
            end += 2 if pattern[end - 1] == "\\" else 1
        return "", "", end
    if sign == "(":
        end = _end_of_group(pattern, at)
        inside = pattern[at + 1 : end - 1]
        if inside.startswith("?"):
            named = re.match(r"\?(?::|P<\w+>)", inside)
            return "", inside[named.end() :] if named else "", end
        return "", inside, end
    if sign in "^$.|":
        return "", "", at + 1
    return sign.lower(), "", at + 1


def _end_of_group(pattern: str, at: int) -> int:
    depth, end = 0, at
    while True:
        sign = pattern[end]
        if sign == "\\":
            end += 2
            continue
        if sign == "[":
            _, _, end = _element(pattern, end)
            continue
        depth += (sign == "(") - (sign == ")")
        end += 1
        if depth == 0:
            return end


def _split(pattern: str) -> list[str]:
    """Return the alternatives at the top level of ``pattern``."""
    parts, begin, at = [], 0, 0
    while at < len(pattern):
        if pattern[at] == "|":
            parts.append(pattern[begin:at])
            at += 1
            begin = at
        elif pattern[at] == "\\":
            at += 2
        elif pattern[at] in "([":
            at = _end_of_group(pattern, at) if pattern[at] == "(" else _element(pattern, at)[2]
        else:
            at += 1
    return [*parts, pattern[begin:]]
