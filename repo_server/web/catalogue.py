"""What the web service asks the database, as a protocol, and the facts that come back.

The service decides nothing: these are published facts for people and for programs that look around. What may
be installed is decided by signed metadata alone, which clients verify for themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from signing.format.digest import Sha256
from signing.format.manifest import Kind
from signing.format.moment import render_moment
from signing.format.names import Pin, ReleaseVersion, SkillName, TargetPath


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillSummary:
    """One line in the list of skills. ``latest`` is its newest version that is not withdrawn, if there is one."""

    name: SkillName
    kind: Kind
    latest: ReleaseVersion
    description: str

    def to_json(self) -> dict[str, Any]:
        """Return the summary as a JSON object."""
        return {
            "name": self.name,
            "kind": self.kind.value,
            "latest": self.latest,
            "description": self.description,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFacts:
    """One published release. ``state`` is the word of the vocabulary: published, yanked, quarantined, revoked."""

    name: SkillName
    version: ReleaseVersion
    kind: Kind
    state: str
    bundle_path: TargetPath
    bundle_sha256: Sha256
    bundle_bytes: int
    tree_sha256: Sha256
    review_path: TargetPath
    review_sha256: Sha256
    published_at: datetime
    reviewers: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the facts as a JSON object."""
        return {
            "name": self.name,
            "version": self.version,
            "kind": self.kind.value,
            "state": self.state,
            "bundle_path": self.bundle_path,
            "bundle_sha256": self.bundle_sha256,
            "bundle_bytes": self.bundle_bytes,
            "tree_sha256": self.tree_sha256,
            "review_path": self.review_path,
            "review_sha256": self.review_sha256,
            "published_at": render_moment(self.published_at),
            "reviewers": list(self.reviewers),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileFacts:
    """One published profile."""

    name: SkillName
    version: ReleaseVersion
    sha256: Sha256

    def to_json(self) -> dict[str, Any]:
        """Return the facts as a JSON object."""
        return {"name": self.name, "version": self.version, "sha256": self.sha256}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleStatus:
    """The published metadata of one role."""

    version: int
    expires: datetime

    def to_json(self) -> dict[str, Any]:
        """Return the status as a JSON object."""
        return {"version": self.version, "expires": render_moment(self.expires)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryStatus:
    """How the repository stands. ``problems`` are sentences for an operator; the public reads them too."""

    dev: bool
    roles: Mapping[str, RoleStatus] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the status as a JSON object."""
        return {
            "dev": self.dev,
            "roles": {role: status.to_json() for role, status in self.roles.items()},
            "problems": list(self.problems),
        }


class Catalogue(Protocol):
    """The published facts. Called from several threads at once."""

    def skills(self) -> list[SkillSummary]:
        """Return every skill and soul that has a release, sorted by name."""
        ...

    def releases(self, name: SkillName) -> list[ReleaseFacts]:
        """Return the releases of one skill, newest first.

        Raises:
            NotFoundError: no release has this name.
        """
        ...

    def release(self, pin: Pin) -> ReleaseFacts:
        """Return one release.

        Raises:
            NotFoundError: there is no such release.
        """
        ...

    def profiles(self) -> list[ProfileFacts]:
        """Return every published profile, sorted by name and version."""
        ...

    def status(self) -> RepositoryStatus:
        """Return how the repository stands."""
        ...
