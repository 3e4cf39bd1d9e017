"""what was provisioned into which jail; never a value."""

import sqlalchemy as sa
from alembic import op

from hive.db.base import Moment

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "provisionings",
        sa.Column("tenant_id", sa.String(length=15), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("collection_id", sa.String(length=64), nullable=True),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_provisionings_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_provisionings")),
    )


def downgrade() -> None:
    op.drop_table("provisionings")
