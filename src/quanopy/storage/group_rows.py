"""Groups as rows: written, read back, found and locked."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.types import Text

from quanopy.domain.groups import Group, GroupOrder, GroupPolicy, GroupState, StopRules, no_group
from quanopy.domain.requirements import Bound
from quanopy.storage import schema
from quanopy.storage.compiled import Row
from quanopy.storage.events import History
from quanopy.storage.rows import id_rows
from quanopy.storage.statements import read_ids, update_rows
from quanopy.storage.transaction import Transaction
from quanopy.storage.values import Values, moment, moment_or_none, stamp

_groups = schema.groups
_ids = id_rows()
GROUPS = (
    select(_groups)
    .select_from(_ids.join(_groups, _groups.c.id == _ids.c.id))
    .order_by(_groups.c.id)
)
LOCKED_GROUPS = GROUPS.with_for_update(of=_groups)
NAMED = select(_groups).where(
    _groups.c.account == bindparam("account", type_=Text),
    _groups.c.name == bindparam("name", type_=Text),
)


def find(connection: Transaction, ids: Collection[str]) -> list[Group]:
    """Those of these groups that there are."""
    return [group_of(row) for row in read_ids(connection, GROUPS, ids)]


def named(connection: Transaction, account: str, name: str) -> Group | None:
    """An account's group of this name."""
    row = connection.first(NAMED, {"account": account, "name": name})
    return None if row is None else group_of(row)


def locked(connection: Transaction, group_id: str) -> Row:
    """A group's row, locked. Raises ``NotFound``."""
    found = read_ids(connection, LOCKED_GROUPS, [group_id])
    if not found:
        raise no_group(group_id)
    return found[0]


def change(
    connection: Transaction,
    row: Row,
    now: int,
    *,
    actor: str,
    again: bool = False,
    **changes: object,
) -> None:
    """Change a locked group; ``again``: it goes on after it was done."""
    if again:
        changes |= {"state": GroupState.RUNNING.value, "reason": None, "ended_at": None}
    update_rows(connection, _groups, [{"id": row.id, **changes}])
    if again:
        tell_alone(connection, row, GroupState.RUNNING, actor, now)


def tell_alone(connection: Transaction, row: Row, after: GroupState, actor: str, now: int) -> None:
    """Write down that a group came to a state, and nothing else."""
    history = History(actor, now)
    tell(history, row, after)
    history.write(connection)


def tell(
    history: History, row: Row, after: GroupState, data: Mapping[str, object] | None = None
) -> None:
    """Write down that a group came to a state."""
    history.add(
        row.id,
        f"group.{after}",
        account=row.account,
        before=row.state if row.state != after else None,
        after=after.value,
        data={"name": row.name, **(data or {})},
    )


def policy_text(policy: GroupPolicy) -> str:
    """A policy as it is stored."""
    stored = asdict(policy)
    deadline = policy.stop.deadline
    stored["stop"]["deadline"] = None if deadline is None else stamp(deadline)
    return json.dumps(stored)


def policy_of(text: str) -> GroupPolicy:
    """A policy as it was stored."""
    stored = json.loads(text)
    stop = stored.pop("stop")
    deadline: datetime | None = moment_or_none(stop.pop("deadline"))
    bounds = {name: Bound(**bound) for name, bound in stop.pop("calibration").items()}
    return GroupPolicy(
        **{**stored, "order": GroupOrder(stored["order"])},
        stop=StopRules(**stop, deadline=deadline, calibration=bounds),
    )


def row_of(group: Group) -> Values:
    """A group as a row."""
    return {
        "id": group.id,
        "account": group.account,
        "name": group.name,
        "state": group.state.value,
        "reason": group.reason,
        "policy": policy_text(group.policy),
        "resource": group.resource,
        "size": group.size,
        "usage": json.dumps(dict(group.usage)),
        "completed": group.completed,
        "failures": group.failures,
        "created_at": stamp(group.created_at),
        "started_at": None if group.started_at is None else stamp(group.started_at),
        "ended_at": None if group.ended_at is None else stamp(group.ended_at),
        "changed_at": None if group.changed_at is None else stamp(group.changed_at),
        "begun_at": None,
        "closing": None,
        "due_at": None,
        "due_in": None,
    }


def group_of(row: Row) -> Group:
    """A group from its row."""
    return Group(
        id=row.id,
        account=row.account,
        name=row.name,
        state=GroupState(row.state),
        policy=policy_of(row.policy),
        created_at=moment(row.created_at),
        resource=row.resource,
        reason=row.reason,
        size=row.size,
        started_at=moment_or_none(row.started_at),
        ended_at=moment_or_none(row.ended_at),
        next_at=moment_or_none(row.due_at) if row.state == GroupState.RUNNING.value else None,
        usage=json.loads(row.usage),
        completed=row.completed,
        failures=row.failures,
        changed_at=moment_or_none(row.changed_at),
    )
