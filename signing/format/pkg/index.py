"""``repo.json``: what a package repository holds, as one signed, numbered and dated list (design §4.4).

    {"abi":"FreeBSD:14:amd64","build":{"git_hash":"8c…","master":"143amd64-clawdie","name":"2026-11-22_12h00m00s","system":"poudriere"},
     "catalogue":[{"name":"data.pkg","sha256":"3b…","size":1514}],"channel":"latest","created":"2026-11-22T12:00:00Z",
     "fingerprints":["9c…"],"intent":null,"kept":[],
     "packages":[{"abi":"FreeBSD:14:amd64","deps":[{"name":"demo-base","version":"1.0.0"}],"name":"demo-agent","origin":"clawdie/demo-agent",
                  "path":"All/demo-agent-1.2.1_1.pkg","sha256":"5d…","size":1824,"version":"1.2.1_1"}],
     "repository":"pkg.clawdie.si","schema":"https://skills.clawdie.si/schema/pkg-index/v1","serial":7}

pkg's own catalogue names no repository, no ABI, no serial and no date, so an old one, another one and a frozen one
are all accepted by a real client (reference/freebsd-pkg §1). pkg ignores this file; our provisioner lives by it.

``kept`` are packages of earlier serials within their grace period: a profile that pins one of them can still be born.

    "gone":[{"name":"demo-tool","version":"2.1"}]     only where there are such: names that are listed no more

``gone`` remembers in which version a name was listed last: what comes back must not be older.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final, Self
from weakref import WeakValueDictionary

from signing.errors import FormatError
from signing.format.canonical import canonical, parse_canonical
from signing.format.collector import collector_paused
from signing.format.digest import Sha256, parse_sha256, sha256_of
from signing.format.fields import Fields, exactly, integer_of, list_of, placed
from signing.format.moment import parse_moment, render_moment
from signing.format.pkg.names import (
    INDEX_NAME,
    PackageName,
    PackagePin,
    PackageRepo,
    PackageVersion,
    parse_abi,
    parse_channel,
    parse_origin,
    parse_package_abi,
    parse_package_name,
    parse_package_path,
    parse_package_version,
    parse_pin,
)

SCHEMA: Final = "https://skills.clawdie.si/schema/pkg-index/v1"
MAX_INDEX_BYTES: Final = 64 << 20
MAX_PACKAGES: Final = 100_000
MAX_DEPENDENCIES: Final = 2_000
MAX_PACKAGE_BYTES: Final = 8 << 30
MAX_SERIAL: Final = 2**53 - 1
CATALOGUE_NAMES: Final = frozenset(
    {"data.pkg", "files.pkg", "filesite.pkg", "meta", "meta.conf", "packagesite.pkg"}
    | {"Latest/pkg.pkg", "Latest/pkg.pkg.sig"}
)

_REPOSITORY: Final = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*", re.ASCII)
_BUILD_VALUE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 +.,_:@/-]{0,199}", re.ASCII)
BUILD_FIELDS: Final = ("git_hash", "master", "name", "system")
_PACKAGE_KEYS: Final = frozenset({"name", "version", "origin", "path", "sha256", "size", "abi", "deps"})
_PIN_KEYS: Final = frozenset({"name", "version"})


class IntentKind(StrEnum):
    """Why a serial goes back, and that somebody means it."""

    DOWNGRADE = "downgrade"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A version, or a whole repository, goes back on purpose. ``serial`` is the one whose packages come back."""

    kind: IntentKind
    by: str
    reason: str
    serial: int

    def to_json(self) -> dict[str, Any]:
        """Return the intent as it stands in an index."""
        return {"kind": self.kind.value, "by": self.by, "reason": self.reason, "serial": self.serial}

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the intent written as ``value``."""
        fields = Fields.of(value, where=where)
        kind = fields.text("kind", max_length=20)
        if kind not in set(IntentKind):
            raise FormatError(f"{kind!a} is not an intent", where=fields.place("kind"))
        intent = cls(
            kind=IntentKind(kind),
            by=fields.text("by", max_length=64),
            reason=fields.text("reason", max_length=2000),
            serial=fields.integer("serial", maximum=MAX_SERIAL),
        )
        fields.done()
        if not intent.by or not intent.reason.strip():
            raise FormatError("somebody must mean it, and say why", where=where)
        return intent


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CatalogueFile:
    """One of pkg's own files of the repository."""

    name: str
    size: int
    sha256: Sha256

    def to_json(self) -> dict[str, Any]:
        """Return the file as it stands in an index."""
        return {"name": self.name, "size": self.size, "sha256": self.sha256}

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the file written as ``value``."""
        fields = Fields.of(value, where=where)
        name = fields.text("name", max_length=64)
        if name not in CATALOGUE_NAMES:
            raise FormatError(f"{name!a} is not a file of a catalogue", where=fields.place("name"))
        file = cls(
            name=name,
            size=fields.integer("size", maximum=MAX_PACKAGE_BYTES),
            sha256=parse_sha256(fields.take("sha256"), where=fields.place("sha256")),
        )
        fields.done()
        return file


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class IndexedPackage:
    """One package, to the byte. ``deps`` are what pkg asks for: a name, and the version it was built against."""

    name: PackageName
    version: PackageVersion
    origin: str
    path: str
    sha256: Sha256
    size: int
    abi: str
    deps: tuple[PackagePin, ...]

    @property
    def pin(self) -> PackagePin:
        """Which package this is."""
        return PackagePin(self.name, self.version)

    def to_json(self) -> dict[str, Any]:
        """Return the package as it stands in an index."""
        return {
            "name": self.name,
            "version": self.version,
            "origin": self.origin,
            "path": self.path,
            "sha256": self.sha256,
            "size": self.size,
            "abi": self.abi,
            "deps": [{"name": dep.name, "version": dep.version} for dep in self.deps],
        }

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the package written as ``value``."""
        try:
            said = exactly(value, _PACKAGE_KEYS)
            return cls(
                name=parse_package_name(said["name"], where="name"),
                version=parse_package_version(said["version"]),
                origin=parse_origin(said["origin"]),
                path=parse_package_path(said["path"]),
                sha256=parse_sha256(said["sha256"]),
                size=integer_of(said["size"], "size", MAX_PACKAGE_BYTES),
                abi=parse_package_abi(said["abi"]),
                deps=_dependencies(said["deps"]),
            )
        except FormatError as error:
            raise placed(error, where) from error


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class RepoIndex:
    """Everything that one serial of a package repository holds."""

    repository: str
    repo: PackageRepo
    serial: int
    created: datetime
    build: Mapping[str, str]
    catalogue: tuple[CatalogueFile, ...]
    packages: tuple[IndexedPackage, ...]
    kept: tuple[IndexedPackage, ...] = ()
    fingerprints: tuple[Sha256, ...] = ()
    intent: Intent | None = None
    gone: tuple[PackagePin, ...] = ()

    def __post_init__(self) -> None:
        if self.serial < 1:
            raise FormatError("serials begin with 1", where="index.serial")
        if not {"data.pkg", "meta.conf", "packagesite.pkg"} <= {file.name for file in self.catalogue}:
            raise FormatError("lacks meta.conf, data.pkg or packagesite.pkg", where="index.catalogue")
        for what, items in (("catalogue", self.catalogue), ("packages", self.packages), ("kept", self.kept)):
            keys = [_key(item) for item in items]
            if any(one >= other for one, other in pairwise(keys)):
                raise FormatError("is not sorted, or names one thing twice", where=f"index.{what}")
        self._check_paths()
        self._check_digests()
        strange = {
            abi for abi in {package.abi for package in self.all_packages()} if not fits(abi, self.repo)
        }
        for package in self.all_packages() if strange else ():
            if package.abi in strange:
                raise FormatError(
                    f"{package.pin} is for {package.abi}, not for {self.repo.abi}", where="index.packages"
                )
        if list(self.fingerprints) != sorted(set(self.fingerprints)):
            raise FormatError("is not sorted, or names one twice", where="index.fingerprints")
        gone = [pin.name for pin in self.gone]
        if gone != sorted(set(gone)) or not {package.name for package in self.packages}.isdisjoint(gone):
            raise FormatError("is not sorted, or names what is listed", where="index.gone")

    def _check_paths(self) -> None:
        """One path is one package: else what a client gets depends on who wrote last."""
        paths = [package.path for package in self.packages] + [file.name for file in self.catalogue]
        if len(set(paths)) != len(paths):
            raise FormatError("names one path twice", where="index.packages")
        if len({path.casefold() for path in paths}) != len(paths):
            raise FormatError("names two paths that differ in case only", where="index.packages")
        folders: set[str] = set()
        for path in paths:
            above = path.rpartition("/")[0]
            while above and above not in folders:
                folders.add(above)
                above = above.rpartition("/")[0]
        if INDEX_NAME in paths or not folders.isdisjoint(paths):
            raise FormatError("names the index, or a file that is a folder too", where="index.packages")

    def _check_digests(self) -> None:
        """Bytes are one package: else the name under which they are pinned, revoked or waived is not the only one."""
        pins: dict[Sha256, PackagePin] = {}
        for package in self.all_packages():
            if pins.setdefault(package.sha256, package.pin) != package.pin:
                raise FormatError(
                    f"{package.pin} is the same file as {pins[package.sha256]}", where="index.packages"
                )

    def by_sha256(self) -> Mapping[Sha256, IndexedPackage]:
        """Return every package whose bytes are vouched for, listed or kept, by its digest."""
        return MappingProxyType({package.sha256: package for package in (*self.kept, *self.packages)})

    def all_packages(self) -> Iterator[IndexedPackage]:
        """Yield every package whose bytes are vouched for: listed, then kept."""
        yield from self.packages
        yield from self.kept

    @collector_paused()
    def render(self) -> bytes:
        """Return the canonical bytes."""
        gone = [{"name": pin.name, "version": pin.version} for pin in self.gone]
        return canonical(
            {
                "schema": SCHEMA,
                "repository": self.repository,
                "abi": self.repo.abi,
                "channel": self.repo.channel,
                "serial": self.serial,
                "created": render_moment(self.created),
                "build": dict(self.build),
                "catalogue": [file.to_json() for file in self.catalogue],
                "packages": [package.to_json() for package in self.packages],
                "kept": [package.to_json() for package in self.kept],
                "fingerprints": list(self.fingerprints),
                "intent": self.intent.to_json() if self.intent is not None else None,
                **({"gone": gone} if gone else {}),
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> "RepoIndex":
        """Return the index written as ``data``; the same one, where somebody still holds it.

        Raises:
            FormatError: not a canonical index, or larger than `MAX_INDEX_BYTES`.
        """
        digest = sha256_of(data)
        if (index := _PARSED.get(digest)) is None:
            index = _PARSED[digest] = cls._parse(data)
        return index

    @classmethod
    @collector_paused()
    def _parse(cls, data: bytes) -> Self:
        value = parse_canonical(data, where="index", max_bytes=MAX_INDEX_BYTES)
        fields = Fields.of(value, where="index")
        fields.constant("schema", SCHEMA)
        index = cls(
            repository=_matching(fields, "repository", _REPOSITORY),
            repo=PackageRepo(
                parse_abi(fields.take("abi"), where=fields.place("abi")),
                parse_channel(fields.take("channel"), where=fields.place("channel")),
            ),
            serial=fields.integer("serial", maximum=MAX_SERIAL),
            created=parse_moment(fields.take("created"), where=fields.place("created")),
            build=_build(fields),
            catalogue=fields.items("catalogue", CatalogueFile.from_json, maximum=len(CATALOGUE_NAMES)),
            packages=fields.items("packages", IndexedPackage.from_json, maximum=MAX_PACKAGES),
            kept=fields.items("kept", IndexedPackage.from_json, maximum=MAX_PACKAGES),
            fingerprints=fields.items("fingerprints", _fingerprint, maximum=16),
            intent=_intent(fields),
            gone=_gone(fields),
        )
        fields.done()
        return index


# Where a builder and the repository are one process, each of them reads the same bytes. An index cannot be changed, so
# who reads bytes that are read already gets the same one; nothing is held here that nobody else holds.
_PARSED: Final[WeakValueDictionary[Sha256, RepoIndex]] = WeakValueDictionary()


def fits(abi: str, repo: PackageRepo) -> bool:
    """Return whether a package for ``abi`` (``*`` stands for any) may be in ``repo``."""
    return all(
        part in {"*", wanted} for part, wanted in zip(abi.split(":"), repo.abi.split(":"), strict=True)
    )


def _key(item: CatalogueFile | IndexedPackage) -> tuple[str, str, str]:
    # Kept packages may be earlier bytes of a version that was built again, so the digest belongs to the key.
    return (item.name, item.version, item.sha256) if isinstance(item, IndexedPackage) else (item.name, "", "")


def _dependencies(value: object) -> tuple[PackagePin, ...]:
    if len(said := list_of(value, "deps")) > MAX_DEPENDENCIES:
        raise FormatError(f"more than {MAX_DEPENDENCIES} items", where="deps")
    return tuple([_dependency(item, "deps") for item in said])


def _dependency(value: object, where: str) -> PackagePin:
    try:
        said = exactly(value, _PIN_KEYS)
    except FormatError as error:
        raise placed(error, where) from error
    return parse_pin(said["name"], said["version"], where=where)


def _fingerprint(value: object, where: str) -> Sha256:
    return parse_sha256(value, where=where)


def _intent(fields: Fields) -> Intent | None:
    return fields.optional("intent", lambda key: Intent.from_json(fields.take(key), fields.place(key)))


def _gone(fields: Fields) -> tuple[PackagePin, ...]:
    if "gone" not in fields:
        return ()
    found = fields.items("gone", _dependency, maximum=MAX_PACKAGES)
    if not found:  # one spelling: what is empty is not written
        raise FormatError("names nothing", where=fields.place("gone"))
    return found


def _build(fields: Fields) -> Mapping[str, str]:
    build = Fields.of(fields.take("build"), where=fields.place("build"))
    found = {key: _matching(build, key, _BUILD_VALUE) for key in BUILD_FIELDS}
    build.done()
    return MappingProxyType(found)


def _matching(fields: Fields, key: str, pattern: "re.Pattern[str]") -> str:
    text = fields.text(key, max_length=1024)
    if not pattern.fullmatch(text):
        raise FormatError(f"{text[:80]!a} is not in the one accepted spelling", where=fields.place(key))
    return text
