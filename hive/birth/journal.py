"""The journal of a birth: what was begun and what is done, durable before and after every step.

A step is journalled as started before it touches the machine. The birth has a mark, which is journalled before
the jail is made and stands beside the jail's root: a jail with another mark, or none, is somebody else's and left
alone, whatever its name is.
"""

import contextlib
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from hive import audit, certificate, optins, trust
from hive.agents.names import AgentId, Capability
from hive.agents.registry import enrol_tenant
from hive.birth import moving
from hive.birth.moving import Leased
from hive.certificate import BirthEvidence
from hive.db.models import BirthRow, ReceiptRow, StepRow, StepState, TenantRow
from hive.db.order_tables import LeftJailRow
from hive.db.session import snapshot, transaction
from hive.external import OptIn
from hive.packages.receipts import Placed, Receipt
from hive.tenants import STANDING, Tenant, TenantStatus, load_row
from repo_client.client import Standing
from signing.errors import ConflictError, RejectedError, SkillRepoError
from signing.format.digest import Sha256
from signing.format.names import TenantId
from signing.format.pkg.names import (
    PackagePin,
    PackageRepo,
    parse_package_name,
    parse_package_version,
)
from signing.package_evidence import VerifiedPackageSet

BORN: Final = "birth.born"


class TakenOverError(ConflictError):
    """This process is not the one any more that works on the birth; a database that is only busy is another conflict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A birth that this process works on: the mark of its jail, and whether another process began it."""

    mark: str
    continued: bool


def steps_of(session: Session, tenant_id: TenantId) -> dict[str, StepState]:
    """Return how far each step of the tenant's birth has come, in the order in which they were begun."""
    rows = session.scalars(
        select(StepRow).where(StepRow.tenant_id == tenant_id).order_by(StepRow.at, StepRow.name)
    )
    return {row.name: StepState(row.state) for row in rows}


def receipts_of(session: Session, tenant_id: TenantId) -> list[Receipt]:
    """Return what was handed over to the tenant's jail, in that order."""
    rows = session.scalars(
        select(ReceiptRow).where(ReceiptRow.tenant_id == tenant_id).order_by(ReceiptRow.at, ReceiptRow.name)
    )
    return [
        Receipt(
            tenant_id=tenant_id,
            pin=PackagePin(parse_package_name(row.name), parse_package_version(row.version)),
            sha256=Sha256(row.sha256),
            size=row.size,
            repo=PackageRepo.parse(row.repo),
            serial=row.serial,
            placed=Placed(
                way=row.way,
                jail=row.jail,
                omitted=tuple(row.omitted.split("\n")) if row.omitted else (),
                record=Sha256(row.record_sha256) if row.record_sha256 is not None else None,
            ),
            at=row.at,
        )
        for row in rows
    ]


