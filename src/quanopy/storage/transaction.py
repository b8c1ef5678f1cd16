"""Transactions as the storage modules see them, and what they are on either database.

Many small statements are as quick as the waits between them allow. So a transaction is told which
of its statements need no answer yet (:meth:`Transaction.later`), which are asked together, and
which are its last: PostgreSQL gets what belongs together as one message, in which it is carried
out in order; only what is much is sent ahead, to be carried out while the rest is made. It would
plan each statement anew, which takes it six times as long as carrying it out; so a connection that
is its own keeps them planned (``PREPARE``) from their first use on. SQLite, within this process,
has nothing to wait for, and its driver keeps plans by itself.
"""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from quanopy.storage.compiled import Row, Statement, compiled

if TYPE_CHECKING:
    from psycopg import Connection

Given = Mapping[str, Any]
Asked = tuple[Statement, Given]
_NOTHING: Given = {}
_UNPREPARED: Mapping[Statement, str] = {}
_ENDED = "this transaction was told its last statement"
_OWN_ID = "SELECT pg_current_xact_id()::text::bigint"
_MUCH = 128 * 1024
"""Characters of statements that the database takes some ten milliseconds for."""


class Transaction(ABC):
    """Statements between a beginning and a commit."""

    dialect: ClassVar[str]

    @abstractmethod
    def __init__(
        self, connection: Any, begin: Sequence[str], prepared: dict[Statement, str] | None
    ) -> None:
        """``connection``: the driver's, left to itself between transactions; ``begin``:
        statements to begin with; ``prepared``: by what names the connection knows statements,
        if it can keep any."""

    @abstractmethod
    def together(self, *asked: Asked) -> list[list[Row]]:
        """The rows of each of these statements, which are carried out in this order."""

    @abstractmethod
    def lastly(self, *asked: Asked) -> list[list[Row]]:
        """As :meth:`together`; nothing comes after it but the commit, which it includes."""

    @abstractmethod
    def later(self, statement: Statement, given: Given = _NOTHING) -> None:
        """Carry this out before whatever is asked next; nobody wants its rows."""

    @abstractmethod
    def end(self) -> None:
        """Commit."""

    @abstractmethod
    def abandon(self) -> None:
        """See that nothing of it comes after its connection is rolled back; it never raises."""

    def execute(self, statement: Statement, given: Given = _NOTHING) -> list[Row]:
        """The rows of one statement."""
        return self.together((statement, given))[0]

    def last(self, statement: Statement, given: Given = _NOTHING) -> list[Row]:
        """The rows of the last statement of all."""
        return self.lastly((statement, given))[0]

    def first(self, statement: Statement, given: Given = _NOTHING) -> Row | None:
        """The first row of one statement."""
        return next(iter(self.execute(statement, given)), None)

    def scalars(self, statement: Statement, given: Given = _NOTHING) -> list[Any]:
        """The first column of one statement."""
        return [row[0] for row in self.execute(statement, given)]

    def scalar(self, statement: Statement, given: Given = _NOTHING) -> Any:
        """The first value of one statement; ``None`` without rows."""
        row = self.first(statement, given)
        return None if row is None else row[0]


class SqliteTransaction(Transaction):
    """A transaction on a connection to a SQLite file."""

    dialect = "sqlite"

    def __init__(
        self,
        connection: sqlite3.Connection,
        begin: Sequence[str],
        prepared: dict[Statement, str] | None = None,
    ) -> None:
        """Begins at once."""
        self._open: sqlite3.Connection | None = connection
        for statement in begin:
            connection.execute(statement)

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            raise RuntimeError(_ENDED)
        return self._open

    def together(self, *asked: Asked) -> list[list[Row]]:
        """See :meth:`Transaction.together`."""
        return [self._ask(statement, given) for statement, given in asked]

    def lastly(self, *asked: Asked) -> list[list[Row]]:
        """See :meth:`Transaction.lastly`."""
        found = self.together(*asked)
        self.end()
        return found

    def later(self, statement: Statement, given: Given = _NOTHING) -> None:
        """Carry it out at once."""
        self._connection.execute(compiled(statement, self.dialect).text, given)

    def each(self, statement: Statement, columns: tuple[str, ...], rows: Sequence[Given]) -> None:
        """Carry an insert or update out for each of these rows."""
        text = compiled(statement, self.dialect, columns).text
        if len(rows) == 1:
            self._connection.execute(text, rows[0])
        else:
            self._connection.executemany(text, rows)

    def end(self) -> None:
        """Commit, unless that is done."""
        if self._open is not None:
            self._open.execute("COMMIT")
            self._open = None

    def abandon(self) -> None:
        """Nothing is under way."""

    def _ask(self, statement: Statement, given: Given) -> list[Row]:
        one = compiled(statement, self.dialect)
        return one.rows(self._connection.execute(one.text, given))


