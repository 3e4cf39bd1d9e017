"""Which roles exist, who signs them, how long they live, and which path belongs to whom.

    root          2 of 3, offline    keys and thresholds
    targets       curators           delegations only
    skills        curators           one delegation: skills-00 … skills-3f (succinct hash bins, TAP 15)
    skills-<bin>  curators           skills/<name>/<version>/…
    profiles      operators          profiles/<name>/<version>.json
    revocations   any one curator    revocations.json
    advisories    any one curator    pkg/vuln.xml
    pkg-<abi>-<channel>  that builder's key    pkg/<abi>/<channel>/repo.json
    snapshot      online             versions, lengths and hashes of all of these
    timestamp     online             the snapshot

A path belongs to exactly one role, decided by the ASCII rules here and not by pattern matching: `fnmatch`
and its siblings differ between languages and platforms (GHSA-qp9x-wp8f-qgjj).
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from signing.errors import FormatError
from signing.format.names import REVOCATIONS_PATH, TargetPath
from signing.format.pkg.names import ADVISORIES_PATH, ROLE_PREFIX, PackageRepo

ROOT: Final = "root"
TARGETS: Final = "targets"
SNAPSHOT: Final = "snapshot"
TIMESTAMP: Final = "timestamp"
SKILLS: Final = "skills"
PROFILES: Final = "profiles"
REVOCATIONS: Final = "revocations"
ADVISORIES: Final = "advisories"

DELEGATED_PATHS: Final = {
    SKILLS: ["skills/*/*/*"],
    PROFILES: ["profiles/*/*.json"],
    REVOCATIONS: [str(REVOCATIONS_PATH)],
    ADVISORIES: [str(ADVISORIES_PATH)],
}
MAX_BITS: Final = 14

# No segment begins with a dot: "skills/a/../b" is nobody's path.
_SKILL_PATH = re.compile(r"skills/[a-z0-9][a-z0-9-]*/[0-9][a-z0-9.!]*/[a-z0-9][a-z0-9.!-]*", re.ASCII)
_PROFILE_PATH = re.compile(r"profiles/[a-z0-9][a-z0-9-]*/[0-9][a-z0-9.!]*\.json", re.ASCII)


@dataclass(frozen=True, slots=True)
class Life:
    """How long a role's metadata is valid, and how long before its end it should be renewed."""

    expiry: timedelta
    renew: timedelta


_LIVES: Final = {
    ROOT: Life(timedelta(days=365), timedelta(days=60)),
    TARGETS: Life(timedelta(days=365), timedelta(days=60)),
    SKILLS: Life(timedelta(days=180), timedelta(days=30)),
    PROFILES: Life(timedelta(days=180), timedelta(days=30)),
    REVOCATIONS: Life(timedelta(days=30), timedelta(days=10)),
    ADVISORIES: Life(timedelta(days=30), timedelta(days=10)),
    SNAPSHOT: Life(timedelta(days=30), timedelta(days=10)),
    # Signed every 6 hours, so the operator has 18 hours to notice that renewal has stopped.
    TIMESTAMP: Life(timedelta(hours=24), timedelta(hours=18)),
}
_PKG_LIFE: Final = Life(timedelta(days=30), timedelta(days=10))


def life_of(role: str) -> Life:
    """Return how long metadata of ``role`` lives."""
    if is_pkg(role):
        return _PKG_LIFE
    return _LIVES[SKILLS] if is_bin(role) else _LIVES[role]


def is_bin(role: str) -> bool:
    """Return whether ``role`` is one of the hash bins of skills."""
    return role.startswith(f"{SKILLS}-")


def is_pkg(role: str) -> bool:
    """Return whether ``role`` signs for a package repository."""
    return role.startswith(ROLE_PREFIX)


def signs_alone(role: str) -> bool:
    """Return whether one holder's signature publishes ``role``, which has no metadata before there is something to say."""
    return is_pkg(role) or role == ADVISORIES


def paths_of(role: str) -> list[str]:
    """Return the paths that ``targets`` delegates to ``role``.

    Raises:
        FormatError: not a role that ``targets`` delegates to.
    """
    if is_pkg(role):
        return [str(PackageRepo.of_role(role).index_path)]
    if role not in DELEGATED_PATHS:
        raise FormatError(f"{role[:80]!a} is not a role of ours", where="role")
    return DELEGATED_PATHS[role]


def delegated_role_of(path: str) -> str:
    """Return the role that ``targets`` delegates ``path`` to (``skills`` delegates on to its bins).

    Raises:
        FormatError: no role of ours may name such a path.
    """
    if path == REVOCATIONS_PATH:
        return REVOCATIONS
    if path == ADVISORIES_PATH:
        return ADVISORIES
    if path.startswith("pkg/"):
        return PackageRepo.of_index_path(path).role
    if _PROFILE_PATH.fullmatch(path):
        return PROFILES
    if _SKILL_PATH.fullmatch(path):
        return SKILLS
    raise FormatError(f"{path[:100]!a} belongs to no role", where="target path")


def bits_for(bins: int) -> int:
    """Return the bit length of ``bins`` hash bins.

    Raises:
        FormatError: not a power of two from 2 to 16384.
    """
    bits = bins.bit_length() - 1
    if bins < 2 or bins != 1 << bits or bits > MAX_BITS:  # noqa: PLR2004
        raise FormatError("the number of bins must be a power of two from 2 to 16384", where="bins")
    return bits


def hashed_path(path: TargetPath, sha256: str) -> str:
    """Return where the file of target ``path`` stands in a consistent snapshot."""
    folder, separator, name = path.rpartition("/")
    return f"{folder}{separator}{sha256}.{name}"
