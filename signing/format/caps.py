"""Caps: the most that a skill's signed surface may hold, by kind.

    {"commands":["git","python3"],"hosts":["*.clawdie.si"],"tools":[]}

A kind that is not named is not capped; an empty list allows nothing of that kind. An entry is a plain text, or one
with a ``*`` at one end: ``*.clawdie.si`` allows every name below that domain (and not the domain), ``Bash(git:*``
everything that begins so. Nothing else is a pattern, so nobody has to wonder what a cap lets through.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Self

from signing.errors import FormatError
from signing.format.surface import Surface

CAPPED: Final = (
    "hosts",
    "commands",
    "env_names",
    "tools",
    "runtimes",
    "packages",
    "paths_written",
    "instructions",
)
MAX_ENTRIES: Final = 1_000
_MAX_LENGTH: Final = 400
_STAR: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """One entry of a surface that no cap allows."""

    kind: str
    entry: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.entry[:200]}"


@dataclass(frozen=True, slots=True)
class Caps:
    """What is allowed, by kind; a kind that is missing is not capped."""

    allowed: Mapping[str, tuple[str, ...]]

    @classmethod
    def none(cls) -> Self:
        """Return caps that cap nothing."""
        return cls(MappingProxyType({}))

    @classmethod
    def parse(cls, value: object, where: str) -> Self:
        """Return the caps written as ``value``.

        Raises:
            FormatError: an unknown kind, or an entry with a star that is not at one end.
        """
        if not isinstance(value, dict):
            raise FormatError("not a table of caps", where=where)
        allowed = {}
        for kind, entries in value.items():
            if kind not in CAPPED:
                raise FormatError(f"{kind[:60]!a} cannot be capped", where=where)
            allowed[kind] = _entries(entries, f"{where}.{kind}")
        return cls(MappingProxyType(allowed))

    def __bool__(self) -> bool:
        return bool(self.allowed)

    def to_json(self) -> dict[str, Any]:
        """Return the caps as they stand in a profile."""
        return {kind: list(entries) for kind, entries in sorted(self.allowed.items())}

    def excess(self, surface: Surface) -> tuple[Excess, ...]:
        """Return everything in ``surface`` that is not allowed."""
        return tuple(
            Excess(kind=kind, entry=entry)
            for kind, allowed in sorted(self.allowed.items())
            for entry in surface.of(kind)
            if not any(_allows(pattern, entry) for pattern in allowed)
        )


def _entries(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_ENTRIES:
        raise FormatError(f"not a list of at most {MAX_ENTRIES}", where=where)
    for entry in value:
        if not isinstance(entry, str) or not entry or len(entry) > _MAX_LENGTH:
            raise FormatError("an entry is a text", where=where)
        if entry.count(_STAR) > 1 or (_STAR in entry[1:-1]) or entry == _STAR:
            raise FormatError(
                f"{entry[:80]!a}: a star stands at one end, with something beside it", where=where
            )
    if value != sorted(set(value)):
        raise FormatError("not sorted, or twice", where=where)
    return tuple(value)


def _allows(pattern: str, entry: str) -> bool:
    if pattern.startswith(_STAR):
        return entry.endswith(pattern[1:]) and len(entry) > len(pattern) - 1
    if pattern.endswith(_STAR):
        return entry.startswith(pattern[:-1])
    return entry == pattern


def sorted_caps(given: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return what a person listed in any order as caps are written."""
    return {kind: sorted(set(entries)) for kind, entries in given.items()}
