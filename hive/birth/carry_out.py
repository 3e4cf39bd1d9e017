"""Carrying out a birth (edge).

    lock ─► journal ─► admit everything ─► create jail ─► packages ─► materialise ─► verify ─► active

Everything is admitted before the jail exists, so a refused birth leaves nothing but its audit record. A killed
birth is continued by the same command: trust is asked for anew, what was revoked meanwhile is refused, and the
unfinished jail is removed. Nothing has run in it, and a step that was killed half-way may have left a temporary
or a folder without its mode; so it is made again, and equals one that was never disturbed.

A birth that takes long asks for trust again between its steps and admits everything anew, so it ends however large it
is, and a revocation that arrives in the middle of it stops it. It looks at most once a step: there is no end to wait for.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, assert_never

from sqlalchemy import Engine

from hive import audit, optins, trust
from hive.birth.admit_all import Admitted, admit_all
from hive.birth.journal import Begun, Journal, receipts_of
from hive.birth.plan import (
    ConfigurePackages,
    CreateJail,
    InstallIdentity,
    InstallLock,
    InstallPackage,
    InstallSkill,
    Step,
    Verify,
    plan_birth,
)
from hive.config import DEFAULT_STORE_BYTES
from hive.db.models import BirthRow
from hive.db.session import transaction
from hive.external import OptIn
from hive.identity import resolve_identity
from hive.jails.contained import JailRoot
from hive.jails.host import JailHost
from hive.jails.materialise import (
    HOME,
    LOCK_PATH,
    SKILLS,
    SOUL_PATH,
    install_identity,
    install_lock,
    install_skill,
    lock_record,
)
from hive.packages.bringing import Pantry
from hive.packages.install import install_package
from hive.packages.jail_config import install_jail_files, jail_files
from hive.packages.receipts import UNPACKED, Receipt
from hive.packages.records import record_path
from hive.tenants import Tenant, TenantStatus, load_row
from repo_client.client import RepoClient
from repo_client.packages import PackageStore, Progress, package_server
from repo_client.syncing import sync_tree
from repo_client.updater import locked
from signing.errors import (
    ConflictError,
    DigestMismatchError,
    HostError,
    RejectedError,
    SkillRepoError,
    TransportError,
)
from signing.format.canonical import canonical
from signing.format.manifest import MAX_FILE_BYTES, Kind
from signing.format.names import TenantId
from signing.format.pkg.names import Abi


@dataclass(frozen=True, slots=True, kw_only=True)
class Mother:
    """The host routine that births: everything it needs from the world. ``abi`` is that of the jails here."""

    engine: Engine
    client: RepoClient
    host: JailHost
    state: Path
    clock: Callable[[], datetime]
    abi: Abi | None = None
    store_bytes: int = DEFAULT_STORE_BYTES
    progress: Progress | None = None

    @property
    def external_dir(self) -> Path:
        """Where external bundles of the free tier are kept."""
        return self.state / "external"

    @property
    def pantry(self) -> Pantry:
        """Where packages are kept."""
        store = PackageStore(folder=self.state / "packages", max_bytes=self.store_bytes)
        return Pantry(store=store, abi=self.abi, progress=self.progress)

    def jail_files(self, admitted: Admitted) -> Mapping[str, bytes]:
        """Return pkg's configuration for a jail with these packages."""
        if admitted.package_set is None:
            return {}
        server = self.client.pkg_server or package_server(self.client.server)
        return jail_files(admitted.package_set, server.base)


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
            return _already(mother, tenant)
        journal = Journal(mother.engine, tenant_id)
        begun = journal.begin(jail_root=mother.host.describe(tenant_id), now=mother.clock())
        try:
            receipt = _birth(mother, tenant, journal, begun)
        except SkillRepoError as error:
            _fail(mother, journal, begun, tenant_id, error)
            raise
        except Exception as error:
            bug = HostError(f"{type(error).__name__} during the birth")
            _fail(mother, journal, begun, tenant_id, bug)
            raise
        return {**receipt, "already": False, "continued": begun.continued}


def plan(mother: Mother, tenant_id: TenantId) -> tuple[Admitted, tuple[Step, ...]]:
    """Return what a birth of the tenant would do now, to be shown: its packages are closed again.

    No jail and no tenant is changed.

    Raises:
        RejectedError, NotFoundError, TransportError: as for `birth`.
    """
    with transaction(mother.engine) as session:
        tenant = Tenant.of(load_row(session, tenant_id))
        trust.check_anchor(session, mother.client.anchor_sha256)
        opt_ins = optins.load(session, tenant_id)
    with _admitted(mother, tenant, opt_ins) as admitted:
        return admitted, plan_birth(admitted.admissions, admitted.packages)


