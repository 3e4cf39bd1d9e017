"""Births that wait for a host, and jails that a host was overtaken with."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKeyConstraint, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from hive.db.base import Base

_NUMBER = BigInteger().with_variant(Integer(), "sqlite")


class BirthOrderRow(Base):
    """The order behind a job of the kind ``birth``; what was ordered says the record ``audit_sequence`` of the log."""

    __tablename__ = "birth_orders"
    __table_args__ = (
        ForeignKeyConstraint(["number"], ["jobs.number"]),
        ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
    )

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=False)
    tenant_id: Mapped[str] = mapped_column(String(15), index=True)
    audit_sequence: Mapped[int]


class LeftJailRow(Base):
    """The jail of a birth that went on at another host. Rows are never dropped: whoever was only slow may yet make it."""

    __tablename__ = "left_jails"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),)

    mark: Mapped[str] = mapped_column(String(32), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(15))
    host: Mapped[str] = mapped_column(String(15), index=True)
    left_at: Mapped[datetime]
