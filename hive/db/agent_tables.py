"""Agents, their tokens, jobs and leases.

Points in time that decide (heartbeats, leases) are seconds since 1970 by the database's own clock; see
`hive.db.instant`. Nothing a client says about time is stored here.
"""

from datetime import datetime

from sqlalchemy import BigInteger, Double, ForeignKeyConstraint, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from hive.db.base import Base

# SQLite counts up by itself only in a column that is called INTEGER.
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")


class AgentRow(Base):
    """An agent that was admitted: of a tenant, or (without one) a lane that an operator registered."""

    __tablename__ = "agents"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),)

    agent_id: Mapped[str] = mapped_column(String(15), primary_key=True)
    tenant_id: Mapped[str | None] = mapped_column(String(15), index=True)
    standing: Mapped[str] = mapped_column(String(12))
    reason: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    registered_at: Mapped[float | None] = mapped_column(Double)
    seen_at: Mapped[float | None] = mapped_column(Double)
    refusal: Mapped[str] = mapped_column(Text)  # the last one that was recorded
    refused_at: Mapped[datetime | None]


class TokenRow(Base):
    """The token of an agent, by its digest. A withdrawn one stays, so that its number is never used again."""

    __tablename__ = "agent_tokens"

    agent_id: Mapped[str] = mapped_column(String(15), primary_key=True)
    generation: Mapped[int]
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    issued_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class GrantRow(Base):
    """A capability that an agent may register: by its tenant's lock, or by an operator for a lane."""

    __tablename__ = "agent_grants"
    __table_args__ = (ForeignKeyConstraint(["agent_id"], ["agents.agent_id"]),)

    agent_id: Mapped[str] = mapped_column(String(15), primary_key=True)
    capability: Mapped[str] = mapped_column(String(64), primary_key=True)


class CapabilityRow(Base):
    """A capability that an agent registered."""

    __tablename__ = "agent_capabilities"
    __table_args__ = (ForeignKeyConstraint(["agent_id"], ["agents.agent_id"]),)

    agent_id: Mapped[str] = mapped_column(String(15), primary_key=True)
    capability: Mapped[str] = mapped_column(String(64), primary_key=True)


class AgentSkillRow(Base):
    """A skill that an agent says it has. It is what a jail claims, not what was admitted."""

    __tablename__ = "agent_skills"
    __table_args__ = (ForeignKeyConstraint(["agent_id"], ["agents.agent_id"]),)

    agent_id: Mapped[str] = mapped_column(String(15), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[str] = mapped_column(String(64))
    tree_sha256: Mapped[str] = mapped_column(String(64))


class LimitRow(Base):
    """Whom a lane serves: ``tenant`` and ``tier`` rows; with none of a sort, that sort is not limited."""

    __tablename__ = "agent_limits"
    __table_args__ = (ForeignKeyConstraint(["agent_id"], ["agents.agent_id"]),)

    agent_id: Mapped[str] = mapped_column(String(15), primary_key=True)
    sort: Mapped[str] = mapped_column(String(8), primary_key=True)
    value: Mapped[str] = mapped_column(String(15), primary_key=True)


class JobRow(Base):
    """One job. ``fence`` is raised by every claim; ``tenant_id`` is None for the host's own."""

    __tablename__ = "jobs"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
        Index("ix_jobs_open", "state", "priority", "number"),
    )

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(String(32), unique=True)
    tenant_id: Mapped[str | None] = mapped_column(String(15), index=True)
    kind: Mapped[str] = mapped_column(String(64))
    payload: Mapped[str] = mapped_column(Text)
    priority: Mapped[int]
    state: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str] = mapped_column(Text)
    result: Mapped[str | None] = mapped_column(Text)
    submitted_by: Mapped[str] = mapped_column(String(80))
    submitted_at: Mapped[float] = mapped_column(Double)
    not_before: Mapped[float] = mapped_column(Double)
    ended_at: Mapped[float | None] = mapped_column(Double)
    attempts: Mapped[int]
    max_attempts: Mapped[int]
    refusals: Mapped[int]
    owner: Mapped[str | None] = mapped_column(String(15), index=True)
    fence: Mapped[int] = mapped_column(BigInteger)
    lease_seconds: Mapped[float] = mapped_column(Double)
    lease_until: Mapped[float | None] = mapped_column(Double)


class NeedRow(Base):
    """A capability that a job needs; an agent must have all of them."""

    __tablename__ = "job_needs"
    __table_args__ = (ForeignKeyConstraint(["number"], ["jobs.number"]),)

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=False)
    capability: Mapped[str] = mapped_column(String(64), primary_key=True)


class AttemptRow(Base):
    """One claim of a job, under the fence that it raised, and how it ended."""

    __tablename__ = "job_attempts"
    __table_args__ = (ForeignKeyConstraint(["number"], ["jobs.number"]),)

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=False)
    fence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    agent_id: Mapped[str] = mapped_column(String(15), index=True)
    claimed_at: Mapped[float] = mapped_column(Double)
    ended_at: Mapped[float | None] = mapped_column(Double)
    outcome: Mapped[str | None] = mapped_column(String(10))
    reason: Mapped[str] = mapped_column(Text)


class TurnRow(Base):
    """When a tenant last had a job given out, for fairness; the empty name is the host itself."""

    __tablename__ = "tenant_turns"

    turn: Mapped[str] = mapped_column(String(15), primary_key=True)
    served_at: Mapped[float] = mapped_column(Double)


class ReplicationRow(Base):
    """A birth that an agent asked for: who asked, for whom, and how many births away from an operator's."""

    __tablename__ = "replications"
    __table_args__ = (
        ForeignKeyConstraint(["number"], ["jobs.number"]),
        ForeignKeyConstraint(["parent"], ["tenants.tenant_id"]),
        ForeignKeyConstraint(["child"], ["tenants.tenant_id"]),
    )

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=False)
    parent: Mapped[str] = mapped_column(String(15), index=True)
    child: Mapped[str] = mapped_column(String(15), index=True)
    depth: Mapped[int]
    approved_by: Mapped[str | None] = mapped_column(Text)
