"""What is done about a finding (pure).

    [sweep]                                # in the host's policy file; may add to the defaults, and not fall below the floor
    drift = ["unroutable", "stop-jail", "notify"]
    vulnerable = ["notify"]

Actions are carried out in this order: first nobody gives it work, then its secrets go, then it stops, then people hear
of it. What may not be left out, whatever a file says, is the floor: a revoked skill in a jail always makes its agent
unroutable and takes its secrets away.
"""

import enum
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from hive.sweep.findings import Finding, Found
from signing.errors import FormatError


class Action(enum.StrEnum):
    """One thing that a sweep does to a tenant, in the order in which it does them."""

    UNROUTABLE = "unroutable"
    WITHDRAW_SECRETS = "withdraw-secrets"
    STOP_JAIL = "stop-jail"
    NOTIFY = "notify"


_ALL: Final = frozenset(Action)
_NOTIFY: Final = frozenset({Action.NOTIFY})
_SHUT_OUT: Final = frozenset({Action.UNROUTABLE, Action.WITHDRAW_SECRETS})

FLOOR: Final[Mapping[Found, frozenset[Action]]] = MappingProxyType(
    {
        Found.REVOKED: _SHUT_OUT,
        Found.QUARANTINED: frozenset({Action.UNROUTABLE}),
        Found.UNVOUCHED: frozenset({Action.UNROUTABLE}),
        Found.DRIFT: frozenset({Action.UNROUTABLE}),
        Found.STRANGE: frozenset({Action.UNROUTABLE}),
    }
)

DEFAULTS: Final[Mapping[Found, frozenset[Action]]] = MappingProxyType(
    {
        Found.UNKNOWN: _NOTIFY,
        Found.REVOKED: _ALL,
        Found.QUARANTINED: _SHUT_OUT | _NOTIFY,
        Found.YANKED: frozenset(),
        Found.VULNERABLE: _NOTIFY,
        Found.ENDED: frozenset({Action.UNROUTABLE}) | _NOTIFY,
        Found.UNVOUCHED: _SHUT_OUT | _NOTIFY,
        Found.DRIFT: _SHUT_OUT | _NOTIFY,
        Found.STRANGE: _SHUT_OUT | _NOTIFY,
        Found.STILL: _NOTIFY,
        Found.SECRETS: frozenset({Action.UNROUTABLE}) | _NOTIFY,
        Found.GATES: _NOTIFY,
    }
)


def parse_actions(table: Mapping[str, Any], *, where: str) -> Mapping[Found, frozenset[Action]]:
    """Return what is done about each kind of finding, by the ``[sweep]`` table of a policy file.

    Raises:
        FormatError: an unknown kind or action, or less than the floor.
    """
    chosen = dict(DEFAULTS)
    for key, value in table.items():
        if key not in {kind.value for kind in Found}:
            raise FormatError(f"{key[:40]!a} is no kind of finding", where=where)
        if not isinstance(value, list) or not all(
            isinstance(text, str) and text in set(Action) for text in value
        ):
            raise FormatError(f"{key} is a list of {', '.join(Action)}", where=where)
        kind, actions = Found(key), frozenset(Action(text) for text in value)
        if not FLOOR.get(kind, frozenset()) <= actions:
            raise FormatError(
                f"{key} cannot be answered with less than {', '.join(sorted(FLOOR[kind]))}", where=where
            )
        chosen[kind] = actions
    return MappingProxyType(chosen)


def actions_for(findings: Iterable[Finding], chosen: Mapping[Found, frozenset[Action]]) -> tuple[Action, ...]:
    """Return what is to be done about ``findings``, in order, each once."""
    wanted = frozenset[Action]().union(*(chosen[finding.kind] for finding in findings))
    return tuple(action for action in Action if action in wanted)
