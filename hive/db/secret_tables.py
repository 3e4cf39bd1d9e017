"""What was provisioned into which jail; never a value."""

import enum
from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from hive.db.base import Base


class SecretsState(enum.StrEnum):
    """Whether a jail holds secrets, as far as this host knows.

    ``pending`` stands from before the file is written until after: whoever finds it provisions or withdraws.
    """

    PENDING = "pending"
    PRESENT = "present"
    WITHDRAWN = "withdrawn"


class ProvisioningRow(Base):
    """The newest provisioning of a tenant; the history is in the audit log.

    ``digest`` is keyed with this host's own key: with it the file in the jail can be compared, and without the
    key nobody can try guesses against it.
    """

    __tablename__ = "provisionings"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),)

    tenant_id: Mapped[str] = mapped_column(String(15), primary_key=True)
    state: Mapped[str] = mapped_column(String(10))
    collection_id: Mapped[str | None] = mapped_column(String(64))
    names: Mapped[str] = mapped_column(Text)  # one a line, sorted
    digest: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