def _birth(mother: Mother, tenant: Tenant, journal: Journal, begun: Begun) -> dict[str, Any]:
    with transaction(mother.engine) as session:
        audit.check_clock(session, now=mother.clock())
        trust.check_anchor(session, mother.client.anchor_sha256)
        opt_ins = optins.load(session, tenant.tenant_id)
    with _admitted(mother, tenant, opt_ins) as admitted:
        return _carry_all_out(mother, tenant, journal, begun, admitted=admitted, opt_ins=opt_ins)


def _carry_all_out(
    mother: Mother,
    tenant: Tenant,
    journal: Journal,
    begun: Begun,
    *,
    admitted: Admitted,
    opt_ins: Sequence[OptIn],
) -> dict[str, Any]:
    record = lock_record(
        tenant.tenant_id, admitted.lock, admitted.admissions, admitted.capabilities, admitted.packages
    )
    work = _Work(
        mother=mother,
        tenant=tenant,
        opt_ins=opt_ins,
        journal=journal,
        mark=begun.mark,
        admitted=admitted,
        record=record,
    )
    work.note_admitted()
    for step in work.steps():
        journal.started(step.name, now=mother.clock())
        if isinstance(step, InstallPackage):
            receipt = install_package(mother.host, tenant.tenant_id, step.admission, now=mother.clock())
            work.receipts.append(receipt)
            journal.installed(step.name, receipt, now=mother.clock())
        else:
            _carry_out(step, work)
            journal.done(step.name, now=mother.clock())
    facts = {
        "profile": str(admitted.lock.profile),
        "lock_sha256": admitted.lock.sha256,
        "skills": [str(item.pin) for item in admitted.admissions if item.kind is Kind.SKILL],
        "souls": [str(item.pin) for item in admitted.admissions if item.kind is Kind.SOUL],
        **({"packages": [str(item.pin) for item in admitted.packages]} if admitted.packages else {}),
    }
    journal.finish(tenant, facts, now=mother.clock())
    return {
        **_load(mother.engine, tenant.tenant_id).to_json(),
        **facts,
        "jail_root": mother.host.describe(tenant.tenant_id),
        "own_risk": [str(item.pin) for item in admitted.admissions if not item.first_party],
        "packages": [receipt.to_json() for receipt in work.receipts],
    }


def _admitted(
    mother: Mother, tenant: Tenant, opt_ins: Sequence[OptIn]
) -> contextlib.AbstractContextManager[Admitted]:
    return admit_all(
        tenant,
        mother.client,
        opt_ins=opt_ins,
        external_dir=mother.external_dir,
        pantry=mother.pantry,
        clock=mother.clock,
    )


@dataclass(slots=True, kw_only=True)
class _Work:
    """One birth: what is carried out, where, by which evidence, and the receipts so far."""

    mother: Mother
    tenant: Tenant
    opt_ins: Sequence[OptIn]
    journal: Journal
    mark: str
    admitted: Admitted
    record: dict[str, Any]
    configured: Mapping[str, bytes] = field(default_factory=dict)
    receipts: list[Receipt] = field(default_factory=list)

    def steps(self) -> Iterator[Step]:
        """Yield the steps of the plan, each with evidence that is fresh; and look once more behind the last.

        Raises:
            RejectedError: something of it is not admitted any more.
        """
        steps, number = plan_birth(self.admitted.admissions, self.admitted.packages), 0
        while True:
            if self._looked_again():  # the same lock, so the same steps
                steps = plan_birth(self.admitted.admissions, self.admitted.packages)
            self.admitted.check_fresh(self.mother.clock())
            if number == len(steps):
                return
            yield steps[number]
            number += 1

    def note_admitted(self, *, again: bool = False) -> None:
        """Record the evidence by which the birth goes on."""
        admitted = self.admitted
        self.journal.admitted(
            admitted.lock.sha256,
            admitted.standing,
            [
                *(item.record for item in admitted.packages),
                *(item.record for item in admitted.admissions),
            ],
            tenant=self.tenant,
            opt_ins=self.opt_ins,
            now=self.mother.clock(),
            package_set=admitted.package_set,
            again=again,
        )

    def _looked_again(self) -> bool:
        """Admit everything again when that is due; return whether it was."""
        if not self.admitted.is_due(self.mother.clock()):
            return False
        try:
            self.admitted = self.admitted.again()
        except TransportError:
            if self.admitted.is_fresh(self.mother.clock()):
                return False  # a server that is away for a moment; before the next step it is asked again
            raise
        self.note_admitted(again=True)
        return True


