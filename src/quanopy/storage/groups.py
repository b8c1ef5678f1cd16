"""Groups: made, run, paused, changed and forgotten. What of them begins is :mod:`.turns`'
business, and what of them is given another turn :mod:`.reruns`'."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, delete, select, true, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import Text

from quanopy.domain.errors import Conflict, InvalidTransition
from quanopy.domain.groups import Closing, Group, GroupAction, GroupPolicy, GroupState
from quanopy.storage import schema
from quanopy.storage.compiled import Row
from quanopy.storage.events import History
from quanopy.storage.group_places import LEFT
from quanopy.storage.group_rows import (
    GROUPS,
    NAMED,
    group_of,
    locked,
    policy_text,
    row_of,
    tell_alone,
)
from quanopy.storage.rows import document, rows_of
from quanopy.storage.statements import read_ids, update_rows
from quanopy.storage.transaction import Transaction
from quanopy.storage.values import Values, moment

_groups, _jobs, _places = schema.groups, schema.jobs, schema.group_places
_INSERT: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_rows = rows_of(*_groups.c)
_COLUMNS = [column.name for column in _groups.c]
_MAKE = {
    dialect: insert(_groups)
    .from_select(_COLUMNS, select(*(_rows.c[name] for name in _COLUMNS)).where(true()))
    .on_conflict_do_nothing()
    for dialect, insert in _INSERT.items()
}
_group = bindparam("group", type_=Text)
_LEAVE = update(_jobs).where(_jobs.c.group_id == _group).values(group_id=None, position=None)
_FORGET = delete(_places).where(_places.c.group_id == _group)
_DELETE = delete(_groups).where(_groups.c.id == _group)


def create(connection: Transaction, group: Group, *, now: int) -> tuple[Group, bool]:
    """Make a group, unless its account has one of that name; the group, and whether it is new."""
    connection.later(_MAKE[connection.dialect], {"r": document([row_of(group)])})
    (row,) = connection.execute(NAMED, {"account": group.account, "name": group.name})
    if row.id == group.id:
        tell_alone(connection, row, group.state, group.account, now)
    return group_of(row), row.id == group.id


def insert(connection: Transaction, group: Group) -> bool:
    """Insert a group as it is, unless its account has one of that name; whether it was."""
    connection.later(_MAKE[connection.dialect], {"r": document([row_of(group)])})
    (row,) = connection.execute(NAMED, {"account": group.account, "name": group.name})
    return bool(row.id == group.id)


def act(
    connection: Transaction, group_id: str, action: GroupAction, *, actor: str, now: int
) -> Group:
    """Run, pause or cancel a group, which is no error if it is that already.

    Raises:
        NotFound: there is none.
        InvalidTransition: it has been cancelled.
    """
    row = locked(connection, group_id)
    before = GroupState(row.state)
    after, changes = _ACTIONS[action]
    if before in (after, GroupState.DONE):
        return group_of(row)
    if before is GroupState.CANCELLED:
        raise InvalidTransition(
            f"the group {row.name!r} has been cancelled", hint="Make another group."
        )
    given = {**changes, "state": after.value, "due_at": now, "due_in": 0}
    if action is GroupAction.RUN:
        given["started_at"] = row.started_at or now
    if action is GroupAction.CANCEL:
        given["changed_at"] = _changed(row, now)
    update_rows(connection, _groups, [{"id": row.id, **given}])
    if action is not GroupAction.CANCEL:
        tell_alone(connection, row, after, actor, now)
    else:
        # It is told to be cancelled once all its jobs have ended.
        history = History(actor, now)
        history.add(row.id, "group.cancelling", account=row.account, data={"name": row.name})
        history.write(connection)
    return _read(connection, group_id)


_ACTIONS: Mapping[GroupAction, tuple[GroupState, Values]] = {
    GroupAction.RUN: (GroupState.RUNNING, {"reason": None, "failures": 0}),
    GroupAction.PAUSE: (GroupState.PAUSED, {"reason": None}),
    GroupAction.CANCEL: (GroupState.CANCELLED, {"reason": None, "closing": Closing.ALL.value}),
}


def revise(
    connection: Transaction,
    group_id: str,
    *,
    name: str | None,
    policy: GroupPolicy | None,
    actor: str,
    now: int,
) -> Group:
    """Give a group another name or policy.

    Raises:
        NotFound: there is none.
        Conflict: its account has another of that name.
    """
    row = locked(connection, group_id)
    if name is not None and name != row.name:
        other = connection.first(NAMED, {"account": row.account, "name": name})
        if other is not None:
            raise taken(name)
    given: Values = {
        "name": name or row.name,
        "changed_at": _changed(row, now),
        "due_at": now,
        "due_in": 0,
    }
    if policy is not None:
        given["policy"] = policy_text(policy)
    update_rows(connection, _groups, [{"id": row.id, **given}])
    history = History(actor, now)
    history.add(
        row.id,
        "group.revised",
        account=row.account,
        data={
            "name": given["name"],
            "was": row.name,
            "policy": json.loads(given.get("policy", row.policy)),
        },
    )
    history.write(connection)
    return _read(connection, group_id)


def taken(name: str | None) -> Conflict:
    """The error of a name that another group of the account has."""
    return Conflict(f"there is a group {name!r} already", where="name")


def remove(connection: Transaction, group_id: str, *, actor: str, now: int) -> Group:
    """Forget a group whose jobs have all ended; they stay. As it was.

    Raises:
        NotFound: there is none.
        Conflict: not all its jobs have ended.
    """
    row = locked(connection, group_id)
    if connection.first(LEFT, {"group": group_id}) is not None:
        raise Conflict(
            f"the group {row.name!r} has jobs that have not ended", hint="Cancel it first."
        )
    for statement in (_LEAVE, _FORGET, _DELETE):
        connection.later(statement, {"group": group_id})
    history = History(actor, now)
    history.add(row.id, "group.removed", account=row.account, data={"name": row.name})
    history.write(connection)
    return replace(group_of(row), changed_at=moment(_changed(row, now)))


def _changed(row: Row, now: int) -> int:
    """When a group is changed, now: later than when it was changed before."""
    last: int = row.changed_at or row.created_at
    return max(now, last + 1)


def _read(connection: Transaction, group_id: str) -> Group:
    (row,) = read_ids(connection, GROUPS, [group_id])
    return group_of(row)
