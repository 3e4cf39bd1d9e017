"""Names of package repositories and packages: parsed once, in one spelling.

    ABI         FreeBSD:14:amd64             exactly one; the ``*`` of packages for every machine is not a repository's
    channel     latest                       a-z, digits, single hyphens; 1 to 40 characters
    repository  FreeBSD:14:amd64/latest      one ABI and one channel: one catalogue, one builder's role
    role        pkg-FreeBSD_14_amd64-latest  a role's name is a file's name, and ``:`` is none everywhere
    index       pkg/FreeBSD:14:amd64/latest/repo.json
    package     demo-agent-1.2.1_1,2         name, then version (with its revision and epoch)
    its ABI     FreeBSD:14:*                 of a package; ``*`` stands for any version or architecture
    origin      misc/demo-base               category and port
    path        All/demo-base-1.0.0.pkg      relative to the repository, plain parts that begin with a letter or digit

pkg itself takes nearly anything for a name. Ours is what ports use, so that no name needs quoting anywhere.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NewType, Self

from signing.errors import FormatError
from signing.format.names import TargetPath

Abi = NewType("Abi", str)
Channel = NewType("Channel", str)
PackageName = NewType("PackageName", str)
PackageVersion = NewType("PackageVersion", str)

MAX_CHANNEL: Final = 40
MAX_PACKAGE_NAME: Final = 128
MAX_PACKAGE_VERSION: Final = 64
ROLE_PREFIX: Final = "pkg-"
ADVISORIES_PATH: Final = TargetPath("pkg/vuln.xml")
INDEX_NAME: Final = "repo.json"

_ROLE: Final = re.compile(r"pkg-FreeBSD_([0-9]{1,3})_([a-z0-9]{1,20})-([a-z0-9-]{1,40})", re.ASCII)


class _Spelling:
    """The one way in which a kind of word is written."""

    def __init__(self, what: str, pattern: str, *, longest: int = 1024) -> None:
        self._what, self._longest = what, longest
        self._matches = re.compile(pattern, re.ASCII).fullmatch

    def check(self, text: object, where: str) -> str:
        """Return ``text``, which is spelled like this.

        Raises:
            FormatError: it is not.
        """
        if not isinstance(text, str) or len(text) > self._longest or self._matches(text) is None:
            raise FormatError(f"{_shown(text)} is not {self._what}", where=where)
        return text


_ABI: Final = _Spelling("an ABI (like FreeBSD:14:amd64)", r"FreeBSD:[1-9][0-9]{0,2}:[a-z][a-z0-9]{0,19}")
_CHANNEL: Final = _Spelling(
    "a channel (like latest or quarterly)", r"[a-z0-9]+(?:-[a-z0-9]+)*", longest=MAX_CHANNEL
)
_PACKAGE_NAME: Final = _Spelling(
    "the name of a package", r"[A-Za-z0-9][A-Za-z0-9+._-]*", longest=MAX_PACKAGE_NAME
)
_PACKAGE_VERSION: Final = _Spelling(
    "the version of a package", r"[A-Za-z0-9][A-Za-z0-9.+_,~]*", longest=MAX_PACKAGE_VERSION
)
_ORIGIN: Final = _Spelling("the origin of a package", r"[A-Za-z0-9+._-]{1,128}/[A-Za-z0-9+._@-]{1,128}")
_PACKAGE_ABI: Final = _Spelling(
    "the ABI of a package", r"FreeBSD:(?:[1-9][0-9]{0,2}|\*):(?:[a-z][a-z0-9]{0,19}|\*)"
)
_PACKAGE_PATH: Final = _Spelling(
    "the path of a package",
    r"[A-Za-z0-9][A-Za-z0-9+.,_~$@-]*(?:/[A-Za-z0-9][A-Za-z0-9+.,_~$@-]*){0,7}",
)


def parse_abi(text: object, *, where: str = "abi") -> Abi:
    """Return ``text`` as the ABI of a repository.

    Raises:
        FormatError: not ``FreeBSD:MAJOR:ARCHITECTURE``.
    """
    return Abi(_ABI.check(text, where))


def parse_channel(text: object, *, where: str = "channel") -> Channel:
    """Return ``text`` as the name of a channel.

    Raises:
        FormatError: not in the one accepted spelling.
    """
    return Channel(_CHANNEL.check(text, where))


def parse_package_name(text: object, *, where: str = "package") -> PackageName:
    """Return ``text`` as the name of a package.

    Raises:
        FormatError: not letters, digits and ``+ . _ -``, beginning with a letter or digit.
    """
    return PackageName(_PACKAGE_NAME.check(text, where))


def parse_package_version(text: object, *, where: str = "version") -> PackageVersion:
    """Return ``text`` as the version of a package, revision and epoch included. There is no hyphen in it.

    Raises:
        FormatError: not in the spelling of ports.
    """
    return PackageVersion(_PACKAGE_VERSION.check(text, where))


def parse_origin(text: object, *, where: str = "origin") -> str:
    """Return ``text`` as the origin of a package: category and port.

    Raises:
        FormatError: not in the spelling of ports.
    """
    return _ORIGIN.check(text, where)


def parse_package_abi(text: object, *, where: str = "abi") -> str:
    """Return ``text`` as the ABI of a package, in which ``*`` stands for any.

    Raises:
        FormatError: not ``FreeBSD:MAJOR:ARCHITECTURE``.
    """
    return _PACKAGE_ABI.check(text, where)


def parse_package_path(text: object, *, where: str = "path") -> str:
    """Return ``text`` as the path of a package in its repository.

    Raises:
        FormatError: absolute, leading out of it, hidden, or with characters that no package's path has.
    """
    return _PACKAGE_PATH.check(text, where)


@dataclass(frozen=True, slots=True, order=True)
class PackageRepo:
    """One package repository: an ABI and a channel."""

    abi: Abi
    channel: Channel

    def __str__(self) -> str:
        return f"{self.abi}/{self.channel}"

    @classmethod
    def parse(cls, text: object, *, where: str = "repository") -> Self:
        """Return ``ABI/CHANNEL`` as a repository.

        Raises:
            FormatError: not in that form.
        """
        if not isinstance(text, str) or text.count("/") != 1:
            raise FormatError(
                f"{_shown(text)} is not ABI/CHANNEL (like FreeBSD:14:amd64/latest)", where=where
            )
        abi, _, channel = text.partition("/")
        return cls(parse_abi(abi, where=where), parse_channel(channel, where=where))

    @property
    def role(self) -> str:
        """The TUF role whose key signs what this repository holds."""
        return f"{ROLE_PREFIX}{self.abi.replace(':', '_')}-{self.channel}"

    @classmethod
    def of_role(cls, role: str) -> Self:
        """Return the repository that ``role`` signs for.

        Raises:
            FormatError: not a package role of ours.
        """
        match = _ROLE.fullmatch(role)
        if match is None:
            raise FormatError(f"{_shown(role)} is not a package role", where="role")
        return cls.parse(f"FreeBSD:{match[1]}:{match[2]}/{match[3]}", where="role")

    @property
    def index_path(self) -> TargetPath:
        """The target path of the signed index, ``repo.json``."""
        return TargetPath(f"pkg/{self.abi}/{self.channel}/{INDEX_NAME}")

    @classmethod
    def of_index_path(cls, path: str) -> Self:
        """Return the repository whose index is ``path``.

        Raises:
            FormatError: not the path of an index.
        """
        head, _, rest = path.partition("/")
        repo, _, name = rest.rpartition("/")
        if head != "pkg" or name != INDEX_NAME:
            raise FormatError(f"{_shown(path)} is not the path of a package index", where="target path")
        return cls.parse(repo, where="target path")


@dataclass(frozen=True, slots=True, order=True)
class PackagePin:
    """Exactly one version of a package: ``demo-agent-1.2.1_1``, as pkg writes it."""

    name: PackageName
    version: PackageVersion

    def __str__(self) -> str:
        return f"{self.name}-{self.version}"

    @classmethod
    def parse(cls, text: object, *, where: str = "package") -> Self:
        """Return ``NAME-VERSION`` as a pin: no version holds a hyphen, so the last one parts them.

        Raises:
            FormatError: not in that form.
        """
        if not isinstance(text, str):
            raise FormatError(f"{_shown(text)} is not NAME-VERSION", where=where)
        name, _, version = text.rpartition("-")
        return cls(parse_package_name(name, where=where), parse_package_version(version, where=where))


def parse_pin(name: object, version: object, *, where: str = "package") -> PackagePin:
    """Return a pin of its two halves; the same object for the same words, since many packages need one.

    Raises:
        FormatError: one of them is not in its spelling.
    """
    if not isinstance(name, str) or not isinstance(version, str):
        raise FormatError("names no package", where=where)
    try:
        return _known_pin(name, version)
    except FormatError as error:
        raise FormatError(error.message, where=where) from error


@lru_cache(maxsize=1 << 16)
def _known_pin(name: str, version: str) -> PackagePin:
    return PackagePin(parse_package_name(name), parse_package_version(version))


def _shown(text: object) -> str:
    return ascii(text[:80]) if isinstance(text, str) else type(text).__name__
