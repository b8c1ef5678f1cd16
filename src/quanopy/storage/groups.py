"""Groups: made, found, changed, and given jobs. What of them begins is :mod:`.turns`' business."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import Text

from quanopy.domain.errors import Conflict, InvalidTransition
from quanopy.domain.groups import (
    Closing,
    Group,
    GroupAction,
    GroupOrder,
    GroupPolicy,
    GroupState,
    Progress,
    StopRules,
    no_group,
)
from quanopy.domain.jobs import Job
from quanopy.domain.requirements import Bound
from quanopy.domain.states import JobState
from quanopy.ports.store import GroupQuery, Submission
from quanopy.storage import schema
from quanopy.storage.compiled import Row
from quanopy.storage.events import History
from quanopy.storage.mapping import Values, job_of, moment, moment_or_none, stamp
from quanopy.storage.rows import document, id_rows, ids_document, rows_of
from quanopy.storage.statements import JOBS, LOCKED_JOBS, insert_rows, read_ids, update_rows
from quanopy.storage.transaction import Transaction
from quanopy.storage.users import queue_again

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
_AFTER_ALL = "\U0010ffff"
_ids = id_rows()
GROUPS = (
    select(_groups)
    .select_from(_ids.join(_groups, _groups.c.id == _ids.c.id))
    .order_by(_groups.c.id)
)
LOCKED_GROUPS = GROUPS.with_for_update(of=_groups)
_account = bindparam("account", type_=Text)
_NAMED = select(_groups).where(
    _groups.c.account == _account, _groups.c.name == bindparam("name", type_=Text)
)
_PROGRESS = (
    select(
        _jobs.c.group_id,
        _jobs.c.state,
        _jobs.c.blocked,
        func.count().label("number"),
        func.sum(case((_jobs.c.state == JobState.COMPLETED.value, _jobs.c.shots), else_=0)).label(
            "shots"
        ),
    )
    .select_from(_ids.join(_jobs, _jobs.c.group_id == _ids.c.id))
    .group_by(_jobs.c.group_id, _jobs.c.state, _jobs.c.blocked)
)
_group = bindparam("group", type_=Text)
_MEMBERS = (
    select(_jobs)
    .where(_jobs.c.group_id == _group, _jobs.c.position > bindparam("after", type_=BigInteger))
    .order_by(_jobs.c.position)
    .limit(bindparam("most", type_=Integer))
)
_FAILED = (JobState.FAILED.value, JobState.CANCELLED.value)
_AGAIN = select(_jobs.c.id).where(_jobs.c.group_id == _group, _jobs.c.state.in_(_FAILED))
_LEAVE = update(_jobs).where(_jobs.c.group_id == _group).values(group_id=None, position=None)
_FORGET = delete(_places).where(_places.c.group_id == _group)
_position = rows_of(_places.c.position)
_VACATE = delete(_places).where(
    _places.c.group_id == _group, _places.c.position.in_(select(_position.c.position))
)
_DELETE = delete(_groups).where(_groups.c.id == _group)
LEFT = (
    select(_places.c.position)
    .where(_places.c.group_id == _group, _places.c.free_at.is_(None))
    .limit(1)
)
"""A place whose job has not ended; one that only waits for the end of a gap has."""


def create(connection: Transaction, group: Group, *, now: int) -> tuple[Group, bool]:
    """Make a group, unless its account has one of that name; the group, and whether it is new."""
    connection.later(_MAKE[connection.dialect], {"r": document([row_of(group)])})
    (row,) = connection.execute(_NAMED, {"account": group.account, "name": group.name})
    if row.id == group.id:
        _tell(connection, row, group.state, group.account, now)
    return group_of(row), row.id == group.id


def insert(connection: Transaction, group: Group) -> bool:
    """Insert a group as it is, unless its account has one of that name; whether it was."""
    connection.later(_MAKE[connection.dialect], {"r": document([row_of(group)])})
    (row,) = connection.execute(_NAMED, {"account": group.account, "name": group.name})
    return bool(row.id == group.id)


def find(connection: Transaction, ids: Collection[str]) -> list[Group]:
    """Those of these groups that there are."""
    return [group_of(row) for row in read_ids(connection, GROUPS, ids)]


def named(connection: Transaction, account: str, name: str) -> Group | None:
    """An account's group of this name."""
    row = connection.first(_NAMED, {"account": account, "name": name})
    return None if row is None else group_of(row)


