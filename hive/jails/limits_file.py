"""What the jails of this host may use, by tier and by profile: a TOML file that the operator writes (edge).

    [paid]                      # and [free]; what is not named here is as below, in `BUILT_IN`
    memory = "2G"               # bytes, or with K, M, G or T, which are powers of 1024
    processes = 256
    open_files = 8192
    cpu_percent = 200           # of one processor: 200 is two of them

    [profiles.image-render]     # over what its tier has; by the profile's name, whatever its version
    memory = "8G"
    cpu_percent = "none"        # no limit

Without a file the built-in limits hold: a jail without any can take the whole host with it. An unknown line is an error, so
that a misspelled one is noticed.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from hive.jails.limits import Limits
from hive.tenants import Tenant, Tier
from signing.errors import FormatError, NotFoundError, UsageError
from signing.format.names import parse_skill_name

BUILT_IN: Final[Mapping[Tier, Limits]] = MappingProxyType(
    {
        Tier.PAID: Limits(memory_bytes=2 << 30, processes=256, open_files=8192, cpu_percent=200),
        Tier.FREE: Limits(memory_bytes=1 << 30, processes=128, open_files=4096, cpu_percent=100),
    }
)
# A line of the file to the limit that it sets.
_LINES: Final = {
    "memory": "memory_bytes",
    "processes": "processes",
    "open_files": "open_files",
    "cpu_percent": "cpu_percent",
}
_PROFILES: Final = "profiles"
_NONE: Final = "none"
_MEMORY: Final = re.compile(r"(?P<number>[1-9][0-9]{0,14})(?P<unit>[KMGT]?)", re.ASCII)
_UNITS: Final = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_MAX_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsTable:
    """What jails may use: by tier, and what profiles have in the place of it, by their names."""

    tiers: Mapping[Tier, Limits] = field(default_factory=lambda: BUILT_IN)
    profiles: Mapping[str, Mapping[str, int | None]] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, tenant: Tenant) -> Limits:
        """Return what the tenant's jail may use."""
        return replace(self.tiers[tenant.tier], **self.profiles.get(tenant.profile.name, {}))

    def unlimited(self) -> tuple[str, ...]:
        """Return what the operator left without a limit, as ``paid.memory``."""
        rows: dict[str, Mapping[str, int | None]] = {
            **{tier.value: limits.to_json() for tier, limits in self.tiers.items()},
            **{f"{_PROFILES}.{name}": row for name, row in self.profiles.items()},
        }
        lines = {limit: line for line, limit in _LINES.items()}
        return tuple(
            f"{where}.{lines[limit]}"
            for where, row in rows.items()
            for limit, value in row.items()
            if value is None
        )


def load_limits(path: Path | None) -> LimitsTable:
    """Return the limits of the file ``path``; without one, the built-in ones.

    Raises:
        NotFoundError: the file is named and cannot be read.
        FormatError: it is not of this form.
    """
    if path is None:
        return LimitsTable()
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise NotFoundError(
            f"cannot read {path}: {error.strerror}", hint="limits in hive.toml names it"
        ) from error
    return parse_limits(data, where=str(path))


def parse_limits(data: bytes, *, where: str) -> LimitsTable:
    """Return the limits that ``data`` writes down.

    Raises:
        FormatError: it is not of this form.
    """
    if len(data) > _MAX_BYTES:
        raise FormatError(f"larger than {_MAX_BYTES} bytes", where=where)
    try:
        written = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise FormatError("not TOML", where=where) from error
    tiers = {
        tier: replace(BUILT_IN[tier], **_row(written.pop(tier.value, {}), f"{where}: [{tier}]"))
        for tier in Tier
    }
    named = _table(written.pop(_PROFILES, {}), f"{where}: [{_PROFILES}]")
    profiles: dict[str, Mapping[str, int | None]] = {
        parse_skill_name(name, where=f"{where}: [{_PROFILES}]"): _row(row, f"{where}: [{_PROFILES}.{name}]")
        for name, row in named.items()
    }
    if written:
        raise FormatError(f"unknown line {min(written)!a}", where=where)
    return LimitsTable(tiers=tiers, profiles=profiles)


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FormatError("not a table", where=where)
    return value


def _row(value: Any, where: str) -> dict[str, int | None]:
    row = _table(value, where)
    if unknown := sorted(set(row) - set(_LINES)):
        raise FormatError(f"unknown line {unknown[0]!a}", where=where)
    found = {_LINES[line]: _amount(line, amount, where) for line, amount in row.items()}
    try:
        Limits(**found)
    except UsageError as error:
        raise FormatError(error.message, where=where) from error
    return found


def _amount(line: str, amount: Any, where: str) -> int | None:
    if amount == _NONE:
        return None
    if line == "memory" and isinstance(amount, str) and (match := _MEMORY.fullmatch(amount)):
        return int(match["number"]) << _UNITS[match["unit"]]
    if type(amount) is int:
        return amount
    raise FormatError(f"{line} is no amount: {amount!a}"[:200], where=where)
