"""What every source gives back, whatever it had to do for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from packaging.version import InvalidVersion, Version

from repo_server.curation.frontmatter import FrontMatter, read_front_matter
from repo_server.curation.limits import Limits
from repo_server.curation.textsafe import visible
from repo_server.curation.tree import SourceTree
from signing.errors import FormatError
from signing.format.names import parse_version
from signing.format.review import Finding, Severity

_MAX_FACT = 400
_MAX_PLAIN_FACT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """Where the marketplaces are. ``allow_loopback_http`` permits plain HTTP to this machine, nowhere else."""

    clawhub: str = "https://clawhub.ai"
    allow_loopback_http: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A tree, and everything that is known about where it came from. None of it is a promise.

    ``resolved`` pins the address (a commit, a version, a digest of the archive); ``observations`` are what the
    source itself says or lacks, in the form of findings, to be shown beside those of the checks.
    """

    tree: SourceTree
    source: str
    address: str
    resolved: Mapping[str, str]
    publisher: str = ""
    licence: str = ""
    suggested_version: str | None = None
    observations: tuple[Finding, ...] = ()
    fetched_at: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "resolved", MappingProxyType(dict(self.resolved)))


class Source(Protocol):
    """One way to get a tree: a module with this function for its own kind of address."""

    def __call__(self, *, limits: Limits, settings: SourceSettings, now: datetime) -> Fetched:
        """Return what stands at the address.

        Raises:
            RejectedError: it is not acceptable.
            NotFoundError, ConflictError, TransportError, HostError: it could not be had.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What the skill says about itself, for sources that know no better."""

    front: FrontMatter
    licence: str
    version: str | None
    observations: tuple[Finding, ...] = field(default=())


def claims_of(tree: SourceTree) -> Claims:
    """Return licence and version as the front matter gives them."""
    front, _ = read_front_matter(tree.skill_md)
    licence = fact(front.licence)
    return Claims(
        front=front,
        licence=licence,
        version=suggest_version(front.metadata.get("version", "")),
        observations=() if licence else (no_licence(),),
    )


def suggest_version(text: str) -> str | None:
    """Return ``text`` in our spelling of versions, or None. Only a suggestion, so it may be repaired."""
    try:
        return parse_version(str(Version(text[:40])))
    except (InvalidVersion, FormatError):
        return None


def fact(text: str) -> str:
    """Return a text from outside as it may stand in a record: visible, on one line, not endless."""
    return visible(text[:_MAX_FACT], keep="")[: _MAX_FACT + 100]


def plain_fact(text: str) -> str:
    r"""Return a text from outside in printable ASCII, for facts that are compared: ``\u0430`` is not ``a``."""
    return ascii(text[:_MAX_PLAIN_FACT])[1:-1][: 2 * _MAX_PLAIN_FACT]


def observation(check: str, severity: Severity, message: str) -> Finding:
    """Return something that a source says or lacks, as a finding about the skill as a whole."""
    return Finding(check=f"source.{check}", severity=severity, path="", line=0, message=message)


def no_licence() -> Finding:
    """Return the observation that nobody said under which licence this may be used."""
    message = "no licence is given: without one it may be neither published nor changed; ask the author"
    return observation("no-licence", Severity.LOOK, message)
