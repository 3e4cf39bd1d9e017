"""packages."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "package_serials",
        sa.Column("repo", sa.String(length=80), nullable=False),
        sa.Column("serial", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("index_sha256", sa.String(length=64), nullable=False),
        sa.Column("role_version", sa.Integer(), nullable=False),
        sa.Column("packages", sa.Integer(), nullable=False),
        sa.Column("signed_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("repo", "serial", name=op.f("pk_package_serials")),
    )
    op.create_table(
        "package_digests",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("blake2b", sa.String(length=128), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_package_digests")),
    )


def downgrade() -> None:
    op.drop_table("package_digests")
    op.drop_table("package_serials")
