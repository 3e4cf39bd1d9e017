"""A text in the shapes in which it is searched, and what is found in it, each thing once.

`Haystack.matches` looks for `Phrases` where their needles stand: around those of the set that comes least often, as
far as a match can reach, where something of every other set stands too. `Haystack.in_lines` looks for a pattern
in the lines that hold one of some needles. What was cut off at `MAX_PLACES` makes the text `crowded`.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice

from repo_server.curation.checks.needles import BEFORE, BEHIND, Needles
from repo_server.curation.checks.phrases import Alternative, Phrases, possible_with, standing_in
from repo_server.curation.checks.vocabulary import Standing

MAX_PLACES = 5_000  # of one pattern in one text
_CONTINUED = re.compile(r"\\\r?\n| `\r?\n|(?:\|&?|&&)[ \t]{0,40}\r?\n")
# The end of a line within a paragraph: the next line is no list item, heading, quotation, table row, fence or blank.
_WRAPPED = re.compile(r"\n(?=[ \t]{0,20}[^\s#*+|>`~0-9-])")

Region = tuple[int, int]


class Haystack:
    """One text; with ``flows`` its lines are wrapped where they happened to be full."""

    def __init__(self, text: str, *, flows: bool) -> None:
        self.text = text
        self.crowded = False
        self._flows = flows
        self._needles: dict[str, list[int]] = {}
        self._counts: dict[frozenset[str], tuple[int, list[str]]] = {}
        self._starts: dict[frozenset[str], list[int]] = {}
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
        return _CONTINUED.sub(_blanked, self.text) if "\n" in self.text else self.text

    @cached_property
    def flowing(self) -> str:
        """The text in lower case with the lines of a paragraph made one, offset for offset."""
        return _WRAPPED.sub(" ", self.lower) if self._flows and "\n" in self.lower else self.lower

    @cached_property
    def _standing(self) -> Standing:
        return standing_in(self.lower)

    @cached_property
    def _possible(self) -> Mapping[Phrases, list[Alternative]]:
        return possible_with(self._standing.pieces)

    @cached_property
    def _is_ascii(self) -> bool:
        return self.lower.isascii()

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
        joined = self.joined
        return self._first(match for begin, end in regions for match in pattern.finditer(joined, begin, end))

    def _first(self, matches: Iterable[re.Match[str]]) -> list[re.Match[str]]:
        """Return the first `MAX_PLACES`, and remember when there are more."""
        found = list(islice(matches, MAX_PLACES + 1))
        if len(found) > MAX_PLACES:
            self.crowded = True
            found.pop()
        return found

    def _search(self, alternative: Alternative, *, prose: bool) -> list[re.Match[str]]:
        text = self.flowing if prose else self.joined
        regions = self._regions(alternative, prose=prose) if alternative.narrow else [(0, len(text))]
        if not regions:
            return []
        pattern = alternative.pattern_for_ascii if self._is_ascii else alternative.pattern
        if alternative.starts and self._is_ascii:
            return self._first(self._from_starts(pattern, alternative.starts, text, regions))
        return self._first(match for begin, end in regions for match in pattern.finditer(text, begin, end))

    def _from_starts(
        self, pattern: re.Pattern[str], starts: frozenset[str], text: str, regions: list[Region]
    ) -> Iterator[re.Match[str]]:
        """Yield the matches of ``pattern``, which begins with one of ``starts``: only there it is tried."""
        places = self._begun(starts)
        match_at = pattern.match
        for begin, end in regions:
            number, behind = bisect_left(places, begin), begin
            while number < len(places) and (at := places[number]) < end:
                number += 1
                if at >= behind and (match := match_at(text, at, end)):
                    yield match
                    behind = match.end()

    def _begun(self, starts: frozenset[str]) -> list[int]:
        """Return every place of ``starts``, in order."""
        known = self._starts.get(starts)
        if known is None:
            found: set[int] = set()
            for start in starts & self._standing.pieces:
                found.update(self._standing.places(start, overlapping=True))
            known = self._starts[starts] = sorted(found)
        return known

    def _regions(self, alternative: Alternative, *, prose: bool) -> list[Region]:
        """Return where a match can be: around each needle of the rarest set, where the other sets are too."""
        there = [self._there(pieces) for pieces in alternative.pieces]
        base = self._rarest(alternative, there)
        regions = self._windows(alternative.sets[base], there[base][1], prose=prose)
        find = self.lower.find
        for number, (_, needles) in enumerate(there):
            if number != base:
                regions = [
                    (begin, end)
                    for begin, end in regions
                    if any(find(needle, begin, end) >= 0 for needle in needles)
                ]
        return regions

    def _there(self, pieces: frozenset[str]) -> tuple[int, list[str]]:
        """Return which of ``pieces`` stand in the text, and how often all of them together."""
        known = self._counts.get(pieces)
        if known is None:
            there = sorted(pieces & self._standing.pieces)
            known = self._counts[pieces] = sum(map(self._standing.count, there)), there
        return known

    def _rarest(self, alternative: Alternative, there: list[tuple[int, list[str]]]) -> int:
        """Return the number of the set that comes least often, of those around which a match is wholly seen."""
        sets = alternative.sets
        if not sets[0].is_near:
            return 0
        return min(
            (number for number in range(len(sets)) if sets[number].is_near),
            key=lambda number: there[number][0],
        )

    def _windows(self, found: Needles, needles: list[str], *, prose: bool) -> list[Region]:
        """Return what stands close enough to a needle to be of a match; a very long one is looked for in its line."""
        places = self._all_found(needles)
        size, joined = len(self.text), self.joined
        before, behind = min(found.before, BEFORE), min(found.behind, BEHIND)
        if prose or found.is_near:
            return _merged([(at - before if at > before else 0, min(size, at + behind)) for at in places])
        windows: list[Region] = []
        for at in places:
            begin, end = max(0, at - before), min(size, at + behind)
            if found.before > BEFORE:
                begin = min(begin, joined.rfind("\n", 0, at) + 1)
            if found.behind > BEHIND:
                line_end = joined.find("\n", end)
                end = line_end if line_end >= 0 else size
            windows.append((begin, end))
        return _merged(windows)

    def _lines_with(self, needles: tuple[str, ...]) -> list[Region]:
        """Return the lines that hold a needle, and `BEHIND` characters after them."""
        found: list[Region] = []
        size, last = len(self.text), -1
        for at in self._all_found(needles):
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
            known = self._standing.places(needle)
            if len(known) > MAX_PLACES:
                self.crowded = True
                known = known[:MAX_PLACES]
            self._needles[needle] = known
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
