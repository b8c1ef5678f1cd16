"""The catalogue's contract on PostgreSQL, and what only PostgreSQL can get wrong."""

from collections.abc import Iterator

import psycopg
import pytest

from quanopy.ports.store import EventQuery, Store
from quanopy.storage.store import open_store
from quanopy.testing.catalogue import job
from quanopy.testing.store_contract import MakeStore, StoreContract
from tests.servers import PostgresServer


@pytest.fixture(scope="module")
def migrated(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of a migrated database to copy: copying is quicker than migrating."""
    with postgres_server.database() as dsn:
        open_store(dsn).close()
        yield dsn.rpartition("/")[2]


@pytest.mark.postgres
class TestPostgresStore(StoreContract):
    @pytest.fixture
    def dsn(self, postgres_server: PostgresServer, migrated: str) -> Iterator[str]:
        with postgres_server.database(template=migrated) as dsn:
            yield dsn

    @pytest.fixture
    def make_store(self, dsn: str) -> MakeStore:
        return lambda clock: open_store(dsn, clock=clock)

    def test_an_older_transaction_that_is_open_holds_later_events_back(
        self, store: Store, dsn: str
    ) -> None:
        with psycopg.connect(dsn) as older:
            older.execute("SELECT pg_current_xact_id()")
            (one,) = self.submit(store, job())
            page = store.events(EventQuery())
            assert (page.events, page.held_back) == ([], True)
        page = store.events(EventQuery(after=page.position))
        assert [event.subject for event in page.events] == [one.id]
        assert not page.held_back
