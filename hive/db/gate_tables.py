"""Gates before a paying customer, and what hosts are and cost. Rows are added, never changed."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKeyConstraint, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from hive.db.base import Base


class GateEntryRow(Base):
    """One line of the register of gates: a proof, a waiver, or that one of these is taken back."""

    __tablename__ = "gate_entries"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    gate: Mapped[str] = mapped_column(String(40), index=True)
    kind: Mapped[str] = mapped_column(String(12))
    title: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str | None] = mapped_column(String(64))
    location: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(String(64))
    approver: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    approved_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    scope: Mapped[str] = mapped_column(Text)
    revokes: Mapped[int | None]


class HostRow(Base):
    """A machine of ours, and what it is for. ``key_sha256`` is the key of the machine that joined under this name."""

    __tablename__ = "hosts"

    host: Mapped[str] = mapped_column(String(40), primary_key=True)
    system: Mapped[str] = mapped_column(String(80))
    roles: Mapped[str] = mapped_column(Text)  # one a line
    capabilities: Mapped[str] = mapped_column(Text)  # one a line
    note: Mapped[str] = mapped_column(Text)
    added_at: Mapped[datetime]
    key_sha256: Mapped[str | None] = mapped_column(String(64))


class HostCostRow(Base):
    """What a machine costs a month, and how we know."""

    __tablename__ = "host_costs"
    __table_args__ = (ForeignKeyConstraint(["host"], ["hosts.host"]),)

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    host: Mapped[str] = mapped_column(String(40), index=True)
    cents: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    provenance: Mapped[str] = mapped_column(String(16))
    document_sha256: Mapped[str | None] = mapped_column(String(64))
    dated_at: Mapped[datetime]
    by: Mapped[str] = mapped_column(Text)
    recorded_at: Mapped[datetime]