class Journal:
    """The journal of one tenant's birth, as one process keeps it."""

    def __init__(self, engine: Engine, tenant_id: TenantId) -> None:
        self._engine = engine
        self._tenant_id = tenant_id
        self._claim = secrets.token_hex(16)

    @property
    def tenant_id(self) -> TenantId:
        """Whose birth it is."""
        return self._tenant_id

    def begin(
        self, *, jail_root: str, now: datetime, here: AgentId | None = None, leased: Leased | None = None
    ) -> Begun:
        """Begin the birth, or take over the unfinished one.

        ``leased`` is the order by which this process works; with it, also one that another host began by an order.

        Raises:
            ConflictError: the tenant is active, or its birth was begun for another jail root.
            ElsewhereError: another host has its jail. LeaseLostError: the order is not ours any more.
        """
        with transaction(self._engine) as session:
            tenant = load_row(session, self._tenant_id)
            _lock(session, tenant)
            if leased is not None:
                leased.check(session)
            row = session.get(BirthRow, self._tenant_id)
            if tenant.status in STANDING:
                raise ConflictError(f"{self._tenant_id} was born meanwhile", hint="hive show-tenant")
            if tenant.status == TenantStatus.RETIRED:
                raise ConflictError(
                    f"{self._tenant_id} is retired, and names are never reused",
                    hint="register another tenant",
                )
            if tenant.host != here and (row is not None or tenant.host is not None):
                moving.take_over(session, tenant, row, here=here, leased=leased, now=now)
                row = None
            if row is not None and row.jail_root != jail_root:
                raise ConflictError(
                    f"the unfinished birth of {self._tenant_id} is at {row.jail_root}, not at {jail_root}",
                    hint="continue it with the same --jail-root-base",
                )
            continued = row is not None
            if row is None:
                row = BirthRow(
                    tenant_id=self._tenant_id,
                    jail_root=jail_root,
                    mark=secrets.token_hex(16),
                    claim="",
                    started_at=now,
                )
                session.add(row)
                moving.revoke_token(session, self._tenant_id, now=now)
            row.claim, row.order_id = self._claim, leased.order_id if leased is not None else None
            tenant.host = here
            tenant.status, tenant.reason = TenantStatus.BIRTHING.value, ""
            facts = {"tenant": self._tenant_id, "jail_root": jail_root, "profile": tenant.profile}
            facts |= {"host": here} if here is not None else {}
            audit.append(
                session, event="birth.continued" if continued else "birth.begun", facts=facts, now=now
            )
            return Begun(mark=row.mark, continued=continued)

    def admitted(
        self,
        lock_sha256: Sha256,
        standing: Standing,
        records: Sequence[Mapping[str, Any]],
        *,
        tenant: Tenant,
        opt_ins: Sequence[OptIn],
        now: datetime,
        package_set: VerifiedPackageSet | None = None,
        again: bool = False,
    ) -> None:
        """Record what is admitted by which lock and on which state, before anything of it enters the jail.

        ``package_set`` is where packages come from. With ``again`` the birth goes on, by the same lock.

        Raises:
            RollbackError, CouldNotVerifyError: this host has seen a newer state, or trusts another anchor.
            ConflictError: the tenant, or its consents, changed meanwhile; or the lock did.
        """
        with self._mine() as session:
            audit.check_clock(session, now=now)
            trust.remember(session, standing)
            if package_set is not None:
                trust.remember_serial(session, package_set.index)
            self._check_unchanged(session, tenant, opt_ins)
            birth = session.get_one(BirthRow, self._tenant_id)
            if not again:
                # Of an earlier try: its jail is made anew, so nothing of it stands any more.
                session.execute(delete(ReceiptRow).where(ReceiptRow.tenant_id == self._tenant_id))
                birth.lock_sha256 = lock_sha256
            elif birth.lock_sha256 != lock_sha256:
                raise ConflictError("the lock of this birth changed meanwhile", hint="birth again")
            state = {
                "anchor_sha256": standing.anchor_sha256,
                "root_version": standing.root,
                "timestamp_version": standing.timestamp,
                "snapshot_version": standing.snapshot,
            }
            for record in records:
                facts = {**record, **state, "lock_sha256": lock_sha256, **({"again": True} if again else {})}
                audit.append(session, event="admission", facts=facts, now=now)

    def state_of(self, step: str) -> StepState | None:
        """Return how far ``step`` has come, or None when it was not begun."""
        with transaction(self._engine) as session:
            row = session.get(StepRow, (self._tenant_id, step))
            return StepState(row.state) if row is not None else None

    def started(self, step: str, *, now: datetime) -> None:
        """Record that ``step`` is about to touch the machine."""
        self._note(step, StepState.STARTED, now)

    def done(self, step: str, *, now: datetime) -> None:
        """Record that ``step`` is complete."""
        self._note(step, StepState.DONE, now)

    def installed(self, step: str, receipt: Receipt, *, now: datetime) -> None:
        """Record that ``step`` is complete, and what was handed over in it."""
        with self._mine() as session:
            session.merge(StepRow(tenant_id=self._tenant_id, name=step, state=StepState.DONE.value, at=now))
            session.merge(
                ReceiptRow(
                    tenant_id=self._tenant_id,
                    name=receipt.pin.name,
                    version=receipt.pin.version,
                    sha256=receipt.sha256,
                    size=receipt.size,
                    repo=str(receipt.repo),
                    serial=receipt.serial,
                    way=receipt.placed.way,
                    jail=receipt.placed.jail,
                    omitted="\n".join(receipt.placed.omitted),
                    record_sha256=receipt.placed.record,
                    at=receipt.at,
                )
            )
            facts = {"tenant": self._tenant_id, **receipt.to_json()}
            audit.append(session, event="package.installed", facts=facts, now=now)

    def enrol(self, capabilities: Iterable[Capability], *, now: datetime) -> None:
        """Admit the tenant's agent with what the lock of this birth grants.

        Raises:
            TakenOverError: another process works on the birth, by a lock of its own.
            NotEntitledError, ConflictError: see `hive.agents.registry.enrol_tenant`.
        """
        with self._mine() as session:
            enrol_tenant(session, self._tenant_id, capabilities, now=now)

    def finish(
        self, tenant: Tenant, facts: Mapping[str, Any], evidence: BirthEvidence, *, now: datetime
    ) -> None:
        """Call the tenant born, the one place that does, and keep what it was admitted on.

        It is active when its agent lives: `hive.activation`.
        """
        with self._mine() as session:
            row = load_row(session, self._tenant_id)
            row.status, row.reason = TenantStatus.BORN.value, ""
            born = session.get_one(BirthRow, self._tenant_id)
            born.finished_at = now
            certificate.keep(session, self._tenant_id, Sha256(born.lock_sha256 or ""), evidence, now=now)
            facts = {"tenant": tenant.tenant_id, "tier": tenant.tier.value, **facts}
            audit.append(session, event="birth.born", facts=facts, now=now)

    def failed(self, error: SkillRepoError, *, now: datetime) -> None:
        """Record the failure where operator and auditor see it.

        Raises:
            TakenOverError: another process works on this birth now; then its outcome counts.
        """
        with self._mine() as session:
            row = load_row(session, self._tenant_id)
            row.status, row.reason = TenantStatus.FAILED.value, f"{error.code}: {error}"
            refused = isinstance(error, RejectedError)
            facts = {
                "tenant": self._tenant_id,
                "tier": row.tier,
                "verdict": "refused" if refused else "not made",
                "error": error.to_document(),
            }
            event = "birth.refused" if refused else "birth.failed"
            audit.append(session, event=event, facts=facts, now=now)

    def check_mine(self) -> None:
        """Return None while this process still is the one that works on the birth.

        Raises:
            TakenOverError: it is not.
        """
        with self._mine():
            pass

    def is_ended(self) -> bool:
        """Return whether the tenant was ended before it was born, so that nobody works on this birth any more."""
        with snapshot(self._engine) as session:
            status = load_row(session, self._tenant_id).status
            row = session.get(BirthRow, self._tenant_id)
        unborn = row is not None and row.claim == self._claim and row.finished_at is None
        return unborn and status in {TenantStatus.QUARANTINED, TenantStatus.RETIRED}

    def is_moved(self, mark: str) -> bool:
        """Return whether the birth goes on at another host, and the jail with ``mark`` is nobody's."""
        with snapshot(self._engine) as session:
            return session.get(LeftJailRow, mark) is not None

    def left_behind(self, problem: SkillRepoError, *, now: datetime) -> None:
        """Record that the jail of a failed birth could not be undone: it may hold secrets, and may run."""
        with self._mine(TenantStatus.FAILED) as session:
            row = load_row(session, self._tenant_id)
            row.reason = f"{row.reason}; its jail is left as it is: {problem}"
            facts = {"tenant": self._tenant_id, "error": problem.to_document()}
            audit.append(session, event="jail.left", facts=facts, now=now)

    def forget(self) -> None:
        """Drop the journal of a birth of which nothing is left."""
        with self._mine(TenantStatus.FAILED) as session:
            session.execute(delete(ReceiptRow).where(ReceiptRow.tenant_id == self._tenant_id))
            session.execute(delete(StepRow).where(StepRow.tenant_id == self._tenant_id))
            session.execute(delete(BirthRow).where(BirthRow.tenant_id == self._tenant_id))
            load_row(session, self._tenant_id).host = None

    def _check_unchanged(self, session: Session, tenant: Tenant, opt_ins: Sequence[OptIn]) -> None:
        now = Tenant.of(load_row(session, self._tenant_id))
        if (now.tier, now.profile, now.scratch) != (tenant.tier, tenant.profile, tenant.scratch):
            raise ConflictError(f"tenant {self._tenant_id} was changed meanwhile", hint="birth again")
        if optins.load(session, self._tenant_id) != list(opt_ins):
            raise ConflictError("the tenant's opt-ins changed meanwhile", hint="birth again")

    def _note(self, step: str, state: StepState, now: datetime) -> None:
        with self._mine() as session:
            session.merge(StepRow(tenant_id=self._tenant_id, name=step, state=state.value, at=now))

    @contextlib.contextmanager
    def _mine(self, standing: TenantStatus = TenantStatus.BIRTHING) -> Iterator[Session]:
        """Yield a transaction in which this process still is the one that works on the birth.

        Two hosts, or two state folders, share no lock file; the database decides, so that the loser can neither
        finish, nor call failed, nor undo what the winner made. And a tenant that is retired meanwhile stays so.
        """
        with transaction(self._engine) as session:
            tenant = load_row(session, self._tenant_id)
            _lock(session, tenant)
            row = session.get(BirthRow, self._tenant_id)
            if row is None or row.claim != self._claim or row.finished_at is not None:
                raise TakenOverError(
                    f"another process took over the birth of {self._tenant_id}", hint="hive show-tenant"
                )
            if tenant.status != standing:
                raise TakenOverError(
                    f"{self._tenant_id} is called {tenant.status} meanwhile", hint="hive show-tenant"
                )
            yield session


def _lock(session: Session, tenant: TenantRow) -> None:
    """Let how the tenant stands hold until the transaction ends; the tenant is locked first, as everywhere."""
    session.refresh(tenant, with_for_update={"key_share": True})
