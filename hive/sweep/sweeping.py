"""One sweep over every living jail: look, record what is new and what is gone, and act (edge).

Acting comes in one order, and each action is recorded: the agent gets no more work, its secrets go, the jail stops, people
are told. An action that fails is recorded and tried again by the next sweep; it does not stop the ones behind it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from hive import audit, optins
from hive.birth.recorded import RecordedBirth, recorded_births
from hive.certificate import admissions_of
from hive.db.models import BirthRow
from hive.db.session import snapshot, transaction
from hive.db.sweep_tables import SweepFindingRow, SweepRow
from hive.gates.register import Gates
from hive.jails.host import JailHost
from hive.policy import Policy
from hive.sweep.actions import Action, actions_for
from hive.sweep.findings import Finding, Found
from hive.sweep.looking import jail_findings
from hive.sweep.notify import Notifier
from hive.sweep.trusting import look_now, trust_findings
from hive.tenants import Tenant, TenantStatus, Tier, load_row
from hive.vault.provision import Provisioner, Standing
from repo_client.client import RepoClient
from signing.errors import SkillRepoError
from signing.format.names import TenantId

LIVING = frozenset({TenantStatus.BORN, TenantStatus.ACTIVE, TenantStatus.QUARANTINED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeper:
    """Everything a sweep needs. Without ``provisioner`` (no jail user is configured) secrets are not looked at."""

    engine: Engine
    client: RepoClient
    host: JailHost
    provisioner: Provisioner | None
    gates: Gates
    policy: Policy
    actions: Mapping[Found, frozenset[Action]]
    notifier: Notifier
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What was found about one tenant, what of it is new, what was done, and what could not be done."""

    tenant: Tenant
    findings: tuple[Finding, ...]
    new: tuple[Finding, ...]
    done: tuple[Action, ...]
    failed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as ``--json`` answers it."""
        return {
            "tenant": self.tenant.tenant_id,
            "status": self.tenant.status.value,
            "findings": [finding.to_json() for finding in self.findings],
            "new": len(self.new),
            "done": [action.value for action in self.done],
            "failed": list(self.failed),
        }


def sweep(sweeper: Sweeper) -> list[Swept]:
    """Look at every living jail, act, and return what was found, by tenant.

    Raises:
        BrokenChainError: the audit log was altered: nothing that rests on it can be said.
        HostError: the database failed.
    """
    now = sweeper.clock()
    with transaction(sweeper.engine) as session:
        audit.check_clock(session, now=now)
        births = [birth for birth in recorded_births(session) if birth.tenant.status in LIVING]
        row = SweepRow(started_at=now, finished_at=None, tenants=len(births), findings=0)
        session.add(row)
        session.flush()
        number = row.number
    trusted = _trust(sweeper, births, now)
    swept = [_one(sweeper, birth.tenant, trusted[birth.tenant.tenant_id]) for birth in births]
    with transaction(sweeper.engine) as session:
        done = session.get_one(SweepRow, number)
        done.finished_at, done.findings = sweeper.clock(), sum(len(item.findings) for item in swept)
    return swept


def _trust(sweeper: Sweeper, births: Sequence[RecordedBirth], now: datetime) -> dict[TenantId, list[Finding]]:
    """Return what our trust root says of every birth; when it cannot be asked, that, for each."""
    found: dict[TenantId, list[Finding]] = {birth.tenant.tenant_id: [] for birth in births}
    try:
        with (
            transaction(sweeper.engine) as database,
            look_now(sweeper.client, database, policy=sweeper.policy, now=now) as known,
        ):
            for birth in births:
                tenant_id = birth.tenant.tenant_id
                records = audit.read(database, tenant=tenant_id)
                decisions = [record.facts for record in admissions_of(records, birth.lock_sha256 or "")]
                found[tenant_id] = trust_findings(birth, decisions, optins.load(database, tenant_id), known)
    except SkillRepoError as error:
        for findings in found.values():
            findings.append(
                Finding(kind=Found.UNKNOWN, subject="trust", detail=f"{error.code}: {error.message}")
            )
    return found


def _one(sweeper: Sweeper, tenant: Tenant, trusted: list[Finding]) -> Swept:
    findings = [*trusted, *jail_findings(tenant, sweeper.engine, sweeper.host, sweeper.provisioner)]
    findings += _gates(sweeper, tenant)
    found = tuple(sorted(set(findings)))
    with transaction(sweeper.engine) as session:
        new = _record(session, tenant.tenant_id, found, sweeper.clock())
    done, failed = _act(sweeper, tenant, found, new)
    with snapshot(sweeper.engine) as session:
        after = Tenant.of(load_row(session, tenant.tenant_id))
    return Swept(tenant=after, findings=found, new=new, done=tuple(done), failed=tuple(failed))


def _gates(sweeper: Sweeper, tenant: Tenant) -> list[Finding]:
    if tenant.scratch or tenant.tier is not Tier.PAID:
        return []
    with snapshot(sweeper.engine) as session:
        standings = sweeper.gates.standings(session, sweeper.clock())
    return [
        Finding(kind=Found.GATES, subject=standing.gate.name, detail=standing.state.value)
        for standing in standings
        if not standing.state.opens
    ]


def _record(
    session: Session, tenant_id: TenantId, found: Sequence[Finding], now: datetime
) -> tuple[Finding, ...]:
    """Bring the table of findings up to date; return those that are new."""
    statement = select(SweepFindingRow).where(
        SweepFindingRow.tenant_id == tenant_id, SweepFindingRow.gone_at.is_(None)
    )
    standing = {(row.kind, row.subject, row.detail): row for row in session.scalars(statement)}
    new = []
    for finding in found:
        row = standing.pop((finding.kind.value, finding.subject, finding.detail), None)
        if row is not None:
            row.last_seen = now
            continue
        new.append(finding)
        session.add(
            SweepFindingRow(
                tenant_id=tenant_id,
                kind=finding.kind.value,
                subject=finding.subject,
                detail=finding.detail,
                first_seen=now,
                last_seen=now,
                gone_at=None,
            )
        )
        audit.append(session, event="sweep.found", facts={"tenant": tenant_id, **finding.to_json()}, now=now)
    for row in standing.values():
        row.gone_at = now
        facts = {"tenant": tenant_id, "kind": row.kind, "subject": row.subject, "detail": row.detail}
        audit.append(session, event="sweep.gone", facts=facts, now=now)
    return tuple(new)


def _act(
    sweeper: Sweeper, tenant: Tenant, found: Sequence[Finding], new: Sequence[Finding]
) -> tuple[list[Action], list[str]]:
    done: list[Action] = []
    failed: list[str] = []
    for action in actions_for(found, sweeper.actions):
        try:
            if _carry_out(action, sweeper, tenant, found, new):
                done.append(action)
        except SkillRepoError as error:
            failed.append(f"{action}: {error.message}")
            _note(sweeper, tenant, "sweep.failed", {"action": action.value, "error": error.to_document()})
    return done, failed


def _carry_out(
    action: Action, sweeper: Sweeper, tenant: Tenant, found: Sequence[Finding], new: Sequence[Finding]
) -> bool:
    """Carry out one action; return whether it changed anything."""
    match action:
        case Action.UNROUTABLE:
            return quarantine(
                sweeper.engine,
                tenant.tenant_id,
                "; ".join(str(item) for item in found)[:500],
                now=sweeper.clock(),
            )
        case Action.WITHDRAW_SECRETS:
            return _withdraw(sweeper, tenant)
        case Action.STOP_JAIL:
            return _stop(sweeper, tenant)
        case Action.NOTIFY:
            return bool(new) and _tell(sweeper, tenant, new)


def quarantine(engine: Engine, tenant_id: TenantId, reason: str, *, now: datetime) -> bool:
    """Make the tenant's agent unroutable; return whether it was routable before. Its jail is left alone."""
    with transaction(engine) as session:
        row = load_row(session, tenant_id)
        if row.status not in {TenantStatus.BORN, TenantStatus.ACTIVE}:
            return False
        facts = {"tenant": tenant_id, "was": row.status, "reason": reason}
        row.status, row.reason = TenantStatus.QUARANTINED.value, reason
        audit.append(session, event="tenant.quarantined", facts=facts, now=now)
    return True


