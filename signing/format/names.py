"""Names, versions and target paths: parsed once, in one spelling, in one place.

    skill      web-search                      a-z, digits, single hyphens; 1 to 64 characters
    version    1.2.0                           canonical PEP 440 (``packaging``), so 1.0 and 1.00 cannot both exist
    pin        web-search==1.2.0
    tenant     acme                            ^[a-z][a-z0-9]{0,14}$: also jail name and vault bucket
    bundle     skills/web-search/1.2.0/web-search-1.2.0.tar.gz
    review     skills/web-search/1.2.0/review.dsse.json
    profile    profiles/support-agent/3.json

Other spellings are refused, not repaired: two spellings of one name are two answers to "is it the same?".
"""

import re
from dataclasses import dataclass
from typing import NewType, Self

from packaging.version import InvalidVersion, Version

from signing.errors import FormatError

SkillName = NewType("SkillName", str)
ReleaseVersion = NewType("ReleaseVersion", str)
TenantId = NewType("TenantId", str)
HolderName = NewType("HolderName", str)
TargetPath = NewType("TargetPath", str)

MAX_NAME_LENGTH = 64
MAX_VERSION_LENGTH = 40

_SKILL_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
_TENANT_ID = re.compile(r"[a-z][a-z0-9]{0,14}", re.ASCII)
_HOLDER_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", re.ASCII)

REVOCATIONS_PATH = TargetPath("revocations.json")


def parse_skill_name(text: object, *, where: str = "name") -> SkillName:
    """Return ``text`` as the name of a skill, soul or profile.

    Raises:
        FormatError: not in the one accepted spelling (Agent Skills specification, ASCII only).
    """
    if not isinstance(text, str) or len(text) > MAX_NAME_LENGTH or not _SKILL_NAME.fullmatch(text):
        raise FormatError(
            f"{_shown(text)} is not a name (a-z, 0-9 and single hyphens, 1 to {MAX_NAME_LENGTH} characters)",
            where=where,
        )
    return SkillName(text)


def parse_version(text: object, *, where: str = "version") -> ReleaseVersion:
    """Return ``text`` as a canonical PEP 440 version.

    Raises:
        FormatError: not a version, not its canonical spelling, or with a local part (``1.0+x``).
    """
    if not isinstance(text, str) or len(text) > MAX_VERSION_LENGTH or not text.isascii():
        raise FormatError(f"{_shown(text)} is not a version", where=where)
    try:
        version = Version(text)
    except InvalidVersion as error:
        raise FormatError(f"{_shown(text)} is not a version (PEP 440)", where=where) from error
    if version.local is not None:
        raise FormatError(f"{text!r} has a local part", where=where, hint="publish under a version of ours")
    if str(version) != text:
        raise FormatError(f"{text!r} is not canonical", where=where, hint=f"write {version}")
    return ReleaseVersion(text)


def parse_tenant_id(text: object, *, where: str = "tenant") -> TenantId:
    """Return ``text`` as a tenant id, which is also a jail name and a vault bucket.

    Raises:
        FormatError: not ``^[a-z][a-z0-9]{0,14}$``.
    """
    if not isinstance(text, str) or not _TENANT_ID.fullmatch(text):
        raise FormatError(
            f"{_shown(text)} is not a tenant id (a letter, then up to 14 letters or digits)", where=where
        )
    return TenantId(text)


def parse_holder_name(text: object, *, where: str = "key holder") -> HolderName:
    """Return ``text`` as the name of a key holder: a curator, an operator, or a service key.

    Raises:
        FormatError: not in the one accepted spelling.
    """
    if not isinstance(text, str) or len(text) > MAX_NAME_LENGTH or not _HOLDER_NAME.fullmatch(text):
        raise FormatError(f"{_shown(text)} is not a key holder's name (like alice or alice-2)", where=where)
    return HolderName(text)


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """Exactly one release: ``web-search==1.2.0``."""

    name: SkillName
    version: ReleaseVersion

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"

    @classmethod
    def parse(cls, text: object, *, where: str = "pin") -> Self:
        """Return ``NAME==VERSION`` as a pin.

        Raises:
            FormatError: not in that form.
        """
        if not isinstance(text, str) or text.count("==") != 1:
            raise FormatError(f"{_shown(text)} is not NAME==VERSION", where=where)
        name, _, version = text.partition("==")
        return cls(parse_skill_name(name, where=where), parse_version(version, where=where))

    @property
    def bundle_path(self) -> TargetPath:
        """The target path of the bundle archive."""
        return TargetPath(f"skills/{self.name}/{self.version}/{self.name}-{self.version}.tar.gz")

    @property
    def review_path(self) -> TargetPath:
        """The target path of the signed review."""
        return TargetPath(f"skills/{self.name}/{self.version}/review.dsse.json")

    @property
    def profile_path(self) -> TargetPath:
        """The target path of the profile of this name and version."""
        return TargetPath(f"profiles/{self.name}/{self.version}.json")


def version_key(version: ReleaseVersion) -> Version:
    """Return a key that sorts versions by age (1.9 before 1.10)."""
    return Version(version)


def _shown(text: object) -> str:
    return ascii(text[:80]) if isinstance(text, str) else type(text).__name__
