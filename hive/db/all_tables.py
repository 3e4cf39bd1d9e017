"""Every table: importing this fills `Base.metadata`, for migrations and for the test that compares."""

from hive.db import (
    agent_tables,
    certificate_tables,
    gate_tables,
    models,
    order_tables,
    policy_tables,
    secret_tables,
    sweep_tables,
)
from hive.db.base import Base

__all__ = [
    "Base",
    "agent_tables",
    "certificate_tables",
    "gate_tables",
    "models",
    "order_tables",
    "policy_tables",
    "secret_tables",
    "sweep_tables",
]
