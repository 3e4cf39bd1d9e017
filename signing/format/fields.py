"""Reading fields of a parsed JSON object so that every error knows its place.

fields = Fields.of(value, where="profile")
name = fields.text("name")
fields.done()                # an unknown key is a rejection: it would be signed, and ignored by us
"""

from collections.abc import Callable
from typing import Any, Self, TypeVar

from signing.errors import FormatError

T = TypeVar("T")


class Fields:
    """One JSON object, consumed key by key."""

    def __init__(self, values: dict[str, Any], where: str) -> None:
        self._values = dict(values)
        self.where = where

    @classmethod
    def of(cls, value: object, *, where: str) -> Self:
        """Return the fields of ``value``.

        Raises:
            FormatError: it is not an object.
        """
        if not isinstance(value, dict):
            raise FormatError("not an object", where=where)
        return cls(value, where)

    def __contains__(self, key: str) -> bool:
        """Return whether ``key`` is there, and nobody has read it yet."""
        return key in self._values

    def place(self, key: str) -> str:
        """Return where ``key`` stands, for messages."""
        return f"{self.where}.{key}"

    def take(self, key: str) -> Any:
        """Return and consume the value of ``key``.

        Raises:
            FormatError: there is none.
        """
        if key not in self._values:
            raise FormatError("missing", where=self.place(key))
        return self._values.pop(key)

    def constant(self, key: str, expected: str) -> None:
        """Consume ``key``, whose value must be ``expected``."""
        if self.take(key) != expected:
            raise FormatError(f"must be {expected!r}", where=self.place(key))

    def text(self, key: str, *, max_length: int = 10_000) -> str:
        """Return and consume a string of at most ``max_length`` characters."""
        value = self.take(key)
        if not isinstance(value, str):
            raise FormatError("not a string", where=self.place(key))
        if len(value) > max_length:
            raise FormatError(f"longer than {max_length} characters", where=self.place(key))
        return value

    def integer(self, key: str, *, maximum: int) -> int:
        """Return and consume an integer from 0 to ``maximum``."""
        value = self.take(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= maximum:
            raise FormatError(f"not an integer from 0 to {maximum}", where=self.place(key))
        return value

    def items(self, key: str, read: Callable[[Any, str], T], *, maximum: int = 10_000) -> tuple[T, ...]:
        """Return and consume a list, each item read by ``read(item, where)``."""
        value = self.take(key)
        if not isinstance(value, list):
            raise FormatError("not a list", where=self.place(key))
        if len(value) > maximum:
            raise FormatError(f"more than {maximum} items", where=self.place(key))
        return tuple(read(item, f"{self.place(key)}[{index}]") for index, item in enumerate(value))

    def mapping(self, key: str) -> dict[str, Any]:
        """Return and consume an object whose keys are data."""
        value = self.take(key)
        if not isinstance(value, dict):
            raise FormatError("not an object", where=self.place(key))
        return value

    def optional(self, key: str, read: Callable[[str], T]) -> T | None:
        """Return ``read(key)``, or None when the value is null (the key itself must be there)."""
        if key in self._values and self._values[key] is None:
            self._values.pop(key)
            return None
        return read(key)

    def done(self) -> None:
        """Raise FormatError when keys are left that nobody read."""
        if self._values:
            raise FormatError(f"unknown key {min(self._values)!r}", where=self.where)
