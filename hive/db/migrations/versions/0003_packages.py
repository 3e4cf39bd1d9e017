"""packages: the highest serials seen, and receipts of what was handed over."""

import sqlalchemy as sa
from alembic import op

from hive.db.base import Moment

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "seen_serials",
        sa.Column("repo", sa.String(length=80), nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("repo", name=op.f("pk_seen_serials")),
    )
    op.create_table(
        "package_receipts",
        sa.Column("tenant_id", sa.String(length=15), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("repo", sa.String(length=80), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("way", sa.String(length=16), nullable=False),
        sa.Column("jail", sa.Text(), nullable=False),
        sa.Column("omitted", sa.Text(), nullable=False),
        sa.Column("record_sha256", sa.String(length=64), nullable=True),
        sa.Column("at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["births.tenant_id"], name=op.f("fk_package_receipts_tenant_id_births")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_package_receipts")),
    )
    with op.batch_alter_table("package_receipts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_package_receipts_sha256"), ["sha256"], unique=False)
    with op.batch_alter_table("birth_steps", schema=None) as batch_op:
        batch_op.alter_column(
            "name", existing_type=sa.String(length=120), type_=sa.String(length=220), existing_nullable=False
        )


def downgrade() -> None:
    with op.batch_alter_table("birth_steps", schema=None) as batch_op:
        batch_op.alter_column(
            "name", existing_type=sa.String(length=220), type_=sa.String(length=120), existing_nullable=False
        )
    op.drop_table("package_receipts")
    op.drop_table("seen_serials")
