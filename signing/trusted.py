"""From bytes of metadata to trust: the TUF chain, checked again from the anchor on every use.

The updater (`repo_client.updater`) fetches metadata, remembers what it has seen and so stops rollback. This
module then proves, from the bytes alone and at one moment in time, that the anchor vouches for a target:

    anchor ─► 1.root … N.root ─► timestamp ─► snapshot ─► targets ─► skills ─► skills-2f ─► target

No file, no network, no clock in here. The steps are numbered as in the TUF specification, section 5. What
comes out is `TrustedMetadata`, which only `verify_metadata` can make, and `VouchedTarget`, which only
`TrustedMetadata.vouch` can make.
"""

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, final

from securesystemslib.signer import Key
from tuf.api.metadata import (
    Metadata,
    Root,
    Signed,
    Snapshot,
    SuccinctRoles,
    Targets,
    Timestamp,
    VerificationResult,
)

from signing.errors import (
    CouldNotVerifyError,
    DigestMismatchError,
    ExpiredError,
    NotFoundError,
    RollbackError,
    ThresholdError,
)
from signing.format.canonical import canonical
from signing.format.digest import Sha256, sha256_of
from signing.format.names import TargetPath
from signing.keys import holder_of
from signing.metadata import lint_meta, lint_root, lint_targets, parse_signed, target_sha256
from signing.roles import ROOT, SKILLS, SNAPSHOT, TARGETS, TIMESTAMP, delegated_role_of, is_bin
from signing.sealed import unchangeable


class _Seal:
    """The one instance of this class is what makes evidence; it does not leave this module."""


_SEAL: Final = _Seal()


