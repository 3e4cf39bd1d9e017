"""One sweep over every living jail: look, record what is new and what is gone, and act (edge).

Acting comes in one order, and each action is recorded: the agent gets no more work, its secrets go, the jail stops, people
are told. An action that fails is recorded and tried again by the next sweep; it does not stop the ones behind it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from hive import audit, optins
from hive.agents.leases import release
from hive.agents.names import AgentId
from hive.birth.recorded import RecordedBirth, recorded_births
from hive.certificate import admissions_of
from hive.db.models import BirthRow, TenantRow
from hive.db.session import snapshot, transaction
from hive.db.sweep_tables import SweepRow
from hive.gates.register import Gates
from hive.jails.host import JailHost
from hive.policy import Policy
from hive.sweep.actions import Action, actions_for
from hive.sweep.findings import Finding, Found
from hive.sweep.looking import jail_findings
from hive.sweep.notify import Notifier
from hive.sweep.record import forget_the_retired, note_told, record, untold
from hive.sweep.trusting import NowKnown, look_now, trust_findings
from hive.tenants import STANDING, Tenant, TenantStatus, Tier, load_row
from hive.vault.provision import Provisioner, Standing
from repo_client.client import RepoClient
from signing.errors import HostError, NotFoundError, SkillRepoError
from signing.format.names import TenantId

LIVING = STANDING  # whose jails are swept


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeper:
    """Everything a sweep needs. A ``provisioner`` without an owner looks at no secrets, and takes them away all the same."""

    engine: Engine
    client: RepoClient
    host: JailHost
    provisioner: Provisioner
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
        forget_the_retired(session, now=now)
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


def look(sweeper: Sweeper, tenant_id: TenantId) -> tuple[Tenant, tuple[Finding, ...]]:
    """Look at one tenant, record what is found, and return everything that stands; nothing is done about it.

    Raises:
        NotFoundError: it has no living jail. BrokenChainError: the audit log was altered.
    """
    now = sweeper.clock()
    with transaction(sweeper.engine) as session:
        audit.check_clock(session, now=now)
        births = [birth for birth in recorded_births(session) if birth.tenant.tenant_id == tenant_id]
    if not births or births[0].tenant.status not in LIVING:
        raise NotFoundError(f"{tenant_id} has no living jail", hint="hive list-tenants")
    tenant = births[0].tenant
    standing, _ = _found(sweeper, tenant, _trust(sweeper, births, now)[tenant_id])
    return tenant, standing


def _trust(sweeper: Sweeper, births: Sequence[RecordedBirth], now: datetime) -> dict[TenantId, list[Finding]]:
    """Return what our trust root says of every birth; when it cannot be asked, that, for each."""
    try:
        with look_now(sweeper.client, sweeper.engine, policy=sweeper.policy, now=now) as known:
            return {birth.tenant.tenant_id: _trust_one(sweeper, birth, known) for birth in births}
    except SkillRepoError as error:
        unknown = Finding(kind=Found.UNKNOWN, subject="trust", detail=f"{error.code}: {error.message}")
        return {birth.tenant.tenant_id: [unknown] for birth in births}


def _trust_one(sweeper: Sweeper, birth: RecordedBirth, known: NowKnown) -> list[Finding]:
    tenant_id = birth.tenant.tenant_id
    try:
        with snapshot(sweeper.engine) as session:
            records = audit.read(session, tenant=tenant_id)
            consents = optins.load(session, tenant_id)
        decisions = [record.facts for record in admissions_of(records, birth.lock_sha256 or "")]
        return trust_findings(birth, decisions, consents, known)
    except SkillRepoError as error:
        return [Finding(kind=Found.UNKNOWN, subject="trust", detail=f"{error.code}: {error.message}")]


def _one(sweeper: Sweeper, tenant: Tenant, trusted: list[Finding]) -> Swept:
    standing, new = _found(sweeper, tenant, trusted)
    done, failed = _act(sweeper, tenant, standing)
    with snapshot(sweeper.engine) as session:
        after = Tenant.of(load_row(session, tenant.tenant_id))
    return Swept(tenant=after, findings=standing, new=new, done=tuple(done), failed=tuple(failed))


def _found(
    sweeper: Sweeper, tenant: Tenant, trusted: list[Finding]
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Look at the jail, and return everything that stands about the tenant, and what of it is new."""
    findings = [*trusted, *jail_findings(tenant, sweeper.engine, sweeper.host, sweeper.provisioner)]
    findings += _gates(sweeper, tenant)
    with transaction(sweeper.engine) as session:
        return record(session, tenant.tenant_id, tuple(sorted(set(findings))), now=sweeper.clock())


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


