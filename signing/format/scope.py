"""What a withdrawal is about: a digest, a name with or without a version, or what came from a publisher.

    {"sha256":"5d…"}                                     one bundle, or one unpacked tree
    {"name":"web-search"}, {"name":"web-search","version":"1.2.0"}
    {"package":"demo-agent"}, {"package":"demo-agent","package_version":"1.2.0"}
    {"publisher":"clawhub:@owner","releases":[{"bundle_sha256":"3b…","pin":"web-search==1.2.0","tree_sha256":"5d…"}]}

A publisher's releases are written out when the entry is signed: who came from where is read from reviews, which a
client does not have at hand. There is no scope that means everything.
"""

from dataclasses import dataclass
from typing import Any, Self, TypeVar

from signing.errors import FormatError
from signing.format.digest import Sha256, parse_sha256
from signing.format.fields import Fields
from signing.format.names import Pin, ReleaseVersion, SkillName, parse_skill_name, parse_version
from signing.format.pkg.names import (
    PackageName,
    PackagePin,
    PackageVersion,
    parse_package_name,
    parse_package_version,
)

MAX_NAMED = 10_000

S = TypeVar("S", bound="Scope")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class NamedRelease:
    """A release by its name and both its digests."""

    pin: Pin
    bundle_sha256: Sha256
    tree_sha256: Sha256

    def to_json(self) -> dict[str, Any]:
        """Return the release as it stands in a scope."""
        return {
            "pin": str(self.pin),
            "bundle_sha256": self.bundle_sha256,
            "tree_sha256": self.tree_sha256,
        }

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the release written as ``value``."""
        fields = Fields.of(value, where=where)
        release = cls(
            pin=Pin.parse(fields.take("pin"), where=fields.place("pin")),
            bundle_sha256=parse_sha256(fields.take("bundle_sha256"), where=fields.place("bundle_sha256")),
            tree_sha256=parse_sha256(fields.take("tree_sha256"), where=fields.place("tree_sha256")),
        )
        fields.done()
        return release


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is withdrawn: a digest alone, a name with or without a version, or a publisher's releases."""

    sha256: Sha256 | None = None
    name: SkillName | None = None
    version: ReleaseVersion | None = None
    package: PackageName | None = None
    package_version: PackageVersion | None = None
    publisher: str | None = None
    releases: tuple[NamedRelease, ...] = ()

    def __post_init__(self) -> None:
        kinds = [part is not None for part in (self.sha256, self.name, self.package, self.publisher)]
        if sum(kinds) != 1 or (self.version is not None and self.name is None):
            raise FormatError("names not exactly one of digest, name, package and publisher", where="scope")
        if self.package_version is not None and self.package is None:
            raise FormatError("names the version of no package", where="scope")
        if self.publisher is None and self.releases:
            raise FormatError("lists releases without a publisher", where="scope")
        if list(self.releases) != sorted(set(self.releases)):
            raise FormatError("releases are not sorted, or one appears twice", where="scope")

    def __str__(self) -> str:
        if self.sha256 is not None:
            return f"sha256:{self.sha256}"
        if self.publisher is not None:
            return f"publisher {self.publisher} ({len(self.releases)} releases)"
        if self.package is not None:
            version = f"-{self.package_version}" if self.package_version is not None else " (every version)"
            return f"package {self.package}{version}"
        return f"{self.name}=={self.version}" if self.version is not None else f"{self.name} (every version)"

    def covers(self, pin: Pin, *, bundle_sha256: Sha256, tree_sha256: Sha256) -> bool:
        """Return whether this is about the release ``pin`` with these digests."""
        if self.sha256 is not None:
            return self.sha256 in {bundle_sha256, tree_sha256}
        if self.name is not None:
            return self.name == pin.name and self.version in {None, pin.version}
        return any(
            item.pin == pin or item.bundle_sha256 == bundle_sha256 or item.tree_sha256 == tree_sha256
            for item in self.releases
        )

    def covers_package(self, pin: PackagePin, *, sha256: Sha256) -> bool:
        """Return whether this is about the package ``pin`` with this digest; skills and packages share no names."""
        if self.sha256 is not None:
            return self.sha256 == sha256
        return self.package == pin.name and self.package_version in {None, pin.version}

    def to_json(self) -> dict[str, Any]:
        """Return the scope as it stands in an entry."""
        if self.publisher is not None:
            return {"publisher": self.publisher, "releases": [item.to_json() for item in self.releases]}
        given = {
            "sha256": self.sha256,
            "name": self.name,
            "version": self.version,
            "package": self.package,
            "package_version": self.package_version,
        }
        return {key: value for key, value in given.items() if value is not None}

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the scope written as ``value``."""
        fields = Fields.of(value, where=where)
        given = set(value) if isinstance(value, dict) else set()
        if given == {"sha256"}:
            return cls(sha256=parse_sha256(fields.take("sha256"), where=fields.place("sha256")))
        if given == {"publisher", "releases"}:
            return cls(
                publisher=parse_publisher(fields.take("publisher"), where=fields.place("publisher")),
                releases=fields.items("releases", NamedRelease.from_json, maximum=MAX_NAMED),
            )
        if "package" in given:
            return _package_scope(cls, fields, given)
        name = parse_skill_name(fields.take("name"), where=fields.place("name"))
        if given == {"name"}:
            return cls(name=name)
        version = parse_version(fields.take("version"), where=fields.place("version"))
        fields.done()
        return cls(name=name, version=version)


def _package_scope(scope: "type[S]", fields: Fields, given: set[str]) -> "S":
    package = parse_package_name(fields.take("package"), where=fields.place("package"))
    version = None
    if "package_version" in given:
        version = parse_package_version(fields.take("package_version"), where=fields.place("package_version"))
    fields.done()
    return scope(package=package, package_version=version)


def parse_publisher(text: object, *, where: str = "publisher") -> str:
    """Return ``SOURCE:NAME``, a publisher as reviews record it.

    Raises:
        FormatError: not in that form.
    """
    if not isinstance(text, str) or len(text) > 600:  # noqa: PLR2004 - what a review may record, and its source
        raise FormatError("not SOURCE:NAME", where=where)
    source, separator, name = text.partition(":")
    if not source or not separator or not name or text != text.strip():
        raise FormatError("not SOURCE:NAME", where=where, hint="as a review records them: clawhub:@owner")
    return text
