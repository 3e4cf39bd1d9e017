"""Names on GitHub, in the spellings that we accept (pure)."""

import re
from dataclasses import dataclass
from typing import Self

from signing.errors import FormatError

_OWNER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38}[A-Za-z0-9])?", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)
_REF = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._/+-]{0,198}[A-Za-z0-9_+-])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class RepositoryName:
    """``owner/repo``."""

    owner: str
    name: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"

    @classmethod
    def parse(cls, text: str, *, where: str) -> Self:
        """Return ``text`` as the name of a repository.

        Raises:
            FormatError: not ``owner/repo``.
        """
        owner, _, name = text.partition("/")
        if not _OWNER.fullmatch(owner) or not _NAME.fullmatch(name) or name in {".", ".."}:
            raise FormatError(f"{text[:120]!a} is not owner/repo", where=where)
        return cls(owner, name)


def parse_ref(text: str, *, where: str) -> str:
    """Return ``text`` as the name of a branch or tag, or the id of a commit.

    Raises:
        FormatError: it is none.
    """
    if not _REF.fullmatch(text) or ".." in text or "//" in text or text.endswith(".lock"):
        raise FormatError(f"{text[:80]!a} is not a branch, a tag or a commit", where=where)
    return text
