"""Who may fetch packages: everybody, or who shows a token of that repository (pure).

    [pkg]
    access = "open"        # the default: signed catalogues and packages are for everybody
    access = "tokens"      # packages and catalogues take a token with the scope pull-pkg:ABI/CHANNEL

    Authorization: Basic base64("pkg:skt_5f3a91c07be2_Jm0c…")     what pkg sends for HTTP_AUTH; the user is any
    Authorization: Bearer skt_5f3a91c07be2_Jm0c…                  what everybody else sends

A token keeps packages from strangers; it makes nothing trustworthy. What is installed is decided by signatures.
Fingerprints and vulnerabilities are for everybody in either case: who checks something needs them first.
"""

import base64
import binascii
import enum
from collections.abc import Mapping
from typing import Any, Final, Self

from signing.errors import FormatError

REALM: Final = "packages"
# Only Basic is offered: pkg's fetch library understands no more, and picks the first of several.
CHALLENGE: Final = f'Basic realm="{REALM}"'
_MAX_CREDENTIALS: Final = 1024


class Access(enum.StrEnum):
    """Who may fetch packages."""

    OPEN = "open"
    TOKENS = "tokens"

    @classmethod
    def from_toml(cls, values: Mapping[str, Any], *, where: str) -> Self:
        """Return the setting in the table ``[pkg]``.

        Raises:
            FormatError: an unknown key or value. A misspelt rule must not leave the door open.
        """
        if unknown := set(values) - {"access"}:
            raise FormatError(f"unknown key {min(unknown)!a}", where=where)
        text = values.get("access", cls.OPEN.value)
        if not isinstance(text, str) or text not in set(cls):
            raise FormatError("neither open nor tokens", where=f"{where}.access")
        return cls(text)

    def render(self) -> str:
        """Return the table as TOML; nothing where it is the default."""
        return f'\n[pkg]\naccess = "{self.value}"\n' if self is not Access.OPEN else ""


def shown_token(header: str | None) -> str | None:
    """Return what an Authorization header shows as a token; None when there is no such header.

    Raises:
        FormatError: another scheme, or not in its one spelling. The error repeats nothing of it.
    """
    if header is None:
        return None
    scheme, _, rest = header[: _MAX_CREDENTIALS + 1].partition(" ")
    if len(header) <= _MAX_CREDENTIALS and scheme.lower() == "bearer":
        return rest.strip(" ")
    if len(header) > _MAX_CREDENTIALS or scheme.lower() != "basic":
        raise FormatError("neither Basic nor Bearer", where="Authorization")
    try:
        user, colon, password = base64.b64decode(rest.strip(" "), validate=True).decode().partition(":")
    except (binascii.Error, ValueError) as error:
        raise FormatError("not base64 of user:password", where="Authorization") from error
    del user
    if not colon:
        raise FormatError("not base64 of user:password", where="Authorization")
    return password
