"""History: written within the transactions that make it, read in an order that skips nothing."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Integer,
    Select,
    Text,
    bindparam,
    exists,
    false,
    func,
    insert,
    literal,
    select,
    tuple_,
)

from quanopy.domain.events import Position
from quanopy.ports.store import EventPage, EventQuery
from quanopy.storage.mapping import Values, event_of
from quanopy.storage.rows import Horizon, TransactionId, document, id_rows, ids_document, rows_of
from quanopy.storage.schema import events
from quanopy.storage.statements import insert_rows
from quanopy.storage.transaction import Transaction

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
_PLAIN = "{}"


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

    def write(self, connection: Transaction) -> None:
        """Insert what was collected, in that order."""
        if not self._lines:
            return
        if connection.dialect == "sqlite":
            same: Values = {"tx": 0, "at": self._at, "actor": self.actor}
            insert_rows(connection, events, [line | same for line in self._lines])
            return
        connection.later(_INSERT, {"r": document(self._lines), "at": self._at, "actor": self.actor})


def read_events(connection: Transaction, query: EventQuery) -> EventPage:
    """A page of events, as one snapshot shows them."""
    kind = connection.dialect, query.account is not None, query.job_ids is not None
    given: Values = {"tx": query.after.tx, "seq": query.after.seq, "account": query.account}
    given |= {"jobs": ids_document(sorted(query.job_ids or ())), "most": query.limit}
    rows, later, here = connection.lastly(
        (_settled(*kind), given),
        (_later(*kind), given),
        (_HERE[connection.dialect], {}),
    )
    found = [event_of(row) for row in rows]
    if len(found) == query.limit:
        return EventPage(events=found, position=found[-1].position, held_back=False)
    return EventPage(
        events=found,
        position=max(query.after, Position(*here[0])),
        held_back=bool(later[0][0]),
    )


def now_position(connection: Transaction) -> Position:
    """Where to follow from to see everything later."""
    ((here,),) = connection.lastly((_HERE[connection.dialect], {}))
    return Position(*here)


_HERE: Mapping[str, Any] = {
    "sqlite": select(literal(0), func.coalesce(func.max(events.c.seq), 0)),
    "postgresql": select(Horizon(), literal(0)),
}
"""The position before which a snapshot shows everything."""


@cache
def _settled(dialect: str, by_account: bool, by_job: bool) -> Select[Any]:
    """Events that nothing can come before any more."""
    chosen = _after(dialect, by_account, by_job).limit(bindparam("most", type_=Integer))
    if dialect == "sqlite":
        return chosen.order_by(events.c.seq)
    return chosen.where(events.c.tx < Horizon()).order_by(events.c.tx, events.c.seq)


@cache
def _later(dialect: str, by_account: bool, by_job: bool) -> Select[Any]:
    """Whether there are others, behind a transaction that is open."""
    if dialect == "sqlite":
        return select(false())
    return select(exists(_after(dialect, by_account, by_job).where(events.c.tx >= Horizon())))


def _after(dialect: str, by_account: bool, by_job: bool) -> Select[Any]:
    chosen = select(events)
    if by_job:
        wanted = id_rows("jobs")
        chosen = chosen.join(wanted, events.c.job_id == wanted.c.id)
    if by_account:
        chosen = chosen.where(events.c.account == bindparam("account", type_=Text))
    tx, seq = bindparam("tx", type_=BigInteger), bindparam("seq", type_=BigInteger)
    if dialect == "sqlite":
        return chosen.where(events.c.seq > seq)
    return chosen.where(tuple_(events.c.tx, events.c.seq) > tuple_(tx, seq))
