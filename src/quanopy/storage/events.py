"""History: written within the transactions that make it, read in an order that skips nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Select,
    Text,
    bindparam,
    case,
    exists,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    tuple_,
    update,
)

from quanopy.domain.events import Event, Position
from quanopy.ports.events import EventPage, EventQuery
from quanopy.storage.compiled import Row
from quanopy.storage.rows import (
    Future,
    Horizon,
    TransactionId,
    document,
    id_rows,
    ids_document,
    rows_of,
)
from quanopy.storage.schema import events, jobs
from quanopy.storage.statements import MANY, insert_rows
from quanopy.storage.transaction import PostgresTransaction, Transaction
from quanopy.storage.values import Values, moment

_WRITTEN = ("subject", "kind", "before", "after", "account", "job_id", "data")
_rows = rows_of(*(events.c[name] for name in _WRITTEN))
_INSERT = insert(events).from_select(
    ["tx", "at", "actor", *_WRITTEN],
    select(
        TransactionId(),
        bindparam("at", type_=events.c.at.type),
        bindparam("actor", type_=events.c.actor.type),
        *(_rows.c[name] for name in _WRITTEN),
    ),
)
_told = rows_of(*(events.c[name] for name in ("at", "actor", *_WRITTEN)))
_INSERT_TOLD = insert(events).from_select(
    ["tx", "at", "actor", *_WRITTEN],
    select(TransactionId(), *(_told.c[name] for name in ("at", "actor", *_WRITTEN))),
)
_LAST_FOREIGN = select(func.max(events.c.seq)).where(events.c.tx >= Future()).scalar_subquery()
_ADOPT = update(events).where(events.c.seq <= _LAST_FOREIGN).values(tx=0)
_PLAIN = "{}"
_LETTERS = "_abcdefghijklmnopqrstuvwxyz"
"""Of which the second part of a kind is made: without it ``job.`` is left of ``job.failed``."""


class History:
    """The events of one transaction, collected and written together."""

    def __init__(self, actor: str, at: int) -> None:
        self.actor = actor
        self._at = at
        self._lines: list[Values] = []

    def add(
        self,
        subject: str,
        kind: str,
        *,
        account: str | None = None,
        job_id: str | None = None,
        before: str | None = None,
        after: str | None = None,
        data: Mapping[str, object] | None = None,
    ) -> None:
        """One more line."""
        self._lines.append(
            {
                "subject": subject,
                "kind": kind,
                "before": before,
                "after": after,
                "account": account,
                "job_id": job_id,
                "data": json.dumps(data) if data else _PLAIN,
            }
        )

    def step(
        self, what: str, subject: str, *, account: str, job_id: str, before: str, after: str
    ) -> None:
        """One more line: a ``task`` or ``job`` came from one state to another."""
        kind = f"{what}.{after}"
        self.add(subject, kind, account=account, job_id=job_id, before=before, after=after)

    def write(self, connection: Transaction) -> None:
        """Insert what was collected, in that order."""
        if not self._lines:
            return
        if connection.dialect == "sqlite":
            same: Values = {"tx": 0, "at": self._at, "actor": self.actor}
            insert_rows(connection, events, [line | same for line in self._lines])
            return
        if isinstance(connection, PostgresTransaction) and len(self._lines) >= MANY:
            by: Values = {"at": self._at, "actor": self.actor}
            connection.copy(events.name, [line | by for line in self._lines], id_in="tx")
            return
        connection.later(_INSERT, {"r": document(self._lines), "at": self._at, "actor": self.actor})


def write_told(connection: Transaction, lines: Sequence[Values]) -> None:
    """Insert what another broker saw, each with its time and actor, in that order."""
    if connection.dialect == "sqlite":
        insert_rows(connection, events, [{"tx": 0, **line} for line in lines])
    elif lines:
        connection.later(_INSERT_TOLD, {"r": document(lines)})


def are_foreign(connection: Connection) -> bool:
    """Whether there are events of transactions that this PostgreSQL has yet to have: the catalogue
    is a copy of one that lay in another."""
    if connection.dialect.name == "sqlite":
        return False
    return connection.scalar(select(_LAST_FOREIGN)) is not None


def adopt(connection: Connection) -> None:
    """Put such events, by their sequence, before all that come here: they would be hidden until
    this PostgreSQL has had as many transactions, and what comes here would go before them."""
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(_ADOPT)


def read_events(connection: Transaction, query: EventQuery) -> EventPage:
    """A page of events, as one snapshot shows them. A position that lies in the future is from
    before the catalogue was copied into another PostgreSQL: some events may come again after it,
    but none is skipped."""
    shape = _Shape(
        dialect=connection.dialect,
        by_account=query.account is not None,
        by_job=query.job_ids is not None,
        by_group=query.group_id is not None,
        by_subject=query.subject is not None,
        by_kind=query.kinds is not None and "*" not in query.kinds,
    )
    given: Values = {"tx": query.after.tx, "seq": query.after.seq, "account": query.account}
    given |= {"group": query.group_id}
    given |= {"jobs": ids_document(sorted(query.job_ids or ())), "most": query.limit}
    kinds = sorted(query.kinds or ())
    subjects = [kind[:-1] for kind in kinds if kind.endswith(".*")]
    given |= {"kinds": ids_document(kinds), "subjects": ids_document(subjects)}
    given |= {"of": query.subject}
    rows, later, here = connection.lastly(
        (_settled(shape), given),
        (_later(shape), given),
        (_HERE[connection.dialect], {}),
    )
    found = [_event_of(row) for row in rows]
    if len(found) == query.limit:
        return EventPage(events=found, position=found[-1].position, held_back=False)
    behind = Position(*here[0])
    return EventPage(
        events=found,
        position=behind if query.after.tx > behind.tx else max(query.after, behind),
        held_back=bool(later[0][0]),
    )


def now_position(connection: Transaction) -> Position:
    """Where to follow from to see everything later."""
    ((here,),) = connection.lastly((_HERE[connection.dialect], {}))
    return Position(*here)


def here(connection: Transaction) -> Position:
    """The same, within a transaction that goes on: what it writes comes later."""
    return Position(*connection.execute(_HERE[connection.dialect])[0])


_HERE: Mapping[str, Any] = {
    "sqlite": select(literal(0), func.coalesce(func.max(events.c.seq), 0)),
    "postgresql": select(Horizon(), literal(0)),
}
"""The position before which a snapshot shows everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What of a query makes another statement."""

    dialect: str
    by_account: bool
    by_job: bool
    by_group: bool
    by_subject: bool
    by_kind: bool

    @property
    def of_jobs_alone(self) -> bool:
        """These are looked up by job, and by no other index. A table of which little is known yet
        looks as if it were quicker gone through, and each line held against all these jobs."""
        return self.by_job and not self.by_subject


@cache
def _settled(shape: _Shape) -> Select[Any]:
    """Events that nothing can come before any more."""
    chosen = _after(shape).limit(bindparam("most", type_=Integer))
    if shape.dialect == "sqlite":
        return chosen.order_by(events.c.seq)
    tx = events.c.tx + 0 if shape.of_jobs_alone else events.c.tx
    return chosen.where(events.c.tx < Horizon()).order_by(tx, events.c.seq)


@cache
def _later(shape: _Shape) -> Select[Any]:
    """Whether there are others, behind a transaction that is open."""
    if shape.dialect == "sqlite":
        return select(false())
    return select(exists(_after(shape).where(events.c.tx >= Horizon())))


def _after(shape: _Shape) -> Select[Any]:
    chosen = select(events)
    also = [events.c.subject == bindparam("of", type_=Text)] if shape.by_subject else []
    if shape.by_job and also:
        of_job = events.c.job_id.in_(select(id_rows("jobs").c.id))
        chosen = chosen.where(or_(of_job, *also))
    elif shape.by_job:
        wanted = id_rows("jobs")
        chosen = chosen.join(wanted, events.c.job_id == wanted.c.id)
    if shape.by_group:
        group = bindparam("group", type_=Text)
        chosen = chosen.outerjoin(jobs, jobs.c.id == events.c.job_id).where(
            or_(jobs.c.group_id == group, events.c.subject == group, *also)
        )
    if shape.by_kind:
        chosen = chosen.where(_is_of_kind())
    if shape.by_account:
        column = events.c.account + "" if shape.of_jobs_alone else events.c.account
        chosen = chosen.where(column == bindparam("account", type_=Text))
    tx, seq = bindparam("tx", type_=BigInteger), bindparam("seq", type_=BigInteger)
    if shape.dialect == "sqlite":
        # It is so of all: the index by account then says where to begin.
        zero = [events.c.tx == 0] if shape.by_account and not shape.by_job else []
        return chosen.where(*zero, events.c.seq > seq)
    known = case((tx > Horizon(), 0), else_=tx)
    return chosen.where(tuple_(events.c.tx, events.c.seq) > tuple_(known, seq))


def _is_of_kind() -> ColumnElement[bool]:
    subject = func.rtrim(events.c.kind, _LETTERS)
    return or_(
        events.c.kind.in_(select(id_rows("kinds").c.id)),
        subject.in_(select(id_rows("subjects").c.id)),
    )


def _event_of(row: Row) -> Event:
    """An event from its row."""
    return Event(
        position=Position(row.tx, row.seq),
        at=moment(row.at),
        subject=row.subject,
        kind=row.kind,
        before=row.before,
        after=row.after,
        actor=row.actor,
        account=row.account,
        job_id=row.job_id,
        data=json.loads(row.data),
    )