def _carry_out(step: Step, work: _Work) -> None:
    host, tenant_id = work.mother.host, work.tenant.tenant_id
    if isinstance(step, CreateJail):
        # What a killed birth left is not continued file by file: the jail is made anew, so that nothing stands
        # in it that this birth did not put there. With another mark it is not ours, and `create` refuses.
        if host.mark_of(tenant_id) == work.mark:
            host.destroy(tenant_id, mark=work.mark)
        host.create(tenant_id, mark=work.mark)
        return
    if isinstance(step, Verify):
        for receipt in work.receipts:
            host.check_package(tenant_id, receipt)
    with host.open_root(tenant_id) as root:
        match step:
            case ConfigurePackages():
                work.configured = work.mother.jail_files(work.admitted)
                install_jail_files(root, work.configured)
            case InstallSkill():
                install_skill(root, step.admission)
            case InstallIdentity():
                install_identity(root, step.layers)
            case InstallLock():
                install_lock(root, work.record)
            case Verify():
                _verify(root, work)
            case InstallPackage():
                raise HostError("a package is installed by the host, not through its root")
            case _:
                assert_never(step)


def _verify(root: JailRoot, work: _Work) -> None:
    """Compare the jail with what was admitted: every tree, both files, and no other name beside them; then sync."""
    admitted = work.admitted
    skills = [item for item in admitted.admissions if item.kind is Kind.SKILL]
    layers = [item for item in admitted.admissions if item.kind is Kind.SOUL]
    for item in skills:
        if not root.tree_matches(SKILLS, item.pin.name, item.bundle):
            raise DigestMismatchError(f"{item.pin} in the jail is not what was admitted", hint="birth again")
    ours = {SOUL_PATH: resolve_identity(layers), LOCK_PATH: canonical(work.record), **work.configured}
    for path, content in ours.items():
        if root.read_file(path, MAX_FILE_BYTES) != content:
            raise DigestMismatchError(f"{path} in the jail is not what was written", hint="birth again")
    expected = {SOUL_PATH, LOCK_PATH, *(f"{SKILLS}/{item.pin.name}" for item in skills)}
    expected |= {record_path(item.pin.name) for item in work.receipts if item.placed.way == UNPACKED}
    _check_nothing_else(root, expected)
    if any(item.placed.way == UNPACKED for item in work.receipts):
        with root.enter("") as whole:  # once: a birth that is cut off before is made anew from its beginning
            sync_tree(whole, links=True)


def _check_nothing_else(root: JailRoot, expected: set[str]) -> None:
    """Look at our own places only: packages may bring more files than anybody should list."""
    above = {parent for path in expected for parent in _parents(path)}
    for listed in (*root.listing(HOME), *root.listing(LOCK_PATH.rpartition("/")[0])):
        if listed.path not in above and expected.isdisjoint({listed.path, *_parents(listed.path)}):
            raise DigestMismatchError(
                f"{listed.path} stands in the jail and was not admitted", hint="birth again"
            )


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _fail(mother: Mother, journal: Journal, begun: Begun, tenant_id: TenantId, error: SkillRepoError) -> None:
    """Record the failure first; then remove what a refused birth left, and forget a birth that left nothing."""
    try:
        journal.failed(error, now=mother.clock())
    except ConflictError:
        return  # another process works on this birth: nothing here is ours to undo
    with contextlib.suppress(HostError, ConflictError):
        if isinstance(error, RejectedError) and mother.host.mark_of(tenant_id) == begun.mark:
            mother.host.destroy(tenant_id, mark=begun.mark)
        if mother.host.mark_of(tenant_id) != begun.mark:
            journal.forget()


def _already(mother: Mother, tenant: Tenant) -> dict[str, Any]:
    """Return the receipt of a tenant that is active: where it was born, and that its jail still stands."""
    with transaction(mother.engine) as session:
        row = session.get_one(BirthRow, tenant.tenant_id)
        jail_root, mark = row.jail_root, row.mark
        receipts = receipts_of(session, tenant.tenant_id)
    if jail_root != mother.host.describe(tenant.tenant_id):
        raise ConflictError(
            f"{tenant.tenant_id} is active at {jail_root}",
            hint="give the --jail-root-base that it was born with",
        )
    if mother.host.mark_of(tenant.tenant_id) != mark:
        raise HostError(
            f"{tenant.tenant_id} is called active, and its jail at {jail_root} is gone or not the one it was born in",
            hint="look at the host before anything else",
        )
    packages = [receipt.to_json() for receipt in receipts]
    return {**tenant.to_json(), "already": True, "jail_root": jail_root, "packages": packages}


@contextlib.contextmanager
def _one_at_a_time(state: Path, tenant_id: TenantId) -> Iterator[None]:
    with locked(state / "births" / tenant_id, seconds=0):
        yield


def _load(engine: Engine, tenant_id: TenantId) -> Tenant:
    with transaction(engine) as session:
        return Tenant.of(load_row(session, tenant_id))
