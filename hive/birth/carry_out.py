"""Carrying out a birth (edge).

    lock ─► journal ─► gates ─► admit everything ─► create jail ─► packages ─► skills, identity ─► secrets ─► verify
         ─► start ─► born;  the agent's first heartbeat makes it active (hive.activation)

Everything is admitted before the jail exists, so a refused birth leaves nothing but its audit record. A killed
birth is continued by the same command: trust is asked for anew, what was revoked meanwhile is refused, and the
unfinished jail is removed. Nothing has run in it, and a step that was killed half-way may have left a temporary
or a folder without its mode; so it is made again, and equals one that was never disturbed. One that fails is wound up
(`hive.birth.undoing`); one that takes long asks for trust again (`hive.birth.ongoing`).
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, assert_never

from sqlalchemy import Engine

from hive import audit, optins, trust
from hive.admission import Admission
from hive.agents.names import parse_capability
from hive.birth.admit_all import Admitted, admit_all
from hive.birth.journal import Begun, Journal, receipts_of
from hive.birth.mother import Mother
from hive.birth.moving import Leased
from hive.birth.ongoing import Ongoing
from hive.birth.plan import (
    BringSecrets,
    ConfigurePackages,
    CreateJail,
    InstallIdentity,
    InstallLock,
    InstallPackage,
    InstallSkill,
    StartJail,
    Step,
    Verify,
    plan_birth,
)
from hive.birth.undoing import OnFailure, wind_up
from hive.birth.verifying import check_born, expected_of
from hive.certificate import BirthEvidence
from hive.db.models import BirthRow
from hive.db.session import transaction
from hive.external import OptIn
from hive.here import check_own
from hive.jails.compare import Expected
from hive.jails.contained import JailRoot
from hive.jails.materialise import (
    install_identity,
    install_lock,
    install_skill,
    lock_record,
    note_ready,
    show_shelf,
    take_ready,
)
from hive.jails.starting import create_limited, start_limited
from hive.packages.install import install_package
from hive.packages.jail_config import install_jail_files
from hive.packages.receipts import UNPACKED, Receipt
from hive.tenants import STANDING, Tenant, load_row
from repo_client.ready import ReadySet
from repo_client.syncing import sync_tree
from repo_client.updater import locked
from signing.errors import (
    ConflictError,
    HostError,
    SkillRepoError,
    UsageError,
)
from signing.format.manifest import Kind
from signing.format.names import TenantId


def birth(
    mother: Mother, tenant_id: TenantId, *, on_failure: OnFailure | None = None, leased: Leased | None = None
) -> dict[str, Any]:
    """Birth the tenant, or continue its unfinished birth, and return the receipt.

    Whatever it ends with: the tenant is ``failed``, and no jail of it runs or holds a secret. ``on_failure`` says
    whether there still is one; without it, only a refused birth leaves none. ``leased`` is the order it is made by.

    Raises:
        RejectedError: something is not acceptable.
        NotFoundError: no such tenant, profile or release.
        ConflictError: another birth of this tenant runs, or the jail's name is taken.
        TransportError, HostError: something failed; the same command continues.
    """
    with _one_at_a_time(mother.state, tenant_id):
        tenant = _load(mother.engine, tenant_id)
        if tenant.status in STANDING:
            return _already(mother, tenant)
        journal = Journal(mother.engine, tenant_id)
        where = mother.host.describe(tenant_id)
        begun = journal.begin(jail_root=where, now=mother.clock(), here=mother.here, leased=leased)
        try:
            receipt = _birth(mother, tenant, journal, begun)
        except SkillRepoError as error:
            wind_up(mother, journal, begun, error, on_failure=on_failure)
            raise
        except Exception as error:
            bug = HostError(f"{type(error).__name__} during the birth")
            wind_up(mother, journal, begun, bug, on_failure=on_failure)
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
        mother.gates.require(session, tenant, mother.clock())
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
    ongoing = Ongoing(mother=mother, tenant=tenant, opt_ins=opt_ins, journal=journal, admitted=admitted)
    work = _Work(ongoing=ongoing, mark=begun.mark, record=record)
    for step in ongoing.steps():
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
    journal.finish(tenant, facts, work.evidence(), now=mother.clock())
    return {
        **_load(mother.engine, tenant.tenant_id).to_json(),
        **facts,
        "jail_root": mother.host.describe(tenant.tenant_id),
        "own_risk": [str(item.pin) for item in admitted.admissions if not item.first_party],
        "packages": [receipt.to_json() for receipt in work.receipts],
        "secrets": list(work.secrets),
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
        policy=mother.policy,
    )


@dataclass(slots=True, kw_only=True)
class _Work:
    """One birth: what goes on, what it writes, and the receipts so far."""

    ongoing: Ongoing
    mark: str
    record: dict[str, Any]
    configured: Mapping[str, bytes] = field(default_factory=dict)
    receipts: list[Receipt] = field(default_factory=list)
    secrets: tuple[str, ...] = ()
    ready: ReadySet | None = None

    @property
    def mother(self) -> Mother:
        """Who births."""
        return self.ongoing.mother

    @property
    def tenant(self) -> Tenant:
        """Who is born."""
        return self.ongoing.tenant

    @property
    def admitted(self) -> Admitted:
        """What was admitted, by the last look."""
        return self.ongoing.admitted

    def bring_secrets(self) -> None:
        """Enrol the agent with what its lock grants, and bring its environment file.

        Raises:
            UsageError: the tenant has a bucket, and this host no user to give secrets to.
        """
        tenant_id = self.tenant.tenant_id
        granted = [parse_capability(name) for name in self.admitted.capabilities]
        self.ongoing.journal.enrol(granted, now=self.mother.clock())
        if self.mother.secrets is not None:
            self.secrets = tuple(self.mother.secrets(tenant_id))
        elif self.tenant.collection_id is not None:
            raise UsageError(
                f"{tenant_id} has a bucket, and no user for agents is configured",
                hint="set jail_uid and jail_gid, and where the vault is (docs/vault.md)",
            )

    def verify(self) -> None:
        """Read everything back through handles and compare; then let the disk have it."""
        host, tenant_id = self.mother.host, self.tenant.tenant_id
        for receipt in self.receipts:
            host.check_package(tenant_id, receipt)
        with host.open_root(tenant_id) as root, host.open_shelf(tenant_id) as shelf:
            check_born(root, shelf, self.expected(), ready=self.ready)
            if any(item.placed.way == UNPACKED for item in self.receipts):
                with root.enter(
                    ""
                ) as whole:  # once: a birth that is cut off before is made anew from its beginning
                    sync_tree(whole, links=True)

    def install_skill(self, admission: Admission) -> None:
        """Put a skill where the tenant will see it: on its shelf; or, where this host shows things, all of them at once."""
        host, tenant_id = self.mother.host, self.tenant.tenant_id
        with host.open_shelf(tenant_id) as shelf:
            if not host.can_mount:
                install_skill(shelf, admission)
            elif self.ready is None:
                self.ready = take_ready(
                    self.mother.ready_sets, self.tenant, self.admitted.admissions, verify=self.mother.verify
                )
                with host.open_root(tenant_id) as root:
                    note_ready(root, shelf, self.ready)

    def expected(self) -> Expected:
        """Return what has to stand in the jail now."""
        return expected_of(
            self.admitted, self.record, self.configured, self.receipts, secrets=bool(self.secrets)
        )

    def evidence(self) -> BirthEvidence:
        """Return what this birth was admitted on, to be kept for its certificate and for sweeps."""
        admitted, standing, expected = self.admitted, self.admitted.standing, self.expected()
        roots, files = admitted.metadata
        return BirthEvidence(
            looked_at=admitted.decided_at,
            anchor_sha256=standing.anchor_sha256,
            versions={"root": standing.root, "timestamp": standing.timestamp, "snapshot": standing.snapshot},
            roots=roots,
            files=files,
            profile=admitted.profile,
            skills=expected.skills,
            written=expected.files,
        )


def _carry_out(step: Step, work: _Work) -> None:
    host, tenant_id = work.mother.host, work.tenant.tenant_id
    match step:
        case CreateJail():
            # What a killed birth left is not continued file by file: the jail is made anew, so that nothing stands
            # in it that this birth did not put there. With another mark it is not ours, and `create` refuses.
            if host.mark_of(tenant_id) == work.mark:
                host.destroy(tenant_id, mark=work.mark)
            create_limited(host, work.tenant, mark=work.mark)
        case InstallSkill():
            if host.is_running(tenant_id):  # packages were streamed into it; nobody but us was there
                host.stop(tenant_id, mark=work.mark)
            work.install_skill(step.admission)
        case BringSecrets():
            work.bring_secrets()
        case StartJail():
            show_shelf(host, tenant_id, ready=work.ready)
            start_limited(host, work.tenant, mark=work.mark)
        case Verify():
            work.verify()
        case InstallPackage():
            raise HostError("a package is installed by the host, which counts what it takes")
        case ConfigurePackages():
            work.configured = work.mother.jail_files(work.admitted)
            with host.open_root(tenant_id) as root:
                install_jail_files(root, work.configured)
        case InstallIdentity() | InstallLock():
            with host.open_shelf(tenant_id) as shelf:
                _write(step, shelf, work)
        case _:
            assert_never(step)


def _write(step: InstallIdentity | InstallLock, shelf: JailRoot, work: _Work) -> None:
    match step:
        case InstallIdentity():
            install_identity(shelf, step.layers)
        case InstallLock():
            install_lock(shelf, work.record)
        case _:
            assert_never(step)


def _already(mother: Mother, tenant: Tenant) -> dict[str, Any]:
    """Return the receipt of a tenant that was born: where, and that its jail still stands."""
    check_own(tenant, mother.here)
    with transaction(mother.engine) as session:
        row = session.get(BirthRow, tenant.tenant_id)
        if row is None:  # retired before it was born, which is not at its end; or the database was altered
            raise ConflictError(
                f"{tenant.tenant_id} is {tenant.status}, and no birth of it is recorded",
                hint=f"hive show-tenant {tenant.tenant_id} says why",
            )
        jail_root, mark = row.jail_root, row.mark
        receipts = receipts_of(session, tenant.tenant_id)
    if jail_root != mother.host.describe(tenant.tenant_id):
        raise ConflictError(
            f"{tenant.tenant_id} was born at {jail_root}",
            hint="give the --jail-root-base that it was born with",
        )
    if mother.host.mark_of(tenant.tenant_id) != mark:
        raise HostError(
            f"{tenant.tenant_id} is called {tenant.status}, and its jail at {jail_root} is gone or not the one it was born in",
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