def _check_seal(seal: object, name: str, maker: str) -> None:
    if seal is not _SEAL:
        raise TypeError(f"{name} comes from {maker}")


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VouchedTarget:
    """The anchor vouches, at ``checked_at``, for these bytes under this path."""

    path: TargetPath
    length: int
    sha256: Sha256
    custom: Mapping[str, Any]
    role: str
    role_version: int
    signers: tuple[str, ...]
    signer_keyids: tuple[str, ...]
    threshold: int
    checked_at: datetime
    seal: InitVar[_Seal]

    def __post_init__(self, seal: _Seal) -> None:
        _check_seal(seal, "VouchedTarget", "TrustedMetadata.vouch()")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """How a snapshot names the metadata of a role."""

    version: int
    length: int
    sha256: Sha256


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedMetadata:
    """A repository state that the anchor vouches for at ``checked_at``."""

    root: Root
    snapshot: Snapshot
    targets: Targets
    checked_at: datetime
    versions: Mapping[str, int]
    seal: InitVar[_Seal]
    _files: Mapping[str, bytes] = field(repr=False)
    # A role is checked once per state, however many targets it decides about.
    _checked: dict[str, tuple[VerificationResult, Targets]] = field(default_factory=dict, repr=False)

    def __post_init__(self, seal: _Seal) -> None:
        _check_seal(seal, "TrustedMetadata", "verify_metadata()")

    def vouch(self, path: TargetPath) -> VouchedTarget:
        """Return the evidence that the role which owns ``path`` names it.

        Raises:
            NotFoundError: the role is intact and does not name it.
            VerificationError: the role's metadata is missing, unsigned, expired or from another state.
            FormatError: it breaks our rules.
        """
        role, result, targets = self._owner(path)
        target = targets.targets.get(path)
        if target is None:
            raise NotFoundError(
                f"{path} is not published", hint="check name and version; skillrepo status lists what is"
            )
        custom = target.custom if isinstance(target.custom, dict) else {}
        return VouchedTarget(
            path=path,
            length=target.length,
            sha256=target_sha256(target, where=f"{role}: {path}"),
            custom=MappingProxyType(dict(custom)),
            role=role,
            role_version=targets.version,
            signers=tuple(sorted(holder_of(key) for key in result.signed.values())),
            signer_keyids=tuple(sorted(result.signed)),
            threshold=result.threshold,
            checked_at=self.checked_at,
            seal=_SEAL,
        )

    @property
    def online_sha256(self) -> Sha256:
        """What names the keys that sign snapshot and timestamp.

        When root appoints other ones, memories of these two roles' versions start anew: that is how a
        repository recovers when a thief of the online key has signed version 1,000,000,000 (5.3.11).
        """
        return online_digest(self.root)

    @property
    def files(self) -> Mapping[str, bytes]:
        """The metadata at hand, by role: with the anchor and later roots, all that is needed to check this again."""
        return MappingProxyType(self._files)

    def next_role(self, path: TargetPath) -> str | None:
        """Return the role that has to be at hand next to decide about ``path``; None when all is at hand.

        Raises:
            VerificationError, FormatError: ``skills`` is at hand, and says nothing that counts.
        """
        role = delegated_role_of(path)
        if role in self._files and role == SKILLS:
            role = self._bins(self._delegated(SKILLS, self.targets)[1]).get_role_for_target(path)
        return None if role in self._files else role

    def named(self, role: str) -> Named:
        """Return which metadata of ``role`` belongs to this state.

        Raises:
            CouldNotVerifyError: none does. FormatError: it is named without length or sha256.
        """
        meta = self.snapshot.meta.get(f"{role}.json")
        if meta is None:
            raise CouldNotVerifyError(f"role {role!r} is not part of the snapshot")
        length, digest = lint_meta(meta, where=f"snapshot: {role}")
        return Named(version=meta.version, length=length, sha256=digest)

    def with_role(self, role: str, data: bytes) -> "TrustedMetadata":
        """Return this state with the metadata of the delegated ``role`` at hand too, after checking it.

        Raises:
            VerificationError, FormatError: it is not what belongs to this state, or not signed by whom it should be.
        """
        state = TrustedMetadata(
            root=self.root,
            snapshot=self.snapshot,
            targets=self.targets,
            checked_at=self.checked_at,
            versions=self.versions,
            seal=_SEAL,
            _files={**self._files, role: data},
            _checked={name: found for name, found in self._checked.items() if name != role},
        )
        state._delegated(role, state._delegated(SKILLS, self.targets)[1] if is_bin(role) else self.targets)
        return state

    def holders(self, role: str) -> tuple[Key, ...]:
        """Return the keys to which ``targets`` delegates ``role``."""
        delegations = self.targets.delegations
        if delegations is None or not delegations.roles or role not in delegations.roles:
            raise CouldNotVerifyError(f"targets does not delegate {role!r}")
        return tuple(delegations.keys[keyid] for keyid in delegations.roles[role].keyids)

    def _owner(self, path: TargetPath) -> tuple[str, VerificationResult, Targets]:
        role = delegated_role_of(path)
        result, targets = self._delegated(role, self.targets)
        if role != SKILLS:
            return role, result, targets
        name = self._bins(targets).get_role_for_target(path)
        result, targets = self._delegated(name, targets)
        return name, result, targets

    def _bins(self, skills: Targets) -> SuccinctRoles:
        bins = skills.delegations.succinct_roles if skills.delegations is not None else None
        if bins is None:
            raise CouldNotVerifyError("role 'skills' does not delegate to hash bins")
        return bins

    def _delegated(self, role: str, parent: Targets) -> tuple[VerificationResult, Targets]:
        """5.6.3 to 5.6.6: what ``snapshot`` names, ``parent`` delegates and nobody let expire."""
        if role in self._checked:
            return self._checked[role]
        named = self.named(role)
        data = _need(self._files, role)
        _check_bytes(data, named.length, named.sha256, where=role)
        metadata, about = parse_signed(data, Targets, where=role)
        result = _check_signed(parent, role, metadata, about)
        if metadata.signed.version != named.version:
            raise RollbackError(f"role {role!r} is not the version that the snapshot names")
        _check_expiry(metadata.signed, role, self.checked_at)
        lint_targets(metadata.signed, where=role)
        self._checked[role] = (result, metadata.signed)
        return self._checked[role]


def online_digest(root: Root) -> Sha256:
    """Return what names the keys that ``root`` appoints for snapshot and timestamp."""
    keyids = {role: sorted(root.roles[role].keyids) for role in (SNAPSHOT, TIMESTAMP)}
    return sha256_of(canonical(keyids))


