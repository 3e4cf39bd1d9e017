"""what was seen of the list of withdrawals."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("trust", schema=None) as batch_op:
        batch_op.add_column(sa.Column("withdrawals", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(
            sa.Column("withdrawals_head", sa.String(length=64), nullable=False, server_default="")
        )


def downgrade() -> None:
    with op.batch_alter_table("trust", schema=None) as batch_op:
        batch_op.drop_column("withdrawals_head")
        batch_op.drop_column("withdrawals")
