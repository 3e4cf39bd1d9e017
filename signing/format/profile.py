"""A profile: the pinned birth set that a tenant's row names; and its lock.

    {"capabilities":["work.general"],
     "name":"support-agent",
     "schema":"https://skills.clawdie.si/schema/profile/v1",
     "skills":[{"bundle_sha256":"3b…","name":"web-search","review_sha256":"9c…","tree_sha256":"5d…","version":"1.2.0"}],
     "souls":[{"…":"as above; applied in this order"}],
     "version":"3"}

It may pin ``packages`` for machines of several ABIs, and carry ``waivers`` for those that are known to be vulnerable
(`signing.format.pkg.pins`), and ``caps`` on what its skills may touch (`signing.format.caps`); a profile without them
does not have these keys.

Operators sign it (role ``profiles``). It pins digests, not only versions: a curator who could publish other
bytes under the same version (they cannot, but suppose) would still not get them into a jail.

A lock is a profile resolved for one birth: the profile's own digest, the same items, and what a tenant of the
free tier opted in to beside them. It is a function of these alone, so two births of one profile are the same
bytes.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from signing.errors import FormatError, NotEntitledError
from signing.format.canonical import canonical, parse_canonical
from signing.format.caps import Caps
from signing.format.digest import Sha256, parse_sha256, sha256_of
from signing.format.fields import Fields
from signing.format.manifest import Kind
from signing.format.names import Pin, parse_skill_name, parse_version
from signing.format.pkg.names import Abi
from signing.format.pkg.pins import MAX_WAIVERS, PackagePins, VulnerabilityWaiver

PROFILE_SCHEMA = "https://skills.clawdie.si/schema/profile/v1"
LOCK_SCHEMA = "https://skills.clawdie.si/schema/lock/v1"
MAX_ITEMS = 200
MAX_ABIS = 16

T = TypeVar("T")

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
    packages: tuple[PackagePins, ...] = ()
    waivers: tuple[VulnerabilityWaiver, ...] = ()
    caps: Caps = field(default_factory=Caps.none)

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
        abis = [pins.repo.abi for pins in self.packages]
        if abis != sorted(set(abis)):
            raise FormatError("packages are not sorted by ABI, or for one twice", where="profile.packages")
        waived = [waiver.key for waiver in self.waivers]
        if waived != sorted(set(waived)):
            raise FormatError("waivers are not sorted, or one appears twice", where="profile.waivers")

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
                **({"packages": [pins.to_json() for pins in self.packages]} if self.packages else {}),
                **({"waivers": [waiver.to_json() for waiver in self.waivers]} if self.waivers else {}),
                **({"caps": self.caps.to_json()} if self.caps else {}),
            }
        )

    def packages_for(self, abi: Abi | None) -> PackagePins | None:
        """Return what is pinned for machines of ``abi``; None when this profile pins no packages at all.

        Raises:
            NotEntitledError: it pins packages, but none for this ABI.
        """
        if not self.packages:
            return None
        for pins in self.packages:
            if pins.repo.abi == abi:
                return pins
        raise NotEntitledError(
            f"{self.pin} pins packages for {', '.join(pins.repo.abi for pins in self.packages)}, not for {abi}",
            hint="draft a version with packages for this ABI; or name the right one: --abi, HIVE_ABI",
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the profile written as ``data``.

        Raises:
            FormatError: not a canonical profile.
        """
        value = parse_canonical(data, where="profile")
        fields = Fields.of(value, where="profile")
        fields.constant("schema", PROFILE_SCHEMA)
        profile = cls(
            pin=Pin(
                parse_skill_name(fields.take("name"), where=fields.place("name")),
                parse_version(fields.take("version"), where=fields.place("version")),
            ),
            skills=fields.items("skills", PinnedBundle.from_json, maximum=MAX_ITEMS),
            souls=fields.items("souls", PinnedBundle.from_json, maximum=MAX_ITEMS),
            capabilities=fields.items("capabilities", parse_capability, maximum=MAX_ITEMS),
            packages=_if_there(value, fields, "packages", PackagePins.from_json, MAX_ABIS),
            waivers=_if_there(value, fields, "waivers", VulnerabilityWaiver.from_json, MAX_WAIVERS),
            caps=_caps_if_there(value, fields),
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
    packages: PackagePins | None = None

    @classmethod
    def of(
        cls, profile: Profile, *, abi: Abi | None = None, external: Iterable[tuple[Pin, Sha256]] = ()
    ) -> Self:
        """Return the lock of ``profile`` for a machine of ``abi``, with external bundles (release and sha256).

        Raises:
            NotEntitledError: it pins packages, but none for ``abi``.
        """
        return cls(
            profile=profile.pin,
            profile_sha256=sha256_of(profile.render()),
            skills=profile.skills,
            souls=profile.souls,
            external=tuple(sorted(external)),
            packages=profile.packages_for(abi),
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
                **({"packages": self.packages.to_json()} if self.packages is not None else {}),
            }
        )

    @property
    def sha256(self) -> Sha256:
        """The digest that names this lock in journals and audit records."""
        return sha256_of(self.render())


def _if_there(
    value: dict[str, Any], fields: Fields, key: str, read: Callable[[Any, str], T], maximum: int
) -> tuple[T, ...]:
    if key not in value:
        return ()
    found = fields.items(key, read, maximum=maximum)
    if not found:
        raise FormatError("is empty: then it is left out", where=fields.place(key))
    return found


def _caps_if_there(value: dict[str, Any], fields: Fields) -> Caps:
    if "caps" not in value:
        return Caps.none()
    caps = Caps.parse(fields.take("caps"), fields.place("caps"))
    if not caps:
        raise FormatError("is empty: then it is left out", where=fields.place("caps"))
    return caps


def parse_capability(text: object, where: str = "capability") -> str:
    """Return ``text`` as the name of a capability, like ``work.general``.

    Raises:
        FormatError: not in the one accepted spelling.
    """
    if not isinstance(text, str) or len(text) > 64 or not _CAPABILITY.fullmatch(text):  # noqa: PLR2004
        raise FormatError("not a capability (like work.general)", where=where)
    return text