def listing(connection: Transaction, query: GroupQuery) -> list[Group]:
    """A page of groups, newest first."""
    prefix, before = query.name_prefix, query.before
    given = {
        "account": query.account,
        "states": ids_document([one.value for one in query.states]) if query.states else None,
        "low": prefix,
        "high": None if prefix is None else prefix + _AFTER_ALL,
        "at": None if before is None else stamp(before[0]),
        "last": None if before is None else before[1],
    }
    asked = frozenset(name for name, value in given.items() if value is not None)
    found = connection.last(_listing(asked), given | {"most": query.limit})
    return [group_of(row) for row in found]


@cache
def _listing(asked: frozenset[str]) -> Select[Any]:
    wanted = select(_groups).order_by(_groups.c.created_at.desc(), _groups.c.id.desc())
    if "account" in asked:
        wanted = wanted.where(_groups.c.account == _account)
    if "states" in asked:
        states = id_rows("states")
        wanted = wanted.where(_groups.c.state.in_(select(states.c.id)))
    if "low" in asked:
        low, high = bindparam("low", type_=Text), bindparam("high", type_=Text)
        wanted = wanted.where(_groups.c.name >= low, _groups.c.name < high)
    if "at" in asked:
        at, last = bindparam("at", type_=BigInteger), bindparam("last", type_=Text)
        wanted = wanted.where(
            or_(_groups.c.created_at < at, and_(_groups.c.created_at == at, _groups.c.id < last))
        )
    return wanted.limit(bindparam("most", type_=Integer))


def progress(connection: Transaction, ids: Collection[str]) -> dict[str, Progress]:
    """How far these groups are."""
    counts: dict[str, dict[str, int]] = {group_id: {} for group_id in ids}
    for row in read_ids(connection, _PROGRESS, ids):
        of = counts[row.group_id]
        name = "blocked" if row.blocked and row.state == JobState.QUEUED.value else row.state
        of[name] = of.get(name, 0) + row.number
        of["shots"] = of.get("shots", 0) + int(row.shots or 0)
    return {group_id: Progress(**of) for group_id, of in counts.items()}


def members(connection: Transaction, group_id: str, after: int, limit: int) -> list[Job]:
    """The jobs of a group past a position, in order."""
    found = connection.last(_MEMBERS, {"group": group_id, "after": after, "most": limit})
    return [job_of(row) for row in found]


def place(connection: Transaction, submissions: Sequence[Submission], now: int) -> list[Submission]:
    """These submissions, with the places in their groups that their jobs get.

    Raises:
        NotFound: there is no such group of the account.
        Conflict: it takes no more jobs.
    """
    wanted = {one.group_id for one in submissions if one.group_id is not None}
    if not wanted:
        return list(submissions)
    rows = {row.id: row for row in read_ids(connection, LOCKED_GROUPS, wanted)}
    sizes = {group_id: row.size for group_id, row in rows.items()}
    placed, grown, resources = [], {}, dict[str, str]()
    for one in submissions:
        if one.group_id is None:
            placed.append(one)
            continue
        row = _open(rows.get(one.group_id), one)
        jobs = [
            replace(job, group_id=one.group_id, position=position, blocked=True)
            for position, job in enumerate(one.jobs, start=sizes[one.group_id])
        ]
        sizes[one.group_id] += len(jobs)
        resources.setdefault(one.group_id, jobs[0].resource)
        grown[one.group_id] = row
        tasks = [replace(task, ready_at=None, awaits_s=None) for task in one.tasks]
        placed.append(replace(one, jobs=jobs, tasks=tasks))
        insert_rows(connection, _places, [_place(job) for job in jobs])
        insert_rows(connection, schema.turns, [_turn(jobs[0])])
    for group_id, row in grown.items():
        again = row.state == GroupState.DONE.value
        meant = row.resource or resources[group_id]
        _set(
            connection,
            *(row, now),
            actor=row.account,
            again=again,
            size=sizes[group_id],
            resource=meant,
        )
    return placed


