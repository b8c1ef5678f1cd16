"""What a database error means: gone for now, in each other's way, or about what was asked."""

import sqlite3
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from quanopy.domain.errors import Unavailable

_AWAY_CLASSES = frozenset({"08", "25", "53", "55", "57", "58", "F0", "XX"})
"""PostgreSQL's classes of: connection, read-only or dead transaction, resources (disk, memory),
locks, operator intervention and time-outs, system, configuration, internal."""
_CLASH_CLASS = "40"
_NOT_PREPARED = "26000"
_OUTDATED = "0A000"
"""What PostgreSQL says (among others) of a statement prepared before its tables changed."""
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


class Refused(Exception):
    """The database cannot take these data."""

    def __init__(self, *, duplicate: bool) -> None:
        """``duplicate``: there is such a row already."""
        super().__init__("a row is there already" if duplicate else "data cannot be kept")
        self.duplicate = duplicate


def unavailable(error: Exception, driver: Any) -> Unavailable | None:
    """The error to raise where the database is gone, full, read-only or overloaded; ``None``
    where the statement or its data were wrong. ``driver``: the module that raised it."""
    if isinstance(error, PoolTimeout):
        return _unavailable("all connections to the database are in use")
    cause = _cause(error)
    if has_forgotten(error):
        return Unavailable(
            "the database forgets statements: a transaction pooler stands before it",
            where="database",
            hint="Set listen_dsn to a direct connection; statements are then not kept.",
        )
    if _is_away(cause, driver):
        return _unavailable(f"the database cannot be used now: {_first_line(cause)}")
    return None


def refused(error: Exception, driver: Any) -> Refused | None:
    """Whether it is the data that cannot be written, and why."""
    cause = _cause(error)
    if isinstance(cause, driver.IntegrityError | driver.DataError):
        return Refused(duplicate=isinstance(cause, driver.IntegrityError))
    if isinstance(cause, UnicodeEncodeError):  # half a surrogate pair is no text
        return Refused(duplicate=False)
    return None


def is_clash(error: BaseException) -> bool:
    """Whether two transactions were in each other's way: the same again will do."""
    state = getattr(_cause(error), "sqlstate", None)
    return isinstance(state, str) and state.startswith(_CLASH_CLASS)


def is_outdated(error: BaseException) -> bool:
    """Whether a statement was prepared before its tables changed: the same on a new connection
    will do."""
    return getattr(_cause(error), "sqlstate", None) == _OUTDATED


def has_forgotten(error: BaseException) -> bool:
    """Whether the connection has not prepared what it is taken to have."""
    return getattr(_cause(error), "sqlstate", None) == _NOT_PREPARED


def _cause(error: BaseException) -> BaseException:
    """The driver's own error."""
    return (error.orig or error) if isinstance(error, DBAPIError) else error


def _is_away(cause: BaseException, driver: Any) -> bool:
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _AWAY_CODES
    state = getattr(cause, "sqlstate", None)
    if state is None:
        return isinstance(cause, driver.OperationalError | driver.InterfaceError)
    return state[:2] in _AWAY_CLASSES or state.startswith(_CLASH_CLASS)


def _first_line(cause: BaseException) -> str:
    return (str(cause).splitlines() or [type(cause).__name__])[0]


def _unavailable(message: str) -> Unavailable:
    return Unavailable(message, hint="Try again in a moment.", retry_after_s=1.0)
