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
from collections.abc import Iterator
from typing import NamedTuple

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


class Alternative(NamedTuple):
    """One alternative, its needles, and how far a match reaches before and behind each of the first set."""

    needles: Needles
    pattern: re.Pattern[str]
    before: int
    behind: int


class Phrases:
    """An alternation, compiled piece by piece."""

    def __init__(self, source: str, *, prose: bool = False, flags: int = re.IGNORECASE) -> None:
        """Compile ``source``; in ``prose`` each blank stands for any number, as at the end of a wrapped line."""
        self.prose = prose
        self._alternatives = [_alternative(piece, prose=prose, flags=flags) for piece in _split(source)]
        self._parts = [
            [[(needle, _triples(needle)) for needle in needles] for needles in alternative.needles]
            for alternative in self._alternatives
        ]
        # The alternatives by one triple of each needle of their first set: most are ruled out by not being asked.
        self._asked: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
        self._always: set[int] = set()
        for number, sets in enumerate(self._parts):
            for _, parts in sets[0] if sets else [("", ())]:
                if parts:
                    self._asked.setdefault(parts[0], []).append((number, parts))
                else:
                    self._always.add(number)
        self._signs = frozenset(self._asked)

    @property
    def alternatives(self) -> list[tuple[Needles, re.Pattern[str]]]:
        """Each alternative, with its needles."""
        return [(alternative.needles, alternative.pattern) for alternative in self._alternatives]

    def present_in(self, triples: frozenset[str]) -> Iterator[Alternative]:
        """Yield the alternatives that can match in a text, with those of their needles that can be in it.

        ``triples`` has every three characters of the text in lower case (see `triples_of`): a set tells in no time
        that a needle is not there.
        """
        has = triples.issuperset
        possible = set(self._always)
        for sign in self._signs & triples:
            possible.update([number for number, parts in self._asked[sign] if has(parts)])
        for number in sorted(possible):
            found = []
            for needles in self._parts[number]:
                present = tuple([needle for needle, parts in needles if has(parts)])
                if not present:
                    break
                found.append(present)
            else:
                yield self._alternatives[number]._replace(needles=tuple(found))


def triples_of(lower: str) -> frozenset[str]:
    """Return every three characters that follow each other in ``lower``."""
    return frozenset(map("".join, zip(lower, lower[1:], lower[2:], strict=False)))


def _triples(needle: str) -> tuple[str, ...]:
    """Return the threes in ``needle``; one of two characters has none, and so can be anywhere."""
    return tuple(needle[at : at + 3] for at in range(len(needle) - 2))


def needles_of(pattern: str, *, prose: bool = False) -> Needles:
    """Return sets of lower-case text; of each, one piece is in every match of ``pattern``. The best set comes first."""
    return tuple(_reaches(pattern, prose=prose))


def _alternative(pattern: str, *, prose: bool, flags: int) -> Alternative:
    reaches = _reaches(pattern, prose=prose)
    before, behind = next(iter(reaches.values()), (0, 0))
    compiled = re.compile(_spaced(pattern) if prose else pattern, flags)
    return Alternative(tuple(reaches), compiled, before, behind)


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
