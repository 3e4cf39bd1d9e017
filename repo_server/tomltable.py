"""Reading a TOML table so that every error knows its place, and nothing unknown is passed over.

table = Table(tomllib.loads(text), "policy.toml")
review = table.table("review")
review.integer("reviewers", minimum=1, maximum=32, default=1)
review.done()                # an unknown key is a typing error in a rule that would then not hold
"""

from collections.abc import Mapping
from typing import Any, Final

from signing.errors import FormatError

_MAX_TEXT: Final = 1_000
_MAX_NAMES: Final = 20


class Table:
    """One TOML table, consumed key by key."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values, self._where = dict(values), where

    def place(self, key: str) -> str:
        """Return where ``key`` stands, for messages."""
        return f"{self._where}.{key}"

    def table(self, key: str) -> "Table":
        """Return and consume a table; a missing one is empty."""
        value = self._values.pop(key, {})
        if not isinstance(value, dict):
            raise FormatError("not a table", where=self.place(key))
        return Table(value, self.place(key))

    def optional_text(self, key: str) -> str | None:
        """Return and consume a string, or None when it is missing."""
        value = self._values.pop(key, None)
        if value is not None and (not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT):
            raise FormatError("not a string", where=self.place(key))
        return value

    def text(self, key: str) -> str:
        """Return and consume a string."""
        value = self.optional_text(key)
        if value is None:
            raise FormatError("missing", where=self.place(key))
        return value

    def boolean(self, key: str) -> bool:
        """Return and consume true or false."""
        value = self._values.pop(key, None)
        if not isinstance(value, bool):
            raise FormatError("not true or false", where=self.place(key))
        return value

    def integer(self, key: str, *, minimum: int, maximum: int, default: Any) -> Any:
        """Return and consume a number from ``minimum`` to ``maximum``, or ``default`` when it is missing."""
        if key not in self._values:
            return default
        value = self._values.pop(key)
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
            raise FormatError(f"not a number from {minimum} to {maximum}", where=self.place(key))
        return value

    def names(self, key: str) -> tuple[str, ...]:
        """Return and consume a list of strings, sorted, each once; a missing one is empty."""
        value = self._values.pop(key, [])
        if not isinstance(value, list) or len(value) > _MAX_NAMES:
            raise FormatError("not a list", where=self.place(key))
        if not all(isinstance(item, str) and 0 < len(item) <= _MAX_TEXT for item in value):
            raise FormatError("not a list of names", where=self.place(key))
        return tuple(sorted(set(value)))

    def done(self) -> None:
        """Raise FormatError when keys are left that nobody read."""
        if self._values:
            raise FormatError(f"unknown key {min(self._values)!r}", where=self._where)
