"""Resources: what live workers serve, in what state, and how busy."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    ScalarSelect,
    Subquery,
    bindparam,
    func,
    literal_column,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import BigInteger, Integer, Text

from quanopy.domain.errors import NotFound
from quanopy.domain.resources import Resource, ResourceStatus
from quanopy.domain.states import ResourceState
from quanopy.storage import schema
from quanopy.storage.compiled import Row
from quanopy.storage.events import History
from quanopy.storage.resource_rows import device_row, resource_of, resource_row
from quanopy.storage.rows import document, rows_of
from quanopy.storage.schema import devices, resources, tasks, workers
from quanopy.storage.transaction import Transaction
from quanopy.storage.values import AT_ONCE, Values, moment_or_none

_now = bindparam("now", type_=BigInteger)
_INSERT: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def upsert(
    dialect: str,
    table: Any,
    keys: Sequence[str],
    kept: Sequence[str],
    only: ColumnElement[bool] | None = None,
) -> Any:
    """Insert rows, or set the ``kept`` columns of those that are there (and are ``only`` such)."""
    rows = rows_of(*table.c)
    names = [column.name for column in table.c]
    source = select(*(rows.c[name] for name in names)).where(true()).order_by(rows.c[keys[0]])
    statement = _INSERT[dialect](table).from_select(names, source)
    if not kept:
        return statement.on_conflict_do_nothing()
    return statement.on_conflict_do_update(
        index_elements=[table.c[key] for key in keys],
        set_={name: statement.excluded[name] for name in kept},
        where=only,
    )


_DESCRIBED = ("provider", "description", "lanes", "device", "part", "capabilities")
_SERVED = ("seen_at", "ttl_us", "retired")
_PROVIDERS_OWN = resources.c.owner.is_(None)
_RESOURCES = {d: upsert(d, resources, ["name"], _DESCRIBED, _PROVIDERS_OWN) for d in _INSERT}
_DEVICES = {d: upsert(d, devices, ["name"], []) for d in _INSERT}
_parted = rows_of(devices.c.name)
_DIVIDE = (
    update(devices).where(devices.c.name == _parted.c.name, ~devices.c.parted).values(parted=True)
)
_WORKERS = {d: upsert(d, workers, ["worker", "resource"], _SERVED) for d in _INSERT}
_named = rows_of(resources.c.name, resources.c.state, resources.c.reason)
_FOLLOW = (
    update(resources)
    .where(resources.c.name == _named.c.name, ~resources.c.operated, _PROVIDERS_OWN)
    .values(state=_named.c.state, reason=_named.c.reason)
)
_wanted = rows_of(resources.c.name)
_TAKEN = (
    select(_wanted.c.name)
    .select_from(_wanted.join(resources, resources.c.name == _wanted.c.name))
    .where(resources.c.owner.is_not(None))
)
_RETIRE = (
    update(workers).where(workers.c.worker == bindparam("by", type_=Text)).values(retired=True)
)
_ONE = (
    select(resources).where(resources.c.name == bindparam("resource", type_=Text)).with_for_update()
)
_SET = (
    update(resources)
    .where(resources.c.name == bindparam("resource", type_=Text))
    .values(
        state=bindparam("after", type_=Text),
        reason=bindparam("why", type_=Text),
        operated=bindparam("by_operator", type_=resources.c.operated.type),
    )
)
_ALL = select(resources).order_by(resources.c.name)
_COUNTED = 50_000
"""Of how many tasks the load of all resources is told, shared out among them."""
_COUNTED_EACH = 1_000
"""The least that is counted of each resource."""


def _waiting() -> Subquery:
    """The distinct (resource, account, rank) that are queued, one step along the index for each."""
    names = ("resource", "account", "rank")
    order = [tasks.c[name] for name in names]
    first = select(tasks.c.id, *order).where(_QUEUED).order_by(*order).limit(1).subquery("first")
    lines = select(first).cte("lines", recursive=True)
    follower, step = tasks.alias("follower"), tasks.alias("step")
    place = [follower.c[name] for name in names]
    after = (
        select(follower.c.id)
        .where(
            follower.c.state == "queued",
            tuple_(*place) > tuple_(*(lines.c[name] for name in names)),
        )
        .order_by(*place)
        .limit(1)
        .scalar_subquery()
    )
    following = select(step.c.id, *(step.c[name] for name in names))
    lines = lines.union_all(following.select_from(lines.join(step, step.c.id == after)))
    return select(*(lines.c[name] for name in names)).subquery("line")


_QUEUED, _BUSY = tasks.c.state == "queued", tasks.c.state.in_(["claimed", "executing"])
_line = _waiting()
_of_line = (
    _QUEUED,
    *(tasks.c[name] == _line.c[name] for name in ("resource", "account", "rank")),
    # What waits for its group, other jobs or a calibration is in nobody's way.
    tasks.c.ready_at >= AT_ONCE,
)


def _counted(
    what: ColumnElement[Any], of: FromClause, *within: ColumnElement[bool]
) -> ScalarSelect[Any]:
    """A sum over some tasks, as far as they are counted."""
    part = (
        select(tasks.c.estimate_s)
        .where(*within)
        .limit(bindparam("most", type_=Integer))
        .correlate(of)
        .subquery("part")
    )
    return select(what).select_from(part).correlate(of).scalar_subquery()


_number: ColumnElement[Any] = func.count()
_seconds: ColumnElement[Any] = func.coalesce(func.sum(literal_column("part.estimate_s")), 0.0)
_LINES = select(
    _line.c.resource,
    _counted(_number, _line, *_of_line).label("number"),
    _counted(_seconds, _line, *_of_line).label("seconds"),
)
_of_resource = tasks.c.resource == resources.c.name, _BUSY
_LOAD = select(
    resources.c.name,
    _counted(_number, resources, *_of_resource).label("active"),
    _counted(_seconds, resources, *_of_resource).label("seconds"),
)
_SEEN = select(
    workers.c.resource,
    func.max(workers.c.seen_at).label("seen_at"),
    func.sum(
        (
            (~workers.c.retired)
            & (workers.c.seen_at + workers.c.ttl_us > _now)
            & (workers.c.seen_at <= _now + workers.c.ttl_us)
        ).cast(schema.jobs.c.tasks.type)
    ).label("live"),
).group_by(workers.c.resource)


def register(
    connection: Transaction, worker: str, served: Sequence[Resource], *, ttl: int, now: int
) -> set[str]:
    """A worker serves these resources and lives; the names it may not serve. What registered
    itself is in the catalogue already: a worker that has not heard that it left must not put it
    there again."""
    dialect = connection.dialect
    own = sorted((one for one in served if one.owner is None), key=lambda r: r.name)
    taken = _taken(connection, [one.name for one in own])
    own = [one for one in own if one.name not in taken]
    rows = [resource_row(resource) for resource in own]
    names: list[Values] = [
        device_row(name) for name in sorted({one.device or one.name for one in own})
    ]
    parted: list[Values] = [
        {"name": n} for n in sorted({r.device or r.name for r in own if r.part is not None})
    ]
    lives: list[Values] = [
        {"worker": worker, "resource": r.name, "seen_at": now, "ttl_us": ttl, "retired": False}
        for r in served
        if r.name not in taken
    ]
    if rows:
        connection.later(_DEVICES[dialect], {"r": document(names)})
        connection.later(_RESOURCES[dialect], {"r": document(rows)})
        connection.later(_FOLLOW, {"r": document(rows)})
    if parted:
        # After the resources, in whose order a claim locks, too.
        connection.later(_DIVIDE, {"r": document(parted)})
    if lives:
        connection.later(_WORKERS[dialect], {"r": document(lives)})
    return taken


def _taken(connection: Transaction, names: Sequence[str]) -> set[str]:
    """Those of these names that somebody registered for a resource of their own."""
    given = {"r": document([{"name": name} for name in names])}
    return set(connection.scalars(_TAKEN, given)) if names else set()


def retire(connection: Transaction, worker: str) -> None:
    """A worker serves nothing any more."""
    connection.later(_RETIRE, {"by": worker})


def statuses(connection: Transaction, *, now: int) -> list[ResourceStatus]:
    """Every known resource and how busy it is."""
    known, lives = connection.together((_ALL, {}), (_SEEN, {"now": now}))
    most = max(_COUNTED_EACH, _COUNTED // max(1, len(known)))
    at_work, lines = connection.lastly((_LOAD, {"most": most}), (_LINES, {"most": most}))
    loads = {row.name: row for row in at_work}
    queued: Counter[str] = Counter()
    seconds = {row.name: float(row.seconds) for row in at_work}
    for row in lines:
        queued[row.resource] += row.number
        seconds[row.resource] = seconds.get(row.resource, 0.0) + row.seconds
    seen = {row.resource: row for row in lives}
    return [
        _status(
            resource_of(row),
            min(most, queued[row.name]),
            loads[row.name].active,
            seconds[row.name],
            seen.get(row.name),
        )
        for row in known
    ]


def _status(
    resource: Resource, queued: int, active: int, seconds: float, worker: Row | None
) -> ResourceStatus:
    live = int(worker.live) if worker else 0
    return ResourceStatus(
        resource=resource,
        queued=queued,
        active=active,
        wait_s=seconds / max(1, resource.lanes or live),
        seen_at=moment_or_none(worker.seen_at) if worker else None,
        workers=live,
    )


def set_state(
    connection: Transaction,
    name: str,
    state: ResourceState,
    reason: str | None,
    *,
    actor: str,
    now: int,
) -> Resource:
    """Take a resource in or out of service; raises ``NotFound``."""
    before = connection.first(_ONE, {"resource": name})
    if before is None:
        raise NotFound(
            f"there is no resource {name!r}",
            where="resource",
            hint="`quanopy resources --all` lists them.",
        )
    connection.later(
        _SET,
        {
            "resource": name,
            "after": state.value,
            "why": reason,
            "by_operator": state is not ResourceState.ONLINE,
        },
    )
    history = History(actor, now)
    history.add(
        name,
        f"resource.{state}",
        before=before.state,
        after=state.value,
        data={"reason": reason} if reason else None,
    )
    history.write(connection)
    return resource_of(connection.first(_ONE, {"resource": name}))
