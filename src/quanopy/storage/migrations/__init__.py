"""Bringing a catalogue up to date: Alembic's versions, carried out under a lock."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from quanopy.domain.errors import Unavailable
from quanopy.storage.engine import Database

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0013"
"""The latest revision (a test compares it with the scripts)."""
_LOCK = 5_190_734_201
"""Names the lock among PostgreSQL's advisory locks."""


def migrate(database: Database) -> None:
    """Bring the tables up to date; several may try at once.

    Raises:
        Unavailable: the database is away, or its tables are of a later version.
    """
    if database.inspect(_revision) != HEAD:
        database.alter(_upgrade)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _upgrade(connection: Connection) -> None:
    # Alembic is imported only when there is something to do: it is not small.
    from alembic import command
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    config = configuration(connection)
    revision = _revision(connection)
    try:
        ScriptDirectory.from_config(config).get_revision(revision or "base")
    except CommandError as error:
        raise Unavailable(
            f"the database is of a later version ({revision})", hint="Install that version."
        ) from error
    command.upgrade(config, "head")


def configuration(connection: Connection) -> "Config":
    """Alembic's configuration, to run in this transaction."""
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