class PostgresTransaction(Transaction):
    """A transaction on a connection to PostgreSQL, which commits by itself otherwise."""

    dialect = "postgresql"

    def __init__(
        self,
        connection: "Connection[Any]",
        begin: Sequence[str],
        prepared: dict[Statement, str] | None = None,
    ) -> None:
        """Begins with what is asked first."""
        # Installed only where it is used.
        from psycopg import ClientCursor

        # The values are put into the text: several statements then make one message. One cursor
        # makes texts while the other, perhaps in a thread of its own, sends them.
        self._maker, self._cursor = ClientCursor(connection), ClientCursor(connection)
        self._sent: Future[object] | None = None
        self._pending = list(begin)
        self._prepared = prepared
        self._learning: dict[Statement, str] = {}
        self._new: dict[Statement, str] = {}
        self._ended = False

    def together(self, *asked: Asked) -> list[list[Row]]:
        """See :meth:`Transaction.together`."""
        self._prepare(*asked)
        before = len(self._pending)
        for statement, given in asked:
            self._tell(statement, given)
        self._send()
        for _ in range(before):
            self._cursor.nextset()
        return [self._rows(statement) for statement, _ in asked]

    def lastly(self, *asked: Asked) -> list[list[Row]]:
        """See :meth:`Transaction.lastly`."""
        self._prepare(*asked)
        before = len(self._pending)
        for statement, given in asked:
            self._tell(statement, given)
        self.end()
        for _ in range(before):
            self._cursor.nextset()
        return [self._rows(statement) for statement, _ in asked]

    def later(self, statement: Statement, given: Given = _NOTHING) -> None:
        """See :meth:`Transaction.later`."""
        self._prepare((statement, given))
        self._tell(statement, given)
        if len(self._pending[-1]) > _MUCH:
            self._send_ahead()

    def copy(self, into: str, rows: Sequence[Given], *, id_in: str | None = None) -> None:
        """Insert many rows into a table, each with a value for every column of the first, while the
        caller goes on; ``id_in``: a column that gets this transaction's id."""
        self._send_ahead(lambda: self._copy(into, rows, id_in))

    def _tell(self, statement: Statement, given: Given) -> None:
        one = compiled(statement, self.dialect)
        text = one.text if self._prepared is None else one.executing.format(self._name(statement))
        self._pending.append(self._maker.mogrify(text, given))

    def end(self) -> None:
        """Commit, unless that is done."""
        if not self._ended:
            self._pending.append("COMMIT")
            self._send()
            self._ended = True

    def abandon(self) -> None:
        """Wait for what was sent ahead: the next transaction on this connection would get it."""
        if self._sent is not None:
            wait([self._sent])

    def _prepare(self, *asked: Asked) -> None:
        """Have the connection learn those of these statements that it does not know."""
        if self._prepared is None:
            return
        for statement, _ in asked:
            if not any(statement in known for known in self._names):
                # A name of its own: of what fails it is not known how much the connection learnt.
                self._new[statement] = name = f"q{uuid4().hex}"
                text = compiled(statement, self.dialect).preparing
                self._pending.append(f"PREPARE {name} AS {text}")

    def _name(self, statement: Statement) -> str:
        return next(known[statement] for known in self._names if statement in known)

    @property
    def _names(self) -> Sequence[Mapping[Statement, str]]:
        """By what names statements are known: for long, once what was sent is carried out, and
        once what is to be sent is."""
        return self._prepared or _UNPREPARED, self._learning, self._new

    def _send(self) -> None:
        self._wait()
        self._cursor.execute(self._message())
        self._learnt()

    def _send_ahead(self, then: Callable[[], object] = lambda: None) -> None:
        """Have what was told so far carried out, and this done, while its caller goes on."""
        self._wait()
        message = self._message()

        def send() -> None:
            if message:
                self._cursor.execute(message)
            then()

        # A thread of its own: one of a pool might come after another that waits for a lock of ours.
        with_one = ThreadPoolExecutor(1, thread_name_prefix="statements")
        self._sent = with_one.submit(send)
        with_one.shutdown(wait=False)

    def _copy(self, into: str, rows: Sequence[Given], id_in: str | None) -> None:
        from psycopg.sql import SQL, Identifier

        columns, same = list(rows[0]), dict[str, Any]()
        if id_in is not None and (found := self._cursor.execute(_OWN_ID).fetchone()):
            same[id_in] = found[0]
        names = SQL(", ").join(map(Identifier, (*same, *columns)))
        copying = SQL("COPY {} ({}) FROM STDIN").format(Identifier(into), names)
        with self._cursor.copy(copying) as copy:
            for row in rows:
                copy.write_row((*same.values(), *[row[name] for name in columns]))

    def _wait(self) -> None:
        """For what was sent ahead; raises what that raised."""
        if self._sent is not None:
            sent, self._sent = self._sent, None
            sent.result()
            self._learnt()

    def _message(self) -> bytes:
        if self._ended:
            raise RuntimeError(_ENDED)
        text, self._pending = "; ".join(self._pending), []
        self._learning, self._new = self._new, {}
        return text.encode()

    def _learnt(self) -> None:
        """What was sent has been carried out, and its statements are known by their names."""
        if self._prepared is not None:
            self._prepared |= self._learning
        self._learning = {}

    def _rows(self, statement: Statement) -> list[Row]:
        found = compiled(statement, self.dialect).rows(self._cursor)
        self._cursor.nextset()
        return found
