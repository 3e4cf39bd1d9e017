"""Spawning: a tenant's jail, made and started without a birth; empty, and called by the tenant's name.

This is the primitive below a birth, for looking at a host and for proofs. Nothing is admitted, so nothing of ours enters
the jail and the tenant stays as it is registered. A birth does not adopt such a jail, in which anybody may have been root
by then: it refuses, and says how to remove it. A spawned jail has its own kind of mark, noted in the audit log before the
jail is made, so that a killed spawn is continued by the same command.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from hive import audit
from hive.agents.names import AgentId
from hive.db.models import BirthRow, TenantRow
from hive.db.session import transaction
from hive.here import check_own
from hive.jails.host import SPAWNED, JailHost
from hive.jails.starting import create_limited, start_limited
from hive.tenants import Tenant, TenantStatus, load_row
from repo_client.updater import locked
from signing.errors import ConflictError
from signing.format.names import TenantId

_SPAWNING, _SPAWNED, _UNSPAWNED = "jail.spawning", "jail.spawned", "jail.unspawned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawned:
    """A jail that was asked for: where it is, and what had to be done."""

    tenant_id: TenantId
    jail_root: str
    created: bool
    started: bool

    def to_json(self) -> dict[str, Any]:
        """Return it as ``--json`` answers it."""
        return {
            "tenant_id": self.tenant_id,
            "jail": self.tenant_id,
            "jail_root": self.jail_root,
            "created": self.created,
            "started": self.started,
        }


def spawn(
    engine: Engine,
    host: JailHost,
    state: Path,
    tenant_id: TenantId,
    *,
    now: datetime,
    here: AgentId | None = None,
) -> Spawned:
    """Make and start the tenant's jail; one that was spawned before and runs is left alone.

    Raises:
        NotFoundError: no such tenant.
        ElsewhereError: another host has its jail.
        ConflictError: the tenant was born, or is retired; something else has the jail's name; a birth runs.
        HostError: cannot be made or started; the same command continues.
    """
    with locked(state / "births" / tenant_id, seconds=0):
        where = host.describe(tenant_id)
        with transaction(engine) as session:
            tenant = _check_unborn(session, tenant_id)
            if tenant.host is not None:
                check_own(tenant, here)
            session.get_one(TenantRow, tenant_id).host = here
            mark = _noted(session, tenant_id)
            if mark is None:
                mark = SPAWNED + secrets.token_hex(13)
                facts = {"tenant": tenant_id, "jail_root": where, "mark": mark}
                audit.append(session, event=_SPAWNING, facts=facts, now=now)
        created = not (host.exists(tenant_id) and host.mark_of(tenant_id) == mark)
        if created:
            create_limited(host, tenant, mark=mark)
        started = not host.is_running(tenant_id)
        if started:
            start_limited(host, tenant, mark=mark)
        if created or started:
            with transaction(engine) as session:
                done = {"tenant": tenant_id, "jail_root": where, "created": created, "started": started}
                audit.append(session, event=_SPAWNED, facts=done, now=now)
        return Spawned(tenant_id=tenant_id, jail_root=where, created=created, started=started)


def unspawn(
    engine: Engine,
    host: JailHost,
    state: Path,
    tenant_id: TenantId,
    *,
    now: datetime,
    here: AgentId | None = None,
) -> bool:
    """Destroy the tenant's spawned jail, and return whether there was one.

    Raises:
        NotFoundError: no such tenant.
        ConflictError: what stands there was not spawned; it is left alone.
        HostError: cannot be removed; the same command continues.
    """
    with locked(state / "births" / tenant_id, seconds=0):
        with transaction(engine) as session:
            tenant = Tenant.of(load_row(session, tenant_id))
            if tenant.host is not None:
                check_own(tenant, here)
            mark = _noted(session, tenant_id)
        if mark is None:
            if host.mark_of(tenant_id) is not None or host.exists(tenant_id):
                raise ConflictError(
                    f"the jail of {tenant_id} was not spawned here", where=host.describe(tenant_id)
                )
            return False
        host.destroy(tenant_id, mark=mark)
        with transaction(engine) as session:
            if session.get(BirthRow, tenant_id) is None:
                session.get_one(TenantRow, tenant_id).host = None
            facts = {"tenant": tenant_id, "jail_root": host.describe(tenant_id)}
            audit.append(session, event=_UNSPAWNED, facts=facts, now=now)
        return True


def _check_unborn(session: Session, tenant_id: TenantId) -> Tenant:
    """Return the tenant when its jail is nobody's yet.

    Raises:
        NotFoundError: no such tenant.
        ConflictError: a birth has made it, or may have, or the tenant is closed.
    """
    row = load_row(session, tenant_id)
    session.refresh(
        row, with_for_update={"key_share": True}
    )  # two hosts that spawn it at once are one after the other
    tenant = Tenant.of(row)
    unborn = {TenantStatus.REGISTERED, TenantStatus.FAILED}
    if session.get(BirthRow, tenant_id) is not None or tenant.status not in unborn:
        raise ConflictError(
            f"{tenant_id} is {tenant.status.value}; its jail belongs to its birth",
            hint=f"hive show-tenant {tenant_id} says how it stands",
        )
    return tenant


def _noted(session: Session, tenant_id: TenantId) -> str | None:
    """Return the mark of the jail that was spawned last; None when there was none, or it was removed."""
    mark = None
    for record in audit.read(session, tenant=tenant_id):
        if record.event == _SPAWNING:
            mark = str(record.facts.get("mark"))
        elif record.event == _UNSPAWNED:
            mark = None
    return mark
