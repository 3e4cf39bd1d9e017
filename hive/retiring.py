"""Undoing a birth for good (edge).

    unroutable: token revoked, jobs ended ─► secrets withdrawn ─► jail stopped ─► destroyed ─► retired

What a killed retirement did is not undone: the tenant is quarantined with the reason until the same command ends it.
Receipts, audit log and certificate stay, and the name is never used again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from hive import audit
from hive.agents import jobs, registry
from hive.agents.names import AgentId
from hive.db.agent_tables import AgentRow
from hive.db.models import BirthRow, TenantRow
from hive.db.session import transaction
from hive.here import check_own
from hive.jails.host import JailHost
from hive.tenants import Tenant, TenantStatus, load_row
from hive.vault.provision import Provisioner
from repo_client.entries import UnsafePathError
from repo_client.updater import locked
from signing.errors import ConflictError, HostError
from signing.format.names import TenantId

RETIRING: Final = "tenant.retiring"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirer:
    """Everything that retiring needs from this host."""

    engine: Engine
    host: JailHost
    state: Path
    clock: Callable[[], datetime]
    here: AgentId | None = None

    def retire(self, tenant_id: TenantId, *, reason: str) -> bool:
        """Retire the tenant, or continue that; return False when it is retired already.

        Raises:
            NotFoundError: no such tenant. ElsewhereError: its jail is another host's.
            ConflictError: a birth of it runs, its jail is elsewhere, or what stands there is not the jail it was born in.
            UnsafePathError, HostError: the jail cannot be undone; the agent is cut off, and the same command continues.
        """
        with locked(self.state / "births" / tenant_id, seconds=0):
            with transaction(self.engine) as session:
                tenant = Tenant.of(load_row(session, tenant_id))
                if tenant.status is TenantStatus.RETIRED:
                    return False
                if tenant.host is not None:  # without a jail anywhere, anybody may end it
                    check_own(tenant, self.here)
                born = session.get(BirthRow, tenant_id)
                jail_root, mark = (born.jail_root, born.mark) if born is not None else (None, None)
            if jail_root is not None and jail_root != self.host.describe(tenant_id):
                raise ConflictError(
                    f"the jail of {tenant_id} is at {jail_root}",
                    hint="give the --jail-root-base that it was born with",
                )
            if not self._cut_off(tenant_id, reason):
                return False
            self._undo(tenant_id, mark)
            self._end(tenant_id, reason)
        return True

    def _cut_off(self, tenant_id: TenantId, reason: str) -> bool:
        """Let nothing reach the agent, and nothing of it reach us, whatever becomes of its jail.

        Return False when another process, which shares the database and no lock file, has retired it meanwhile.
        """
        now, why = self.clock(), f"being retired: {reason}"
        with transaction(self.engine) as session:
            row = session.get_one(
                TenantRow, tenant_id, with_for_update={"key_share": True}, populate_existing=True
            )
            if row.status == TenantStatus.RETIRED:
                return False
            if (
                row.host is not None
            ):  # asked again, under the lock: its birth may have gone on elsewhere meanwhile
                check_own(Tenant.of(row), self.here)
            row.host = self.here
            row.status, row.reason = TenantStatus.QUARANTINED.value, why
            if session.get(AgentRow, tenant_id) is not None:
                registry.retire(session, AgentId(tenant_id), reason=why, now=now)
            ended = jobs.cancel_all(session, tenant_id, by="retirement")
            facts = {"tenant": tenant_id, "reason": reason, "jobs_cancelled": ended}
            audit.append(session, event=RETIRING, facts=facts, now=now)
        return True

    def _undo(self, tenant_id: TenantId, mark: str | None) -> None:
        """Take secrets and jail away.

        Raises:
            ConflictError: what stands there is not the jail of this birth.
        """
        found = self.host.mark_of(tenant_id)
        if found != mark and (found is not None or self.host.exists(tenant_id)):
            raise ConflictError(
                f"what stands at {tenant_id} was not made by its birth; it was left alone",
                where=self.host.describe(tenant_id),
                hint="look at it; what was spawned goes with hive spawn-agent --remove",
            )
        secrets = Provisioner(
            engine=self.engine,
            host=self.host,
            state=self.state,
            owner=None,
            clock=self.clock,
            here=self.here,
        )
        if mark is None:
            secrets.withdraw(tenant_id)
            return
        # First, while the jail still stands. Whoever lives there may hinder that, and nobody does once it is stopped.
        withdrawn = _tried(secrets, tenant_id)
        self.host.stop(tenant_id, mark=mark)
        withdrawn = withdrawn or _tried(secrets, tenant_id)
        self.host.destroy(tenant_id, mark=mark)
        if not withdrawn:
            secrets.withdraw(
                tenant_id
            )  # a link that a tenant left in the way does not keep it here: they went with it

    def _end(self, tenant_id: TenantId, reason: str) -> None:
        now = self.clock()
        with transaction(self.engine) as session:
            row = session.get_one(
                TenantRow, tenant_id, with_for_update={"key_share": True}, populate_existing=True
            )
            row.status, row.reason = TenantStatus.RETIRED.value, reason
            facts = {"tenant": tenant_id, "reason": reason}
            audit.append(session, event="tenant.retired", facts=facts, now=now)


def _tried(secrets: Provisioner, tenant_id: TenantId) -> bool:
    try:
        secrets.withdraw(tenant_id)
    except (UnsafePathError, HostError):
        return False
    return True
