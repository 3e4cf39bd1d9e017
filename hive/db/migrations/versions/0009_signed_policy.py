"""the signed policy that each host has seen last."""

import sqlalchemy as sa
from alembic import op

from hive.db.base import Moment

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signed_policy",
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("demanded", sa.Boolean(), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("statement_sha256", sa.String(length=64), nullable=False),
        sa.Column("file_sha256", sa.String(length=64), nullable=False),
        sa.Column("signed_by", sa.Text(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.Column("verified_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_signed_policy")),
    )


def downgrade() -> None:
    op.drop_table("signed_policy")
