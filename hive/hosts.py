"""Our machines: what each is for, what it costs a month, and how we know.

    womb   creates jails          lane   lends capabilities          build   builds packages

A cost counts as proven by an invoice, or by measured power, with a kept document of the last thirteen months. A
quote is an intention. What is not proven recommends nothing: `recommend` refuses rather than guess.
"""

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from hive import audit
from hive.db.gate_tables import HostCostRow, HostRow
from hive.documents import Documents
from signing.errors import FormatError, GateError, NotFoundError, UsageError
from signing.format.digest import Sha256, parse_sha256
from signing.format.moment import render_moment

PROOF_LIFE: Final = timedelta(days=396)
_HOST: Final = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
_LABEL: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_MAX_CENTS: Final = 10**10
_MAX_LABEL: Final = 64


class Role(enum.StrEnum):
    """What a machine is for."""

    WOMB = "womb"
    LANE = "lane"
    BUILD = "build"


class Provenance(enum.StrEnum):
    """How we know a cost."""

    INVOICE = "invoice"
    QUOTE = "quote"
    MEASURED_POWER = "measured-power"

    @property
    def proves(self) -> bool:
        """Whether it is what was paid, not what somebody offered."""
        return self is not Provenance.QUOTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a machine costs a month; ``cents`` are hundredths of ``currency``."""

    cents: int
    currency: str
    provenance: Provenance
    document_sha256: Sha256 | None
    dated_at: datetime
    by: str

    def to_json(self) -> dict[str, Any]:
        """Return the cost as ``--json`` answers it."""
        return {
            "cents": self.cents,
            "currency": self.currency,
            "provenance": self.provenance.value,
            "document_sha256": self.document_sha256,
            "dated_at": render_moment(self.dated_at),
            "by": self.by,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine, and the newest that is known of its cost. ``doubt`` says why that is not proven; empty: it is."""

    host: str
    system: str
    roles: frozenset[Role]
    capabilities: frozenset[str]
    note: str
    cost: Cost | None
    doubt: str

    def to_json(self) -> dict[str, Any]:
        """Return the machine as ``--json`` answers it."""
        return {
            "host": self.host,
            "system": self.system,
            "roles": sorted(role.value for role in self.roles),
            "capabilities": sorted(self.capabilities),
            "note": self.note,
            "cost": self.cost.to_json() if self.cost is not None else None,
            "proven": not self.doubt,
            "doubt": self.doubt,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One recommendation, with what it rests on."""

    action: str
    host: str
    why: str

    def to_json(self) -> dict[str, str]:
        """Return it as ``--json`` answers it."""
        return {"action": self.action, "host": self.host, "why": self.why}


def put(
    session: Session,
    host: str,
    *,
    system: str,
    roles: Sequence[Role],
    capabilities: Sequence[str],
    note: str,
    now: datetime,
) -> None:
    """Add a machine, or say anew what it is for.

    Raises:
        FormatError: a bad name. UsageError: no role.
    """
    if not _HOST.fullmatch(host):
        raise FormatError(f"{host!a} is not a name of a host", where="host")
    for label in capabilities:
        if len(label) > _MAX_LABEL or not _LABEL.fullmatch(label):
            raise FormatError(f"{label!a} is not a capability", where="capability")
    if not roles:
        raise UsageError("a host is for something", hint="--role womb|lane|build")
    row = session.get(HostRow, host)
    if row is None:
        row = HostRow(host=host, added_at=now)
        session.add(row)
    row.system, row.note = system, note
    row.roles = "\n".join(sorted({role.value for role in roles}))
    row.capabilities = "\n".join(sorted(set(capabilities)))
    facts = {"host": host, "system": system, "roles": row.roles.split("\n"), "note": note}
    audit.append(session, event="host.set", facts=facts, now=now)


def record_cost(session: Session, host: str, cost: Cost, *, now: datetime) -> None:
    """Add what a machine costs; what was recorded before stays.

    Raises:
        NotFoundError: no such host. UsageError, FormatError: not a cost, or a proof without a document.
    """
    if session.get(HostRow, host) is None:
        raise NotFoundError(f"no host {host!a}", hint="hive hosts set adds it")
    if not 0 <= cost.cents <= _MAX_CENTS or not _CURRENCY.fullmatch(cost.currency):
        raise FormatError("a cost is an amount and a currency like EUR", where="--monthly")
    if cost.dated_at > now:
        raise UsageError("dated in the future", hint="the day of the invoice or of the measurement")
    if cost.provenance.proves and cost.document_sha256 is None:
        raise UsageError(f"{cost.provenance} without a document proves nothing", hint="--document FILE")
    if not cost.by.strip():
        raise UsageError("somebody says so", hint="--by NAME")
    session.add(
        HostCostRow(
            host=host,
            cents=cost.cents,
            currency=cost.currency,
            provenance=cost.provenance.value,
            document_sha256=cost.document_sha256,
            dated_at=cost.dated_at,
            by=cost.by,
            recorded_at=now,
        )
    )
    audit.append(session, event="host.cost", facts={"host": host, **cost.to_json()}, now=now)


def machines(session: Session, documents: Documents, *, now: datetime) -> tuple[Machine, ...]:
    """Return every machine with the newest that is known of its cost."""
    found = []
    for row in session.scalars(select(HostRow).order_by(HostRow.host)):
        newest = select(HostCostRow).where(HostCostRow.host == row.host)
        cost_row = session.scalars(newest.order_by(HostCostRow.number.desc()).limit(1)).first()
        cost = _cost(cost_row) if cost_row is not None else None
        found.append(
            Machine(
                host=row.host,
                system=row.system,
                roles=frozenset(Role(text) for text in row.roles.split("\n")),
                capabilities=frozenset(text for text in row.capabilities.split("\n") if text),
                note=row.note,
                cost=cost,
                doubt=_doubt(cost, documents, now),
            )
        )
    return tuple(found)


def recommend(found: Sequence[Machine]) -> tuple[Advice, ...]:
    """Return what to buy and what to retire, resting on proven costs only.

    A role that one machine alone has wants a second one, at the cost that the first one proves. A machine is for
    retiring when another one offers all that it offers, for less.

    Raises:
        NotFoundError: there is no machine.
        GateError: a cost on which an answer would rest is not proven.
    """
    if not found:
        raise NotFoundError("no hosts are recorded", hint="hive hosts set HOST --role …")
    doubtful = [machine for machine in found if machine.doubt]
    if doubtful:
        raise GateError(
            "no recommendation rests on unproven cost: "
            + "; ".join(f"{machine.host}: {machine.doubt}" for machine in doubtful),
            hint="hive hosts cost HOST --monthly … --provenance invoice --document FILE",
            hosts=[machine.host for machine in doubtful],
        )
    return (*_to_buy(found), *_to_retire(found))


def _to_buy(found: Sequence[Machine]) -> list[Advice]:
    advice = []
    for role in Role:
        having = [machine for machine in found if role in machine.roles]
        if len(having) == 1 and having[0].cost is not None:
            cost = having[0].cost
            why = f"only {having[0].host} is a {role}; one like it is {cost.cents / 100:.2f} {cost.currency} a month"
            advice.append(Advice(action="buy", host=f"second {role}", why=why))
        elif not having:
            advice.append(Advice(action="buy", host=f"first {role}", why=f"no host is a {role}"))
    return advice


def _to_retire(found: Sequence[Machine]) -> list[Advice]:
    advice = []
    for machine in found:
        for other in found:
            if other is machine or machine.cost is None or other.cost is None:
                continue
            covers = machine.roles <= other.roles and machine.capabilities <= other.capabilities
            comparable = machine.cost.currency == other.cost.currency
            if covers and comparable and other.cost.cents < machine.cost.cents:
                saved = (machine.cost.cents - other.cost.cents) / 100
                why = f"{other.host} offers all of it for {saved:.2f} {machine.cost.currency} less a month"
                advice.append(Advice(action="retire", host=machine.host, why=why))
                break
    return advice


def _doubt(cost: Cost | None, documents: Documents, now: datetime) -> str:
    if cost is None:
        return "its cost is unknown"
    if not cost.provenance.proves:
        return "its cost is only quoted"
    if not cost.dated_at <= now < cost.dated_at + PROOF_LIFE:
        return f"its {cost.provenance} of {cost.dated_at:%Y-%m-%d} is too old"
    if cost.document_sha256 is None or not documents.intact(cost.document_sha256):
        return f"the document of its {cost.provenance} is gone, or another one"
    return ""


def _cost(row: HostCostRow) -> Cost:
    digest = row.document_sha256
    return Cost(
        cents=row.cents,
        currency=row.currency,
        provenance=Provenance(row.provenance),
        document_sha256=parse_sha256(digest, where="host cost") if digest is not None else None,
        dated_at=row.dated_at,
        by=row.by,
    )
