"""Versions of packages, compared exactly as pkg compares them (reference/freebsd-pkg §5; libpkg/pkg_version.c).

    1.2.1_1,2                   epoch 2, then the components 1 2 1, then revision 1
    1.0alpha1 < 1.0 < 1.0a      a component is (number, letter, patch); a missing one is (0, 0, 0)
    1.0+1 < 1.0+2               after + a new block begins, and the shorter block is filled up with missing components

What is parsed is compared as tuples, so ``sorted(versions, key=VersionKey.of)`` is the order of pkg.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, total_ordering
from itertools import zip_longest
from typing import Final, Self, TypeVar

T = TypeVar("T")

Component = tuple[int, int, int]
Block = tuple[Component, ...]

_MAX_NUMBER: Final = 2**63 - 1
_MISSING: Final[Component] = (0, 0, 0)
_NO_NUMBER: Final = -1  # a letter without a number sorts before a missing component
_ANY: Final[Component] = (-2, 0, 0)  # *
_NO_PATCH: Final = -1
_STAGES: Final = {"pl": 0, "alpha": 1, "beta": 2, "pre": 16, "rc": 18, "snap": 19}

_NUMBER: Final = re.compile(r"[0-9]+", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z]+", re.ASCII)
_SEPARATORS: Final = re.compile(r"[^0-9A-Za-z+*]*", re.ASCII)


@total_ordering
@dataclass(frozen=True, slots=True)
class VersionKey:
    """A version, taken apart for comparison. Two spellings of one version (1.0 and 1.0.0) are equal keys."""

    epoch: int
    blocks: tuple[Block, ...]
    revision: int

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the key of any text: pkg finds a meaning in every one."""
        return cls(*_parts(text))

    def __lt__(self, other: "VersionKey") -> bool:
        """Return whether this is the older version."""
        return _compare(self, other) < 0

    def __eq__(self, other: object) -> bool:
        """Return whether pkg takes the two for one version."""
        return isinstance(other, VersionKey) and _compare(self, other) == 0

    def __hash__(self) -> int:
        """Return a hash that equal keys share: missing components do not count."""
        return hash((self.epoch, self.revision))


def compare_versions(one: str, other: str) -> int:
    """Return -1, 0 or 1: whether ``one`` is older than, equal to or newer than ``other``."""
    return _compare(VersionKey.of(one), VersionKey.of(other))


def newest(items: Iterable[T], *, version: Callable[[T], str]) -> T:
    """Return the item of the newest version; of equal ones the first."""
    return max(items, key=lambda item: VersionKey.of(version(item)))


def _compare(one: VersionKey, other: VersionKey) -> int:
    if one.epoch != other.epoch:
        return _sign(one.epoch, other.epoch)
    for mine, theirs in zip_longest(one.blocks, other.blocks, fillvalue=()):
        for component, opposite in zip_longest(mine, theirs, fillvalue=_MISSING):
            if component != opposite:
                return -1 if component < opposite else 1
    return _sign(one.revision, other.revision)


def _sign(one: int, other: int) -> int:
    return (one > other) - (one < other)


@lru_cache(maxsize=1 << 15)  # a repository names the same version many times
def _parts(text: str) -> tuple[int, tuple[Block, ...], int]:
    """Return epoch, blocks and revision."""
    rest, _, version = text.rpartition("-")[2].rpartition("_")
    if not rest:
        rest, version = version, ""
        if "," in rest:
            rest, _, epoch = rest.rpartition(",")
            return _number(epoch), _blocks(rest), 0
    revision, comma, epoch = version.rpartition(",")
    return _number(epoch if comma else ""), _blocks(rest), _number(revision if comma else version)


def _number(text: str) -> int:
    match = _NUMBER.match(text)
    # Cut before int(): thousands of digits would cost quadratic time, and pkg's numbers end at 64 bits anyway.
    return min(int(match[0].lstrip("0")[:20] or "0"), _MAX_NUMBER) if match is not None else 0


def _blocks(text: str) -> tuple[Block, ...]:
    return tuple(_components(block) for block in text.split("+"))


def _components(block: str) -> Block:
    found: list[Component] = []
    place = _skip(block, 0)
    while place < len(block):
        if block[place] == "*":
            found.append(_ANY)
            break
        component, place = _component(block, place)
        found.append(component)
        place = _skip(block, place)
    return tuple(found)


def _skip(block: str, place: int) -> int:
    match = _SEPARATORS.match(block, place)
    return match.end() if match is not None else place


def _component(block: str, place: int) -> tuple[Component, int]:
    number = _NUMBER.match(block, place)
    place = number.end() if number is not None else place
    value = _number(number[0]) if number is not None else _NO_NUMBER
    word = _WORD.match(block, place)
    if word is None:
        return (value, 0, 0), place
    stage = _STAGES.get(word[0].lower())
    if stage is not None and number is not None:
        return (value, 0, 0), place  # 1.0alpha1 is 1.0.alpha1: the stage is a component of its own
    letter = stage if stage is not None else ord(word[0][0].lower()) - ord("a") + 1
    patch = _NUMBER.match(block, word.end())
    if patch is None:
        return (value, letter, _NO_PATCH), word.end()
    return (value, letter, _number(patch[0])), patch.end()
