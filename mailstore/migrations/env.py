"""Alembic's entry: run the revisions over the connection that `carry` hands in."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=None, render_as_batch=True, transactional_ddl=False)
context.run_migrations()