def _withdraw(sweeper: Sweeper, tenant: Tenant) -> bool:
    provisioner = sweeper.provisioner
    if provisioner is None or provisioner.standing(tenant.tenant_id) is Standing.NONE:
        return False
    return provisioner.withdraw(tenant.tenant_id)


def _stop(sweeper: Sweeper, tenant: Tenant) -> bool:
    with snapshot(sweeper.engine) as session:
        birth = session.get(BirthRow, tenant.tenant_id)
    if birth is None or not sweeper.host.exists(tenant.tenant_id):
        return False
    if not sweeper.host.is_running(tenant.tenant_id):
        return False
    sweeper.host.stop(tenant.tenant_id, mark=birth.mark)
    _note(sweeper, tenant, "jail.stopped", {"by": "sweep"})
    return True


def _tell(sweeper: Sweeper, tenant: Tenant, new: Sequence[Finding]) -> bool:
    message = {"tenant": tenant.tenant_id, "tier": tenant.tier.value, "new": [item.to_json() for item in new]}
    if problems := sweeper.notifier.tell(message):
        _note(sweeper, tenant, "sweep.untold", {"problems": problems})
        return False
    return bool(sweeper.notifier.command or sweeper.notifier.webhook)


def _note(sweeper: Sweeper, tenant: Tenant, event: str, facts: Mapping[str, Any]) -> None:
    with transaction(sweeper.engine) as session:
        audit.append(session, event=event, facts={"tenant": tenant.tenant_id, **facts}, now=sweeper.clock())
