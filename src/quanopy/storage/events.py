"""History: written within the transactions that make it, read in an order that skips nothing."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    exists,
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

    def write(self, connection: Connection) -> None:
        """Insert what was collected, in that order."""
        if not self._lines:
            return
        if connection.dialect.name == "sqlite":
            same: Values = {"tx": 0, "at": self._at, "actor": self.actor}
            insert_rows(connection, events, [line | same for line in self._lines])
            return
        connection.execute(
            _INSERT, {"r": document(self._lines), "at": self._at, "actor": self.actor}
        )


def read_events(connection: Connection, query: EventQuery) -> EventPage:
    """A page of events, as one snapshot shows them."""
    given = _given(query)
    horizon = _horizon(connection)
    settled = _order(_select(query).where(events.c.tx < horizon.tx)).limit(query.limit)
    found = [event_of(row) for row in connection.execute(settled, given)]
    if len(found) == query.limit:
        return EventPage(events=found, position=found[-1].position, held_back=False)
    later = select(exists(_select(query).where(events.c.tx >= horizon.tx)))
    return EventPage(
        events=found,
        position=max(query.after, _seen(connection, horizon)),
        held_back=bool(connection.scalar(later, given)),
    )


def now_position(connection: Connection) -> Position:
    """Where to follow from to see everything later."""
    return _seen(connection, _horizon(connection))


def _horizon(connection: Connection) -> Position:
    return Position(connection.scalar(select(Horizon())) or 0, 0)


def _seen(connection: Connection, horizon: Position) -> Position:
    """The position before which this snapshot shows everything."""
    if connection.dialect.name == "sqlite":
        return Position(0, connection.scalar(select(func.max(events.c.seq))) or 0)
    return replace(horizon, seq=0)


def _select(query: EventQuery) -> Select[Any]:
    chosen = select(events)
    if query.job_ids is not None:
        wanted = id_rows("jobs")
        chosen = chosen.join(wanted, events.c.job_id == wanted.c.id)
    return chosen.where(*_conditions(query))


def _conditions(query: EventQuery) -> list[ColumnElement[bool]]:
    after = tuple_(literal(query.after.tx), literal(query.after.seq))
    conditions: list[ColumnElement[bool]] = [tuple_(events.c.tx, events.c.seq) > after]
    if query.account is not None:
        conditions.append(events.c.account == query.account)
    return conditions


def _given(query: EventQuery) -> Values:
    if query.job_ids is None:
        return {}
    return {"jobs": ids_document(sorted(query.job_ids))}


def _order(chosen: Select[Any]) -> Select[Any]:
    return chosen.order_by(events.c.tx, events.c.seq)
