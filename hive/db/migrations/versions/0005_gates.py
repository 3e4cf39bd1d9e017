"""gates before a paying customer, and what hosts are and cost."""

import sqlalchemy as sa
from alembic import op

from hive.db.base import Moment

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gate_entries",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("gate", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("approver", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("approved_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("revokes", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_gate_entries")),
    )
    op.create_index(op.f("ix_gate_entries_gate"), "gate_entries", ["gate"], unique=False)
    op.create_table(
        "hosts",
        sa.Column("host", sa.String(length=40), nullable=False),
        sa.Column("system", sa.String(length=80), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("capabilities", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("added_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_hosts")),
    )
    op.create_table(
        "host_costs",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("host", sa.String(length=40), nullable=False),
        sa.Column("cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("provenance", sa.String(length=16), nullable=False),
        sa.Column("document_sha256", sa.String(length=64), nullable=True),
        sa.Column("dated_at", Moment(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("recorded_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["host"], ["hosts.host"], name=op.f("fk_host_costs_host_hosts")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_host_costs")),
    )
    op.create_index(op.f("ix_host_costs_host"), "host_costs", ["host"], unique=False)


def downgrade() -> None:
    op.drop_table("host_costs")
    op.drop_table("hosts")
    op.drop_table("gate_entries")
