"""The tenant of a proof: from nothing, and back to it (edge).

    folder of the proof ─► row and audit record, at once ─► … ─► retired ─► audit record ─► folder gone

It is scratch, it is new, and it ends retired, however the proof ended: names are never used again, so each proof has a
tenant of its own. Only what the audit log calls the tenant of a proof is ever ended here.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.orm import Session

from hive import audit
from hive.birth.mother import Mother
from hive.db.models import BirthRow, TenantRow
from hive.db.session import snapshot, transaction
from hive.proof import unfinished
from hive.proof.ground import Ground, Wanted
from hive.tenants import Tenant, TenantStatus, Tier, register
from signing.errors import ConflictError, NotEntitledError, SkillRepoError, UsageError
from signing.format.names import Pin, TenantId, parse_tenant_id

BEGUN: Final = "proof.begun"
ENDED: Final = "proof.ended"
_NAME: Final = "proof"
_REASON: Final = "the tenant of a proof, which has ended"


def choose(ground: Ground, wanted: Wanted) -> TenantId:
    """Return the name of the tenant, which may begin: nobody has it, or a scratch tenant that nothing was done with.

    Raises:
        NotEntitledError: it is somebody's who is not scratch. ConflictError: it is not at its beginning.
        UsageError: no profile to be born by, or another one than it is registered with.
    """
    with snapshot(ground.mother.engine) as session:
        if wanted.tenant_id is None:
            number = 1
            while session.get(TenantRow, f"{_NAME}{number}") is not None:
                number += 1
            name = parse_tenant_id(f"{_NAME}{number}")
        else:
            name = wanted.tenant_id
        _check_beginning(session, name, wanted)
    host = ground.mother.host
    if host.exists(name) or host.mark_of(name) is not None:
        raise ConflictError(
            f"a jail {name} is there, or something in its place",
            where=host.describe(name),
            hint="a proof begins at nothing: remove it, or name another tenant",
        )
    return name


def begin(ground: Ground, name: TenantId, wanted: Wanted, collection_id: str) -> Tenant:
    """Register the tenant of a proof, or take the one that is registered; and record that its proof is begun.

    Raises:
        See `choose`: it may have changed since.
    """
    now = ground.mother.clock()
    with transaction(ground.mother.engine) as session:
        _check_beginning(session, name, wanted)
        row = session.get(TenantRow, name)
        tenant = (
            Tenant.of(row)
            if row is not None
            else register(
                session,
                name,
                # As strictly as for whoever pays. It passes the gates, because it is scratch.
                tier=Tier.PAID,
                profile=_profile(wanted),
                collection_id=collection_id,
                scratch=True,
                now=now,
            )
        )
        facts = {"tenant": name, "profile": str(tenant.profile), "settings": dict(ground.settings)}
        audit.append(session, event=BEGUN, facts=facts, now=now)
    return tenant


def end(ground: Ground, tenant_id: TenantId, verdict: str, **facts: Any) -> None:
    """End the proof's tenant, whatever is there of it, and then the proof; twice is once.

    Raises:
        NotEntitledError: no proof was begun with that tenant, or it is not scratch: it is left alone.
        SkillRepoError: something cannot be undone; ``facts["left"]`` says what is left.
    """
    mother = ground.mother
    with snapshot(mother.engine) as session:
        row = session.get(TenantRow, tenant_id)
        scratch, told = row is not None and row.scratch, _told(session, tenant_id)
    if row is not None and told is not None:
        if not scratch:
            raise NotEntitledError(
                f"{tenant_id} is not scratch any more; it was left alone", hint="hive audit show"
            )
        retire(ground, tenant_id)
        if told != ENDED:
            now = mother.clock()
            with transaction(mother.engine) as session:
                audit.append(
                    session, event=ENDED, facts={"tenant": tenant_id, "verdict": verdict, **facts}, now=now
                )
    unfinished.end(mother.state, tenant_id)


def retire(ground: Ground, tenant_id: TenantId) -> None:
    """Retire the proof's tenant.

    Raises:
        SkillRepoError: something cannot be undone; ``facts["left"]`` says what is left.
    """
    try:
        ground.retirer.retire(tenant_id, reason=_REASON)
    except SkillRepoError as error:
        error.facts["left"] = left(ground.mother, tenant_id)
        raise


def collection_of(ground: Ground, tenant_id: TenantId) -> str | None:
    """Return the bucket that the tenant is registered with, if it is registered."""
    with snapshot(ground.mother.engine) as session:
        row = session.get(TenantRow, tenant_id)
        return row.collection_id if row is not None else None


def end_unfinished(ground: Ground) -> list[TenantId]:
    """End what earlier proofs left that were killed; return whose they were.

    Raises:
        SkillRepoError: one cannot be ended; ``facts["left"]`` says what is left of it.
    """
    names = unfinished.found(ground.mother.state)
    for name in names:
        end(ground, name, "abandoned")
    return names


def left(mother: Mother, tenant_id: TenantId) -> Sequence[str]:
    """Return what is left of a proof, for people to read."""
    with snapshot(mother.engine) as session:
        row = session.get(TenantRow, tenant_id)
        found = [f"the tenant {tenant_id}, {row.status}"] if row is not None else []
    try:
        if mother.host.mark_of(tenant_id) is not None or mother.host.exists(tenant_id):
            found.append(f"a jail at {mother.host.describe(tenant_id)}")
    except SkillRepoError as error:
        found.append(f"perhaps a jail at {mother.host.describe(tenant_id)}: {error}")
    folder = unfinished.folder_of(mother.state, tenant_id)
    if folder.exists():
        found.append(f"what the proof noted, and its throw-away bucket, in {folder}")
    return found


def _check_beginning(session: Session, name: TenantId, wanted: Wanted) -> None:
    row = session.get(TenantRow, name)
    if row is None:
        _profile(wanted)
        return
    tenant = Tenant.of(row)
    if not tenant.scratch:
        raise NotEntitledError(
            f"tenant {name} is not scratch, and a proof is made with nothing real",
            hint="leave --tenant out, and a new one is made for the proof",
        )
    unused = tenant.status is TenantStatus.REGISTERED and session.get(BirthRow, name) is None
    if not unused or _told(session, name) is not None:
        raise ConflictError(
            f"tenant {name} is {tenant.status}, and a proof begins at nothing",
            hint="leave --tenant out, and a new one is made for the proof",
        )
    if tenant.collection_id is None or wanted.collection_id not in {None, tenant.collection_id}:
        raise ConflictError(
            f"tenant {name} is registered with {'another' if tenant.collection_id else 'no'} bucket",
            hint="leave --collection-id out; or name another tenant",
        )
    if wanted.profile not in {None, tenant.profile}:
        raise ConflictError(f"tenant {name} is registered with {tenant.profile}", hint="leave --profile out")


def _profile(wanted: Wanted) -> Pin:
    if wanted.profile is None:
        raise UsageError(
            "no profile to be born by", hint="give --profile NAME==VERSION, as tenants here have it"
        )
    return wanted.profile


def _told(session: Session, tenant_id: TenantId) -> str | None:
    """Return what the audit log says last of a proof with this tenant."""
    events = [record.event for record in audit.read(session, tenant=tenant_id)]
    return next((event for event in reversed(events) if event in {BEGUN, ENDED}), None)
