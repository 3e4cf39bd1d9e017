"""A database with tenants, agents and jobs, and a short way to say what happens to them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, select, text, update

from hive import audit
from hive.agents import jobs, leases, registry, routing, tokens
from hive.agents.jobs import NewJob
from hive.agents.names import AgentId, Capability, JobId, JobKind
from hive.agents.routing import Claimed
from hive.agents.rules import Rules
from hive.agents.standing import Standing
from hive.db.agent_tables import AgentRow, AttemptRow, JobRow
from hive.db.models import TenantRow
from hive.db.session import snapshot, transaction
from hive.tenants import Tier
from hive.tenants import register as register_tenant
from signing.format.names import Pin, TenantId, parse_tenant_id
from tests.support.activating import AtOnce

KEY = bytes(range(32))


def now() -> datetime:
    return datetime.now(UTC)


def capabilities(*names: str) -> frozenset[Capability]:
    return frozenset(Capability(name) for name in names)


@dataclass
class Hall:
    engine: Engine
    rules: Rules = field(default_factory=Rules)

    def tenant(self, name: str, *, status: str = "active", tier: Tier = Tier.PAID) -> TenantId:
        """A tenant that stands as told; nothing of a birth is needed for what is tested with it."""
        tenant_id = parse_tenant_id(name)
        with transaction(self.engine) as session:
            register_tenant(
                session,
                tenant_id,
                tier=tier,
                profile=Pin.parse("base==1"),
                collection_id=None,
                scratch=False,
                now=now(),
            )
        self.status(name, status)
        return tenant_id

    def status(self, name: str, status: str) -> None:
        with transaction(self.engine) as session:
            session.execute(update(TenantRow).where(TenantRow.tenant_id == name).values(status=status))

    def status_of(self, name: str) -> str:
        with snapshot(self.engine) as session:
            return session.get_one(TenantRow, name).status

    def enrol(self, name: str, *granted: str) -> str:
        """The tenant's own agent, and its token."""
        with transaction(self.engine) as session:
            registry.enrol_tenant(session, TenantId(name), capabilities(*granted), now=now())
            return tokens.issue(session, KEY, AgentId(name), now=now()).text

    def enrol_lane(self, name: str, *granted: str, **limits: Any) -> str:
        with transaction(self.engine) as session:
            registry.enrol_lane(session, AgentId(name), capabilities(*granted), **limits, now=now())
            return tokens.issue(session, KEY, AgentId(name), now=now()).text

    def register(self, name: str, *offered: str, lane: bool = False) -> None:
        with transaction(self.engine) as session:
            registry.register(
                session,
                AgentId(name),
                tenant_id=None if lane else TenantId(name),
                capabilities=capabilities(*offered),
                skills=frozenset(),
                now=now(),
            )

    def heartbeat(self, name: str) -> Standing:
        with transaction(self.engine) as session:
            return registry.heartbeat(session, AgentId(name), AtOnce(), now=now())

    def agent(self, name: str, *offered: str) -> str:
        """A living agent of its own tenant."""
        token = self.enrol(name, *offered)
        self.register(name, *offered)
        self.heartbeat(name)
        return token

    def lane(self, name: str, *offered: str, **limits: Any) -> str:
        """A living lane."""
        token = self.enrol_lane(name, *offered, **limits)
        self.register(name, *offered, lane=True)
        self.heartbeat(name)
        return token

    def submit(self, *needs: str, tenant: str | None = None, **more: Any) -> JobId:
        given = {"kind": JobKind("render"), "payload": {"n": 1}, **more}
        job = NewJob(needs=capabilities(*needs), **given)
        with transaction(self.engine) as session:
            tenant_id = TenantId(tenant) if tenant is not None else None
            return jobs.submit(session, job, tenant_id=tenant_id, by="olga", now=now())

    def claim(self, name: str, *offered: str) -> Claimed | None:
        with transaction(self.engine) as session:
            return routing.claim(session, AgentId(name), capabilities(*offered), self.rules)

    def given(self, name: str, *offered: str) -> Claimed:
        claimed = self.claim(name, *offered)
        assert claimed is not None
        return claimed

    def say(self, verb: str, name: str, job_id: str, fence: int, *args: Any, **more: Any) -> None:
        with transaction(self.engine) as session:
            getattr(leases, verb)(session, AgentId(name), JobId(job_id), fence, *args, **more)

    def job(self, job_id: str) -> JobRow:
        with snapshot(self.engine) as session:
            return self._peek(session, job_id)

    @staticmethod
    def _peek(session: Any, job_id: str) -> JobRow:
        return session.scalars(select(JobRow).where(JobRow.job_id == job_id)).one()

    def outcomes(self, job_id: str) -> list[str | None]:
        with snapshot(self.engine) as session:
            number = self._peek(session, job_id).number
            rows = session.scalars(
                select(AttemptRow.outcome).where(AttemptRow.number == number).order_by(AttemptRow.fence)
            )
            return list(rows)

    def age(self, job_id: str, seconds: float) -> None:
        """Let time pass for a lease."""
        with transaction(self.engine) as session:
            session.execute(
                update(JobRow)
                .where(JobRow.job_id == job_id)
                .values(lease_until=JobRow.lease_until - seconds, not_before=JobRow.not_before - seconds)
            )

    def silence(self, name: str, seconds: float) -> None:
        """Let time pass without a heartbeat."""
        with transaction(self.engine) as session:
            session.execute(
                update(AgentRow).where(AgentRow.agent_id == name).values(seen_at=AgentRow.seen_at - seconds)
            )

    def seen(self, name: str) -> float:
        with snapshot(self.engine) as session:
            return session.get_one(AgentRow, name).seen_at or 0.0

    def events(self) -> list[str]:
        with snapshot(self.engine) as session:
            audit.check(session)
            return [record.event for record in audit.read(session)]

    def facts(self, event: str) -> dict[str, Any]:
        with snapshot(self.engine) as session:
            return [record.facts for record in audit.read(session) if record.event == event][-1]

    def run(self, statement: str) -> None:
        with transaction(self.engine) as session:
            session.execute(text(statement))
