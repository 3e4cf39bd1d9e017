"""The tables of a repository.

Every mutable decision is a row here; files in ``public/`` are a projection of it. Bytes that are named by a
digest stand in the blob store, signed metadata stands here (it is small, and publishing it is a decision).
"""

import enum
from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, ForeignKeyConstraint, LargeBinary, MetaData, String, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Moment(TypeDecorator[datetime]):
    """A point in time in UTC; SQLite would forget the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store as UTC; a time without a zone is a bug of ours."""
        del dialect
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        del dialect
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


class CandidateState(enum.StrEnum):
    """How far a candidate has come."""

    STAGED = "staged"
    REVIEWED = "reviewed"
    SIGNED = "signed"
    PUBLISHED = "published"
    REJECTED = "rejected"
    NEEDS_WORK = "needs-work"


class ProposalState(enum.StrEnum):
    """Whether proposed metadata still waits for signatures."""

    OPEN = "open"
    PUBLISHED = "published"
    DROPPED = "dropped"


class Base(DeclarativeBase):
    """All tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: Moment}  # noqa: RUF012 - SQLAlchemy's interface


class CandidateRow(Base):
    """Something brought in from outside, unseen or decided about."""

    __tablename__ = "candidates"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(64), index=True)
    version: Mapped[str] = mapped_column(String(40))
    source: Mapped[str] = mapped_column(String(40))
    address: Mapped[str] = mapped_column(Text)
    resolved: Mapped[str] = mapped_column(Text)  # canonical JSON, text to text
    publisher: Mapped[str] = mapped_column(Text)
    licence: Mapped[str] = mapped_column(Text)
    observations: Mapped[str] = mapped_column(Text)  # canonical JSON, findings of the source
    imported_at: Mapped[datetime]
    tree_sha256: Mapped[str] = mapped_column(String(64))  # blob: list of files; each file is a blob too
    bundle_sha256: Mapped[str | None] = mapped_column(String(64))
    bundle_tree_sha256: Mapped[str | None] = mapped_column(String(64))
    review_sha256: Mapped[str | None] = mapped_column(String(64))


class MetadataRow(Base):
    """One published version of one TUF role; the highest version is current."""

    __tablename__ = "metadata"

    role: Mapped[str] = mapped_column(String(80), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    published_at: Mapped[datetime]


class ProposalRow(Base):
    """Metadata of one role that waits for signatures, for one subject."""

    __tablename__ = "proposals"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    subject: Mapped[str] = mapped_column(String(120), index=True)  # candidate:ID or profile:NAME==VERSION
    role: Mapped[str] = mapped_column(String(80), index=True)
    version: Mapped[int]
    base_sha256: Mapped[str] = mapped_column(String(64))  # of the metadata that it continues
    content: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime]


class TargetRow(Base):
    """A published target: path and blob."""

    __tablename__ = "targets"

    path: Mapped[str] = mapped_column(String(400), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    length: Mapped[int]


class ReleaseRow(Base):
    """A published release."""

    __tablename__ = "releases"
    __table_args__ = (ForeignKeyConstraint(["candidate_id"], ["candidates.id"]),)

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[str] = mapped_column(String(40), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    description: Mapped[str] = mapped_column(Text)
    bundle_sha256: Mapped[str] = mapped_column(String(64))
    bundle_bytes: Mapped[int]
    tree_sha256: Mapped[str] = mapped_column(String(64))
    review_sha256: Mapped[str] = mapped_column(String(64))
    reviewers: Mapped[str] = mapped_column(Text)  # names, separated by commas
    candidate_id: Mapped[str] = mapped_column(String(32))
    published_at: Mapped[datetime]


class ProfileRow(Base):
    """A profile, drafted or published."""

    __tablename__ = "profiles"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[str] = mapped_column(String(40), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))  # blob: the document
    state: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime]


class AttestationRow(Base):
    """Evidence that a CI identity stands behind a candidate's bundle; verified again whenever it matters."""

    __tablename__ = "attestations"
    __table_args__ = (ForeignKeyConstraint(["candidate_id"], ["candidates.id"]),)

    candidate_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    evidence_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)  # blob: a Sigstore bundle
    bundle_sha256: Mapped[str] = mapped_column(String(64))
    identity: Mapped[str] = mapped_column(Text)
    issuer: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


class PackageSerialRow(Base):
    """One published serial of a package repository; the highest is served."""

    __tablename__ = "package_serials"

    repo: Mapped[str] = mapped_column(String(80), primary_key=True)  # ABI/CHANNEL
    serial: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    index_sha256: Mapped[str] = mapped_column(String(64))  # blob: repo.json
    role_version: Mapped[int]
    packages: Mapped[int]
    signed_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]  # as the builder says
    published_at: Mapped[datetime]


class PackageDigestRow(Base):
    """The other digest of a package file, by which pkg's catalogues know it; computed here, from its bytes."""

    __tablename__ = "package_digests"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    blake2b: Mapped[str] = mapped_column(String(128))
    size: Mapped[int] = mapped_column(BigInteger)


class TokenRow(Base):
    """Who may talk to the desk over HTTP: the digest of a token, never the token."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(String(12), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))  # sha256 of the whole token
    name: Mapped[str] = mapped_column(String(64))  # whom it was made for
    scope: Mapped[str] = mapped_column(String(120))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class LogRow(Base):
    """One record of the hash-chained log."""

    __tablename__ = "log"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    record: Mapped[bytes] = mapped_column(LargeBinary)
    digest: Mapped[str] = mapped_column(String(64))
