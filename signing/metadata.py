"""TUF metadata: build, edit, sign, lint (pure; python-tuf's stable ``tuf.api`` underneath).

Building and linting live together because the lint is the contract of the builders: the publisher lints what
it writes, the client lints what it reads, with the same functions. Beyond the TUF specification we demand

* a key id is the hash of its key, and no key stands twice (`signing.keys.check_keys`),
* targets carry sha256 and nothing else,
* the snapshot gives length and sha256 of every file it names (without a length, large files fail and small
  ones are bounded by a default only; reference/tuf-and-signing §4.1).
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Never, TypeVar, final

from securesystemslib.signer import Key, Signer
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Role,
    Root,
    Signed,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError, MetadataDeserializer
from tuf.api.serialization.json import CanonicalJSONSerializer, JSONSerializer

from signing.errors import FormatError
from signing.format.digest import Sha256, parse_sha256, sha256_of
from signing.format.pkg.names import PackageRepo
from signing.former import Former
from signing.keys import HeldKey, check_keys
from signing.roles import (
    ADVISORIES,
    PROFILES,
    REVOCATIONS,
    ROOT,
    SKILLS,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    bits_for,
    life_of,
    paths_of,
)

S = TypeVar("S", Root, Timestamp, Snapshot, Targets)

MAX_TARGET_BYTES: Final = 64 << 20
MAX_METADATA_BYTES: Final = 32 << 20
SERIALIZER: Final = JSONSerializer(compact=True)
_SHA256_DIGITS: Final = 64
_HEXADECIMAL: Final = re.compile(r"[0-9a-f]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatories:
    """The holders of one role and how many of them must sign."""

    keys: tuple[HeldKey, ...]
    threshold: int

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= len(self.keys):
            raise FormatError(
                f"a threshold of {self.threshold} cannot be met by {len(self.keys)} key(s)", where="threshold"
            )
        if len({key.public for key in self.keys}) != len(self.keys):
            raise FormatError("one key stands there twice", where="keys")
        if len({key.holder for key in self.keys}) != len(self.keys):
            raise FormatError("two keys have the same holder's name", where="keys")


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Who signs what one package repository holds: the key of the machine that builds it."""

    repo: PackageRepo
    key: HeldKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Who signs what in a repository."""

    root: Signatories
    curators: Signatories
    operators: Signatories
    online: HeldKey
    bins: int
    builders: tuple[Builder, ...] = ()


def render(metadata: Metadata[S]) -> bytes:
    """Return the bytes of ``metadata`` as they are published and hashed."""
    return metadata.to_bytes(SERIALIZER)


def parse(data: bytes, kind: type[S], *, where: str) -> Metadata[S]:
    """Return metadata of the type ``kind``; nothing about its signatures is verified.

    Raises:
        FormatError: not such metadata.
    """
    return parse_signed(data, kind, where=where)[0]


def parse_signed(data: bytes, kind: type[S], *, where: str) -> tuple[Metadata[S], bytes]:
    """Return metadata as `parse` does, and the bytes that its signatures are about.

    Raises:
        FormatError: as for `parse`.
    """
    if len(data) > MAX_METADATA_BYTES:
        raise FormatError(f"larger than {MAX_METADATA_BYTES} bytes", where=where)
    try:
        metadata = Metadata[S].from_bytes(data, _WITHOUT_FLOATS)
        # A lone surrogate in an extra field parses, and fails only here, where its bytes are asked for.
        about = signed_bytes(metadata.signed)
    except (RepositoryError, UnicodeEncodeError) as error:
        raise FormatError("not TUF metadata", where=where) from error
    if not isinstance(metadata.signed, kind):
        raise FormatError(f"is {metadata.signed.type} metadata, not {kind.type}", where=where)
    return metadata, about


def signed_bytes(signed: Signed) -> bytes:
    r"""Return what signatures over ``signed``, which `parse` read, are about: python-tuf's ``signed_bytes``, sooner.

    Theirs is written in Python, and took most of a client's time. The standard library's, written in C, prints the
    same but for two things: floats, which `parse` does not let in, and what it writes with a backslash. Canonical JSON has
    ``\\`` and ``\"`` only, so where there is a backslash at all, python-tuf prints.

    Raises:
        SerializationError, UnicodeEncodeError: it cannot be printed.
    """
    text = json.dumps(signed.to_dict(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode() if "\\" not in text else CanonicalJSONSerializer().serialize(signed)


def _no_float(text: str) -> Never:
    raise ValueError(f"{text[:40]} is not an integer")


@final
class _WithoutFloats(MetadataDeserializer):  # type: ignore[misc, unused-ignore]
    """Reads metadata as python-tuf does, but no number that is not an integer: canonical JSON has none."""

    def deserialize(self, raw_data: bytes) -> Metadata[Any]:
        try:
            value = json.loads(raw_data.decode("utf-8"), parse_float=_no_float, parse_constant=_no_float)
            return Metadata.from_dict(value)
        # Whatever strange values do to a library is a refusal (python-tuf's own deserializer does the same).
        except Exception as error:
            raise DeserializationError("not TUF metadata") from error


_WITHOUT_FLOATS: Final = _WithoutFloats()


def sign(metadata: Metadata[S], signer: Signer) -> None:
    """Add the signature of ``signer``; python-tuf's own default would drop everybody else's."""
    metadata.sign(signer, append=True)


def build_root(topology: Topology, *, version: int, now: datetime) -> Metadata[Root]:
    """Return unsigned root metadata for ``topology``."""
    root = Root(version=version, expires=_expiry(ROOT, now), consistent_snapshot=True)
    for role, signatories in (
        (ROOT, topology.root),
        (TARGETS, topology.curators),
        (SNAPSHOT, Signatories(keys=(topology.online,), threshold=1)),
        (TIMESTAMP, Signatories(keys=(topology.online,), threshold=1)),
    ):
        for key in signatories.keys:
            root.add_key(key.to_tuf(), role)
        root.roles[role].threshold = signatories.threshold
    lint_root(root)
    return Metadata(root)


def build_targets(topology: Topology, *, version: int, now: datetime) -> Metadata[Targets]:
    """Return unsigned top-level targets metadata: delegations only."""
    holders = {
        SKILLS: topology.curators,
        PROFILES: topology.operators,
        # Revoking needs one: waiting for a second person would be waiting with the harm.
        REVOCATIONS: Signatories(keys=topology.curators.keys, threshold=1),
        ADVISORIES: Signatories(keys=topology.curators.keys, threshold=1),
    }
    # One key a repository: what is signed names neither ABI nor channel for pkg, so a key in two of them could
    # be made to replay one as the other (reference/freebsd-pkg §9).
    holders |= {item.repo.role: Signatories(keys=(item.key,), threshold=1) for item in topology.builders}
    keys: dict[str, Key] = {
        key.keyid: key.to_tuf() for signatories in holders.values() for key in signatories.keys
    }
    roles = {
        role: DelegatedRole(
            role,
            [key.keyid for key in signatories.keys],
            signatories.threshold,
            terminating=True,
            paths=paths_of(role),
        )
        for role, signatories in holders.items()
    }
    targets = Targets(version=version, expires=_expiry(TARGETS, now), delegations=Delegations(keys, roles))
    lint_targets(targets, where=TARGETS)
    return Metadata(targets)


def build_skills(topology: Topology, *, version: int, now: datetime) -> Metadata[Targets]:
    """Return unsigned metadata of the role ``skills``: the delegation to its hash bins."""
    curators = topology.curators
    bins = SuccinctRoles(
        [key.keyid for key in curators.keys], curators.threshold, bits_for(topology.bins), SKILLS
    )
    keys: dict[str, Key] = {key.keyid: key.to_tuf() for key in curators.keys}
    delegations = Delegations(keys, succinct_roles=bins)
    return Metadata(Targets(version=version, expires=_expiry(SKILLS, now), delegations=delegations))


def build_first(role: str, *targets: TargetFile, now: datetime) -> Metadata[Targets]:
    """Return unsigned first metadata of a delegated role; it usually names nothing yet."""
    named = {target.path: target for target in targets}
    return Metadata(Targets(version=1, expires=_expiry(role, now), targets=named))


def with_targets(
    base: Targets, additions: Mapping[str, TargetFile], *, role: str, now: datetime, replace: bool = False
) -> Metadata[Targets]:
    """Return the unsigned successor of ``base`` with ``additions``.

    Raises:
        FormatError: a path is named already with other bytes and ``replace`` is not given: one path is one
            immutable artefact.
    """
    successor = renewed(base, role=role, now=now).signed
    for path, target in additions.items():
        known = successor.targets.get(path)
        if known is not None and known != target and not replace:
            raise FormatError(
                f"{path} is published with other bytes", where=role, hint="publish a new version instead"
            )
        successor.targets[path] = target
    lint_targets(successor, where=role)
    return Metadata(successor)


def renewed(base: Targets, *, role: str, now: datetime) -> Metadata[Targets]:
    """Return the unsigned successor of ``base``, which says the same for longer."""
    successor = Metadata[Targets].from_bytes(render(Metadata(base))).signed
    successor.version = base.version + 1
    successor.expires = _expiry(role, now)
    return Metadata(successor)


def build_target(path: str, data: bytes, custom: Mapping[str, Any] | None = None) -> TargetFile:
    """Return how metadata names the file ``path`` with the bytes ``data``."""
    extra = {"custom": dict(custom)} if custom is not None else None
    return TargetFile(len(data), {"sha256": sha256_of(data)}, path, extra)


def build_snapshot(files: Mapping[str, bytes], *, version: int, now: datetime) -> Metadata[Snapshot]:
    """Return unsigned snapshot metadata over ``files`` (role name to the bytes of its metadata)."""
    named = {role: describe(data, Targets, where=role) for role, data in files.items()}
    return snapshot_of(named, version=version, now=now)


def snapshot_of(named: Mapping[str, MetaFile], *, version: int, now: datetime) -> Metadata[Snapshot]:
    """Return unsigned snapshot metadata over roles of which version, length and sha256 are known."""
    meta = {f"{role}.json": named[role] for role in sorted(named)}
    return Metadata(Snapshot(version=version, expires=_expiry(SNAPSHOT, now), meta=meta))


def build_timestamp(snapshot: bytes, *, version: int, now: datetime) -> Metadata[Timestamp]:
    """Return unsigned timestamp metadata over the bytes of the snapshot."""
    meta = describe(snapshot, Snapshot, where=SNAPSHOT)
    return Metadata(Timestamp(version=version, expires=_expiry(TIMESTAMP, now), snapshot_meta=meta))


def describe(data: bytes, kind: type[S], *, where: str) -> MetaFile:
    """Return version, length and sha256 of the metadata file ``data``."""
    version = parse(data, kind, where=where).signed.version
    return MetaFile(version, len(data), {"sha256": sha256_of(data)})


def lint_root(root: Root) -> None:
    """Raise FormatError unless ``root`` keeps our rules."""
    check_keys(root.keys, where=ROOT)
    if not root.consistent_snapshot:
        raise FormatError("consistent snapshots are off", where=ROOT)
    for name in (ROOT, TARGETS, SNAPSHOT, TIMESTAMP):
        _check_role(name, root.roles[name], root.keys, where=ROOT)


def lint_targets(targets: Targets, *, where: str) -> None:
    """Raise FormatError unless ``targets`` and its delegations keep our rules."""
    Former.of(targets)
    if not _surely_named_well(targets.targets.values()):
        for path, target in targets.targets.items():
            target_sha256(target, where=f"{where}: {path}")
            if target.length > MAX_TARGET_BYTES:
                raise FormatError(f"larger than {MAX_TARGET_BYTES} bytes", where=f"{where}: {path}")
    if (delegations := targets.delegations) is None:
        return
    check_keys(delegations.keys, where=where)
    for name, role in (delegations.roles or {}).items():
        _check_role(name, role, delegations.keys, where=where)
    if delegations.succinct_roles is not None:
        bins = delegations.succinct_roles
        _check_role(f"{bins.name_prefix}-*", bins, delegations.keys, where=where)


def _surely_named_well(targets: Collection[TargetFile]) -> bool:
    """Return whether each of ``targets`` has one sha256 and is not too large; False says only that somebody has to look.

    A client reads hundreds of targets to get one: they are looked at together.
    """
    digests = [target.hashes.get("sha256", "") for target in targets]
    return (
        all(len(target.hashes) == 1 and target.length <= MAX_TARGET_BYTES for target in targets)
        and all(len(digest) == _SHA256_DIGITS for digest in digests)
        and _HEXADECIMAL.fullmatch("".join(digests)) is not None
    )


def _check_role(name: str, role: Role, keys: Mapping[str, Key], *, where: str) -> None:
    if not set(role.keyids) <= set(keys):
        raise FormatError(f"role {name} names a key that is not there", where=where)
    if not 1 <= role.threshold <= len(set(role.keyids)):
        raise FormatError(f"role {name} has a threshold that its keys cannot meet", where=where)


def target_sha256(target: TargetFile, *, where: str) -> Sha256:
    """Return the sha256 that ``target`` names, which must be the only hash."""
    if list(target.hashes) != ["sha256"]:
        raise FormatError("must be named by sha256 and nothing else", where=where)
    return parse_sha256(target.hashes["sha256"], where=where)


def lint_meta(meta: MetaFile, *, where: str) -> tuple[int, Sha256]:
    """Return length and sha256 that a snapshot or timestamp gives for a file; both must be there."""
    if meta.length is None or meta.hashes is None or list(meta.hashes) != ["sha256"]:
        raise FormatError("is named without length or sha256", where=where)
    return meta.length, parse_sha256(meta.hashes["sha256"], where=where)


def _expiry(role: str, now: datetime) -> datetime:
    return (now + life_of(role).expiry).replace(microsecond=0)
