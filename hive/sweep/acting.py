"""Acting on what was found about one tenant (edge).

What fails is noted and tried again (`hive.sweep.failures`); it stops neither the actions behind it nor other tenants. Nor
does a database that cannot be written, as when a jail has filled the disk: secrets go and jails stop all the same.
"""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Engine

from hive import audit
from hive.agents.leases import release
from hive.agents.names import AgentId
from hive.db.models import BirthRow, TenantRow
from hive.db.session import snapshot, transaction
from hive.sweep import failures
from hive.sweep.actions import Action, actions_for
from hive.sweep.findings import Finding
from hive.sweep.record import note_told, untold
from hive.sweep.sweeper import Sweeper
from hive.tenants import Tenant, TenantStatus
from hive.vault.provision import Standing
from signing.errors import HostError, SkillRepoError
from signing.format.names import TenantId

_MAX_REASON: Final = 500


def act(
    sweeper: Sweeper, tenant: Tenant, found: Sequence[Finding]
) -> tuple[tuple[Action, ...], tuple[str, ...]]:
    """Cut the tenant off as far as ``found`` demands; return what changed anything, and what could not be done."""
    wanted = actions_for(found, sweeper.actions)
    done: list[Action] = []
    failed: list[str] = []
    try:
        with sweeper.alone(tenant.tenant_id):
            unwanted = [action.value for action in Action if action not in wanted]
            settle(sweeper, tenant.tenant_id, unwanted, done=False)
            for action in wanted:
                if action is Action.NOTIFY:
                    continue
                if pause := _pausing(sweeper, tenant.tenant_id, action):
                    failed.append(pause)
                    continue
                changed, problems = _try(sweeper, tenant, action, found)
                done += [action] if changed else []
                failed += problems
    except SkillRepoError as error:  # somebody else acts on it
        failed.append(error.message)
    return tuple(done), tuple(failed)


def tell(
    sweeper: Sweeper, tenant: Tenant, found: Sequence[Finding], new: Sequence[Finding]
) -> tuple[tuple[Action, ...], tuple[str, ...]]:
    """Tell people of what they were not told; when that failed earlier, only after its pause or of something new."""
    if Action.NOTIFY not in actions_for(found, sweeper.actions):
        return (), ()
    try:
        with sweeper.alone(tenant.tenant_id):
            if not new and (pause := _pausing(sweeper, tenant.tenant_id, Action.NOTIFY)):
                return (), (pause,)
            changed, problems = _try(sweeper, tenant, Action.NOTIFY, found)
    except SkillRepoError as error:
        return (), (error.message,)
    return (Action.NOTIFY,) if changed else (), tuple(problems)


def note(sweeper: Sweeper, tenant_id: TenantId, action: str, caught: Exception) -> list[str]:
    """Record a failure, as far as that can be done, and return it for people."""
    error = caught if isinstance(caught, SkillRepoError) else HostError(type(caught).__name__)
    with _unrecorded(), transaction(sweeper.engine) as session:
        failures.note_failed(session, tenant_id, action, error, now=sweeper.clock())
    return [f"{action}: {error.message}"]


def _try(
    sweeper: Sweeper, tenant: Tenant, action: Action, found: Sequence[Finding]
) -> tuple[bool, list[str]]:
    """Carry out one action; return whether it changed anything, and why it could not be done."""
    try:
        changed = _carry_out(action, sweeper, tenant, found)
    except Exception as caught:  # noqa: BLE001 - what fails for one action or tenant must not spare the others
        return False, note(sweeper, tenant.tenant_id, action.value, caught)
    # Having nothing to tell does not prove that people can be told.
    if changed or action is not Action.NOTIFY:
        settle(sweeper, tenant.tenant_id, [action.value], done=True)
    return changed, []


def _pausing(sweeper: Sweeper, tenant_id: TenantId, action: Action) -> str:
    try:
        with snapshot(sweeper.engine) as session:
            return failures.pausing(session, tenant_id, action, now=sweeper.clock())
    except SkillRepoError:
        return ""


def settle(sweeper: Sweeper, tenant_id: TenantId, actions: Sequence[str], *, done: bool) -> None:
    """Record that what failed earlier is done after all, or not wanted any more; as far as that can be done."""
    with _unrecorded():
        with snapshot(sweeper.engine) as session:
            if not {row.action for row in failures.standing(session, tenant_id)} & set(actions):
                return
        with transaction(sweeper.engine) as session:
            failures.settle(session, tenant_id, actions, done=done, now=sweeper.clock())


@contextlib.contextmanager
def _unrecorded() -> Iterator[None]:
    """Go on where nothing can be recorded; the sweep as a whole ends with an error then."""
    with contextlib.suppress(SkillRepoError):
        yield


def _carry_out(action: Action, sweeper: Sweeper, tenant: Tenant, found: Sequence[Finding]) -> bool:
    """Carry out one action; return whether it changed anything."""
    match action:
        case Action.UNROUTABLE:
            reason = "; ".join(str(item) for item in found)[:_MAX_REASON]
            return quarantine(sweeper.engine, tenant.tenant_id, reason, now=sweeper.clock())
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
    with transaction(sweeper.engine) as session:
        facts = {"tenant": tenant.tenant_id, "by": "sweep"}
        audit.append(session, event="jail.stopped", facts=facts, now=sweeper.clock())
    return True


def _tell(sweeper: Sweeper, tenant: Tenant) -> bool:
    """Tell people what they were not told yet: also what a sweep found that was killed, or could not tell.

    Raises:
        HostError: they were not told, or not by every way; whoever was told by one is not told again.
    """
    if not (sweeper.notifier.command or sweeper.notifier.webhook):
        return False
    news = _untold(sweeper, tenant.tenant_id)
    if not news:
        return False
    told = sweeper.notifier.tell(
        {
            "tenant": tenant.tenant_id,
            "tier": tenant.tier.value,
            "new": [item.to_json() for item in news.values()],
        }
    )
    if told.by:
        with transaction(sweeper.engine) as session:
            note_told(session, list(news), now=sweeper.clock())
    if told.problems:
        raise HostError("; ".join(told.problems))
    return True


def _untold(sweeper: Sweeper, tenant_id: TenantId) -> dict[int, Finding]:
    kinds = frozenset(kind for kind, actions in sweeper.actions.items() if Action.NOTIFY in actions)
    with snapshot(sweeper.engine) as session:
        return untold(session, tenant_id, kinds)