def _act(sweeper: Sweeper, tenant: Tenant, found: Sequence[Finding]) -> tuple[list[Action], list[str]]:
    done: list[Action] = []
    failed: list[str] = []
    for action in actions_for(found, sweeper.actions):
        try:
            if _carry_out(action, sweeper, tenant, found):
                done.append(action)
        except Exception as caught:  # noqa: BLE001 - what fails for one action or tenant must not spare the others
            error = caught if isinstance(caught, SkillRepoError) else HostError(type(caught).__name__)
            failed.append(f"{action}: {error.message}")
            _note(sweeper, tenant, "sweep.failed", {"action": action.value, "error": error.to_document()})
    return done, failed


def _carry_out(action: Action, sweeper: Sweeper, tenant: Tenant, found: Sequence[Finding]) -> bool:
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
            return _tell(sweeper, tenant)


def quarantine(engine: Engine, tenant_id: TenantId, reason: str, *, now: datetime) -> bool:
    """Make the tenant's agent unroutable; return whether it was routable before. Its jail is left alone.

    The jobs that its agent holds are free for others in the same moment: what it answers from now on does not count.
    """
    with transaction(engine) as session:
        row = session.get_one(
            TenantRow, tenant_id, with_for_update={"key_share": True}, populate_existing=True
        )
        if row.status not in {TenantStatus.BORN, TenantStatus.ACTIVE}:
            return False
        facts = {"tenant": tenant_id, "was": row.status, "reason": reason}
        row.status, row.reason = TenantStatus.QUARANTINED.value, reason
        freed = release(session, AgentId(tenant_id), reason="its tenant is quarantined")
        audit.append(session, event="tenant.quarantined", facts={**facts, "jobs": freed}, now=now)
    return True


def _withdraw(sweeper: Sweeper, tenant: Tenant) -> bool:
    provisioner = sweeper.provisioner
    # A host without a user for agents cannot compare what stands there, and takes it away all the same.
    if provisioner.owner is not None and provisioner.standing(tenant.tenant_id) is Standing.NONE:
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


def _tell(sweeper: Sweeper, tenant: Tenant) -> bool:
    """Tell people what they were not told yet: also what a sweep found that was killed, or could not tell."""
    if not (sweeper.notifier.command or sweeper.notifier.webhook):
        return False
    kinds = frozenset(kind for kind, actions in sweeper.actions.items() if Action.NOTIFY in actions)
    with snapshot(sweeper.engine) as session:
        news = untold(session, tenant.tenant_id, kinds)
    if not news:
        return False
    message = {
        "tenant": tenant.tenant_id,
        "tier": tenant.tier.value,
        "new": [item.to_json() for item in news.values()],
    }
    if problems := sweeper.notifier.tell(message):
        raise HostError("; ".join(problems))
    with transaction(sweeper.engine) as session:
        note_told(session, list(news), now=sweeper.clock())
    return True


def _note(sweeper: Sweeper, tenant: Tenant, event: str, facts: Mapping[str, Any]) -> None:
    with transaction(sweeper.engine) as session:
        audit.append(session, event=event, facts={"tenant": tenant.tenant_id, **facts}, now=sweeper.clock())
