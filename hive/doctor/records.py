"""The database and what it records: the log, the clock, births, tenants, sweeps, gates."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from sqlalchemy import select, text

from hive import audit
from hive.checkpoints import verify_log
from hive.db.agent_tables import AgentRow
from hive.db.certificate_tables import CheckpointRow
from hive.db.models import BirthRow, TenantRow
from hive.db.session import snapshot
from hive.db.sweep_tables import SweepFindingRow, SweepRow
from hive.doctor.host import Host
from hive.gates.standing import State
from hive.here import check_host
from hive.host_key import HostKey, has_key
from hive.sweep import failures
from hive.sweep.actions import Action
from hive.tenants import STANDING, TenantStatus, list_all
from signing.checkup import Said, bad, ok, warn

_LONG: Final = timedelta(hours=1)
_SOON: Final = timedelta(days=14)
_A_MONTH: Final = timedelta(days=31)
_TROUBLED: Final = frozenset({TenantStatus.FAILED, TenantStatus.QUARANTINED})


def check_database(host: Host) -> Iterator[Said]:
    """It opens, is of this version, and SQLite finds its pages in order."""
    with snapshot(host.database()) as session:
        if host.database_file is not None:
            found = str(session.scalar(text("PRAGMA quick_check(1)")))
            if found != "ok":
                yield bad("SQLite finds the file damaged", "stop all of hive and restore it from a backup")
                return
        yield ok("opens, and is of this version")


def check_audit(host: Host) -> Iterator[Said]:
    """No record of the log was changed, dropped or inserted, and none that was ever seen is missing."""
    with snapshot(host.database()) as session:
        records, signed = verify_log(session, host.config.state_dir)
        last = session.scalars(
            select(CheckpointRow.at).order_by(CheckpointRow.sequence.desc()).limit(1)
        ).first()
    yield ok(f"{len(records)} records, chain intact, {signed} checkpoints")
    if records and (last is None or host.now - last > _A_MONTH):
        yield warn(
            "its head was not signed for a month" if signed else "its head was never signed",
            "hive audit checkpoint --out FILE, and keep that on another machine",
        )


def check_clock(host: Host) -> Iterator[Said]:
    """The clock is not before the newest record; that it is not after now, the freshness of the server's state says."""
    with snapshot(host.database()) as session:
        audit.check_clock(session, now=host.now)
    yield ok(f"{host.now:%Y-%m-%d %H:%M} UTC, not before the newest record")


def check_births(host: Host) -> Iterator[Said]:
    """No birth stands unfinished for longer than one takes."""
    late = (
        select(BirthRow.tenant_id, BirthRow.started_at)
        .join(TenantRow, TenantRow.tenant_id == BirthRow.tenant_id)
        .where(BirthRow.finished_at.is_(None), BirthRow.started_at < host.now - _LONG)
        .where(TenantRow.status != TenantStatus.RETIRED.value)
        .order_by(BirthRow.tenant_id)
    )
    with snapshot(host.database()) as session:
        found = session.execute(late).all()
    for tenant_id, started in found:
        yield warn(
            f"the birth of {tenant_id} is unfinished since {started:%Y-%m-%d %H:%M}",
            f"hive birth {tenant_id} continues it",
        )
    if not found:
        yield ok("no birth is left unfinished")


def check_place(host: Host) -> Iterator[Said]:
    """Where several hosts share the database, this one has joined, and everybody who lives has a host."""
    here, state = host.config.host_name, host.config.state_dir
    keyid = HostKey.open(state).held.keyid if here is not None and has_key(state) else None
    with snapshot(host.database()) as session:
        check_host(session, here, keyid)
        tenants = list_all(session)
        heard = session.get(AgentRow, here) if here is not None else None
    if here is None:
        yield ok("this host has no name: it alone uses the database")
        return
    nowhere = [item.tenant_id for item in tenants if item.status in STANDING and item.host is None]
    if nowhere:
        yield bad(
            f"{len(nowhere)} living jails are on no host, and nobody sweeps them: {', '.join(nowhere)[:200]}",
            "hive hosts join, on the machine where they stand",
        )
    if heard is None or heard.seen_at is None:
        yield warn(f"{here} has joined, and makes no births", "start hive_womb (rc.d, systemd)")
    elif not nowhere:
        yield ok(f"this is {here}, one of the hosts of the database")


