"""What sweeps found, and when the last one was made."""

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from hive.db.base import Base


class SweepRow(Base):
    """One sweep over all living jails. ``finished_at`` is empty when it was killed."""

    __tablename__ = "sweeps"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    tenants: Mapped[int]
    findings: Mapped[int]


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
