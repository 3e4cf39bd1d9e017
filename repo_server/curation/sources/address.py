"""Addresses that need no marketplace, as a curator types them, and what all addresses have in common.

    skills/web-search                                a folder
    web-search.zip  web-search.tar.gz  x.tgz         an archive
    git+https://host/repo.git@COMMIT#skills/x        a folder of a git commit (40 hex digits)
    git+ssh://git@host/repo@COMMIT                   the same over ssh
    git+/srv/repo@COMMIT  git+file:///srv/repo@…     the same from a repository on this machine

Addresses of the other sources (``clawhub:@owner/slug``) are read by their own modules. An address names one thing.
A branch or a tag can name another thing tomorrow, so what is recorded holds a commit or a version.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from repo_server.curation.textsafe import visible
from signing.errors import FormatError
from signing.format.manifest import parse_member_path

_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)
_VERSION = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z.+-]{0,62}[0-9A-Za-z])?", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9a-f:]+", re.ASCII)
_ARCHIVE_ENDINGS = (".zip", ".tar.gz", ".tgz")
_WHERE = "address"
_MAX_LENGTH = 2_000


@dataclass(frozen=True, slots=True)
class FolderAddress:
    """A folder on this machine."""

    path: str

    def __str__(self) -> str:
        return self.path

    @property
    def recorded(self) -> str:
        """How a signed, public review names it: a curator's local folders are nobody's business."""
        return f"folder:{_last(self.path)}"


@dataclass(frozen=True, slots=True)
class ArchiveAddress:
    """An archive file on this machine."""

    path: str

    def __str__(self) -> str:
        return self.path

    @property
    def recorded(self) -> str:
        """How a signed, public review names it."""
        return f"archive:{_last(self.path)}"


@dataclass(frozen=True, slots=True)
class GitAddress:
    """A folder of one commit. ``local`` when ``url`` is a path on this machine; ``path`` may be empty."""

    url: str
    commit: str
    path: str
    local: bool

    def __str__(self) -> str:
        return f"git+{self.url}@{self.commit}" + (f"#{self.path}" if self.path else "")

    @property
    def recorded(self) -> str:
        """How a signed, public review names it."""
        url = f"local/{_last(self.url)}" if self.local else self.url
        return f"git+{url}@{self.commit}" + (f"#{self.path}" if self.path else "")


def _last(path: str) -> str:
    """Return the last part of a local path, resolved so that ``.`` has a name too."""
    return visible(Path(path.removeprefix("file://")).resolve().name, keep="") or "root"


def folder_address(path: str) -> FolderAddress | ArchiveAddress:
    """Return ``path`` as the address of a folder or an archive on this machine, whatever else it looks like.

    For commands that must not fetch: ``clawhub:@o/s`` is a folder of that name here.

    Raises:
        FormatError: it cannot be shown.
    """
    check_text(path)
    return ArchiveAddress(path) if path.lower().endswith(_ARCHIVE_ENDINGS) else FolderAddress(path)


def parse_upstream_version(text: str, *, where: str) -> str:
    """Return ``text`` as the version of a marketplace, which need not be one of ours.

    Raises:
        FormatError: not 1 to 64 ASCII letters, digits, dots, plus signs and hyphens, as in an address.
    """
    if not _VERSION.fullmatch(text):
        raise FormatError(f"{text[:80]!a} is not a version", where=where)
    return text


def check_text(text: str) -> None:
    """Check that ``text`` can be an address: UTF-8, not endless, nothing in it that cannot be seen.

    Raises:
        FormatError: it cannot.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise FormatError(
            f"{text[:80]!a} is not UTF-8 text", where=_WHERE, hint="rename the file or folder, then try again"
        ) from error
    if not text or len(text) > _MAX_LENGTH or not text.isprintable():
        raise FormatError("is empty, too long, or holds characters that cannot be seen", where=_WHERE)


def parse_git_address(text: str) -> GitAddress:
    """Return what follows ``git+`` as an address.

    Raises:
        FormatError: not ``URL@COMMIT`` or ``URL@COMMIT#folder``.
    """
    target, _, path = text.partition("#")
    url, at, commit = target.rpartition("@")
    if not at or not _COMMIT.fullmatch(commit):
        raise FormatError(
            "a git address needs a full commit: 40 lower-case hexadecimal digits behind the last @",
            where=_WHERE,
            hint="branches and tags move; find the commit with `git ls-remote URL`",
        )
    if path:
        parse_member_path(path, where=f"{_WHERE}#path")
    return GitAddress(url, commit, path, local=_is_local(url))


def _is_local(url: str) -> bool:
    """Return whether ``url`` is a path on this machine.

    Raises:
        FormatError: it is neither that nor an https or ssh URL without secrets.
    """
    # Git reads "--upload-pack=…" as an option and "ext::sh -c …" as a program to start.
    if url.startswith("-") or "::" in url or any(c.isspace() for c in url):
        raise FormatError("is not a git URL", where=_WHERE, hint="use https://, ssh:// or a path")
    if url.startswith(("/", "./", "../", "file:///")):
        return True
    parts = _split(url)
    if parts.scheme not in {"https", "ssh"}:
        raise FormatError(
            f"git over {parts.scheme or 'this'!r} is not accepted",
            where=_WHERE,
            hint="use https://host/repo, ssh://git@host/repo, or a path that begins with / or ./",
        )
    if parts.password is not None or (parts.scheme == "https" and parts.username is not None):
        raise FormatError("holds credentials, which would be recorded", where=_WHERE, hint="use an ssh key")
    # ssh itself once read a host that begins with "-" as an option (-oProxyCommand=…).
    if not _HOST.fullmatch(parts.hostname or "") or (parts.username or "").startswith("-"):
        raise FormatError("has no plain host name", where=_WHERE)
    if parts.query or len(parts.path) <= 1:
        raise FormatError("names no repository", where=_WHERE)
    return False


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for nonsense
    except ValueError as error:
        raise FormatError("is not a URL", where=_WHERE) from error
    return parts
