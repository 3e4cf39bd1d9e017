"""A profile: the pinned birth set that a tenant's row names; and its lock.

    {"capabilities":["work.general"],
     "name":"support-agent",
     "schema":"https://skills.clawdie.si/schema/profile/v1",
     "skills":[{"bundle_sha256":"3b…","name":"web-search","review_sha256":"9c…","tree_sha256":"5d…","version":"1.2.0"}],
     "souls":[{"…":"as above; applied in this order"}],
     "version":"3"}

Operators sign it (role ``profiles``). It pins digests, not only versions: a curator who could publish other
bytes under the same version (they cannot, but suppose) would still not get them into a jail.

A lock is a profile resolved for one birth: the profile's own digest, the same items, and what a tenant of the
free tier opted in to beside them. It is a function of these alone, so two births of one profile are the same
bytes.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from signing.errors import FormatError
from signing.format.canonical import canonical, parse_canonical
from signing.format.digest import Sha256, parse_sha256, sha256_of
from signing.format.fields import Fields
from signing.format.manifest import Kind
from signing.format.names import Pin, parse_skill_name, parse_version

PROFILE_SCHEMA = "https://skills.clawdie.si/schema/profile/v1"
LOCK_SCHEMA = "https://skills.clawdie.si/schema/lock/v1"
MAX_ITEMS = 200

_CAPABILITY = re.compile(r"[a-z][a-z0-9]*(?:[.-][a-z0-9]+)*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedBundle:
    """One release, pinned to its bytes."""

    pin: Pin
    bundle_sha256: Sha256
    tree_sha256: Sha256
    review_sha256: Sha256

    def to_json(self) -> dict[str, Any]:
        """Return the pinned bundle as it stands in profiles and locks."""
        return {
            "name": self.pin.name,
            "version": self.pin.version,
            "bundle_sha256": self.bundle_sha256,
            "tree_sha256": self.tree_sha256,
            "review_sha256": self.review_sha256,
        }

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the pinned bundle written as ``value``."""
        fields = Fields.of(value, where=where)
        pinned = cls(
            pin=Pin(
                parse_skill_name(fields.take("name"), where=fields.place("name")),
                parse_version(fields.take("version"), where=fields.place("version")),
            ),
            bundle_sha256=parse_sha256(fields.take("bundle_sha256"), where=fields.place("bundle_sha256")),
            tree_sha256=parse_sha256(fields.take("tree_sha256"), where=fields.place("tree_sha256")),
            review_sha256=parse_sha256(fields.take("review_sha256"), where=fields.place("review_sha256")),
        )
        fields.done()
        return pinned


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A pinned set of skills, identity layers and capabilities."""

    pin: Pin
    skills: tuple[PinnedBundle, ...]
    souls: tuple[PinnedBundle, ...]
    capabilities: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.skills:
            # The vacuous pass: a birth of nothing would be "everything admitted" (reference §4, what bites).
            raise FormatError("pins no skill", where="profile.skills")
        names = [item.pin.name for item in (*self.skills, *self.souls)]
        if len(set(names)) != len(names):
            raise FormatError("pins one name twice", where="profile.skills")
        if [item.pin.name for item in self.skills] != sorted(item.pin.name for item in self.skills):
            raise FormatError("skills are not sorted by name", where="profile.skills")
        if list(self.capabilities) != sorted(set(self.capabilities)):
            raise FormatError(
                "capabilities are not sorted, or one appears twice", where="profile.capabilities"
            )

    def items(self) -> Iterator[tuple[Kind, PinnedBundle]]:
        """Yield every pinned bundle with the kind it must have."""
        yield from ((Kind.SKILL, item) for item in self.skills)
        yield from ((Kind.SOUL, item) for item in self.souls)

    def render(self) -> bytes:
        """Return the canonical bytes."""
        return canonical(
            {
                "schema": PROFILE_SCHEMA,
                "name": self.pin.name,
                "version": self.pin.version,
                "skills": [item.to_json() for item in self.skills],
                "souls": [item.to_json() for item in self.souls],
                "capabilities": list(self.capabilities),
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the profile written as ``data``.

        Raises:
            FormatError: not a canonical profile.
        """
        fields = Fields.of(parse_canonical(data, where="profile"), where="profile")
        fields.constant("schema", PROFILE_SCHEMA)
        profile = cls(
            pin=Pin(
                parse_skill_name(fields.take("name"), where=fields.place("name")),
                parse_version(fields.take("version"), where=fields.place("version")),
            ),
            skills=fields.items("skills", PinnedBundle.from_json, maximum=MAX_ITEMS),
            souls=fields.items("souls", PinnedBundle.from_json, maximum=MAX_ITEMS),
            capabilities=fields.items("capabilities", parse_capability, maximum=MAX_ITEMS),
        )
        fields.done()
        return profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What one birth installs, to the byte."""

    profile: Pin
    profile_sha256: Sha256
    skills: tuple[PinnedBundle, ...]
    souls: tuple[PinnedBundle, ...]
    external: tuple[tuple[Pin, Sha256], ...] = ()

    @classmethod
    def of(cls, profile: Profile, *, external: Iterable[tuple[Pin, Sha256]] = ()) -> Self:
        """Return the lock of ``profile`` with external bundles (release and sha256 of the archive)."""
        return cls(
            profile=profile.pin,
            profile_sha256=sha256_of(profile.render()),
            skills=profile.skills,
            souls=profile.souls,
            external=tuple(sorted(external)),
        )

    def render(self) -> bytes:
        """Return the canonical bytes."""
        return canonical(
            {
                "schema": LOCK_SCHEMA,
                "profile": str(self.profile),
                "profile_sha256": self.profile_sha256,
                "skills": [item.to_json() for item in self.skills],
                "souls": [item.to_json() for item in self.souls],
                "external": [{"pin": str(pin), "bundle_sha256": digest} for pin, digest in self.external],
            }
        )

    @property
    def sha256(self) -> Sha256:
        """The digest that names this lock in journals and audit records."""
        return sha256_of(self.render())


def parse_capability(text: object, where: str = "capability") -> str:
    """Return ``text`` as the name of a capability, like ``work.general``.

    Raises:
        FormatError: not in the one accepted spelling.
    """
    if not isinstance(text, str) or len(text) > 64 or not _CAPABILITY.fullmatch(text):  # noqa: PLR2004
        raise FormatError("not a capability (like work.general)", where=where)
    return text
