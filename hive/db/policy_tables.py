"""What the hosts on this database have seen of their signed policies."""

from datetime import datetime

from sqlalchemy import BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from hive.db.base import Base


class SignedPolicyRow(Base):
    """The policy with the highest serial that was verified on one host.

    While it is ``demanded``, an unsigned policy is refused, whatever the settings say. Its text is not here: what sweeps
    run must not be a database's to say (`hive.policy_loading` keeps it in the state folder).
    """

    __tablename__ = "signed_policy"

    host: Mapped[str] = mapped_column(String(253), primary_key=True)
    demanded: Mapped[bool]
    serial: Mapped[int] = mapped_column(BigInteger)
    statement_sha256: Mapped[str] = mapped_column(String(64))
    file_sha256: Mapped[str] = mapped_column(String(64))
    signed_by: Mapped[str] = mapped_column(Text)  # one a line
    expires_at: Mapped[datetime]
    verified_at: Mapped[datetime]
