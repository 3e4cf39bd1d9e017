r"""Patterns that cost nothing where they cannot match.

A list of alternatives is tried by `re` at every character of a text. Here each alternative is compiled on its own,
with its *needles*: sets of plain text, of each of which one piece stands in every match. Looking for a piece of text is
a hundred times faster than looking for a pattern, so an alternative runs only where something of every set stands.

    >>> [needles for needles, _ in Phrases(r"no need to (?:tell|mention)|\bbetween us\b").alternatives]
    [(('no need to ',), ('mention', 'tell')), (('between us',),)]

The needles are read off the pattern: literal text outside of groups, and every branch of a group that must be there.
"""

import re
from collections.abc import Iterator

_OPTIONAL = re.compile(r"[?*]|\{0?,|\{0\}")
_QUANTIFIER = re.compile(r"(?:[?*+]|\{[0-9]*,?[0-9]*\})[?+]?")
_SHORTEST = 2
_MOST = 3  # sets of needles kept of one alternative

Needles = tuple[tuple[str, ...], ...]


class Phrases:
    """An alternation, compiled piece by piece."""

    def __init__(self, source: str, *, prose: bool = False, flags: int = re.IGNORECASE) -> None:
        """Compile ``source``; in ``prose`` each blank stands for any number, as at the end of a wrapped line."""
        self.prose = prose
        self.alternatives = [
            (
                needles_of(alternative, prose=prose),
                re.compile(_spaced(alternative) if prose else alternative, flags),
            )
            for alternative in _split(source)
        ]
        self._by_triples = [
            ([[(needle, _triples(needle)) for needle in needles] for needles in sets], pattern)
            for sets, pattern in self.alternatives
        ]

    def present_in(self, triples: frozenset[str]) -> Iterator[tuple[Needles, re.Pattern[str]]]:
        """Yield the alternatives that can match in a text, with those of their needles that can be in it.

        ``triples`` has every three characters of the text in lower case (see `triples_of`): a set tells in no time
        that a needle is not there.
        """
        has = triples.issuperset
        for sets, pattern in self._by_triples:
            found = []
            for needles in sets:
                present = tuple([needle for needle, parts in needles if has(parts)])
                if not present:
                    break
                found.append(present)
            else:
                yield tuple(found), pattern


def triples_of(lower: str) -> frozenset[str]:
    """Return every three characters that follow each other in ``lower``."""
    return frozenset(map("".join, zip(lower, lower[1:], lower[2:], strict=False)))


def _triples(needle: str) -> tuple[str, ...]:
    """Return the threes in ``needle``; one of two characters has none, and so can be anywhere."""
    return tuple(needle[at : at + 3] for at in range(len(needle) - 2))


def needles_of(pattern: str, *, prose: bool = False) -> Needles:
    """Return sets of lower-case text; of each, one piece is in every match of ``pattern``. The best set comes first."""
    found = {
        tuple(sorted(set(_words(candidate) if prose else candidate))) for candidate in _candidates(pattern)
    }
    useful = [needles for needles in found if _worth(needles) >= _SHORTEST]
    return tuple(sorted(useful, key=lambda needles: (-_worth(needles), len(needles), needles))[:_MOST])


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


def _candidates(pattern: str) -> Iterator[tuple[str, ...]]:
    """Yield each run of literal text, and each group all of whose branches have needles."""
    run, at = "", 0
    while at < len(pattern):
        literal, group, end = _element(pattern, at)
        quantifier = _QUANTIFIER.match(pattern, end)
        optional = quantifier is not None and _OPTIONAL.match(quantifier.group()) is not None
        if literal and quantifier is None:
            run += literal
        else:
            yield (run + (literal if quantifier and not optional else ""),)
            run = ""
            if group and not optional:
                branches = [needles_of(branch) for branch in _split(group)]
                yield tuple(needle for sets in branches for needle in sets[0]) if all(branches) else ()
        at = quantifier.end() if quantifier else end
    yield (run,)


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
