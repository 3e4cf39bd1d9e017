"""One sweep over every living jail of this host: look, record what is new and what is gone, and act (edge).

    log is whole? ─► trust, once for all ─► each tenant: look, record, cut off ─► each tenant: tell people

Acting comes in one order, and each action is recorded: the agent gets no more work, its secrets go, the jail stops, people
are told. Nobody is cut off later because somebody else's chat server is slow, and what cannot be looked at, recorded or done
about one tenant does not spare the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from hive import audit, optins, remembered_head
from hive.birth.moving import remove_left
from hive.birth.recorded import RecordedBirth, recorded_births
from hive.certificate import admissions_of
from hive.db.session import snapshot, transaction
from hive.db.sweep_tables import SweepRow
from hive.sweep import failures
from hive.sweep.acting import act, note, settle, tell
from hive.sweep.findings import Finding, Found
from hive.sweep.looking import jail_findings
from hive.sweep.record import forget_the_retired, record, still_standing
from hive.sweep.sweeper import Sweeper, Swept
from hive.sweep.trusting import NowKnown, look_now, trust_findings
from hive.tenants import STANDING, Tenant, Tier, load_row
from signing.errors import NotFoundError, SkillRepoError
from signing.format.chain import BrokenChainError, Record
from signing.format.names import TenantId

LIVING: Final = STANDING  # whose jails are swept
_Records = Mapping[str, Sequence[Record]]


def sweep(sweeper: Sweeper) -> list[Swept]:
    """Look at every living jail, act, and return what was found, by tenant.

    Raises:
        BrokenChainError: the audit log was altered, or its end cut off: nothing that rests on it can be said.
        CouldNotVerifyError: the clock was set back.
        HostError, ConflictError: the database failed, or could not be written; tenants were cut off all the same. Or a jail
            whose birth went on at another host cannot be removed from this one.
    """
    now = sweeper.clock()
    births, records = _read(sweeper, now)
    number, unwritten = _begin(sweeper, len(births), now)
    trusted = _trust(sweeper, births, records, now)
    gates = _shut_gates(sweeper)
    swept = [_one(sweeper, birth.tenant, [*trusted[birth.tenant.tenant_id], *gates]) for birth in births]
    swept = [_told(sweeper, item) for item in swept]
    undone = _remove_left(sweeper)
    if unwritten is not None:
        raise unwritten
    with transaction(sweeper.engine) as session:
        done = session.get_one(SweepRow, number)
        done.finished_at, done.findings = sweeper.clock(), sum(len(item.findings) for item in swept)
        head = audit.head(session)
    remembered_head.remember(sweeper.provisioner.state, head)
    if undone is not None:
        raise undone
    return swept


def _remove_left(sweeper: Sweeper) -> SkillRepoError | None:
    """Remove the jails here whose births went on elsewhere; return why one stands there still."""
    try:
        remove_left(sweeper.engine, sweeper.host, sweeper.here, now=sweeper.clock())
    except SkillRepoError as error:
        return error
    return None


def look(sweeper: Sweeper, tenant_id: TenantId) -> tuple[Tenant, tuple[Finding, ...]]:
    """Look at one tenant, record what is found, and return everything that stands; nothing is done about it.

    Raises:
        NotFoundError: it has no living jail. BrokenChainError: the audit log was altered.
    """
    now = sweeper.clock()
    births, records = _read(sweeper, now)
    birth = next((birth for birth in births if birth.tenant.tenant_id == tenant_id), None)
    if birth is None:
        raise NotFoundError(f"{tenant_id} has no living jail here", hint="hive list-tenants")
    trusted = _trust(sweeper, [birth], records, now)[tenant_id]
    findings = _look(sweeper, birth.tenant, [*trusted, *_shut_gates(sweeper)])
    with transaction(sweeper.engine) as session:
        standing, _ = record(session, tenant_id, findings, now=sweeper.clock(), at_once=True)
    return birth.tenant, standing


def _read(sweeper: Sweeper, now: datetime) -> tuple[list[RecordedBirth], _Records]:
    """Return the births with living jails, and the records of each tenant, all of one state of the database."""
    with snapshot(sweeper.engine) as session:
        audit.check_clock(session, now=now)
        births = [
            birth
            for birth in recorded_births(session)
            if birth.tenant.status in LIVING and birth.tenant.host == sweeper.here
        ]
        found = audit.read(session)
    remembered_head.check(sweeper.provisioner.state, found)
    records: dict[str, list[Record]] = {}
    for item in found:
        records.setdefault(str(item.facts.get("tenant")), []).append(item)
    return births, records


def _begin(sweeper: Sweeper, tenants: int, now: datetime) -> tuple[int, SkillRepoError | None]:
    """Return the number of this sweep, or why nothing can be written: no reason to leave secrets where they must go."""
    try:
        with transaction(sweeper.engine) as session:
            forget_the_retired(session, now=now)
            row = SweepRow(started_at=now, finished_at=None, tenants=tenants, findings=0, host=sweeper.here)
            session.add(row)
            session.flush()
            return row.number, None
    except BrokenChainError:
        raise
    except SkillRepoError as error:
        return 0, error


def _trust(
    sweeper: Sweeper, births: Sequence[RecordedBirth], records: _Records, now: datetime
) -> dict[TenantId, list[Finding]]:
    """Return what our trust root says of every birth; when it cannot be asked, that, for each."""
    try:
        with look_now(sweeper.client, sweeper.engine, policy=sweeper.policy, now=now) as known:
            return {birth.tenant.tenant_id: _trust_one(sweeper, birth, records, known) for birth in births}
    except SkillRepoError as error:
        unknown = Finding(kind=Found.UNKNOWN, subject="trust", detail=f"{error.code}: {error.message}")
        return {birth.tenant.tenant_id: [unknown] for birth in births}


def _trust_one(sweeper: Sweeper, birth: RecordedBirth, records: _Records, known: NowKnown) -> list[Finding]:
    tenant_id = birth.tenant.tenant_id
    try:
        with snapshot(sweeper.engine) as session:
            consents = optins.load(session, tenant_id)
        admitted = admissions_of(records.get(tenant_id, ()), birth.lock_sha256 or "")
        return trust_findings(birth, [item.facts for item in admitted], consents, known)
    except SkillRepoError as error:
        detail = f"{error.code}: {error.message}"
    except Exception as error:  # noqa: BLE001 - what one birth makes us stumble over says nothing about the others
        detail = f"{type(error).__name__} while looking"
    return [Finding(kind=Found.UNKNOWN, subject="trust", detail=detail)]


def _one(sweeper: Sweeper, tenant: Tenant, known: list[Finding]) -> Swept:
    """Look at one tenant, and cut it off if that is to be done; also when nothing can be recorded of it."""
    seen = _look(sweeper, tenant, known)
    try:
        with transaction(sweeper.engine) as session:
            found, new = record(session, tenant.tenant_id, seen, now=sweeper.clock())
    except BrokenChainError:
        raise
    except Exception as error:  # noqa: BLE001
        failed = note(sweeper, tenant.tenant_id, failures.LOOK, error)
        found, new = _unrecorded(sweeper, tenant.tenant_id, seen), ()
    else:
        failed = []
        settle(sweeper, tenant.tenant_id, [failures.LOOK], done=True)
    done, undone = act(sweeper, tenant, found)
    return Swept(tenant=_now(sweeper, tenant), findings=found, new=new, done=done, failed=(*failed, *undone))


def _unrecorded(sweeper: Sweeper, tenant_id: TenantId, seen: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Return what stands where nothing can be written: what was seen, and what was found when it still could."""
    try:
        with snapshot(sweeper.engine) as session:
            return tuple(sorted({*seen, *still_standing(session, tenant_id, seen)}))
    except Exception:  # noqa: BLE001 - what was seen is acted on, whatever the table of findings holds
        return seen


