"""Where things stand in a text, as one number: bit n stands for the n-th sixteen characters.

    in_blocks([3, 40])  ->  0b101

So it is asked of a whole text at once whether something stands near something else: `before` and `behind` move all places
together, ``&`` compares them. Rounding to blocks only ever says "near" too often, never too seldom.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

BITS = 4
SIZE = 1 << BITS
"""Characters of a block."""
_MANY = 64  # places from which on it is cheaper to set bits in bytes than to add up numbers
_RUN = re.compile("1+")

Shifts = tuple[int, ...]


def in_blocks(places: Sequence[int]) -> int:
    """Return the blocks of ``places``, which are in order."""
    if len(places) <= _MANY:
        found = 0
        for at in places:
            found |= 1 << (at >> BITS)
        return found
    bits = bytearray((places[-1] >> BITS + 3) + 1)
    for at in places:
        bits[at >> BITS + 3] |= 1 << (at >> BITS & 7)
    return int.from_bytes(bits, "little")


@lru_cache(maxsize=4_096)
def shifts(distance: int) -> Shifts:
    """Return by how much `before` or `behind` moves blocks, one after the other, to cover ``distance`` characters."""
    left, covered, found = -(-distance // SIZE), 0, []
    while covered < left:
        step = min(covered + 1, left - covered)
        found.append(step)
        covered += step
    return tuple(found)


def before(blocks: int, by: Shifts) -> int:
    """Return ``blocks`` and those before them."""
    for step in by:
        blocks |= blocks >> step
    return blocks


def behind(blocks: int, by: Shifts) -> int:
    """Return ``blocks`` and those behind them."""
    for step in by:
        blocks |= blocks << step
    return blocks


def in_bytes(blocks: int) -> bytes:
    """Return ``blocks`` with eight of them in a byte, the first lowest, so that one is asked for in no time."""
    return blocks.to_bytes((blocks.bit_length() + 7) >> 3, "little")


def runs(blocks: int) -> list[tuple[int, int]]:
    """Return begin and end, in characters, of each stretch of ``blocks``, in order."""
    signs = bin(blocks)[:1:-1]
    return [(match.start() << BITS, match.end() << BITS) for match in _RUN.finditer(signs)]
