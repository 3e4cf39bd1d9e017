"""Carrying out a birth (edge).

    lock ─► journal ─► admit everything ─► create jail ─► materialise ─► verify ─► active

Everything is admitted before the jail exists, so a refused birth leaves nothing but its audit record. Each
step can be done again, so a killed birth is continued by the same command; trust is asked for anew then, and
what was revoked meanwhile is refused, with the unfinished jail removed.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, assert_never

from sqlalchemy import Engine

from hive import optins
from hive.birth.admit_all import Admitted, admit_all
from hive.birth.journal import Journal
from hive.birth.plan import CreateJail, InstallIdentity, InstallLock, InstallSkill, Step, Verify, plan_birth
from hive.db.session import transaction
from hive.identity import resolve_identity
from hive.jails.contained import JailRoot
from hive.jails.host import JailHost
from hive.jails.materialise import (
    LOCK_PATH,
    SKILLS,
    SOUL_PATH,
    install_identity,
    install_lock,
    install_skill,
    lock_record,
)
from hive.tenants import Tenant, TenantStatus, load_row
from repo_client.client import RepoClient
from repo_client.updater import locked
from signing.errors import ConflictError, DigestMismatchError, HostError, RejectedError, SkillRepoError
from signing.format.canonical import canonical
from signing.format.manifest import Kind
from signing.format.names import TenantId

_MAX_FILE: int = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Mother:
    """The host routine that births: everything it needs from the world."""

    engine: Engine
    client: RepoClient
    host: JailHost
    state: Path
    clock: Callable[[], datetime]

    @property
    def external_dir(self) -> Path:
        """Where external bundles of the free tier are kept."""
        return self.state / "external"


def birth(mother: Mother, tenant_id: TenantId) -> dict[str, Any]:
    """Birth the tenant, or continue its unfinished birth, and return the receipt.

    Raises:
        RejectedError: something is not acceptable; the tenant is ``failed`` and no jail is left.
        NotFoundError: no such tenant, profile or release.
        ConflictError: another birth of this tenant runs, or the jail's name is taken.
        TransportError, HostError: the tenant is ``failed``; the same command continues.
    """
    with _one_at_a_time(mother.state, tenant_id):
        tenant = _load(mother.engine, tenant_id)
        if tenant.status is TenantStatus.ACTIVE:
            return {**tenant.to_json(), "already": True, "jail_root": mother.host.describe(tenant_id)}
        journal = Journal(mother.engine, tenant_id)
        _check_jail_is_ours(mother.host, journal, tenant_id)
        continued = journal.begin(jail_root=mother.host.describe(tenant_id), now=mother.clock())
        try:
            receipt = _birth(mother, tenant, journal)
        except RejectedError as error:
            gone = _undo(mother.host, journal, tenant_id)
            journal.failed(error, now=mother.clock(), forget=gone)
            raise
        except SkillRepoError as error:
            untouched = journal.state_of(CreateJail().name) is None
            journal.failed(error, now=mother.clock(), forget=untouched)
            raise
        return {**receipt, "already": False, "continued": continued}


def plan(mother: Mother, tenant_id: TenantId) -> tuple[Admitted, tuple[Step, ...]]:
    """Return what a birth of the tenant would do now; nothing is changed.

    Raises:
        RejectedError, NotFoundError, TransportError: as for `birth`.
    """
    tenant = _load(mother.engine, tenant_id)
    admitted = _admit(mother, tenant)
    return admitted, plan_birth(admitted.admissions)


def _birth(mother: Mother, tenant: Tenant, journal: Journal) -> dict[str, Any]:
    admitted = _admit(mother, tenant)
    journal.admitted(admitted.lock.sha256, [item.record for item in admitted.admissions], now=mother.clock())
    record = lock_record(tenant.tenant_id, admitted.lock, admitted.admissions, admitted.capabilities)
    for step in plan_birth(admitted.admissions):
        journal.started(step.name, now=mother.clock())
        _carry_out(step, mother.host, tenant.tenant_id, admitted, record)
        journal.done(step.name, now=mother.clock())
    facts = {
        "profile": str(admitted.lock.profile),
        "lock_sha256": admitted.lock.sha256,
        "skills": [str(item.pin) for item in admitted.admissions if item.kind is Kind.SKILL],
        "souls": [str(item.pin) for item in admitted.admissions if item.kind is Kind.SOUL],
    }
    journal.finish(tenant, dict(facts), now=mother.clock())
    return {
        **_load(mother.engine, tenant.tenant_id).to_json(),
        **facts,
        "jail_root": mother.host.describe(tenant.tenant_id),
        "own_risk": [str(item.pin) for item in admitted.admissions if not item.first_party],
    }


def _admit(mother: Mother, tenant: Tenant) -> Admitted:
    with transaction(mother.engine) as session:
        opt_ins = optins.load(session, tenant.tenant_id)
    return admit_all(
        tenant, mother.client, opt_ins=opt_ins, external_dir=mother.external_dir, now=mother.clock()
    )


def _carry_out(
    step: Step, host: JailHost, tenant_id: TenantId, admitted: Admitted, record: dict[str, Any]
) -> None:
    if isinstance(step, CreateJail):
        if not host.exists(tenant_id):
            host.create(tenant_id)
        return
    with host.open_root(tenant_id) as root:
        match step:
            case InstallSkill():
                install_skill(root, step.admission)
            case InstallIdentity():
                install_identity(root, step.layers)
            case InstallLock():
                install_lock(root, record)
            case Verify():
                _verify(root, admitted, record)
            case _:
                assert_never(step)


def _verify(root: JailRoot, admitted: Admitted, record: dict[str, Any]) -> None:
    """Compare the jail with what was admitted: every listed tree, and no other name beside them."""
    skills = [item for item in admitted.admissions if item.kind is Kind.SKILL]
    layers = [item for item in admitted.admissions if item.kind is Kind.SOUL]
    for item in skills:
        if not root.tree_matches(SKILLS, item.pin.name, item.bundle):
            raise DigestMismatchError(f"{item.pin} in the jail is not what was admitted", hint="birth again")
    depth = SKILLS.count("/") + 1
    present = {
        listed.path.split("/")[depth] for listed in root.listing() if listed.path.startswith(f"{SKILLS}/")
    }
    if odd := sorted(present - {item.pin.name for item in skills}):
        raise DigestMismatchError(
            f"{odd[0]} stands among the skills and was not admitted", hint="birth again"
        )
    for path, content in ((SOUL_PATH, resolve_identity(layers)), (LOCK_PATH, canonical(record))):
        if root.read_file(path, _MAX_FILE) != content:
            raise DigestMismatchError(f"{path} in the jail is not what was written", hint="birth again")


def _check_jail_is_ours(host: JailHost, journal: Journal, tenant_id: TenantId) -> None:
    if host.exists(tenant_id) and journal.state_of(CreateJail().name) is None:
        raise ConflictError(
            f"a jail {tenant_id} exists that no birth of ours made",
            hint="look at it and remove it, or choose another tenant id; it was left alone",
        )


def _undo(host: JailHost, journal: Journal, tenant_id: TenantId) -> bool:
    """Remove the unfinished jail of a refused birth; return whether nothing is left of it."""
    if journal.state_of(CreateJail().name) is None:
        return True
    try:
        host.destroy(tenant_id)
    except HostError:
        return False  # the refusal stands; the journal keeps saying whose jail this is
    return True


@contextlib.contextmanager
def _one_at_a_time(state: Path, tenant_id: TenantId) -> Iterator[None]:
    folder = state / "births" / tenant_id
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(folder, seconds=0):
        yield


def _load(engine: Engine, tenant_id: TenantId) -> Tenant:
    with transaction(engine) as session:
        return Tenant.of(load_row(session, tenant_id))
