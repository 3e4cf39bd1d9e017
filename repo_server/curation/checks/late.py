"""Patterns that are compiled when they are first used.

Compiling all that the checks can look for takes longer than a review of one skill, which uses one in three of them. A
``pattern`` can be used wherever a compiled one can; one that cannot be compiled says so at its first use.
"""

import re
from functools import cached_property
from typing import Any, AnyStr, cast


class Late:
    """A pattern that is compiled once; then its methods are those of the compiled one, and cost nothing more."""

    def __init__(self, source: str | bytes, flags: int) -> None:
        """Keep ``source`` and ``flags``, as `re.compile` takes them."""
        self._source, self._flags = source, flags

    @cached_property
    def _compiled(self) -> re.Pattern[Any]:
        return re.compile(self._source, self._flags)

    def __getattr__(self, name: str) -> Any:  # is asked only for what is not there yet
        value = getattr(self._compiled, name)
        setattr(self, name, value)
        return value


def pattern(source: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return ``source``, to be compiled at its first use."""
    return cast("re.Pattern[AnyStr]", Late(source, flags))
