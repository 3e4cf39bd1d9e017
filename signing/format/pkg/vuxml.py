"""VuXML: which versions of which packages have known vulnerabilities (reference/freebsd-pkg §6).

    advisories = parse_vuxml(data)
    advisories.affecting("demo-agent", "1.2.0")      -> the advisories whose ranges hold that version

The feed is XML from outside, and not signed by its makers: it has no entities, no depth and no size beyond a bound.
A name is an exact name, or a glob as pkg reads it. What is cancelled there does not count.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, Final
from xml.parsers import expat

from signing.errors import FormatError
from signing.format.pkg.version import VersionKey

MAX_FEED_BYTES: Final = 64 << 20
_MAX_DEPTH: Final = 64
_MAX_ADVISORIES: Final = 200_000
_MAX_TEXT: Final = 4_000
_VID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_TESTS: Final = ("lt", "le", "gt", "ge", "eq")
_GLOB: Final = frozenset("*?[")
_LEAVES: Final = frozenset({"topic", "cvename", "name", *_TESTS})


@dataclass(frozen=True, slots=True)
class Range:
    """Versions for which every test holds: pairs of ``lt``, ``le``, ``gt``, ``ge`` or ``eq`` and a version."""

    tests: tuple[tuple[str, str], ...]

    def holds(self, version: str) -> bool:
        """Return whether ``version`` is in the range."""
        key = VersionKey.of(version)
        return all(_passes(test, key, VersionKey.of(bound)) for test, bound in self.tests)

    def __str__(self) -> str:
        signs = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "="}
        return " ".join(f"{signs[test]} {bound}" for test, bound in self.tests)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """One vulnerability: whom it affects and what it is called."""

    vid: str
    topic: str
    cves: tuple[str, ...]
    affects: tuple[tuple[tuple[str, ...], tuple[Range, ...]], ...]

    def range_of(self, name: str, version: str) -> Range | None:
        """Return the range that holds this package, or None."""
        for names, ranges in self.affects:
            if any(_is_called(name, pattern) for pattern in names):
                for item in ranges:
                    if item.holds(version):
                        return item
        return None


class Advisories:
    """A whole feed, looked up by package."""

    def __init__(self, advisories: Sequence[Advisory]) -> None:
        self.entries: Final = tuple(advisories)
        by_name: dict[str, list[Advisory]] = {}
        globs: list[Advisory] = []
        for advisory in self.entries:
            names = {name for names, _ in advisory.affects for name in names}
            if any(_GLOB & set(name) for name in names):
                globs.append(advisory)
            for name in names:
                by_name.setdefault(name, []).append(advisory)
        self._by_name: Final[Mapping[str, Sequence[Advisory]]] = MappingProxyType(by_name)
        self._globs: Final = tuple(globs)

    def affecting(self, name: str, version: str) -> tuple[Advisory, ...]:
        """Return the advisories that affect this version of this package, in the order of the feed's ids."""
        found = {item.vid: item for item in (*self._by_name.get(name, ()), *self._globs)}
        return tuple(item for _, item in sorted(found.items()) if item.range_of(name, version) is not None)


def parse_vuxml(data: bytes) -> Advisories:
    """Return the feed written as ``data``.

    Raises:
        FormatError: not VuXML, larger than `MAX_FEED_BYTES`, with entities, or without a single advisory.
    """
    if len(data) > MAX_FEED_BYTES:
        raise FormatError(f"larger than {MAX_FEED_BYTES} bytes", where="vuln.xml")
    reader = _Reader()
    try:
        reader.parser.Parse(data, True)
    except expat.ExpatError as error:
        raise FormatError(f"not XML: {expat.errors.messages[error.code]}", where="vuln.xml") from error
    if not reader.seen:
        # An empty feed says that nothing is vulnerable; it is more likely that somebody cut it off.
        raise FormatError("holds no advisory", where="vuln.xml")
    return Advisories(reader.found)


