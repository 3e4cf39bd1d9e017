"""A token that a server asks for before it gives packages: shown to one origin, and to nobody else.

    Authorization: Bearer skt_5f3a91c07be2_Jm0c…

It keeps strangers from files and makes nothing trustworthy: what is installed is decided by signatures.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Self

from repo_client.fetcher import Origin
from signing.errors import FormatError

# The token68 of RFC 9110: nothing in it can end a header, and no library has to quote it in an error.
_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]{8,1024}={0,2}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A token, and the origin that it is for."""

    origin: Origin
    _text: str = field(repr=False)

    @classmethod
    def parse(cls, data: bytes, *, origin: Origin, where: str = "token") -> Self:
        """Return the token in a file of one line.

        Raises:
            FormatError: it is none. The error repeats nothing of it.
        """
        line = data.removesuffix(b"\n")
        if not _TOKEN.fullmatch(line):
            raise FormatError("not one line with a token", where=where, hint="skt_…, as it was shown once")
        return cls(origin=origin, _text=line.decode("ascii"))

    def headers_for(self, origin: Origin) -> dict[str, str]:
        """Return what a request to ``origin`` carries: the token for its own origin, nothing for any other."""
        return {"Authorization": f"Bearer {self._text}"} if origin == self.origin else {}
