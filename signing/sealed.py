"""What all evidence has in common besides its maker: it does not travel, and it does not change.

Frozen dataclasses with slots get a ``__setstate__`` from the standard library that sets every field, and until
Python 3.11.3 it replaced one that the class had itself. So it is taken away from the finished class.
"""

from typing import NoReturn, TypeVar

T = TypeVar("T")


def unchangeable(cls: type[T]) -> type[T]:
    """Return the class, whose instances can be neither pickled, copied, nor given another state.

    The outermost decorator, above ``@final`` and ``@dataclass``.
    """

    def refuse(_self: object, *_state: object) -> NoReturn:
        raise TypeError(
            f"{cls.__name__}: keep the bytes and verify again; evidence does not travel or change"
        )

    for name in ("__setstate__", "__reduce__"):
        setattr(cls, name, refuse)
    return cls
