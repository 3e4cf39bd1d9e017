"""Birth certificates, the evidence they rest on, and signed checkpoints of the audit log."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKeyConstraint, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from hive.db.base import Base


class BirthEvidenceRow(Base):
    """What the repository said when a tenant's birth was admitted: kept until its certificate is signed, and after."""

    __tablename__ = "birth_evidence"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),)

    tenant_id: Mapped[str] = mapped_column(String(15), primary_key=True)
    lock_sha256: Mapped[str] = mapped_column(String(64))
    evidence: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime]


class CertificateRow(Base):
    """The certificate of an activated tenant; a later birth's takes its place, and the audit log knows both."""

    __tablename__ = "certificates"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),)

    tenant_id: Mapped[str] = mapped_column(String(15), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    certificate: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime]


class CheckpointRow(Base):
    """A head of the audit log that this host signed: whoever holds a copy can prove that nothing was cut off."""

    __tablename__ = "checkpoints"

    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    digest: Mapped[str] = mapped_column(String(64))
    envelope: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime]
