"""How Alembic runs here: on a connection that `store.migrate` hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from gatehouse_fleet.store.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite cannot alter much: Alembic copies the table instead.
    render_as_batch=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