def verify_metadata(
    anchor: bytes, *, roots: Sequence[bytes], files: Mapping[str, bytes], now: datetime
) -> TrustedMetadata:
    """Return the repository state that ``anchor`` vouches for at ``now``.

    Args:
        anchor: the pinned first root, shipped with the client or configured by file.
        roots: later versions of root, oldest first; versions up to the anchor's are skipped.
        files: role name to metadata bytes: timestamp, snapshot, targets, and the delegated roles at hand.
        now: the moment for which every expiry is judged.

    Raises:
        VerificationError: a step below fails; which one is in the class.
        FormatError: metadata that is not in the format, or breaks our rules.
    """
    # 5.2, 5.3: the anchor signs itself; each root is signed by its predecessor and by itself.
    root = _walk_roots(anchor, roots)
    _check_expiry(root, ROOT, now)

    # 5.4: timestamp, signed by root's timestamp key and fresh. (Its rollback check needs memory: updater.)
    timestamp, about = parse_signed(_need(files, TIMESTAMP), Timestamp, where=TIMESTAMP)
    _check_signed(root, TIMESTAMP, timestamp, about)
    _check_expiry(timestamp.signed, TIMESTAMP, now)

    # 5.5: the snapshot that the timestamp names, by length, digest and version.
    snapshot_bytes = _need(files, SNAPSHOT)
    length, digest = lint_meta(timestamp.signed.snapshot_meta, where=TIMESTAMP)
    _check_bytes(snapshot_bytes, length, digest, where=SNAPSHOT)
    snapshot, about = parse_signed(snapshot_bytes, Snapshot, where=SNAPSHOT)
    _check_signed(root, SNAPSHOT, snapshot, about)
    if snapshot.signed.version != timestamp.signed.snapshot_meta.version:
        raise RollbackError("the snapshot is not the version that the timestamp names")
    _check_expiry(snapshot.signed, SNAPSHOT, now)

    # 5.6: targets, as the snapshot names it. Delegated roles are checked when they are asked for.
    targets_bytes = _need(files, TARGETS)
    meta = snapshot.signed.meta.get("targets.json")
    if meta is None:
        raise CouldNotVerifyError("the snapshot does not name targets")
    length, digest = lint_meta(meta, where=SNAPSHOT)
    _check_bytes(targets_bytes, length, digest, where=TARGETS)
    targets, about = parse_signed(targets_bytes, Targets, where=TARGETS)
    _check_signed(root, TARGETS, targets, about)
    if targets.signed.version != meta.version:
        raise RollbackError("targets is not the version that the snapshot names")
    _check_expiry(targets.signed, TARGETS, now)
    lint_targets(targets.signed, where=TARGETS)

    versions = {ROOT: root.version, TIMESTAMP: timestamp.signed.version, SNAPSHOT: snapshot.signed.version}
    return TrustedMetadata(
        root=root,
        snapshot=snapshot.signed,
        targets=targets.signed,
        checked_at=now,
        versions={**versions, TARGETS: targets.signed.version},
        seal=_SEAL,
        _files=dict(files),
    )


def _walk_roots(anchor: bytes, roots: Sequence[bytes]) -> Root:
    current, about = parse_signed(anchor, Root, where="trust anchor")
    _check_signed(current.signed, ROOT, current, about)
    lint_root(current.signed)
    for data in roots:
        following, about = parse_signed(data, Root, where=ROOT)
        if following.signed.version <= current.signed.version:
            continue
        if following.signed.version != current.signed.version + 1:
            raise CouldNotVerifyError(f"root {current.signed.version + 1} is missing in the chain of roots")
        _check_signed(current.signed, ROOT, following, about)
        _check_signed(following.signed, ROOT, following, about)
        # Every root, not only the last: one key under two ids in the middle could appoint the next alone.
        lint_root(following.signed)
        current = following
    return current.signed


def _check_signed(
    parent: Root | Targets, role: str, metadata: Metadata[Any], about: bytes
) -> VerificationResult:
    try:
        result = parent.get_verification_result(role, about, metadata.signatures)
    except ValueError as error:  # no such delegation
        raise CouldNotVerifyError(f"role {role!r} is not delegated") from error
    if not result.verified:
        missing = tuple(sorted(holder_of(key) for key in result.unsigned.values()))
        raise ThresholdError(role, signed=len(result.signed), threshold=result.threshold, missing=missing)
    return result


def _check_expiry(signed: Signed, role: str, now: datetime) -> None:
    if signed.is_expired(now):
        raise ExpiredError(
            f"{role} metadata expired at {signed.expires:%Y-%m-%d %H:%M} UTC",
            hint="the repository is stale or frozen: renew it (skillrepo refresh), and check this host's clock",
            role=role,
        )


def _check_bytes(data: bytes, length: int, digest: Sha256, *, where: str) -> None:
    if len(data) != length or sha256_of(data) != digest:
        raise DigestMismatchError("is not the file that its parent names (mixed states?)", where=where)


def _need(files: Mapping[str, bytes], role: str) -> bytes:
    data = files.get(role)
    if data is None:
        raise CouldNotVerifyError(f"metadata of role {role!r} is not at hand", hint="refresh and try again")
    return data
