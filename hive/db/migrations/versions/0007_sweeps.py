"""what a sweep found, and quarantines."""

import sqlalchemy as sa
from alembic import op

from hive.db.base import Moment

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sweeps",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("started_at", Moment(), nullable=False),
        sa.Column("finished_at", Moment(), nullable=True),
        sa.Column("tenants", sa.Integer(), nullable=False),
        sa.Column("findings", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_sweeps")),
    )
    op.create_table(
        "sweep_findings",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("tenant_id", sa.String(length=15), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("first_seen", Moment(), nullable=False),
        sa.Column("last_seen", Moment(), nullable=False),
        sa.Column("told_at", Moment(), nullable=True),
        sa.Column("gone_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_sweep_findings_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_sweep_findings")),
    )
    op.create_index(op.f("ix_sweep_findings_tenant_id"), "sweep_findings", ["tenant_id"], unique=False)
    op.create_table(
        "sweep_failures",
        sa.Column("tenant_id", sa.String(length=15), nullable=False),
        sa.Column("action", sa.String(length=24), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("first_at", Moment(), nullable=False),
        sa.Column("last_at", Moment(), nullable=False),
        sa.Column("again_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_sweep_failures_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "action", name=op.f("pk_sweep_failures")),
    )


def downgrade() -> None:
    op.drop_table("sweep_failures")
    op.drop_table("sweep_findings")
    op.drop_table("sweeps")
