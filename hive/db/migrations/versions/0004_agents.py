"""agents, their tokens, jobs and leases."""

import sqlalchemy as sa
from alembic import op

from hive.db.base import Moment

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INDEXES = (
    ("agents", "tenant_id"),
    ("jobs", "tenant_id"),
    ("jobs", "owner"),
    ("job_attempts", "agent_id"),
    ("replications", "parent"),
    ("replications", "child"),
)


def upgrade() -> None:
    op.create_table(
        "agents",
        sa.Column("agent_id", sa.String(length=15), nullable=False),
        sa.Column("tenant_id", sa.String(length=15), nullable=True),
        sa.Column("standing", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("registered_at", sa.Double(), nullable=True),
        sa.Column("seen_at", sa.Double(), nullable=True),
        sa.Column("refusal", sa.Text(), nullable=False),
        sa.Column("refused_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_agents_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("agent_id", name=op.f("pk_agents")),
    )
    op.create_table(
        "agent_tokens",
        sa.Column("agent_id", sa.String(length=15), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("issued_at", Moment(), nullable=False),
        sa.Column("revoked_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("agent_id", name=op.f("pk_agent_tokens")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_agent_tokens_token_sha256")),
    )
    for table in ("agent_grants", "agent_capabilities"):
        op.create_table(
            table,
            sa.Column("agent_id", sa.String(length=15), nullable=False),
            sa.Column("capability", sa.String(length=64), nullable=False),
            sa.ForeignKeyConstraint(
                ["agent_id"], ["agents.agent_id"], name=op.f(f"fk_{table}_agent_id_agents")
            ),
            sa.PrimaryKeyConstraint("agent_id", "capability", name=op.f(f"pk_{table}")),
        )
    op.create_table(
        "agent_skills",
        sa.Column("agent_id", sa.String(length=15), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("tree_sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.agent_id"], name=op.f("fk_agent_skills_agent_id_agents")
        ),
        sa.PrimaryKeyConstraint("agent_id", "name", name=op.f("pk_agent_skills")),
    )
    op.create_table(
        "agent_limits",
        sa.Column("agent_id", sa.String(length=15), nullable=False),
        sa.Column("sort", sa.String(length=8), nullable=False),
        sa.Column("value", sa.String(length=15), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.agent_id"], name=op.f("fk_agent_limits_agent_id_agents")
        ),
        sa.PrimaryKeyConstraint("agent_id", "sort", "value", name=op.f("pk_agent_limits")),
    )
    op.create_table(
        "jobs",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("tenant_id", sa.String(length=15), nullable=True),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("submitted_by", sa.String(length=80), nullable=False),
        sa.Column("submitted_at", sa.Double(), nullable=False),
        sa.Column("not_before", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=15), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("lease_seconds", sa.Double(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_jobs_tenant_id_tenants")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_jobs")),
        sa.UniqueConstraint("job_id", name=op.f("uq_jobs_job_id")),
    )
    op.create_index("ix_jobs_open", "jobs", ["state", "priority", "number"], unique=False)
    op.create_table(
        "job_needs",
        sa.Column("number", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("capability", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["number"], ["jobs.number"], name=op.f("fk_job_needs_number_jobs")),
        sa.PrimaryKeyConstraint("number", "capability", name=op.f("pk_job_needs")),
    )
    op.create_table(
        "job_attempts",
        sa.Column("number", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("fence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("agent_id", sa.String(length=15), nullable=False),
        sa.Column("claimed_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("outcome", sa.String(length=10), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["number"], ["jobs.number"], name=op.f("fk_job_attempts_number_jobs")),
        sa.PrimaryKeyConstraint("number", "fence", name=op.f("pk_job_attempts")),
    )
    op.create_table(
        "tenant_turns",
        sa.Column("turn", sa.String(length=15), nullable=False),
        sa.Column("served_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("turn", name=op.f("pk_tenant_turns")),
    )
    op.create_table(
        "replications",
        sa.Column("number", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("parent", sa.String(length=15), nullable=False),
        sa.Column("child", sa.String(length=15), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["number"], ["jobs.number"], name=op.f("fk_replications_number_jobs")),
        sa.ForeignKeyConstraint(
            ["parent"], ["tenants.tenant_id"], name=op.f("fk_replications_parent_tenants")
        ),
        sa.ForeignKeyConstraint(["child"], ["tenants.tenant_id"], name=op.f("fk_replications_child_tenants")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_replications")),
    )
    for table, column in _INDEXES:
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column], unique=False)


def downgrade() -> None:
    for table in (
        "replications",
        "tenant_turns",
        "job_attempts",
        "job_needs",
        "jobs",
        "agent_limits",
        "agent_skills",
        "agent_capabilities",
        "agent_grants",
        "agent_tokens",
        "agents",
    ):
        op.drop_table(table)