class _Reader:
    """Collects advisories while expat reads; nothing else of the document is kept."""

    def __init__(self) -> None:
        # One encoding, whatever the document says: another name makes expat ask Python, whose errors are no refusal.
        self.parser = expat.ParserCreate("UTF-8", namespace_separator=" ")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.EntityDeclHandler = self._entity
        self.parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self.found: list[Advisory] = []
        self.seen = 0
        self._path: list[str] = []
        self._words: list[str] = []
        self._vuln: dict[str, Any] | None = None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name.rpartition(" ")[2])
        if len(self._path) > _MAX_DEPTH:
            raise FormatError("nested too deeply", where="vuln.xml")
        if len(self._path) == 1 and self._path != ["vuxml"]:
            raise FormatError("is not VuXML", where="vuln.xml")
        self._words = []
        match self._path[1:]:
            case ["vuln"]:
                self._begin(attributes.get("vid", ""))
            case ["vuln", "cancelled"]:
                self._advisory()["cancelled"] = True
            case ["vuln", "affects", "package"]:
                self._advisory()["affects"].append(([], []))
            case ["vuln", "affects", "package", "range"]:
                self._advisory()["affects"][-1][1].append([])

    def _begin(self, vid: str) -> None:
        self.seen += 1
        if self.seen > _MAX_ADVISORIES:
            raise FormatError(f"more than {_MAX_ADVISORIES} advisories", where="vuln.xml")
        if not _VID.fullmatch(vid):
            raise FormatError(f"{vid[:60]!a} is not the id of an advisory", where="vuln.xml")
        self._vuln = {"vid": vid.lower(), "topic": "", "cves": [], "affects": [], "cancelled": False}

    def _end(self, _name: str) -> None:
        text = "".join(self._words).strip()
        match self._path[1:]:
            case ["vuln"]:
                self._finish()
            case ["vuln", "topic"]:
                self._advisory()["topic"] = " ".join(text.split())
            case ["vuln", "references", "cvename"]:
                self._advisory()["cves"].append(text)
            case ["vuln", "affects", "package", "name"]:
                self._advisory()["affects"][-1][0].append(text)
            case ["vuln", "affects", "package", "range", test]:
                if test not in _TESTS or not text:
                    # A test that we do not know may be the one that excludes us; nobody guesses here.
                    raise FormatError(f"{test[:20]!a} is not a test of a range", where="vuln.xml")
                self._advisory()["affects"][-1][1][-1].append((test, text))
        self._path.pop()
        self._words = []

    def _text(self, text: str) -> None:
        # Descriptions are most of a feed, and nothing here needs them.
        if self._path[-1] in _LEAVES and sum(map(len, self._words)) < _MAX_TEXT:
            self._words.append(text)

    def _entity(self, *_declaration: object) -> None:
        raise FormatError("declares an entity", where="vuln.xml")

    def _advisory(self) -> dict[str, Any]:
        if self._vuln is None:
            raise FormatError("is not VuXML", where="vuln.xml")
        return self._vuln

    def _finish(self) -> None:
        vuln, self._vuln = self._advisory(), None
        if vuln["cancelled"]:
            return
        affects = tuple((tuple(names), _ranges(ranges)) for names, ranges in vuln["affects"])
        self.found.append(
            Advisory(vid=vuln["vid"], topic=vuln["topic"][:500], cves=tuple(vuln["cves"]), affects=affects)
        )


def _ranges(ranges: Iterable[Sequence[tuple[str, str]]]) -> tuple[Range, ...]:
    # A package without a range is affected in every version, and so is one whose range says nothing.
    found = tuple(Range(tuple(tests)) for tests in ranges)
    return found or (Range(()),)


def _is_called(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) if _GLOB & set(pattern) else name == pattern


def _passes(test: str, version: VersionKey, bound: VersionKey) -> bool:
    match test:
        case "lt":
            return version < bound
        case "le":
            return version <= bound
        case "gt":
            return version > bound
        case "ge":
            return version >= bound
        case _:
            return version == bound