def check_tenants(host: Host) -> Iterator[Said]:
    """Nobody is failed or quarantined."""
    with snapshot(host.database()) as session:
        tenants = list_all(session)
    troubled = [tenant for tenant in tenants if tenant.status in _TROUBLED]
    for tenant in troubled:
        failed = tenant.status is TenantStatus.FAILED
        yield warn(
            f"{tenant.tenant_id} is {tenant.status}: {tenant.reason[:200]}",
            f"mend the reason, then hive birth {tenant.tenant_id}"
            if failed
            else "look at the jail and at hive audit show before anything else",
        )
    if not troubled:
        yield ok(f"{len(tenants)} tenants, none failed or quarantined")


def check_sweep(host: Host) -> Iterator[Said]:
    """This host's jails were swept within the hour, and the last sweep found nothing that still stands."""
    ours = select(SweepRow).where(SweepRow.host == host.config.host_name).order_by(SweepRow.number.desc())
    with snapshot(host.database()) as session:
        ended = session.scalars(ours.where(SweepRow.finished_at.is_not(None)).limit(1)).first()
        living = sum(
            tenant.status in STANDING and tenant.host == host.config.host_name for tenant in list_all(session)
        )
        open_findings = session.scalars(
            select(SweepFindingRow.kind).where(SweepFindingRow.gone_at.is_(None))
        ).all()
        newest = session.scalars(ours.limit(1)).first()
        undone = failures.standing(session)
    last = ended.finished_at if ended is not None else None
    begun = newest.started_at if newest is not None and newest.finished_at is None else None
    run = "start hive_sweep (rc.d, systemd timer), or hive sweep --every 5m"
    if last is None:
        yield bad(f"{living} living jails, and never swept", run) if living else ok("nothing to sweep yet")
    elif host.now - last > _LONG:
        yield bad(f"the last sweep ended {last:%Y-%m-%d %H:%M} UTC", run)
    else:
        yield ok(f"the last sweep ended {last:%Y-%m-%d %H:%M} UTC")
    if begun is not None and host.now - begun > _LONG:
        yield bad(f"a sweep began {begun:%Y-%m-%d %H:%M} UTC and did not end", f"its log says why; {run}")
    if open_findings:
        yield warn(f"{len(open_findings)} findings stand", "hive status names them")
    for item in undone:
        cut_off = item.action != Action.NOTIFY
        says = f"{item.tenant_id}: {item.action} cannot be done since {item.first_at:%Y-%m-%d %H:%M}: {item.problem}"
        yield (
            bad(says, "do it by hand, or mend what hinders it: the agent may still have what was to be taken")
            if cut_off
            else warn(says, "mend [notify] in the policy file, or what it names")
        )


def check_gates(host: Host) -> Iterator[Said]:
    """Every gate is open, and will be for a while."""
    gates = host.open_gates(host.config)
    with snapshot(host.database()) as session:
        standings = gates.standings(session, host.now)
    for found in standings:
        name, entry = found.gate.name, found.entry
        if not found.state.opens:
            yield warn(f"{name} is {found.state}: no paying customer is activated", "hive gates list")
        elif entry is not None and entry.expires_at - host.now < _SOON:
            yield warn(f"{name} ends {entry.expires_at:%Y-%m-%d}", "bring the next one: hive gates register")
        elif found.state is State.WAIVED and entry is not None:
            yield warn(f"{name} is waived until {entry.expires_at:%Y-%m-%d}", "bring what it asks for")
    if all(found.state is State.VALID for found in standings):
        yield ok(f"{len(standings)} gates are open")
