"""Connections to the catalogue: one writer at a time on SQLite, a pool on PostgreSQL."""

import select
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from quanopy.domain.errors import Invalid
from quanopy.storage.faults import has_forgotten, is_clash, is_outdated, refused, unavailable
from quanopy.storage.filesystem import refuse_network
from quanopy.storage.transaction import PostgresTransaction, SqliteTransaction, Transaction

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 30
_POOL_TIMEOUT_S = 10
_CACHE_KIB = 8192
"""Of pages that a connection to SQLite keeps; it forgets them whenever another one has written, and
then reads what the system has in memory anyway."""
_ATTEMPTS = 5
"""How often a transaction that met another, or a change of tables, is begun again."""
_LIMITS = (
    f"statement_timeout = '{STATEMENT_TIMEOUT_S}s'",
    f"idle_in_transaction_session_timeout = '{STATEMENT_TIMEOUT_S}s'",
    # Every statement has its index; a table that grew since it was last analysed looks small, so
    # that scanning it, or joining all of it with the few rows that a batch is of, looks cheap.
    "enable_seqscan = off",
    "enable_mergejoin = off",
    "enable_hashjoin = off",
    "random_page_cost = 1.1",
    "jit = off",
)


class Database:
    """A catalogue's connections; every transaction goes through :meth:`write` or :meth:`read`."""

    def __init__(self, url: str, *, connections: int = 8, pooled: bool = False) -> None:
        """``url``: ``sqlite:////path`` or ``postgresql://…``. Raises ``Invalid`` for others.

        ``pooled``: PostgreSQL is reached through a transaction pooler, behind which nothing
        outlives its transaction: neither settings nor prepared statements.
        """
        parsed = _parse(url)
        if parsed.get_backend_name() == "sqlite":
            path = refuse_network(Path(parsed.database or ""))
            self.writer, self.reader = _sqlite(path, 1), _sqlite(path, connections)
            self._kind: type[Transaction] = SqliteTransaction
            self._to_write, self._to_read = ["BEGIN IMMEDIATE"], ["BEGIN"]
        else:
            self.writer = self.reader = _postgresql(parsed, 2 * connections, own=not pooled)
            self._kind = PostgresTransaction
            limits = [f"SET LOCAL {limit}" for limit in _LIMITS] if pooled else []
            self._to_write = ["BEGIN", *limits]
            # One snapshot for all that a reader asks, or events would slip between two of them.
            self._to_read = ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", *limits]
        self._prepares = self._kind is PostgresTransaction and not pooled
        self._driver: Any = self.writer.dialect.loaded_dbapi
        self._faults = (DBAPIError, PoolTimeout, self._driver.Error, UnicodeEncodeError)

    def write(self, work: Callable[[Transaction], T]) -> T:
        """Do this in a transaction that may write; again where it met another one.

        Raises:
            Refused: the data cannot be written.
            Unavailable: the database is away.
        """
        return self._carry_out(self.writer, self._to_write, work)

    def read(self, work: Callable[[Transaction], T]) -> T:
        """Do this in a transaction that sees one snapshot and never waits for writers."""
        return self._carry_out(self.reader, self._to_read, work)

    def alter(self, work: Callable[[Connection], T]) -> T:
        """Make tables and the like, in a transaction of SQLAlchemy's own."""
        return self._by_sqlalchemy(self.writer, self._to_write[0], work)

    def inspect(self, work: Callable[[Connection], T]) -> T:
        """See what tables there are, in a transaction of SQLAlchemy's own."""
        return self._by_sqlalchemy(self.reader, self._to_read[0], work)

    def close(self) -> None:
        """Let go of the connections; idempotent."""
        self.writer.dispose()
        self.reader.dispose()

    def _carry_out(
        self, engine: Engine, begin: Sequence[str], work: Callable[[Transaction], T]
    ) -> T:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._attempt(engine, begin, work)
            except self._faults as error:
                if (is_clash(error) or is_outdated(error)) and attempt < _ATTEMPTS:
                    continue
                raise self._meaning(error) from error
        raise AssertionError("unreachable")

    def _attempt(self, engine: Engine, begin: Sequence[str], work: Callable[[Transaction], T]) -> T:
        connection = engine.raw_connection()
        try:
            prepared = connection.info.setdefault("prepared", {}) if self._prepares else None
            transaction = self._kind(connection.driver_connection, begin, prepared)
            answer = _worked(transaction, work)
        except BaseException as error:
            self._abandon(connection, error)
            if is_outdated(error):
                engine.dispose()  # What the others know is of the old tables too.
            raise
        connection.close()
        return answer

    def _by_sqlalchemy(self, engine: Engine, begin: str, work: Callable[[Connection], T]) -> T:
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql(begin)
                answer = work(connection)
                connection.exec_driver_sql("COMMIT")
                return answer
        except self._faults as error:
            raise self._meaning(error) from error

    def _abandon(self, connection: PoolProxiedConnection, error: BaseException) -> None:
        """End what failed: a connection that cannot even do this, or that does not know what it
        is taken to, is of no use to the next."""
        useless = has_forgotten(error)
        try:
            connection.rollback()
        except self._driver.Error:
            useless = True
        if useless:
            connection.invalidate()
        else:
            connection.close()

    def _meaning(self, error: Exception) -> Exception:
        return unavailable(error, self._driver) or refused(error, self._driver) or error


