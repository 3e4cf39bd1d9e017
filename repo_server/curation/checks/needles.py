r"""What a pattern cannot match without, read off the pattern: sets of plain text, its *needles*.

    >>> needles_of(r"no need to (?:tell|mention)")
    (('no need to ',), ('mention', 'tell'))

Of each set, one piece stands in every match: literal text outside of groups, and every branch of a group that must be
there. Read too is how far a match can reach before and behind the needle. A pattern is taken apart once, from its
beginning to its end; a group's width and needles are worked out when its end is reached.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_QUANTIFIER = re.compile(r"(?:[?*+]|\{[0-9]*,?[0-9]*\})[?+]?")
_OPTIONAL = re.compile(r"[?*]|\{0?,|\{0\}")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
# How a group begins: one whose text is matched, one that is only looked at, or one of another kind (a flag, a reference).
_GROUP = re.compile(r"\((?:(?P<taken>\?:|\?P<\w+>|(?!\?))|(?P<seen>\?<?[=!])|(?P<other>\?))")
_BAR = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[(|)]", re.DOTALL)
_SHORTEST = 2
_NO_WIDTH = frozenset({r"\b", r"\B", r"\A", r"\Z"})
_ENDLESS = 1_000_000  # the width of what has no bound
_BLANKS = 8  # as many as one blank of a phrase in prose stands for, at most
_MARGIN = 2  # characters that a pattern looks at beyond its match, to see whether a word ends there
_MOST = 3  # sets of needles kept of one pattern
BEFORE = 200  # characters that a match can begin before its needle, to be looked for around it
BEHIND = 300  # and end behind it
FAR = 5_000  # characters between needles beyond which it is not asked how far they stand apart


class Needles(NamedTuple):
    """Pieces of text, one of which is in every match, and how far the match reaches before and behind that one."""

    needles: tuple[str, ...]
    before: int
    behind: int

    @property
    def is_near(self) -> bool:
        """Whether a match is wholly within `BEFORE` and `BEHIND` of its needle."""
        return self.before <= BEFORE and self.behind <= BEHIND

    @property
    def tells(self) -> bool:
        """Whether it is worth asking where its pieces stand: two letters stand in every line."""
        return _worth(self.needles) > _SHORTEST


class Read(NamedTuple):
    """What was read off one pattern: its sets of needles, and what every match begins with, where that is plain text."""

    sets: tuple[Needles, ...]
    starts: frozenset[str]

    @property
    def narrow(self) -> bool:
        """Whether there is a set of more than signs, which stand too often to look around them."""
        return bool(self.sets) and _worth(self.sets[0].needles) >= _SHORTEST


class _Element(NamedTuple):
    """A sign, a class or a group, with its quantifier; a group has its branches. ``taken`` is false for what is only seen."""

    literal: str
    width: int
    quantified: bool = False
    optional: bool = False
    taken: bool = True
    branches: "tuple[tuple[_Element, ...], ...]" = ()


def read(pattern: str, *, prose: bool = False) -> Read:
    """Return what is read off ``pattern``, which is no alternation; in ``prose`` a blank stands for any number."""
    branches, _ = _branches(pattern, 0, _BLANKS if prose else 1)
    starts = _starts(branches[0])
    return Read(_sets(branches[0], prose=prose), starts if all(map(_tells, starts)) else frozenset())


def needles_of(pattern: str) -> tuple[tuple[str, ...], ...]:
    """Return the sets of needles of ``pattern``, the best first."""
    return tuple(found.needles for found in read(pattern).sets)


def spaced(pattern: str) -> str:
    r"""Return ``pattern`` with each blank outside of brackets as ``[ \t]{1,8}``, and each optional one likewise."""
    return _BLANK_OR_OTHER.sub(_spaced, pattern)


def split(pattern: str) -> list[str]:
    """Return the alternatives at the top level of ``pattern``, also of a group that is the whole of one."""
    parts, begin, depth, closed = [], 0, 0, -1
    for match in _BAR.finditer(pattern):
        sign = match.group()
        depth += (sign == "(") - (sign == ")")
        if sign == ")" and depth == 0 and closed < 0:
            closed = match.end()
        elif sign == "|" and depth == 0:
            parts.append(pattern[begin : match.start()])
            begin = match.end()
    if closed == len(pattern) and pattern.startswith("(?:"):
        return split(pattern[3:-1])
    if not parts:
        return [pattern]
    return [one for part in (*parts, pattern[begin:]) for one in split(part)]


_BLANK_OR_OTHER = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]| (\??)", re.DOTALL)


def _spaced(match: re.Match[str]) -> str:
    if match.group()[0] != " ":
        return match.group()
    return "[ \\t]{0,8}" if match.group(1) else "[ \\t]{1,8}"


def _branches(pattern: str, at: int, blank: int) -> tuple[tuple[tuple[_Element, ...], ...], int]:
    """Return the alternatives that begin at ``at``, and where they end: at a closing parenthesis, or with the pattern."""
    branches: list[tuple[_Element, ...]] = []
    elements: list[_Element] = []
    size = len(pattern)
    while at < size and (sign := pattern[at]) != ")":
        if sign == "|":
            branches.append(tuple(elements))
            elements = []
            at += 1
            continue
        element, at = _element(pattern, at, blank)
        quantifier = _QUANTIFIER.match(pattern, at) if at < size and pattern[at] in "?*+{" else None
        if quantifier is not None:
            element, at = _repeated(element, quantifier.group()), quantifier.end()
        elements.append(element)
    return (*branches, tuple(elements)), at


def _element(pattern: str, at: int, blank: int) -> tuple[_Element, int]:
    """Return what begins at ``at``, without its quantifier, and where it ends."""
    sign = pattern[at]
    if sign == "\\":
        escaped = pattern[at + 1]
        literal = "" if escaped.isalnum() else escaped
        no_width = sign + escaped in _NO_WIDTH
        return _Element(literal, 0 if no_width else 1, taken=not no_width), at + 2
    if sign == "[" and (found := _CLASS.match(pattern, at)):
        return _Element("", 1), found.end()
    if sign == "(" and (found := _GROUP.match(pattern, at)):
        branches, end = _branches(pattern, found.end(), blank)
        width = _ENDLESS if found["other"] else max(map(_width, branches))
        if found["seen"]:
            return _Element("", width, taken=False), end + 1
        return _Element("", width, branches=() if found["other"] else branches), end + 1
    if sign in "^$.":
        return _Element("", sign == ".", taken=sign == "."), at + 1
    return _Element(sign.lower(), blank if sign == " " else 1), at + 1


def _repeated(element: _Element, quantifier: str) -> _Element:
    most = quantifier.rstrip("?+}").rpartition(",")[2].lstrip("{") or quantifier[0]
    times = int(most) if most.isdigit() else 1 if most == "?" else _ENDLESS
    return element._replace(
        width=element.width * times, quantified=True, optional=_OPTIONAL.match(quantifier) is not None
    )


def _starts(elements: tuple[_Element, ...]) -> frozenset[str]:
    """Return texts with one of which every match begins, up to a blank; none where that cannot be told."""
    run, found = "", frozenset[str]()
    for element in elements:
        if not element.taken:
            if run:
                break
            continue
        if element.literal.strip() and not element.optional:
            run += element.literal
            if not element.quantified:
                continue
        elif not run and element.branches:
            inside = [_starts(branch) for branch in element.branches]
            if not all(inside):
                return frozenset()
            found = found.union(*inside)
            if element.optional:
                continue
            return found
        break
    return found | {run} if run else frozenset()


def _tells(start: str) -> bool:
    """Whether a text is worth looking for: one letter stands everywhere."""
    return len(start) >= _SHORTEST or not (start.isalnum() or start in {"", " ", "_"})


def _width(elements: tuple[_Element, ...]) -> int:
    """Return how many characters ``elements`` match or look at, at most."""
    return sum(element.width for element in elements)


def _sets(elements: tuple[_Element, ...], *, prose: bool) -> tuple[Needles, ...]:
    whole = _width(elements)
    found: dict[tuple[str, ...], Needles] = {}
    for candidate, begin, end in _candidates(elements):
        needles = tuple(sorted(set(_words(candidate) if prose else candidate)))
        if not needles or not all(map(_tells, needles)):
            continue
        if _worth(needles) < _SHORTEST:
            found[needles] = Needles(needles, _ENDLESS, _ENDLESS)
            continue
        margin = _MARGIN + max(map(len, needles))
        _, before, behind = found.get(needles, (needles, 0, 0))
        found[needles] = Needles(needles, max(before, end + margin), max(behind, whole - begin + margin))
    best = sorted(found, key=lambda needles: (-_worth(needles), len(needles), needles))[:_MOST]
    return tuple(found[needles] for needles in best)


def _words(needles: tuple[str, ...]) -> tuple[str, ...]:
    """Return of each needle its longest word, where blanks may be many."""
    return tuple(max(needle.split(" "), key=len) for needle in needles)


def _worth(needles: tuple[str, ...]) -> int:
    return min(map(len, needles), default=0)


def _candidates(elements: tuple[_Element, ...]) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Yield each run of literal text, and each group all of whose branches have needles.

    With each come two numbers: as many characters of a match come before it, and up to its end, at most.
    """
    run, begin, passed = "", 0, 0
    for element in elements:
        begin = begin if run else passed
        if element.literal and not element.quantified:
            run += element.literal
        else:
            kept = element.literal if not element.optional else ""
            yield (run + kept,), begin, passed + element.width
            run = ""
            if element.branches and not element.optional:
                best = [_best(branch) for branch in element.branches]
                needles = tuple(needle for branch in best for needle in branch) if all(best) else ()
                yield needles, passed, passed + element.width
        passed += element.width
    yield (run,), begin, passed


def _best(branch: tuple[_Element, ...]) -> tuple[str, ...]:
    """Return the best set of needles of a group's branch."""
    sets = _sets(branch, prose=False)
    return sets[0].needles if sets else ()
