"""What every source promises, and what it gives back.

A source is one module of this package. Its name is the scheme with ``_`` for ``-``, and it defines ``SOURCE``:

    class SkillsSh:
        scheme: Final = "skills-sh"
        example: Final = "skills-sh:owner/repo/skill"
        bases: Final = MappingProxyType({"skills-sh": "https://skills.sh", "github-api": "https://api.github.com"})

        def parse(self, rest: str) -> SkillsShAddress: ...
        def fetch(self, address, *, limits, settings, now) -> Fetched: ...
        def search(self, query, *, limits, settings) -> tuple[Hit, ...]: ...

    SOURCE: Final = SkillsSh()

``bases`` is the complete list of servers that the source may ask or be redirected to; each can be moved to a mirror
under its key in ``[sources]`` of repository.toml. Nothing that an answer says is trusted: not for where to go next,
not for what is shown on a terminal, not for what the files are.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from packaging.version import InvalidVersion, Version

from repo_server.curation.frontmatter import FrontMatter, read_front_matter
from repo_server.curation.limits import Limits
from repo_server.curation.textsafe import visible
from repo_server.curation.tree import SourceTree
from signing.errors import FormatError, SkillRepoError, UsageError
from signing.format.finding import Finding, Severity
from signing.format.names import parse_version

GITHUB_VARIABLE = "SKILLREPO_GITHUB_TOKEN"  # the variable that it comes from
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,400}", re.ASCII)
_MAX_FACT = 400
_MAX_PLAIN_FACT = 200
_MAX_LISTED = 20
_UNREADABLE = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)


@runtime_checkable
class Address(Protocol):
    """What names one candidate: a frozen value whose text can be read again."""

    def __str__(self) -> str:
        """Return the address as a curator types it; parsed again, it is equal to this one."""

    @property
    def recorded(self) -> str:
        """The address as a signed, public review names it: without what is only this machine's business."""


def _silent(_: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """Where the sources' servers are when not where each source says, and who hears of progress.

    ``github_token`` is sent to the API of GitHub and nowhere else; no representation shows it.
    """

    bases: Mapping[str, str] = field(default_factory=dict)
    tell: Callable[[str], None] = field(default=_silent, compare=False)
    github_token: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bases", MappingProxyType(dict(self.bases)))

    def bases_of(self, defaults: Mapping[str, str]) -> dict[str, str]:
        """Return ``defaults`` with every base URL that is set differently here."""
        return {key: self.bases.get(key, url) for key, url in defaults.items()}


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One answer to a search. ``address`` can be imported; empty when upstream's name for it cannot be one of ours.

    The texts are the upstream's: bounded and visible here, believed by nobody.
    """

    address: str
    name: str
    summary: str = ""
    publisher: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("address", "name", "summary", "publisher"):
            object.__setattr__(self, name, fact(getattr(self, name)))
        facts = {plain_fact(key): fact(value) for key, value in self.facts.items()}
        object.__setattr__(self, "facts", MappingProxyType(facts))


class Source(Protocol):
    """One way to get a tree."""

    @property
    def scheme(self) -> str:
        """What stands before the colon."""

    @property
    def example(self) -> str:
        """An address to imitate, for help and errors."""

    @property
    def bases(self) -> Mapping[str, str]:
        """Every server that may be asked: the key of its setting, and its base URL by default.

        The URL is empty where the address names the server.
        """

    def parse(self, rest: str) -> Any:
        """Return the address that follows the colon.

        Raises:
            FormatError: it is none.
        """

    def fetch(self, address: Any, *, limits: Limits, settings: SourceSettings, now: datetime) -> Fetched:
        """Return what stands at the address.

        Raises:
            RejectedError: it is not acceptable.
            NotFoundError, ConflictError, TransportError, HostError: it could not be had.
        """

    def search(self, query: str, *, limits: Limits, settings: SourceSettings) -> tuple[Hit, ...]:
        """Return what upstream finds, in its order, at most ``limits.max_hits``.

        Raises:
            UsageError: this source has no search.
            RejectedError, TransportError: the answer is not one, or there is none.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What the skill says about itself, for sources that know no better."""

    front: FrontMatter
    licence: str
    version: str | None
    observations: tuple[Finding, ...] = field(default=())


def parse_github_token(text: str) -> str:
    """Return ``text`` as a token that can stand in a header; an empty one is none.

    Raises:
        UsageError: it cannot; the token is not shown.
    """
    if text and not _TOKEN.fullmatch(text):
        raise UsageError(f"{GITHUB_VARIABLE} is not a token", hint="one word, without quotes and line breaks")
    return text


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


def no_search(source: Source, hint: str) -> UsageError:
    """Return the error of a source that cannot search."""
    return UsageError(f"{source.scheme} has no search", hint=hint)


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Turn whatever happens when an answer has another shape than documented into FormatError.

    Whoever answers for a marketplace may answer anything; each place in an answer is checked where it is read, and
    this is for the ones that were forgotten.
    """
    try:
        yield
    except SkillRepoError:
        raise
    except _UNREADABLE as error:
        raise FormatError(
            f"answers with something unreadable ({type(error).__name__})", where=fact(where)
        ) from error


def suggest_version(text: str) -> str | None:
    """Return ``text`` in our spelling of versions, or None. Only a suggestion, so it may be repaired."""
    try:
        return parse_version(str(Version(text[:40])))
    except (InvalidVersion, FormatError):
        return None


def object_at(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the object at ``key`` of an answer; an empty one when there is none."""
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def objects_at(document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the objects in the list at ``key`` of an answer.

    Raises:
        FormatError: there is no list, or it holds something else.
    """
    value = document.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise FormatError(f"answers without a list of {key}", where=key)
    return value


def text_at(document: Mapping[str, Any], key: str) -> str:
    """Return the text at ``key`` of an answer; an empty one when there is none."""
    value = document.get(key)
    return value if isinstance(value, str) else ""


def number_at(document: Mapping[str, Any], key: str) -> int | None:
    """Return the whole number at ``key`` of an answer, or None."""
    value = document.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def fact(text: str) -> str:
    """Return a text from outside as it may stand in a record: visible, on one line, not endless."""
    return visible(text[:_MAX_FACT], keep="")[: _MAX_FACT + 100]


def plain_fact(text: str) -> str:
    r"""Return a text from outside in printable ASCII, for facts that are compared: ``\u0430`` is not ``a``."""
    return ascii(text[:_MAX_PLAIN_FACT])[1:-1][: 2 * _MAX_PLAIN_FACT]


def observation(check: str, severity: Severity, message: str) -> Finding:
    """Return something that a source says or lacks, as a finding about the skill as a whole."""
    return Finding(check=f"source.{check}", severity=severity, path="", line=0, message=message)


def left_out(things: tuple[str, ...]) -> tuple[Finding, ...]:
    """Return the observation that upstream ships ``things`` which are not part of the candidate, if it does."""
    if not things:
        return ()
    shown = ", ".join(fact(thing) for thing in things[:_MAX_LISTED])
    more = f" and {len(things) - _MAX_LISTED} more" if len(things) > _MAX_LISTED else ""
    message = f"upstream ships more than the skill, which was not taken: {shown}{more}"[:1_900]
    return (observation("left-out", Severity.LOOK, message),)


def no_licence() -> Finding:
    """Return the observation that nobody said under which licence this may be used."""
    message = "no licence is given: without one it may be neither published nor changed; ask the author"
    return observation("no-licence", Severity.LOOK, message)
