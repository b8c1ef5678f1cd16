"""What a database error means: gone for now, in each other's way, or about what was asked."""

import sqlite3

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from quanopy.domain.errors import Unavailable

_AWAY_CLASSES = frozenset({"08", "25", "53", "55", "57", "58", "F0", "XX"})
"""PostgreSQL's classes of: connection, read-only or dead transaction, resources (disk, memory),
locks, operator intervention and time-outs, system, configuration, internal."""
_CLASH_CLASS = "40"
_AWAY_CODES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


def unavailable(error: DBAPIError | PoolTimeout) -> Unavailable | None:
    """The error to raise where the database is gone, full, read-only or overloaded; ``None``
    where the statement or its data were wrong."""
    if isinstance(error, PoolTimeout):
        return _unavailable("all connections to the database are in use")
    if error.connection_invalidated or _is_away(error):
        return _unavailable(f"the database cannot be used now: {_first_line(error)}")
    return None


def is_clash(error: DBAPIError) -> bool:
    """Whether two transactions were in each other's way: the same again will do."""
    state = getattr(error.orig, "sqlstate", None)
    return isinstance(state, str) and state.startswith(_CLASH_CLASS)


def _is_away(error: DBAPIError) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _AWAY_CODES
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return isinstance(error, OperationalError)
    return state[:2] in _AWAY_CLASSES or is_clash(error)


def _first_line(error: DBAPIError) -> str:
    return (str(error.orig).splitlines() or [type(error.orig).__name__])[0]


def _unavailable(message: str) -> Unavailable:
    return Unavailable(message, hint="Try again in a moment.", retry_after_s=1.0)
