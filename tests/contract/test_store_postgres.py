"""The catalogue's contract on PostgreSQL, and what only PostgreSQL can get wrong."""

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any, cast

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import func, select, text

from quanopy.domain.errors import Unavailable
from quanopy.domain.groups import GroupAction, GroupPolicy
from quanopy.domain.jobs import Job
from quanopy.domain.resources import Resource
from quanopy.domain.states import JobState
from quanopy.ports.events import EventQuery
from quanopy.ports.store import Store
from quanopy.storage.compiled import compiled
from quanopy.storage.engine import _LIMITS, STATEMENT_TIMEOUT_S
from quanopy.storage.events import read_events
from quanopy.storage.store import SqlStore, open_store
from quanopy.testing.catalogue import MovableClock, job, submission
from quanopy.testing.groups import fill, group, step
from quanopy.testing.store_cases import TTL, MakeStore
from quanopy.testing.store_contract import StoreContract
from tests.servers import PgBouncer, PostgresServer


@pytest.fixture(scope="module")
def migrated(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of a migrated database to copy: copying is quicker than migrating."""
    with postgres_server.database() as dsn:
        open_store(dsn).close()
        yield dsn.rpartition("/")[2]


@pytest.fixture(scope="class")
def shared(postgres_server: PostgresServer, migrated: str) -> Iterator[str]:
    """The address of a database of a class's own."""
    with postgres_server.database(template=migrated) as dsn:
        yield dsn


@pytest.fixture(scope="class")
def emptying(shared: str) -> Iterator[Callable[[], None]]:
    """Leaves nothing in it but its tables: that is quicker than another database."""
    with psycopg.connect(shared, autocommit=True, options="-c lock_timeout=10s") as connection:
        # Tables refer to each other: none is asked about another while all of them go.
        connection.execute("SET session_replication_role = replica")
        tables = connection.execute(
            "SELECT tablename FROM pg_tables"
            " WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        ).fetchall()
        deletions = [sql.SQL("DELETE FROM {}").format(sql.Identifier(name)) for (name,) in tables]

        def empty() -> None:
            connection.execute(sql.SQL("; ").join(deletions))
            connection.execute("SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S'")

        yield empty


@pytest.mark.postgres
class _Asked(Exception):
    """What a transaction was asked."""


def _first_statement(query: EventQuery) -> tuple[str, dict[str, Any]]:
    """What is asked of PostgreSQL first for a page of events, and what is given with it."""

    class Asking:
        dialect = "postgresql"

        def lastly(self, *asked: object) -> None:
            raise _Asked(asked[0])

    try:
        read_events(cast(Any, Asking()), query)
    except _Asked as found:
        statement, given = found.args[0]
        return compiled(statement, "postgresql").text, given
    raise AssertionError("nothing was asked")


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def dsn(self, shared: str, emptying: Callable[[], None]) -> str:
        emptying()
        return shared

    @pytest.fixture
    def make_store(self, dsn: str) -> MakeStore:
        return lambda clock: open_store(dsn, clock=clock)

    @pytest.mark.parametrize("account", [None, "alice"])
    def test_events_of_jobs_are_looked_up_by_job_however_little_is_known_of_the_table(
        self, store: Store, dsn: str, account: str | None
    ) -> None:
        jobs = [job() for _ in range(1500)]
        for start in range(0, 1500, 500):
            self.submit(store, *jobs[start : start + 500])
        wanted = [one.id for one, _ in jobs[-800:]]
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO events SELECT nextval('events_seq_seq'), tx, at,"
                " subject, kind, before, after, actor, account, 'other' || n, data"
                " FROM events, generate_series(1, 60) AS n"
            )
            query = EventQuery(account=account, job_ids=wanted)
            for limit in _LIMITS:
                connection.execute(f"SET {limit}")
            text, given = _first_statement(query)
            explained = psycopg.ClientCursor(connection).execute(f"EXPLAIN {text}", given)
            plan = "\n".join(row[0] for row in explained)
        assert "ix_events_job" in plan
        assert "ix_events_order" not in plan
        assert "ix_events_account" not in plan
        assert len(store.events(query).events) == 800

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

    def test_an_answer_that_comes_late_makes_no_clock_wrong(self, make_store: MakeStore) -> None:
        """Nor does a process that is stopped before it reads it."""
        times = MovableClock()
        times.move(-180)

        def clock() -> datetime:
            times.move(120)
            return times()

        with contextlib.closing(make_store(clock)) as store:
            assert store.skew_s() == 0

    @pytest.mark.parametrize("ahead_min", [-20, 20])
    def test_how_old_an_execution_is_no_workers_clock_says(
        self, store: Store, clock: MovableClock, make_store: MakeStore, ahead_min: int
    ) -> None:
        """What may still be under way would be searched for too soon, and sent twice."""
        claim = self.begun(store)
        other = MovableClock()
        other.move(60 * ahead_min)
        with contextlib.closing(make_store(other)) as elsewhere:
            assert elsewhere.skew_s() == pytest.approx(60 * ahead_min, abs=30)
            elsewhere.retire("worker_1")
            (due,) = elsewhere.due("worker_2", ["fake"], limit=9, ttl_s=TTL)
        (age_s,) = due.ages_s.values()
        assert 0 < age_s < 60
        assert due.executions[0].tasks == (claim.tasks[0].id,)


@pytest.mark.postgres
def test_a_step_of_groups_and_a_cancel_never_wait_for_each_other(
    postgres_server: PostgresServer, migrated: str
) -> None:
    with postgres_server.database(template=migrated) as dsn, psycopg.connect(dsn) as other:
        store = open_store(dsn)
        store.register("worker_1", [Resource(name="aer", provider="aer", lanes=None)], ttl_s=1e6)
        first, second = (store.create_group(group(name, GroupPolicy()))[0] for name in "ab")
        # The one that is looked at first has the job with the last id.
        lowest, low = fill(store, second.id, 2)
        (high,) = fill(store, first.id, 1)
        for one in (first, second):
            store.act_on_group(one.id, GroupAction.RUN, actor="alice")
        with ThreadPoolExecutor(2) as pool:
            other.execute("SELECT FROM tasks WHERE job_id = %s FOR UPDATE", [lowest.id])
            stepped = pool.submit(step, store)
            _wait_until_blocked(other, 1)
            cancelled = pool.submit(store.cancel, [low.id, high.id], actor="alice")
            _wait_until_blocked(other, 2, cancelled)
            other.rollback()
            stepped.result()
            assert {one.state for one in cancelled.result()} == {JobState.CANCELLED}
        store.close()
        assert _deadlocks(other) == 0


def _wait_until_blocked(
    connection: psycopg.Connection, count: int, doing: "Future[list[Job]] | None" = None
) -> None:
    """Until so many wait for locks, or ``doing`` is done."""
    blocked = (
        "SELECT count(*) FROM pg_stat_activity, pg_stat_clear_snapshot()"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    _wait_until(
        lambda: (
            connection.execute(blocked).fetchone() == (count,)
            or (doing is not None and doing.done())
        )
    )


def _deadlocks(connection: psycopg.Connection) -> int:
    """How many there were, once all others have left and been counted."""
    others = (
        "SELECT count(*) FROM pg_stat_activity, pg_stat_clear_snapshot()"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    _wait_until(lambda: connection.execute(others).fetchone() == (0,))
    found = connection.execute(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    assert found is not None
    return int(found[0])


def _wait_until(there: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not there():
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.mark.postgres
class TestPooledPostgresStore(TestPostgresStore):
    """Through a transaction pooler: nothing outlives its transaction."""

    @pytest.fixture
    def make_store(self, dsn: str, pgbouncer: PgBouncer) -> MakeStore:
        return lambda clock: open_store(pgbouncer.through(dsn), clock=clock, pooled=True)

    def test_every_transaction_has_its_limits(self, store: Store) -> None:
        assert isinstance(store, SqlStore)
        database, limit = store._database, select(func.current_setting("statement_timeout"))
        wanted = f"{STATEMENT_TIMEOUT_S}s"
        for _ in range(10):
            assert database.read(lambda transaction: transaction.scalar(limit)) == wanted
            assert database.write(lambda transaction: transaction.scalar(limit)) == wanted


@pytest.mark.postgres
def test_a_catalogue_is_made_through_a_pooler(postgres_dsn: str, pgbouncer: PgBouncer) -> None:
    store = open_store(pgbouncer.through(postgres_dsn), pooled=True)
    assert len(store.submit([submission(job())])) == 1
    store.close()


@pytest.mark.postgres
def test_a_pooler_that_nobody_spoke_of_is_named(postgres_dsn: str, pgbouncer: PgBouncer) -> None:
    store = open_store(pgbouncer.through(postgres_dsn))
    assert store.jobs(["job_none"]) == []
    with pytest.raises(Unavailable, match=r"pooler.*Set listen_dsn"):
        store.jobs(["job_none"])
    store.close()


@pytest.mark.postgres
def test_statements_are_learnt_again_after_a_transaction_that_failed(
    postgres_server: PostgresServer, migrated: str
) -> None:
    with postgres_server.database(template=migrated) as dsn:
        store = open_store(dsn, connections=1)
        good = submission(job())
        for _ in range(3):
            store.submit([good, good])
        assert store.jobs([good.jobs[0].id]) == good.jobs
        assert [len(store.submit([submission(job())])) for _ in range(3)] == [1, 1, 1]
        store.close()


@pytest.mark.postgres
def test_a_new_connection_learns_statements_anew(
    postgres_server: PostgresServer, migrated: str
) -> None:
    with postgres_server.database(template=migrated) as dsn:
        store = open_store(dsn, connections=1)
        store.jobs(["job_none"])
        with psycopg.connect(dsn, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'quanopy' AND datname = current_database()"
            )
        with contextlib.suppress(Unavailable):
            store.jobs(["job_none"])
        assert store.jobs(["job_none"]) == []
        store.close()


def _told(dsn: str, statement: str) -> None:
    """Have a session of somebody else's carry this out."""
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute(statement)


@pytest.mark.postgres
def test_a_connection_that_has_forgotten_its_statements_is_not_used_again(
    postgres_server: PostgresServer, migrated: str
) -> None:
    with postgres_server.database(template=migrated) as dsn:
        store = open_store(dsn, connections=1)
        assert isinstance(store, SqlStore)
        store.jobs(["job_none"])
        store._database.alter(lambda connection: connection.execute(text("DEALLOCATE ALL")))
        with pytest.raises(Unavailable, match="forgets statements"):
            store.jobs(["job_none"])
        assert store.jobs(["job_none"]) == []
        store.close()


@pytest.mark.postgres
def test_a_table_may_change_under_a_server_that_runs(
    postgres_server: PostgresServer, migrated: str
) -> None:
    """What a connection planned before a migration cannot be carried out after it."""
    with postgres_server.database(template=migrated) as dsn:
        store = open_store(dsn, connections=4)
        (made,) = submission(job(name="bell")).jobs
        with ThreadPoolExecutor(8) as pool:
            store.submit([submission((made, []))])
            assert list(pool.map(lambda _: store.jobs([made.id]), range(64))) == [[made]] * 64
            _told(dsn, "ALTER TABLE jobs ALTER COLUMN name TYPE VARCHAR(100)")
            assert list(pool.map(lambda _: store.jobs([made.id]), range(64))) == [[made]] * 64
            (cancelled,) = store.cancel([made.id], actor="alice")
            _told(dsn, "ALTER TABLE jobs ALTER COLUMN name TYPE TEXT")
            assert store.cancel([made.id], actor="alice") == [cancelled]
        store.close()