def _worked(transaction: Transaction, work: Callable[[Transaction], T]) -> T:
    try:
        answer = work(transaction)
        transaction.end()
    except BaseException:
        transaction.abandon()
        raise
    return answer


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise _no_database() from None
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise _no_database()
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise _no_database()
    return parsed


def _no_database() -> Invalid:
    # The address may carry a password, so it is not repeated.
    return Invalid(
        "this is no address of a catalogue",
        where="database",
        hint="Give sqlite:////path/to/file or postgresql://user@host/name.",
    )


def _sqlite(path: Path, connections: int) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_reset_on_return=None,
        pool_timeout=STATEMENT_TIMEOUT_S,
        # One more reader in use is one more cache.
        pool_use_lifo=True,
        connect_args={
            "check_same_thread": False,
            "isolation_level": None,
            "timeout": _POOL_TIMEOUT_S,
            "cached_statements": 256,
        },
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: object) -> None:
        _keep_a_write_ahead_log(connection)
        for pragma in (
            "synchronous=FULL",
            "foreign_keys=ON",
            f"cache_size=-{_CACHE_KIB}",
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _keep_a_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Where several open a new file at once, SQLite tells all but one that it is locked, at once
    and whatever the time-out: they wait for it as writers do, and try again."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or attempt == _ATTEMPTS:
                raise
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


def _postgresql(url: URL, connections: int, *, own: bool) -> Engine:
    """``own``: connections are to the server itself, so that what is set on one stays."""
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_reset_on_return=None,
        pool_timeout=_POOL_TIMEOUT_S,
        pool_recycle=1800,
        # The one that was used last has its plans and pages at hand.
        pool_use_lifo=True,
        # BEGIN is ours: it then goes with the first statement.
        isolation_level="AUTOCOMMIT",
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "prepare_threshold": None,
            "application_name": "quanopy",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": STATEMENT_TIMEOUT_S * 1000,
        },
    )

    if own:

        @event.listens_for(engine, "connect")
        def _limit(connection: "psycopg.Connection[Any]", _: object) -> None:
            connection.execute("; ".join(f"SET {limit}" for limit in _LIMITS))

    @event.listens_for(engine, "checkout")
    def _still_there(connection: "psycopg.Connection[Any]", *_: object) -> None:
        # A server says nothing to a client that asks nothing, unless it goes away.
        waiting = select.poll()
        waiting.register(connection.pgconn.socket, select.POLLIN)
        if waiting.poll(0):
            raise DisconnectionError

    return engine
