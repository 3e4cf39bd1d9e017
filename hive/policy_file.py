"""The policy of a host: a TOML file that demands more than the floor, and optionally has to be signed (edge).

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
typing error. Nothing in here touches the rule of the paid tier.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from hive.policy import POLICY, Policy
from signing.errors import FormatError, NotFoundError
from signing.format.caps import Caps
from signing.format.digest import Sha256, parse_sha256

_KNOWN: Final = frozenset(
    {"reviewers", "evidence_minutes", "engines", "review_policies", "caps", "sweep", "notify"}
)
_TIERS: Final = frozenset({"paid", "free"})
_MAX_BYTES: Final = 1 << 20
_MAX_REVIEWERS: Final = 16
_MAX_LIST: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPolicy:
    """The demands of this host, and the tables about sweeps as they were written."""

    policy: Policy
    sweep: Mapping[str, Any]
    notify: Mapping[str, Any]


def load_policy(path: Path | None) -> HostPolicy:
    """Return the policy of the file ``path``; without one, the floor.

    Raises:
        NotFoundError: the file is named and cannot be read.
        FormatError: it is not of this form, or demands less than the floor.
    """
    if path is None:
        return HostPolicy(policy=POLICY, sweep=MappingProxyType({}), notify=MappingProxyType({}))
    return parse_policy(read_policy(path), where=str(path))


def read_policy(path: Path) -> bytes:
    """Return the bytes of the policy file.

    Raises:
        NotFoundError: it cannot be read. FormatError: it is too large.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise NotFoundError(
            f"cannot read the policy {path}: {error.strerror}", hint="the setting policy names it"
        ) from error
    if len(data) > _MAX_BYTES:
        raise FormatError(f"larger than {_MAX_BYTES} bytes", where=str(path))
    return data


def parse_policy(data: bytes, *, where: str) -> HostPolicy:
    """Return the policy written as ``data``.

    Raises:
        FormatError: not of the form in the module's text, or it demands less than the floor.
    """
    try:
        table = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
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
        policy=policy, sweep=_table(table, "sweep", where), notify=_table(table, "notify", where)
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
        or not all(isinstance(text, str) and text for text in value)
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