def _told(sweeper: Sweeper, swept: Swept) -> Swept:
    done, failed = tell(sweeper, swept.tenant, swept.findings, swept.new)
    return replace(swept, done=(*swept.done, *done), failed=(*swept.failed, *failed))


def _now(sweeper: Sweeper, tenant: Tenant) -> Tenant:
    try:
        with snapshot(sweeper.engine) as session:
            return Tenant.of(load_row(session, tenant.tenant_id))
    except SkillRepoError:
        return tenant


def _look(sweeper: Sweeper, tenant: Tenant, known: list[Finding]) -> tuple[Finding, ...]:
    """Look at the jail, and return everything that is found about the tenant now; ``known`` is what was found elsewhere."""
    paying = tenant.tier is Tier.PAID and not tenant.scratch
    findings = [finding for finding in known if paying or finding.kind is not Found.GATES]
    findings += jail_findings(tenant, sweeper.engine, sweeper.host, sweeper.provisioner)
    return tuple(sorted(set(findings)))


def _shut_gates(sweeper: Sweeper) -> list[Finding]:
    """Return which gates are shut; a register that cannot be read shuts all of them, and spares nobody the sweep."""
    try:
        with snapshot(sweeper.engine) as session:
            standings = sweeper.gates.standings(session, sweeper.clock())
    except SkillRepoError as error:
        return [Finding(kind=Found.GATES, subject="register", detail=f"cannot be read: {error.message}")]
    return [
        Finding(kind=Found.GATES, subject=standing.gate.name, detail=standing.state.value)
        for standing in standings
        if not standing.state.opens
    ]
