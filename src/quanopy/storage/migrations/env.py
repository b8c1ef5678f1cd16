"""What Alembic runs: the versions, within the transaction of whoever called."""

from alembic import context

from quanopy.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
context.run_migrations()
