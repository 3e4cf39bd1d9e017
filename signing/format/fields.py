"""Reading fields of a parsed JSON object so that every error knows its place.

fields = Fields.of(value, where="profile")
name = fields.text("name")
fields.done()                # an unknown key is a rejection: it would be signed, and ignored by us
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any, Self, TypeVar

from signing.errors import FormatError

T = TypeVar("T")


def placed(error: FormatError, where: str) -> FormatError:
    """Return ``error`` with its place put inside of ``where``.

    In a long list nobody is told of each word where it stands: that is put together when one of them is wrong.
    """
    return FormatError(error.message, where=f"{where}.{error.where}" if error.where else where)


def exactly(value: object, keys: AbstractSet[str]) -> dict[str, Any]:
    """Return the object ``value``, which has exactly these keys.

    Raises:
        FormatError: it is no object, lacks one of them, or has another.
    """
    if not isinstance(value, dict):
        raise FormatError("not an object")
    if value.keys() != keys:
        if missing := keys - value.keys():
            raise FormatError("missing", where=min(missing))
        raise FormatError(f"unknown key {min(value.keys() - keys)!r}")
    return value


def object_of(value: object, where: str) -> dict[str, Any]:
    """Return ``value``, which must be an object."""
    if not isinstance(value, dict):
        raise FormatError("not an object", where=where)
    return value


def list_of(value: object, where: str) -> list[Any]:
    """Return ``value``, which must be a list."""
    if not isinstance(value, list):
        raise FormatError("not a list", where=where)
    return value


def text_of(value: object, where: str) -> str:
    """Return ``value``, which must be a string."""
    if not isinstance(value, str):
        raise FormatError("not a string", where=where)
    return value


def integer_of(value: object, where: str, maximum: int) -> int:
    """Return ``value``, which must be an integer from 0 to ``maximum``."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= maximum:
        raise FormatError(f"not an integer from 0 to {maximum}", where=where)
    return value


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
        return cls(object_of(value, where), where)

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
        value = text_of(self.take(key), self.place(key))
        if len(value) > max_length:
            raise FormatError(f"longer than {max_length} characters", where=self.place(key))
        return value

    def integer(self, key: str, *, maximum: int) -> int:
        """Return and consume an integer from 0 to ``maximum``."""
        return integer_of(self.take(key), self.place(key), maximum)

    def items(self, key: str, read: Callable[[Any, str], T], *, maximum: int = 10_000) -> tuple[T, ...]:
        """Return and consume a list, each item read by ``read(item, where)``."""
        place = self.place(key)
        value = list_of(self.take(key), place)
        if len(value) > maximum:
            raise FormatError(f"more than {maximum} items", where=place)
        return tuple(read(item, f"{place}[{index}]") for index, item in enumerate(value))

    def mapping(self, key: str) -> dict[str, Any]:
        """Return and consume an object whose keys are data."""
        return object_of(self.take(key), self.place(key))

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
