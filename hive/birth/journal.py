"""The journal of a birth: what was begun and what is done, durable before and after every step.

A step is journalled as started before it touches the machine. So after a kill, a jail that exists is either
journalled (ours, unfinished) or somebody else's (and then left alone).
"""

from datetime import datetime

from sqlalchemy import Engine, delete
from sqlalchemy.orm import Session

from hive import audit
from hive.db.models import BirthRow, StepRow, StepState
from hive.db.session import transaction
from hive.tenants import Tenant, TenantStatus, load_row
from signing.errors import RejectedError, SkillRepoError
from signing.format.digest import Sha256
from signing.format.names import TenantId


class Journal:
    """The journal of one tenant's birth."""

    def __init__(self, engine: Engine, tenant_id: TenantId) -> None:
        self._engine = engine
        self._tenant_id = tenant_id

    def begin(self, *, jail_root: str, now: datetime) -> bool:
        """Begin the birth, or continue the unfinished one; return whether it is continued."""
        with transaction(self._engine) as session:
            row = session.get(BirthRow, self._tenant_id)
            tenant = load_row(session, self._tenant_id)
            continued = row is not None
            if row is None:
                session.add(BirthRow(tenant_id=self._tenant_id, jail_root=jail_root, started_at=now))
            tenant.status, tenant.reason = TenantStatus.BIRTHING.value, ""
            facts = {"tenant": self._tenant_id, "jail_root": jail_root, "profile": tenant.profile}
            audit.append(
                session, event="birth.continued" if continued else "birth.begun", facts=facts, now=now
            )
        return continued

    def admitted(self, lock_sha256: Sha256, records: list[dict[str, object]], *, now: datetime) -> None:
        """Record what is admitted by which lock, before anything of it enters the jail."""
        with transaction(self._engine) as session:
            session.get_one(BirthRow, self._tenant_id).lock_sha256 = lock_sha256
            for record in records:
                facts = {**record, "lock_sha256": lock_sha256}
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

    def finish(self, tenant: Tenant, facts: dict[str, object], *, now: datetime) -> None:
        """Call the tenant active; the one place that does."""
        with transaction(self._engine) as session:
            row = load_row(session, self._tenant_id)
            row.status, row.reason = TenantStatus.ACTIVE.value, ""
            session.get_one(BirthRow, self._tenant_id).finished_at = now
            facts = {"tenant": tenant.tenant_id, "tier": tenant.tier.value, **facts}
            audit.append(session, event="birth.active", facts=facts, now=now)

    def failed(self, error: SkillRepoError, *, now: datetime, forget: bool) -> None:
        """Record the failure where operator and auditor see it; ``forget`` when nothing is left behind."""
        with transaction(self._engine) as session:
            row = load_row(session, self._tenant_id)
            row.status, row.reason = TenantStatus.FAILED.value, f"{error.code}: {error}"
            if forget:
                self._forget(session)
            refused = isinstance(error, RejectedError)
            facts = {
                "tenant": self._tenant_id,
                "tier": row.tier,
                "verdict": "refused" if refused else "not made",
                "error": error.to_document(),
            }
            event = "birth.refused" if refused else "birth.failed"
            audit.append(session, event=event, facts=facts, now=now)

    def _note(self, step: str, state: StepState, now: datetime) -> None:
        with transaction(self._engine) as session:
            session.merge(StepRow(tenant_id=self._tenant_id, name=step, state=state.value, at=now))

    def _forget(self, session: Session) -> None:
        session.execute(delete(StepRow).where(StepRow.tenant_id == self._tenant_id))
        session.execute(delete(BirthRow).where(BirthRow.tenant_id == self._tenant_id))
