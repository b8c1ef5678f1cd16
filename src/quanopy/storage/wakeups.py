"""Wake-ups that fit the database: datagrams beside SQLite, LISTEN and NOTIFY on PostgreSQL."""

from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from quanopy.domain.errors import Invalid
from quanopy.ports.wakeups import Wakeups
from quanopy.storage.wakeups_sqlite import SqliteWakeups


def open_wakeups(database_url: str, *, listen_dsn: str | None = None) -> Wakeups:
    """Wake-ups for a catalogue at ``sqlite:////path`` or ``postgresql://…``.

    ``listen_dsn`` is a direct connection to PostgreSQL, where ``database_url`` goes through a
    transaction pooler (which drops LISTEN silently).

    Raises:
        Invalid: neither kind of URL.
        Unavailable: sockets cannot be made beside the SQLite file.
    """
    try:
        url = make_url(database_url)
    except ArgumentError:  # its text repeats the address, password and all
        raise _no_url() from None
    match url.get_backend_name():
        case "sqlite" if url.database:
            return SqliteWakeups(Path(url.database))
        case "postgresql":
            # Its driver is installed only where it is used.
            from quanopy.storage.wakeups_postgres import PostgresWakeups

            plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
            return PostgresWakeups(listen_dsn or plain)
        case _:
            raise _no_url()


def _no_url() -> Invalid:
    return Invalid(
        "no URL of a database that wake-ups are for",
        hint="Take sqlite:////an/absolute/path or postgresql://user@host/name.",
    )
