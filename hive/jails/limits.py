"""What a jail may use, and how rctl(8) of FreeBSD writes it (pure).

    jail:acme:memoryuse:deny=1073741824/jail

Numbers are written out: a suffix like 1G means one thing to one program and another to the next. The kernel answers
without the ``/jail``.
"""

import re
from dataclasses import dataclass, fields
from typing import Any, Final

from signing.errors import FormatError, UsageError
from signing.format.names import TenantId

# Ours to rctl's. What is not in here is not limited by us.
RESOURCES: Final = {
    "memory_bytes": "memoryuse",
    "processes": "maxproc",
    "open_files": "openfiles",
    "cpu_percent": "pcpu",
}
_MAX: Final = 10**18 - 1
_RULE: Final = re.compile(
    r"jail:(?P<jail>[a-z0-9]+):(?P<resource>[a-z]+):deny=(?P<value>[1-9][0-9]{0,17})(?:/jail)?", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that a jail may use; None is no limit. ``cpu_percent`` is of one processor: 200 is two of them."""

    memory_bytes: int | None = None
    processes: int | None = None
    open_files: int | None = None
    cpu_percent: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is no amount.

        Raises:
            UsageError: zero, negative, or too large to be written.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and (type(value) is not int or not 0 < value <= _MAX):
                raise UsageError(f"{field.name} cannot be {value!r}", hint="give a positive number, or none")

    def by_resource(self) -> dict[str, int | None]:
        """Return the limits by their names in rctl."""
        return {resource: getattr(self, name) for name, resource in RESOURCES.items()}

    def to_json(self) -> dict[str, Any]:
        """Return the limits as ``--json`` answers them."""
        return {name: getattr(self, name) for name in RESOURCES}


def rule(tenant: TenantId, resource: str, value: int) -> str:
    """Return the rule by which the jail is denied more than ``value`` of ``resource``."""
    return f"jail:{tenant}:{resource}:deny={value}/jail"


def parse_rules(text: str, tenant: TenantId, *, where: str) -> Limits:
    """Return the limits that ``text``, a list of rules, sets for the jail; rules of other kinds are passed over.

    Raises:
        FormatError: two rules for one resource, so that nobody can say which holds.
    """
    found: dict[str, int] = {}
    ours = {resource: name for name, resource in RESOURCES.items()}
    for line in text.split("\n"):
        match = _RULE.fullmatch(line)
        if match is None or match["jail"] != tenant or match["resource"] not in ours:
            continue
        name = ours[match["resource"]]
        if name in found:
            raise FormatError(f"two rules for {match['resource']}", where=where)
        found[name] = int(match["value"])
    return Limits(**found)


def with_rules(text: str, tenant: TenantId, limits: Limits) -> str:
    """Return the file of rules ``text`` with ``limits`` in the place of all that it denies the jail of ours."""
    ours = tuple(f"jail:{tenant}:{resource}:deny=" for resource in RESOURCES.values())
    kept = [line for line in text.split("\n") if line and not line.startswith(ours)]
    new = [rule(tenant, name, value) for name, value in limits.by_resource().items() if value is not None]
    return "".join(f"{line}\n" for line in (*kept, *new))
