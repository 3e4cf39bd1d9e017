"""Alembic's entry: run on the connection that `hive.db.migrate` gives."""

from alembic import context

from hive.db.all_tables import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
