"""first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit")),
    )
    op.create_table(
        "tenants",
        sa.Column("tenant_id", sa.String(length=15), nullable=False),
        sa.Column("jail", sa.String(length=15), nullable=False),
        sa.Column("collection_id", sa.String(length=64), nullable=True),
        sa.Column("tier", sa.String(length=8), nullable=False),
        sa.Column("profile", sa.String(length=110), nullable=False),
        sa.Column("scratch", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_tenants")),
        sa.UniqueConstraint("collection_id", name=op.f("uq_tenants_collection_id")),
        sa.UniqueConstraint("jail", name=op.f("uq_tenants_jail")),
    )
    op.create_table(
        "trust",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("anchor_sha256", sa.String(length=64), nullable=False),
        sa.Column("online_sha256", sa.String(length=64), nullable=False),
        sa.Column("root_version", sa.Integer(), nullable=False),
        sa.Column("timestamp_version", sa.Integer(), nullable=False),
        sa.Column("snapshot_version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trust")),
    )
    op.create_table(
        "births",
        sa.Column("tenant_id", sa.String(length=15), nullable=False),
        sa.Column("lock_sha256", sa.String(length=64), nullable=True),
        sa.Column("jail_root", sa.Text(), nullable=False),
        sa.Column("mark", sa.String(length=32), nullable=False),
        sa.Column("claim", sa.String(length=32), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_births_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_births")),
    )
    op.create_table(
        "opt_ins",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("tenant_id", sa.String(length=15), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=40), nullable=False),
        sa.Column("bundle_sha256", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_opt_ins_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_opt_ins")),
    )
    with op.batch_alter_table("opt_ins", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_opt_ins_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "birth_steps",
        sa.Column("tenant_id", sa.String(length=15), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["births.tenant_id"], name=op.f("fk_birth_steps_tenant_id_births")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_birth_steps")),
    )


def downgrade() -> None:
    op.drop_table("birth_steps")
    with op.batch_alter_table("opt_ins", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_opt_ins_tenant_id"))

    op.drop_table("opt_ins")
    op.drop_table("births")
    op.drop_table("trust")
    op.drop_table("tenants")
    op.drop_table("audit")
