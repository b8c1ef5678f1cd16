"""A dump of the catalogue in a new PostgreSQL, which counts its transactions from the beginning."""

import subprocess
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from quanopy.domain.events import Position
from quanopy.domain.jobs import Job
from quanopy.ports.events import EventQuery
from quanopy.ports.store import Store
from quanopy.storage.store import open_store
from quanopy.testing.catalogue import job, submission
from quanopy.testing.store_cases import accepted
from tests.servers import PostgresServer
from tests.servers.postgres import find_binaries

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def new_server() -> Iterator[PostgresServer]:
    """A cluster that has hardly begun."""
    with PostgresServer() as server:
        yield server


def _grow_old(dsn: str) -> None:
    """Use up more transactions than a new cluster has had."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "DO $$ BEGIN FOR i IN 1..5000 LOOP"
            " PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
        )


def _copy(dsn: str, to: str) -> None:
    dumped = subprocess.run(
        [find_binaries() / "pg_dump", "--dbname", dsn], capture_output=True, check=True, timeout=60
    )
    subprocess.run(
        [find_binaries() / "psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", to],
        input=dumped.stdout,
        capture_output=True,
        check=True,
        timeout=60,
    )


def _submit(store: Store) -> Job:
    (made,) = accepted(store.submit([submission(job())])[0])
    return made


def _all(store: Store, after: Position) -> list[str]:
    page = store.events(EventQuery(after=after))
    assert not page.held_back
    return [event.subject for event in page.events]


def test_readers_of_events_see_the_old_and_the_new(
    postgres_dsn: str, new_server: PostgresServer
) -> None:
    _grow_old(postgres_dsn)
    with closing(open_store(postgres_dsn)) as store:
        jobs = [_submit(store) for _ in range(3)]
        page = store.events(EventQuery(limit=2))
        behind_two, behind_all = page.position, store.horizon()
    old = [made.id for made in jobs]
    with new_server.database() as dsn:
        _copy(postgres_dsn, to=dsn)
        with closing(open_store(dsn)) as store:
            assert _all(store, Position()) == old
            here = store.horizon()
            new = _submit(store).id
            assert _all(store, here) == [new]
            assert _all(store, Position()) == [*old, new]
            # Who comes back with a position in the old one misses nothing.
            assert _all(store, behind_two) == [old[2], new]
            assert _all(store, behind_all)[-1] == new
            assert store.events(EventQuery(after=behind_all)).position < behind_all
        with closing(open_store(dsn)) as store:
            assert _all(store, here) == [new]


def test_a_server_that_never_stopped_sees_what_is_new(
    postgres_dsn: str, new_server: PostgresServer
) -> None:
    _grow_old(postgres_dsn)
    with closing(open_store(postgres_dsn)) as store:
        _submit(store)
        position = store.horizon()
    with new_server.database() as dsn, closing(open_store(dsn)) as store:
        new = _submit(store).id
        assert _all(store, position) == [new]
