"""What an operator has to look at, in the order in which it hurts, each with what to do next (pure).

Thirty tenants in one trouble are one line, and one tenant in thirty troubles is three: a screen that scrolls is not read.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from hive.gates.standing import Standing, State
from hive.sweep.actions import Action
from hive.sweep.findings import Found
from hive.tenants import Tenant, TenantStatus

_MANY: Final = 4  # tenants in the same trouble: then the trouble is told and not each of them
_MOST: Final = 3  # findings of one tenant that are told
_NAMED: Final = 6
_SOON: Final = timedelta(days=14)
_LATE: Final = timedelta(hours=1)
_LONGEST: Final = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing to look at: whom or what it is about, what is wrong, and what to do next."""

    about: str
    says: str
    next: str = ""

    def __str__(self) -> str:
        return f"{self.about}: {self.says}" + (f" → {self.next}" if self.next else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A finding as it stands in the table. ``seen`` is when a sweep saw it last."""

    tenant: str
    kind: str
    subject: str
    detail: str
    since: datetime
    seen: datetime

    @property
    def says(self) -> str:
        """What was found, without whom it is about."""
        return _short(f"{self.kind} {self.subject}: {self.detail}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Something that a sweep could not do."""

    tenant: str
    action: str
    problem: str
    tries: int
    again_at: datetime


_NEXT: Final[Mapping[str, str]] = MappingProxyType(
    {
        Found.REVOKED: "it comes back only when curators reinstate that; else hive retire-tenant {tenant}",
        Found.QUARANTINED: "curators look at it; hive release-tenant {tenant} when they are done",
        Found.YANKED: "nothing: it works on, and the next birth takes another profile",
        Found.VULNERABLE: "hive audit vulns",
        Found.ENDED: "hive optin add, if its owner still answers for it",
        Found.UNVOUCHED: "hive audit why and hive policy explain say what changed",
        Found.DRIFT: "hive audit why {tenant} PATH; then hive retire-tenant {tenant}, or mend it and release it",
        Found.STRANGE: "look at the jail by hand before anything else",
        Found.STILL: "after a reboot: docs/operator.md; hive release-tenant starts it, once it is quarantined",
        Found.SECRETS: "hive provision {tenant} --rotate; the secrets in the vault may be known",
        Found.UNKNOWN: "hive doctor",
    }
)


def of_findings(findings: Sequence[Noted]) -> list[Trouble]:
    """Return what sweeps found: what many have in common once, the rest by tenant. Shut gates are told by `of_gates`."""
    told = [item for item in findings if item.kind != Found.GATES]
    together: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for item in told:
        together[item.kind, item.says].append(item.tenant)
    common = {key: names for key, names in together.items() if len(names) >= _MANY}
    troubles = [
        Trouble(about=_names(names), says=says, next=_next(kind, "TENANT"))
        for (kind, says), names in common.items()
    ]
    alone: defaultdict[str, list[Noted]] = defaultdict(list)
    for item in told:
        if (item.kind, item.says) not in common:
            alone[item.tenant].append(item)
    for tenant, items in sorted(alone.items()):
        items.sort(key=lambda item: _WORST.index(item.kind))
        troubles += [
            Trouble(about=tenant, says=item.says, next=_next(item.kind, tenant)) for item in items[:_MOST]
        ]
        if len(items) > _MOST:
            says = f"and {len(items) - _MOST} more findings"
            troubles.append(Trouble(about=tenant, says=says, next="hive --json status"))
    return troubles


def of_tenants(tenants: Iterable[Tenant]) -> list[Trouble]:
    """Return who is not where a tenant should be."""
    found = []
    for tenant in tenants:
        name, reason = tenant.tenant_id, _short(tenant.reason)
        match tenant.status:
            case TenantStatus.FAILED:
                found.append(
                    Trouble(about=name, says=f"failed: {reason}", next=f"mend that, then hive birth {name}")
                )
            case TenantStatus.QUARANTINED:
                retiring = tenant.reason.startswith("being retired")
                way = (
                    f"hive retire-tenant {name} goes on"
                    if retiring
                    else f"hive release-tenant {name} when mended"
                )
                found.append(Trouble(about=name, says=f"quarantined: {reason}", next=way))
            case TenantStatus.BORN if tenant.reason:
                found.append(
                    Trouble(
                        about=name, says=f"born, {reason}", next="mend that; its agent comes again by itself"
                    )
                )
            case _:
                pass
    return found


def of_births(
    unfinished: Mapping[str, datetime], unheard: Mapping[str, datetime], now: datetime
) -> list[Trouble]:
    """Return births that ended nowhere, and jails whose agent was never heard, by tenant since when."""
    found = [
        Trouble(
            about=name,
            says=f"its birth is unfinished since {since:%Y-%m-%d %H:%M}",
            next=f"hive birth {name}",
        )
        for name, since in unfinished.items()
        if now - since > _LATE
    ]
    return found + [
        Trouble(
            about=name,
            says=f"born {since:%Y-%m-%d %H:%M}, and its agent was never heard",
            next="is hive_url right, does hive serve answer, does the jail run? hive doctor",
        )
        for name, since in unheard.items()
        if now - since > _LATE
    ]


def of_gates(standings: Sequence[Standing], now: datetime) -> list[Trouble]:
    """Return which gates are shut, waived, or will end soon."""
    found = []
    if shut := [item for item in standings if not item.state.opens]:
        states = Counter(item.state.value for item in shut)
        says = (
            f"{len(shut)} shut ({', '.join(f'{number} {state}' for state, number in sorted(states.items()))})"
        )
        found.append(
            Trouble(
                about="gates",
                says=f"{says}: no paying customer is activated: {_names([item.gate.name for item in shut])}",
                next="hive gates list",
            )
        )
    for item in standings:
        entry = item.entry
        if entry is None or not item.state.opens:
            continue
        if item.state is State.WAIVED:
            says = f"is waived by {entry.approver} until {entry.expires_at:%Y-%m-%d}"
            found.append(Trouble(about=f"gate {item.gate.name}", says=says, next="bring what it asks for"))
        elif entry.expires_at - now < _SOON:
            says = f"ends {entry.expires_at:%Y-%m-%d}"
            found.append(Trouble(about=f"gate {item.gate.name}", says=says, next="hive gates register"))
    return found


def of_sweeps(finished: datetime | None, begun: datetime | None, now: datetime) -> list[Trouble]:
    """Return what is wrong with sweeping itself: the end of the last one, and the begin of a later one without an end."""
    if finished is None and begun is None:
        return [Trouble(about="sweep", says="never swept", next="hive sweep --every 5m, as a service")]
    found = []
    if finished is None or now - finished > _LATE:
        when = f"{finished:%Y-%m-%d %H:%M} UTC" if finished is not None else "never"
        found.append(
            Trouble(
                about="sweep", says=f"the last one ended {when}", next="is hive_sweep running? hive sweep"
            )
        )
    if begun is not None and now - begun > _LATE / 2:
        says = f"one began {begun:%Y-%m-%d %H:%M} UTC and did not end"
        found.append(Trouble(about="sweep", says=says, next="the log of hive_sweep says why; hive sweep"))
    if finished is not None and finished - now > timedelta(minutes=5):
        found.append(
            Trouble(
                about="clock",
                says=f"the last sweep ended {finished:%Y-%m-%d %H:%M} UTC, which is to come yet",
                next="hive doctor",
            )
        )
    return found


def of_failures(failures: Iterable[Failed]) -> list[Trouble]:
    """Return what sweeps could not do, those of many tenants once; that people are not told comes last."""
    together: defaultdict[tuple[str, str], list[Failed]] = defaultdict(list)
    for item in failures:
        together[item.action, item.problem].append(item)
    found = []
    for (action, problem), items in sorted(together.items(), key=lambda item: item[0][0] == Action.NOTIFY):
        times, again = max(item.tries for item in items), min(item.again_at for item in items)
        says = f"{action} cannot be done: {_short(problem)} ({times} times; again from {again:%H:%M} UTC on)"
        way = (
            "mend [notify] in the policy file"
            if action == "notify"
            else "the same action by hand; hive doctor"
        )
        found.append(Trouble(about=_names([item.tenant for item in items]), says=says, next=way))
    return found


_WORST: Final = (
    *(Found.REVOKED, Found.STRANGE, Found.DRIFT, Found.UNVOUCHED, Found.QUARANTINED, Found.SECRETS),
    *(Found.ENDED, Found.UNKNOWN, Found.STILL, Found.VULNERABLE, Found.YANKED, Found.GATES),
)


def _next(kind: str, tenant: str) -> str:
    return _NEXT.get(kind, "").format(tenant=tenant)


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