def _open(row: Row | None, submission: Submission) -> Row:
    if row is None or row.account != submission.account:
        raise no_group(submission.group_id or "")
    if row.state == GroupState.CANCELLED.value or row.closing is not None:
        raise Conflict(
            f"the group {row.name!r} is ending: it takes no more jobs",
            where="group",
            hint="Make another group.",
        )
    return row


def _set(
    connection: Transaction, row: Row, now: int, *, actor: str, again: bool = False, **changes: Any
) -> None:
    """Change a group; ``again``: it goes on after it was done."""
    if again:
        changes |= {"state": GroupState.RUNNING.value, "reason": None, "ended_at": None}
    update_rows(connection, _groups, [{"id": row.id, **changes}])
    if again:
        _tell(connection, row, GroupState.RUNNING, actor, now)


def act(
    connection: Transaction, group_id: str, action: GroupAction, *, actor: str, now: int
) -> Group:
    """Run, pause or cancel a group, which is no error if it is that already.

    Raises:
        NotFound: there is none.
        InvalidTransition: it has been cancelled.
    """
    row = _locked(connection, group_id)
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
        _tell(connection, row, after, actor, now)
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
    row = _locked(connection, group_id)
    if name is not None and name != row.name:
        other = connection.first(_NAMED, {"account": row.account, "name": name})
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
    row = _locked(connection, group_id)
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


def rerun(connection: Transaction, group_id: str, *, actor: str, now: int) -> list[Job]:
    """Give what failed or was cancelled of a group its turn again, under its policy; those jobs.

    Raises:
        NotFound: there is none.
        InvalidTransition: it has been cancelled.
    """
    row = _locked(connection, group_id)
    if row.state == GroupState.CANCELLED.value or row.closing is not None:
        raise InvalidTransition(
            f"the group {row.name!r} has been cancelled or is ending",
            hint="Retry its jobs one by one, or make another group.",
        )
    failed = connection.scalars(_AGAIN, {"group": group_id})
    # Somebody may have retried one alone before it was locked.
    locked = [one for one in read_ids(connection, LOCKED_JOBS, failed) if one.state in _FAILED]
    if not locked:
        return []
    history = History(actor, now)
    rows = read_ids(connection, JOBS, [one.id for one in locked])
    jobs = sorted(map(job_of, rows), key=lambda job: job.position or 0)
    # The place of one that has only just ended may be there still.
    positions = document([{"position": job.position} for job in jobs])
    connection.later(_VACATE, {"group": group_id, "r": positions})
    queue_again(connection, locked, history, now, blocked=True)
    insert_rows(connection, _places, [_place(job) for job in jobs])
    history.write(connection)
    again = row.state == GroupState.DONE.value
    _set(connection, row, now, actor=actor, again=again, failures=0, due_at=now, due_in=0)
    return jobs


def _locked(connection: Transaction, group_id: str) -> Row:
    rows = read_ids(connection, LOCKED_GROUPS, [group_id])
    if not rows:
        raise no_group(group_id)
    return rows[0]


def _changed(row: Row, now: int) -> int:
    """When a group is changed, now: later than when it was changed before."""
    last: int = row.changed_at or row.created_at
    return max(now, last + 1)


def _read(connection: Transaction, group_id: str) -> Group:
    (row,) = read_ids(connection, GROUPS, [group_id])
    return group_of(row)


def _tell(connection: Transaction, row: Row, after: GroupState, actor: str, now: int) -> None:
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


def _place(job: Job) -> Values:
    return {
        "group_id": job.group_id,
        "position": job.position,
        "job_id": job.id,
        "begun": False,
        "free_at": None,
    }


def _turn(job: Job) -> Values:
    return {"job_id": job.id, "group_id": job.group_id, "position": job.position}


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
        failures=row.failures,
        changed_at=moment_or_none(row.changed_at),
    )
