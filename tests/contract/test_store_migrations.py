"""The migrations make the very tables that the statements are written for, on both databases."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from quanopy.domain.errors import Unavailable
from quanopy.storage.engine import Database
from quanopy.storage.migrations import HEAD, configuration, migrate
from quanopy.storage.schema import metadata
from tests.servers import PostgresServer


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer
) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'catalogue.db'}"
        return
    with postgres_server.database() as dsn:
        yield dsn


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


def test_the_migrated_schema_is_the_one_in_the_code(database: Database) -> None:
    migrate(database)
    differences = database.alter(
        lambda c: compare_metadata(MigrationContext.configure(c), metadata)
    )
    assert differences == []


def test_the_head_named_in_the_code_is_the_last_script(database: Database) -> None:
    scripts = database.alter(lambda c: ScriptDirectory.from_config(configuration(c)))
    assert scripts.get_current_head() == HEAD


def test_several_may_migrate_at_once(url: str) -> None:
    databases = [Database(url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, databases))
    for database in databases:
        database.close()


def test_a_later_versions_tables_are_refused(database: Database) -> None:
    migrate(database)
    database.alter(lambda c: c.execute(text("UPDATE alembic_version SET version_num = 'later'")))
    with pytest.raises(Unavailable, match="later version"):
        migrate(database)
