"""Packages as a profile pins them: for one repository, to the byte, complete and in an order that can be installed.

    {"abi":"FreeBSD:14:amd64","channel":"latest","items":[{"name":"demo-base","sha256":"5d…","version":"1.0.0"}]}

And what of them is let in although it is known to be vulnerable: who says so, why, and until when.

    {"expires_at":"2026-12-01T00:00:00Z","owner":"olga","package":"demo-agent-1.2.0","reason":"not reachable","vid":"1111…"}
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from signing.errors import FormatError
from signing.format.digest import Sha256, parse_sha256
from signing.format.fields import Fields
from signing.format.moment import parse_moment, render_moment
from signing.format.pkg.index import IndexedPackage
from signing.format.pkg.names import (
    PackagePin,
    PackageRepo,
    parse_abi,
    parse_channel,
    parse_package_name,
    parse_package_version,
)

MAX_PINNED: Final = 20_000
MAX_WAIVERS: Final = 1_000
_VID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedPackage:
    """One package, pinned to its bytes."""

    pin: PackagePin
    sha256: Sha256

    def to_json(self) -> dict[str, Any]:
        """Return the package as it stands in profiles and locks."""
        return {"name": self.pin.name, "version": self.pin.version, "sha256": self.sha256}

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the package written as ``value``."""
        fields = Fields.of(value, where=where)
        pinned = cls(
            pin=PackagePin(
                parse_package_name(fields.take("name"), where=fields.place("name")),
                parse_package_version(fields.take("version"), where=fields.place("version")),
            ),
            sha256=parse_sha256(fields.take("sha256"), where=fields.place("sha256")),
        )
        fields.done()
        return pinned


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagePins:
    """The packages of one repository that a profile installs, dependencies first."""

    repo: PackageRepo
    items: tuple[PinnedPackage, ...]

    def __post_init__(self) -> None:
        names = [item.pin.name for item in self.items]
        if not names:
            raise FormatError("pins no package", where=f"profile.packages of {self.repo}")
        if len(set(names)) != len(names):
            raise FormatError("pins one name twice", where=f"profile.packages of {self.repo}")

    def to_json(self) -> dict[str, Any]:
        """Return the pins as they stand in profiles and locks."""
        return {
            "abi": self.repo.abi,
            "channel": self.repo.channel,
            "items": [item.to_json() for item in self.items],
        }

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the pins written as ``value``."""
        fields = Fields.of(value, where=where)
        pins = cls(
            repo=PackageRepo(
                parse_abi(fields.take("abi"), where=fields.place("abi")),
                parse_channel(fields.take("channel"), where=fields.place("channel")),
            ),
            items=fields.items("items", PinnedPackage.from_json, maximum=MAX_PINNED),
        )
        fields.done()
        return pins


@dataclass(frozen=True, slots=True, kw_only=True)
class VulnerabilityWaiver:
    """A package is let in although this advisory affects it: somebody answers for that, until a date."""

    package: PackagePin
    vid: str
    owner: str
    reason: str
    expires_at: datetime

    def __post_init__(self) -> None:
        if not _VID.fullmatch(self.vid):
            raise FormatError(f"{self.vid[:60]!a} is not the id of an advisory", where="waiver.vid")
        if not self.owner.strip() or not self.reason.strip():
            raise FormatError("somebody must answer for it, and say why", where="waiver")

    @property
    def key(self) -> tuple[PackagePin, str]:
        """What is waived."""
        return self.package, self.vid

    def to_json(self) -> dict[str, Any]:
        """Return the waiver as it stands in profiles."""
        return {
            "package": str(self.package),
            "vid": self.vid,
            "owner": self.owner,
            "reason": self.reason,
            "expires_at": render_moment(self.expires_at),
        }

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the waiver written as ``value``."""
        fields = Fields.of(value, where=where)
        waiver = cls(
            package=PackagePin.parse(fields.take("package"), where=fields.place("package")),
            vid=fields.text("vid", max_length=36),
            owner=fields.text("owner", max_length=200),
            reason=fields.text("reason", max_length=2000),
            expires_at=parse_moment(fields.take("expires_at"), where=fields.place("expires_at")),
        )
        fields.done()
        return waiver


def check_complete(items: Sequence[IndexedPackage]) -> None:
    """Return None when everything that one of ``items`` needs stands before it.

    Raises:
        FormatError: something is missing, or stands too late. pkg does not resolve anything when it is handed one
            package after another.
    """
    seen: set[str] = set()
    for package in items:
        for dep in package.deps:
            if dep.name not in seen:
                raise FormatError(
                    f"{package.pin} needs {dep.name}, which is not pinned before it",
                    where="profile.packages",
                    hint="draft the profile again: it pins what is needed in order",
                )
        seen.add(package.name)
