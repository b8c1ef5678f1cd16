"""Connections to the catalogue: one writer at a time on SQLite, a pool on PostgreSQL."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from quanopy.domain.errors import Invalid
from quanopy.storage.faults import is_clash, unavailable
from quanopy.storage.filesystem import refuse_network

T = TypeVar("T")

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 30
_POOL_TIMEOUT_S = 10
_ATTEMPTS = 5
"""How often a transaction that met another is begun again."""


class Database:
    """A catalogue's connections; every transaction goes through :meth:`write` or :meth:`read`."""

    def __init__(self, url: str, *, connections: int = 8) -> None:
        """``url``: ``sqlite:////path`` or ``postgresql://…``. Raises ``Invalid`` for others."""
        parsed = _parse(url)
        if parsed.get_backend_name() == "sqlite":
            path = refuse_network(Path(parsed.database or ""))
            self.writer = _sqlite(path, "BEGIN IMMEDIATE", 1)
            self.reader = _sqlite(path, "BEGIN", connections)
        else:
            self.writer = _postgresql(parsed, "", connections)
            # One snapshot for all that a reader asks, or events would slip between two of them.
            self.reader = _postgresql(
                parsed, " ISOLATION LEVEL REPEATABLE READ READ ONLY", connections
            )

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do this in a transaction that may write; again where it met another one."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with _transaction(self.writer) as connection:
                    return work(connection)
            except DBAPIError as error:
                if is_clash(error) and attempt < _ATTEMPTS:
                    continue
                raise unavailable(error) or error from error
            except PoolTimeout as error:
                raise unavailable(error) or error from error
        raise AssertionError("unreachable")

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do this in a transaction that sees one snapshot and never waits for writers."""
        try:
            with _transaction(self.reader) as connection:
                return work(connection)
        except (DBAPIError, PoolTimeout) as error:
            raise unavailable(error) or error from error

    def close(self) -> None:
        """Let go of the connections; idempotent."""
        self.writer.dispose()
        self.reader.dispose()


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    try:
        connection = _begun(engine)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        # The pool held a connection from before the database went away: nothing was asked yet.
        connection = _begun(engine)
    with connection:
        yield connection
        connection.commit()


def _begun(engine: Engine) -> Connection:
    connection = engine.connect()
    try:
        connection.begin()
    except DBAPIError:
        connection.close()
        raise
    return connection


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


def _sqlite(path: Path, begin: str, connections: int) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=STATEMENT_TIMEOUT_S,
        connect_args={
            "check_same_thread": False,
            "isolation_level": None,
            "timeout": _POOL_TIMEOUT_S,
            "cached_statements": 256,
        },
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: object, _: object) -> None:
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "cache_size=-32768",
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _postgresql(url: URL, mode: str, connections: int) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=_POOL_TIMEOUT_S,
        pool_recycle=1800,
        # BEGIN is ours, below: it then sets the limits in the same round trip, for this
        # transaction alone, which is all that holds behind a transaction pooler.
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
    begin = (
        f"BEGIN{mode}; SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s'; "
        f"SET LOCAL idle_in_transaction_session_timeout = '{STATEMENT_TIMEOUT_S}s'"
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
