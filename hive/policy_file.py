"""The policy of a host: a TOML file that demands more than the floor (edge).

    reviewers = 2                                   # at least 1, which is the floor
    evidence_minutes = 10                           # at most 15, which is the floor
    engines = ["skillrepo", "cisco-ai-skill-scanner"]
    review_policies = ["9f…"]                       # digests of the curators' policy.toml

    [caps.paid]                                     # and [caps.free]
    hosts = ["*.clawdie.si", "api.github.com"]
    commands = ["git", "python3"]
    env_names = []
    tools = ["Read"]

    [sweep]                                         # see hive.sweep.actions
    drift = ["unroutable", "notify"]

An unknown line is an error, and so is a file that is named and not there: whoever demands more must not get less by a
typing error. Nothing in here touches the rule of the paid tier. Whether the file holds is `hive.policy_loading`'s to say:
there it may have to be signed.
"""

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from hive.policy import POLICY, Policy
from hive.sweep.actions import DEFAULTS, Action, parse_actions
from hive.sweep.findings import Found
from hive.sweep.notify import Notifier
from signing.errors import CouldNotVerifyError, FormatError, HostError, NotFoundError
from signing.format.caps import Caps
from signing.format.digest import Sha256, parse_sha256, sha256_of
from signing.format.host_policy import MAX_ENVELOPE_BYTES, MAX_POLICY_BYTES
from signing.policy_evidence import VerifiedPolicyFile

_KNOWN: Final = frozenset(
    {"reviewers", "evidence_minutes", "engines", "review_policies", "caps", "sweep", "notify"}
)
_TIERS: Final = frozenset({"paid", "free"})
_OTHERS_WRITE: Final = 0o022
_MAX_REVIEWERS: Final = 16
_MAX_LIST: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPolicy:
    """The demands of this host, what its sweeps do, and whom they tell.

    ``file_sha256`` is the digest of the file, None without one; ``signed`` is the evidence that operators signed it.
    """

    policy: Policy
    actions: Mapping[Found, frozenset[Action]]
    notifier: Notifier
    file_sha256: Sha256 | None = None
    signed: VerifiedPolicyFile | None = None


def floor_policy() -> HostPolicy:
    """Return what holds where no file demands more."""
    return HostPolicy(policy=POLICY, actions=DEFAULTS, notifier=Notifier())


def read_policy(path: Path) -> bytes:
    """Return the bytes of the policy file.

    Raises:
        NotFoundError: it cannot be read, or is no file. FormatError: it is too large.
        HostError: others than its owner and root may write it: it names a command that sweeps run.
    """
    return _read(path, "the policy", setting="policy", most=MAX_POLICY_BYTES)


def read_signatures(path: Path) -> bytes:
    """Return the bytes of the file with the operators' signatures.

    Raises:
        CouldNotVerifyError: it cannot be read, or is no file: a signature that is not there is none.
        FormatError, HostError: as for `read_policy`.
    """
    try:
        return _read(path, "the policy's signatures", setting="policy_signatures", most=MAX_ENVELOPE_BYTES)
    except NotFoundError as error:
        raise CouldNotVerifyError(
            error.message, hint="the policy has to be signed here: skillrepo host-policy sign"
        ) from error


def _read(path: Path, what: str, *, setting: str, most: int) -> bytes:
    try:
        # Not blocking: a pipe in its place would stop every birth.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                raise NotFoundError(f"{what} {path} is no file", hint=f"the setting {setting} names it")
            data = stream.read(most + 1)
    except OSError as error:
        raise NotFoundError(
            f"cannot read {what} {path}: {error.strerror}", hint=f"the setting {setting} names it"
        ) from error
    if facts.st_mode & _OTHERS_WRITE or facts.st_uid not in {0, os.geteuid()}:
        raise HostError(f"others may write {what} {path}", hint=f"chown root {path} && chmod go-w {path}")
    if len(data) > most:
        raise FormatError(f"larger than {most} bytes", where=str(path))
    return data


def parse_policy(data: bytes, *, where: str, signed: VerifiedPolicyFile | None = None) -> HostPolicy:
    """Return the policy written as ``data``; ``signed`` is the evidence that these bytes were signed.

    Raises:
        FormatError: not of the form in the module's text, or it demands less than the floor.
    """
    try:
        table = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # numbers of 5,000 digits, brackets in brackets in brackets
        raise FormatError("not TOML", where=where) from error
    if unknown := sorted(set(table) - _KNOWN):
        raise FormatError(f"unknown: {', '.join(ascii(key)[1:-1] for key in unknown)}", where=where)
    policy = Policy(
        reviewers=_number(table, "reviewers", POLICY.reviewers, most=_MAX_REVIEWERS, where=where),
        evidence_life=_life(table, where),
        engines=_texts(table, "engines", where),
        review_policies=tuple(
            Sha256(parse_sha256(text, where=f"{where}: review_policies"))
            for text in _texts(table, "review_policies", where)
        ),
        caps=_caps(table.get("caps", {}), where),
    )
    return HostPolicy(
        policy=policy,
        actions=parse_actions(_table(table, "sweep", where), where=where),
        notifier=Notifier.parse(_table(table, "notify", where), where=where),
        file_sha256=sha256_of(data),
        signed=signed,
    )


def _number(table: Mapping[str, Any], key: str, floor: int, *, most: int, where: str) -> int:
    value = table.get(key, floor)
    if type(value) is not int or not floor <= value <= most:
        raise FormatError(f"{key} is a number from {floor} to {most}: a host cannot demand less", where=where)
    return value


def _life(table: Mapping[str, Any], where: str) -> timedelta:
    most = int(POLICY.evidence_life.total_seconds()) // 60
    value = table.get("evidence_minutes", most)
    if type(value) is not int or not 1 <= value <= most:
        raise FormatError(f"evidence_minutes is a number from 1 to {most}", where=where)
    return timedelta(minutes=value)


def _texts(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if (
        not isinstance(value, list)
        or len(value) > _MAX_LIST
        or not all(isinstance(text, str) and text and text.isprintable() for text in value)
    ):
        raise FormatError(f"{key} is a list of texts", where=where)
    if key in table and not value:
        # "none of these" and "no demand" look alike: whoever wants no demand leaves the line out.
        raise FormatError(f"{key} is empty: leave it out, or name something", where=where)
    return tuple(sorted(set(value)))


def _caps(value: object, where: str) -> Mapping[str, Caps]:
    if not isinstance(value, dict) or not set(value) <= _TIERS:
        raise FormatError("caps are [caps.paid] and [caps.free]", where=where)
    return MappingProxyType(
        {
            tier: Caps.parse(
                {kind: sorted(set(texts)) if _plain(texts) else texts for kind, texts in caps.items()}
                if isinstance(caps, dict)
                else caps,
                f"{where}: caps.{tier}",
            )
            for tier, caps in value.items()
        }
    )


def _plain(texts: object) -> bool:
    return isinstance(texts, list) and all(isinstance(text, str) for text in texts)


def _table(table: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise FormatError(f"{key} is a table", where=where)
    return MappingProxyType(value)
