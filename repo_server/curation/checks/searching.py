"""A text in the shapes in which it is searched, and what is found in it, each thing once.

`Haystack.matches` looks for `Phrases` where they can begin: as far before a needle of every set as a match can reach.
That is worked out with `blocks`, for the whole text at once, so that a pattern is seldom tried in vain. Only what can be
longer than that is looked for line by line. `Haystack.in_lines` looks for a pattern in the lines that hold one of some
needles. What was cut off at `MAX_PLACES` makes the text `crowded`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import TypeVar

from repo_server.curation.checks import blocks, late
from repo_server.curation.checks.needles import BEFORE, BEHIND, Needles
from repo_server.curation.checks.phrases import Alternative, Phrases, needles_in, possible_with
from repo_server.curation.checks.vocabulary import Standing, places

MAX_PLACES = 5_000  # of one pattern in one text
_CONTINUED = late.pattern(r"\\\r?\n| `\r?\n|(?:\|&?|&&)[ \t]{0,40}\r?\n")
_CONTINUES = ("\\\n", "\\\r\n", " `\n", " `\r\n", "|", "&&")  # one of which is in all that it finds
# The end of a line within a paragraph: the next line is no list item, heading, quotation, table row, fence or blank.
_WRAPPED = late.pattern(r"\n(?=[ \t]{0,20}[^\s#*+|>`~0-9-])")
# What `re` holds equal to i and s where case does not matter, and lower() leaves as it is.
_ALSO_ASCII = "\u0131\u017f"

Region = tuple[int, int]
T = TypeVar("T")


class Haystack:
    """One text; with ``flows`` its lines are wrapped where they happened to be full."""

    def __init__(self, text: str, *, flows: bool) -> None:
        self.text = text
        self.crowded = False
        self._flows = flows
        self._needles: dict[str, list[int]] = {}
        self._begins: dict[str, list[int]] = {}
        self._lines: dict[tuple[str, ...], list[Region]] = {}
        self._matches: dict[Phrases, list[re.Match[str]]] = {}

    @cached_property
    def lower(self) -> str:
        """The text in lower case, offset for offset."""
        # Not casefold(): ß becomes two letters there, and the offsets would move. İ is the one that still does.
        lower = self.text.lower()
        return lower if len(lower) == len(self.text) else self.text.replace("\u0130", "i").lower()

    @cached_property
    def joined(self) -> str:
        """The text with continued lines made one, offset for offset."""
        text = self.text
        return _CONTINUED.sub(_blanked, text) if any(sign in text for sign in _CONTINUES) else text

    @cached_property
    def flowing(self) -> str:
        """The text in lower case with the lines of a paragraph made one, offset for offset."""
        return _WRAPPED.sub(" ", self.lower) if self._flows and "\n" in self.lower else self.lower

    @cached_property
    def _standing(self) -> Standing:
        return needles_in(self.lower)

    @cached_property
    def _possible(self) -> Mapping[Phrases, list[Alternative]]:
        return possible_with(self._standing)

    @cached_property
    def _is_ascii(self) -> bool:
        return self.lower.isascii()

    @cached_property
    def _is_plain(self) -> bool:
        """Whether no other letter is equal to one of ASCII where case does not matter."""
        return not any(letter in self.lower for letter in _ALSO_ASCII)

    def matches(self, phrases: Phrases) -> list[re.Match[str]]:
        """Return the matches of ``phrases``, in order, at most `MAX_PLACES` of each alternative."""
        known = self._matches.get(phrases)
        if known is None:
            known = []
            for alternative in self._possible.get(phrases, ()):
                known += self._search(alternative, prose=phrases.prose)
            known.sort(key=_start)
            self._matches[phrases] = known
        return known

    def everywhere(self, pattern: re.Pattern[str]) -> list[re.Match[str]]:
        """Return the matches of ``pattern`` in the whole text, at most `MAX_PLACES`."""
        return self._first(pattern.finditer(self.joined))

    def in_lines(self, pattern: re.Pattern[str], needles: tuple[str, ...]) -> list[re.Match[str]]:
        """Return the matches of ``pattern`` in the lines that hold a needle, and `BEHIND` characters after them."""
        regions = self._lines.get(needles)
        if regions is None:
            regions = self._lines[needles] = self._lines_with(needles)
        if not regions:
            return []
        return self._in_regions(pattern, self.joined, regions)

    def _first(self, places: Iterable[T]) -> list[T]:
        """Return the first `MAX_PLACES`, and remember when there are more."""
        found = list(islice(places, MAX_PLACES + 1))
        if len(found) > MAX_PLACES:
            self.crowded = True
            found.pop()
        return found

    def _search(self, alternative: Alternative, *, prose: bool) -> list[re.Match[str]]:
        text = self.flowing if prose else self.joined
        size = len(text)
        is_plain = self._is_ascii or (alternative.is_ascii and self._is_plain)
        pattern = alternative.pattern_for_ascii if is_plain else alternative.pattern
        if alternative.is_far:
            lines = self._lines_around(alternative, prose=prose)
            return self._in_regions(pattern, text, lines)
        if alternative.start is not None and is_plain:
            return self._from_starts(alternative, alternative.start, pattern, text)
        within = -1  # everywhere
        for group, before, behind in alternative.near:
            within &= blocks.behind(blocks.before(self._standing.blocks[group], before), behind)
        regions = blocks.runs(within) if within >= 0 else [(0, size)]
        return self._in_regions(pattern, text, regions)

    def _in_regions(self, pattern: re.Pattern[str], text: str, regions: list[Region]) -> list[re.Match[str]]:
        if not regions:
            return []
        if len(regions) == 1:
            return self._first(pattern.finditer(text, *regions[0]))
        return self._first(match for begin, end in regions for match in pattern.finditer(text, begin, end))

    def _from_starts(
        self, alternative: Alternative, start: int, pattern: re.Pattern[str], text: str
    ) -> list[re.Match[str]]:
        """Return the matches of ``pattern``, which is tried only where a match can begin."""
        standing = self._standing.blocks
        begins = standing.get(start, 0)
        for group, before, _ in alternative.near:
            begins &= blocks.before(standing[group], before)
            if not begins:
                return []
        found: list[re.Match[str]] = []
        behind = 0
        match_at = pattern.match
        for tried, at in enumerate(self._begun(alternative.starts, begins)):
            if tried == MAX_PLACES and alternative.narrow and self._is_common(alternative):
                self.crowded = True
                break
            if at >= behind and (match := match_at(text, at)):
                found.append(match)
                behind = match.end()
        return found

    def _is_common(self, alternative: Alternative) -> bool:
        """Whether no set of needles bounds how often it is tried: each has one that stands too often."""
        count = self.lower.count
        return all(
            any(count(needle) > MAX_PLACES for needle in found.needles)
            for found in alternative.sets
            if found.is_near
        )

    def _begun(self, starts: frozenset[str], begins: int) -> list[int]:
        """Return where one of ``starts`` begins in the blocks ``begins``, in order."""
        there = starts & self._standing.pieces
        if begins < 0:
            found = [at for start in there for at in self._begins_of(start)]
        else:
            bits = blocks.in_bytes(begins)
            last = len(bits) << 3 + blocks.BITS
            found = [
                at
                for start in there
                for at in self._begins_of(start)
                if at < last and bits[at >> 3 + blocks.BITS] >> (at >> blocks.BITS & 7) & 1
            ]
        return sorted(set(found)) if len(found) > 1 else found

    def _begins_of(self, start: str) -> list[int]:
        """Return where ``start`` stands, also within another time that it stands; many alternatives begin alike."""
        known = self._begins.get(start)
        if known is None:
            known = self._begins[start] = places(self.lower, start)
        return known

    def _lines_around(self, alternative: Alternative, *, prose: bool) -> list[Region]:
        """Return where a match of any length can be: around its first needles, as far as their line goes."""
        lower = self.lower
        base, *others = [
            [needle for needle in found.needles if needle in lower] for found in alternative.sets
        ]
        return [
            (begin, end)
            for begin, end in self._windows(alternative.sets[0], base, prose=prose)
            if all(any(lower.find(needle, begin, end) >= 0 for needle in needles) for needles in others)
        ]

    def _windows(self, found: Needles, needles: list[str], *, prose: bool) -> list[Region]:
        """Return what stands close to a needle; in code, what reaches farther is looked for in its line."""
        size, joined = len(self.text), self.joined
        windows: list[Region] = []
        for at in self._all_found(needles):
            begin, end = max(0, at - min(found.before, BEFORE)), min(size, at + min(found.behind, BEHIND))
            if found.before > BEFORE and not prose:
                begin = min(begin, joined.rfind("\n", 0, at) + 1)
            if found.behind > BEHIND and not prose:
                line_end = joined.find("\n", end)
                end = line_end if line_end >= 0 else size
            windows.append((begin, end))
        return _merged(windows)

    def _lines_with(self, needles: tuple[str, ...]) -> list[Region]:
        """Return the lines that hold a needle, and `BEHIND` characters after them."""
        lower = self.lower
        there = [needle for needle in needles if needle in lower]
        if not there:
            return []
        found: list[Region] = []
        size, last = len(self.text), -1
        for at in self._all_found(there):
            if at >= last:
                begin = self.joined.rfind("\n", 0, at) + 1
                end = self.joined.find("\n", at + BEHIND)
                last = size if end < 0 else end
                found.append((begin, last))
                last = max(at + 1, last - BEHIND)
        return _merged(found)

    def _found(self, needle: str) -> list[int]:
        """Return where ``needle`` stands, at most `MAX_PLACES` times; several patterns look for the same."""
        known = self._needles.get(needle)
        if known is None:
            known = self._needles[needle] = self._first(places(self.lower, needle, step=len(needle)))
        return known

    def _all_found(self, needles: Sequence[str]) -> list[int]:
        """Return where one of ``needles`` stands, in order."""
        if len(needles) == 1:
            return self._found(needles[0])
        return sorted([at for needle in needles for at in self._found(needle)])


def _merged(parts: list[Region]) -> list[Region]:
    """Return ``parts`` (in order of their beginnings) with those that touch made one."""
    if len(parts) < 2:  # noqa: PLR2004 - nothing to merge
        return parts
    merged = []
    first, last = parts[0]
    for begin, end in parts:
        if begin <= last:
            last = max(last, end)
        else:
            merged.append((first, last))
            first, last = begin, end
    return [*merged, (first, last)]


def _start(match: re.Match[str]) -> int:
    return match.start()


def _blanked(match: re.Match[str]) -> str:
    """Return as many blanks as the line end had characters, but keep the operator before it."""
    if match.group()[0] == "|":
        begin = match.string.rfind("\n", 0, match.start()) + 1
        if match.string[begin : begin + 12].lstrip().startswith("|"):
            return match.group()  # a row of a Markdown table, not a pipe
    operator = match.group().rstrip("\\` \t\r\n")
    return operator.ljust(len(match.group()))
