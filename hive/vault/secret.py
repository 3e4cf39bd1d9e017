"""A value that nobody may see: it prints as nothing, is compared in constant time, and does not travel."""

import hmac
from typing import NoReturn, final


@final
class Secret:
    """Bytes that appear in no message, no repr and no pickle; `reveal` is the one way to them."""

    __slots__ = ("_value",)
    __hash__ = None  # type: ignore[assignment]  # a hash in a set or a log is something to guess against

    def __init__(self, value: bytes) -> None:
        self._value: bytearray | None = bytearray(value)

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self.reveal(), other.reveal())

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret does not travel")

    def reveal(self) -> bytes:
        """Return the bytes.

        Raises:
            ValueError: it was forgotten already; zeros must not be taken for the secret.
        """
        if self._value is None:
            raise ValueError("the secret was forgotten")
        return bytes(self._value)

    def forget(self) -> None:
        """Overwrite the bytes held here. What Python copied elsewhere meanwhile is out of reach."""
        if self._value is not None:
            self._value[:] = bytes(len(self._value))
            self._value = None
