"""What sweeps found, what they could not do about it, and when the last one was made."""

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from hive.db.base import Base


class SweepRow(Base):
    """One sweep over all living jails of a host. ``finished_at`` is empty when it was killed."""

    __tablename__ = "sweeps"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    tenants: Mapped[int]
    findings: Mapped[int]
    host: Mapped[str | None] = mapped_column(String(15))


class SweepFindingRow(Base):
    """One finding about one tenant, from when it was first seen until it was gone; ``told_at`` when people were told."""

    __tablename__ = "sweep_findings"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),)

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    tenant_id: Mapped[str] = mapped_column(String(15), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    subject: Mapped[str] = mapped_column(Text)
    detail: Mapped[str] = mapped_column(Text)
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]
    told_at: Mapped[datetime | None]
    gone_at: Mapped[datetime | None]


class SweepFailureRow(Base):
    """One action about one tenant that could not be done, from its first failure until it is done or not wanted."""

    __tablename__ = "sweep_failures"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),)

    tenant_id: Mapped[str] = mapped_column(String(15), primary_key=True)
    action: Mapped[str] = mapped_column(String(24), primary_key=True)
    problem: Mapped[str] = mapped_column(Text)
    tries: Mapped[int]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    again_at: Mapped[datetime]
