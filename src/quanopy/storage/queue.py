"""The queue of a resource: which accounts wait for it, and their next tasks."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Select, bindparam, exists, func, select, tuple_
from sqlalchemy.types import BigInteger, Integer, Text

from quanopy.domain.jobs import Task
from quanopy.domain.states import ResourceState
from quanopy.storage.compiled import Row
from quanopy.storage.job_rows import task_of
from quanopy.storage.rows import document, rows_of
from quanopy.storage.schema import resources, tasks, usage
from quanopy.storage.statements import with_spec
from quanopy.storage.transaction import Transaction

HALF_LIFE = 24 * 3600 * 1_000_000
"""Use counts half after so long (a day): nobody pays for ever, and no newcomer goes first for
weeks."""
MOST_GROUPS = 64
"""How many groups (an account at a priority) are looked at for one claim: those whose accounts
have used least come first."""

_resource = bindparam("resource", type_=Text)
_now = bindparam("now", type_=BigInteger)
DEVICE = (
    select(func.coalesce(resources.c.device, resources.c.name))
    .where(resources.c.name == _resource)
    .scalar_subquery()
)
"""The physical device of the resource given."""


def _groups() -> Select[Any]:
    """The distinct (account, rank) that wait, one step along the index for each."""
    first = (
        select(tasks.c.id, tasks.c.account, tasks.c.rank)
        .where(tasks.c.state == "queued", tasks.c.resource == _resource)
        .order_by(tasks.c.account, tasks.c.rank)
        .limit(1)
        .subquery("first")
    )
    groups = select(first).cte("groups", recursive=True)
    follower, step = tasks.alias("follower"), tasks.alias("step")
    after = (
        select(follower.c.id)
        .where(
            follower.c.state == "queued",
            follower.c.resource == _resource,
            tuple_(follower.c.account, follower.c.rank) > tuple_(groups.c.account, groups.c.rank),
        )
        .order_by(follower.c.account, follower.c.rank)
        .limit(1)
        .scalar_subquery()
    )
    groups = groups.union_all(
        select(step.c.id, step.c.account, step.c.rank).select_from(
            groups.join(step, step.c.id == after)
        )
    )
    ready = tasks.alias("ready")
    return select(groups.c.account, groups.c.rank).where(
        # What waits for its group, other jobs or a calibration is in nobody's way.
        exists().where(
            ready.c.state == "queued",
            ready.c.resource == _resource,
            ready.c.account == groups.c.account,
            ready.c.rank == groups.c.rank,
            ready.c.ready_at <= _now,
        )
    )


GROUPS = _groups()
"""Accounts and ranks that have a task ready for the resource given."""
_READY = with_spec(
    select(tasks)
    .where(
        tasks.c.state == "queued",
        tasks.c.resource == _resource,
        tasks.c.account == bindparam("account", type_=Text),
        tasks.c.rank == bindparam("rank", type_=Integer),
        tasks.c.ready_at <= _now,
    )
    .order_by(tasks.c.ready_at, tasks.c.id)
    .limit(bindparam("most", type_=Integer))
)
_offered = rows_of(resources.c.name)
_anything = tasks.alias("anything")
_WAITING = select(_offered.c.name).where(
    # Asked once: most often nothing waits at all.
    exists().where(_anything.c.state == "queued", _anything.c.ready_at <= _now),
    exists().where(
        resources.c.name == _offered.c.name, resources.c.state == ResourceState.ONLINE.value
    ),
    exists().where(
        tasks.c.state == "queued", tasks.c.resource == _offered.c.name, tasks.c.ready_at <= _now
    ),
)
ANYTHING = select(
    exists().where(
        tasks.c.state == "queued", tasks.c.resource == _resource, tasks.c.ready_at <= _now
    )
)
"""Whether any task is ready for the resource given."""
USED = select(usage.c.account, usage.c.seconds, usage.c.at).where(usage.c.device == DEVICE)
"""What accounts had used of the resource's device when they were last charged."""
_NEXT_READY = select(func.min(tasks.c.ready_at)).where(
    tasks.c.state == "queued", tasks.c.ready_at > _now
)


def waiting(connection: Transaction, names: tuple[str, ...], now: int) -> set[str]:
    """Those of these resources that are in service and have a task ready."""
    return {row.name for row in connection.last(_WAITING, {"r": _named(names), "now": now})}


@lru_cache(16)
def _named(names: tuple[str, ...]) -> str:
    return document([{"name": name} for name in names])


def next_ready(connection: Transaction, now: int) -> int | None:
    """When the next task becomes ready that is not yet."""
    found: int | None = connection.scalar(_NEXT_READY, {"now": now})
    return found


def aged(used: Sequence[Row], now: int) -> Mapping[str, float]:
    """Seconds each account has used, what is past counting less and less."""
    return {row.account: row.seconds * decay(row.at, now) for row in used}


def decay(then: int, now: int) -> float:
    """What is left now of one second counted then."""
    return float(0.5 ** (max(0, now - then) / HALF_LIFE))


def candidates(
    connection: Transaction,
    resource: str,
    groups: Sequence[Row],
    used_s: Mapping[str, float],
    *,
    most: int,
    now: int,
) -> Mapping[str, list[Task]]:
    """By account, tasks that are ready: the longest waiting of each of its priorities."""
    by_use = sorted(groups, key=lambda group: (used_s.get(group.account, 0.0), group.rank))
    wanted = [
        {"resource": resource, "account": g.account, "rank": g.rank, "now": now, "most": most}
        for g in by_use[:MOST_GROUPS]
    ]
    queues: dict[str, list[Task]] = {}
    found = connection.together(*((_READY, given) for given in wanted)) if wanted else []
    for rows in found:
        if rows:
            queues.setdefault(rows[0].account, []).extend(map(task_of, rows))
    return queues
