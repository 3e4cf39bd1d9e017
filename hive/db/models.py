"""The tables of a jail host: tenants, births, trust, consents, the log."""

import enum
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKeyConstraint, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from hive.db.base import Base


class StepState(enum.StrEnum):
    """How far one step of a birth has come."""

    STARTED = "started"
    DONE = "done"


class TenantRow(Base):
    """A customer and the one jail and bucket that are theirs.

    ``host`` has the jail, or makes it: empty while nobody does, and on a database that only one host uses.
    """

    __tablename__ = "tenants"

    tenant_id: Mapped[str] = mapped_column(String(15), primary_key=True)
    jail: Mapped[str] = mapped_column(String(15), unique=True)
    collection_id: Mapped[str | None] = mapped_column(String(64), unique=True)
    tier: Mapped[str] = mapped_column(String(8))
    profile: Mapped[str] = mapped_column(String(110))
    scratch: Mapped[bool]
    status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    host: Mapped[str | None] = mapped_column(String(15), index=True)


class TrustRow(Base):
    """What this host trusts and has seen: the anchor, the highest versions, the list of withdrawals. One row.

    The client's folder remembers the same; this row still does when another folder is used, and it makes the
    anchor a decision that is recorded, not whatever a variable says.
    """

    __tablename__ = "trust"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    anchor_sha256: Mapped[str] = mapped_column(String(64))
    online_sha256: Mapped[str] = mapped_column(String(64))
    root_version: Mapped[int]
    timestamp_version: Mapped[int]
    snapshot_version: Mapped[int]
    withdrawals: Mapped[int]
    withdrawals_head: Mapped[str] = mapped_column(String(64))


class SeenSerialRow(Base):
    """The highest serial of a package repository that this host has seen, and what that repository calls itself."""

    __tablename__ = "seen_serials"

    repo: Mapped[str] = mapped_column(String(80), primary_key=True)  # ABI/CHANNEL
    repository: Mapped[str] = mapped_column(Text)
    serial: Mapped[int] = mapped_column(BigInteger)


class BirthRow(Base):
    """The birth of a tenant: at most one is not finished.

    ``mark`` stands beside the jail's root and says whose jail it is; ``claim`` belongs to the process that
    works on the birth now, and a later process that continues it takes it over. ``order_id`` is the job by whose order
    that process works; without one an operator gave the command.
    """

    __tablename__ = "births"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),)

    tenant_id: Mapped[str] = mapped_column(String(15), primary_key=True)
    lock_sha256: Mapped[str | None] = mapped_column(String(64))
    jail_root: Mapped[str] = mapped_column(Text)
    mark: Mapped[str] = mapped_column(String(32))
    claim: Mapped[str] = mapped_column(String(32))
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    order_id: Mapped[str | None] = mapped_column(String(32))


class StepRow(Base):
    """One step of a birth in the journal."""

    __tablename__ = "birth_steps"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["births.tenant_id"]),)

    tenant_id: Mapped[str] = mapped_column(String(15), primary_key=True)
    name: Mapped[str] = mapped_column(String(220), primary_key=True)
    state: Mapped[str] = mapped_column(String(8))
    at: Mapped[datetime]


class ReceiptRow(Base):
    """One package that was handed over to a tenant's jail, by the host's own count."""

    __tablename__ = "package_receipts"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["births.tenant_id"]),)

    tenant_id: Mapped[str] = mapped_column(String(15), primary_key=True)
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    version: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    repo: Mapped[str] = mapped_column(String(80))
    serial: Mapped[int] = mapped_column(BigInteger)
    way: Mapped[str] = mapped_column(String(16))
    jail: Mapped[str] = mapped_column(Text)
    omitted: Mapped[str] = mapped_column(Text)  # one a line
    record_sha256: Mapped[str | None] = mapped_column(String(64))
    at: Mapped[datetime]


class OptInRow(Base):
    """A recorded consent: this external bundle, for this tenant of the free tier, at its operator's own risk."""

    __tablename__ = "opt_ins"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    tenant_id: Mapped[str] = mapped_column(String(15), index=True)
    source: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(String(64))
    version: Mapped[str] = mapped_column(String(40))
    bundle_sha256: Mapped[str] = mapped_column(String(64))
    owner: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]


class AuditRow(Base):
    """One record of the hash-chained audit log."""

    __tablename__ = "audit"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    record: Mapped[bytes] = mapped_column(LargeBinary)
    digest: Mapped[str] = mapped_column(String(64))
