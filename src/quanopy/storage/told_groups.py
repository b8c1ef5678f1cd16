"""Groups that receipts tell of: as they ended, with the jobs that were told of with them."""

import json
from collections.abc import Sequence

from sqlalchemy import BigInteger, Text, bindparam, column, update

from quanopy.domain.errors import Conflict
from quanopy.domain.events import TOLD, Event
from quanopy.domain.imports import Imported
from quanopy.ports.archive import ToldGroup
from quanopy.storage import group_rows, groups, schema
from quanopy.storage.events import History, write_told
from quanopy.storage.rows import document, rows_of
from quanopy.storage.transaction import Transaction
from quanopy.storage.values import Values, stamp

_placed = rows_of(column("of_job", Text), column("at_position", BigInteger))
_JOIN = (
    update(schema.jobs)
    .where(
        schema.jobs.c.id == _placed.c.of_job,
        schema.jobs.c.group_id.is_(None),
        schema.jobs.c.account == bindparam("owner", type_=Text),
        schema.jobs.c.imported.is_not(None),
    )
    .values(group_id=bindparam("group", type_=Text), position=_placed.c.at_position)
)


def tell(connection: Transaction, told: ToldGroup, now: int) -> None:
    """Insert the group, unless it is there; jobs that had been told of without it join it.

    Raises:
        Conflict: its account has another group of its name, or it is another account's.
    """
    group = told.group
    found = group_rows.find(connection, [group.id])
    if found and found[0].account != group.account:
        raise Conflict(f"{group.id} is there already, and is another's")
    if not found:
        _make(connection, told, now)
    placed: list[Values] = [
        {"of_job": job_id, "at_position": position} for job_id, position in told.positions.items()
    ]
    connection.later(_JOIN, {"r": document(placed), "group": group.id, "owner": group.account})


def _make(connection: Transaction, told: ToldGroup, now: int) -> None:
    group = told.group
    if not groups.insert(connection, group):
        raise Conflict(
            f"there is another group {group.name!r}",
            where="name",
            hint="Give that one another name, or remove it; its jobs stay.",
        )
    write_told(connection, _lines(told.events, group.account, told.imported.receipt))
    history = History(told.imported.by, now)
    history.add(
        group.id,
        "group.imported",
        account=group.account,
        after=group.state.value,
        data=said_of(told.imported) | {"name": group.name},
    )
    history.write(connection)


def said_of(imported: Imported) -> dict[str, str]:
    """Where something comes from, as an event says it."""
    return {
        "receipt": imported.receipt,
        "broker": imported.broker,
        "account": imported.account,
        "exported_at": imported.exported_at.isoformat(),
        "imported_at": imported.imported_at.isoformat(),
        "by": imported.by,
    }


def _lines(events: Sequence[Event], account: str, receipt: str) -> list[Values]:
    return [line_of(event, account, None, receipt) for event in events]


def line_of(event: Event, account: str, job_id: str | None, receipt: str) -> Values:
    """An event that another broker saw, as a row."""
    return {
        "at": stamp(event.at),
        "subject": event.subject,
        "kind": event.kind,
        "before": event.before,
        "after": event.after,
        "actor": event.actor,
        "account": account,
        "job_id": job_id,
        "data": json.dumps({**event.data, TOLD: receipt}),
    }
