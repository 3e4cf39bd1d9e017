"""several jail hosts on one database: whose jail is whose, births that wait for a host, jails that were left behind."""

import sqlalchemy as sa
from alembic import op

from hive.db.base import Moment

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    # Empty in what is there already: which machine it was is not guessed, `hive hosts join` says it.
    with op.batch_alter_table("tenants") as tenants:
        tenants.add_column(sa.Column("host", sa.String(length=15), nullable=True))
        tenants.create_index(op.f("ix_tenants_host"), ["host"])
    with op.batch_alter_table("births") as births:
        births.add_column(sa.Column("order_id", sa.String(length=32), nullable=True))
    with op.batch_alter_table("hosts") as hosts:
        hosts.add_column(sa.Column("key_sha256", sa.String(length=64), nullable=True))
    with op.batch_alter_table("sweeps") as sweeps:
        sweeps.add_column(sa.Column("host", sa.String(length=15), nullable=True))
    op.create_table(
        "birth_orders",
        sa.Column("number", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.String(length=15), nullable=False),
        sa.Column("audit_sequence", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["number"], ["jobs.number"], name=op.f("fk_birth_orders_number_jobs")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_birth_orders_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_birth_orders")),
    )
    op.create_index(op.f("ix_birth_orders_tenant_id"), "birth_orders", ["tenant_id"])
    op.create_table(
        "left_jails",
        sa.Column("mark", sa.String(length=32), nullable=False),
        sa.Column("tenant_id", sa.String(length=15), nullable=False),
        sa.Column("host", sa.String(length=15), nullable=False),
        sa.Column("left_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_left_jails_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("mark", name=op.f("pk_left_jails")),
    )
    op.create_index(op.f("ix_left_jails_host"), "left_jails", ["host"])


def downgrade() -> None:
    op.drop_table("left_jails")
    op.drop_table("birth_orders")
    with op.batch_alter_table("sweeps") as sweeps:
        sweeps.drop_column("host")
    with op.batch_alter_table("hosts") as hosts:
        hosts.drop_column("key_sha256")
    with op.batch_alter_table("births") as births:
        births.drop_column("order_id")
    with op.batch_alter_table("tenants") as tenants:
        tenants.drop_index(op.f("ix_tenants_host"))
        tenants.drop_column("host")
