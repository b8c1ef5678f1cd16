"""Resources: what live workers serve, in what state, and how busy."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, func, or_, select, true, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import BigInteger, Text

from quanopy.domain.errors import NotFound
from quanopy.domain.resources import Resource, ResourceStatus
from quanopy.domain.states import ResourceState
from quanopy.storage import schema
from quanopy.storage.events import History
from quanopy.storage.mapping import Values, moment_or_none, resource_of, resource_row
from quanopy.storage.rows import document, rows_of
from quanopy.storage.schema import devices, resources, tasks, workers
from quanopy.storage.transaction import Transaction

_now = bindparam("now", type_=BigInteger)
_INSERT: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def _upsert(dialect: str, table: Any, keys: Sequence[str], kept: Sequence[str]) -> Any:
    """Insert rows, or set the ``kept`` columns of those that are there."""
    rows = rows_of(*table.c)
    names = [column.name for column in table.c]
    source = select(*(rows.c[name] for name in names)).where(true()).order_by(rows.c[keys[0]])
    statement = _INSERT[dialect](table).from_select(names, source)
    if not kept:
        return statement.on_conflict_do_nothing()
    return statement.on_conflict_do_update(
        index_elements=[table.c[key] for key in keys],
        set_={name: statement.excluded[name] for name in kept},
    )


_DESCRIBED = ("provider", "description", "lanes", "device", "capabilities")
_SERVED = ("seen_at", "ttl_us", "retired")
_RESOURCES = {d: _upsert(d, resources, ["name"], _DESCRIBED) for d in _INSERT}
_DEVICES = {d: _upsert(d, devices, ["name"], []) for d in _INSERT}
_WORKERS = {d: _upsert(d, workers, ["worker", "resource"], _SERVED) for d in _INSERT}
_named = rows_of(resources.c.name, resources.c.state, resources.c.reason)
_FOLLOW = (
    update(resources)
    .where(resources.c.name == _named.c.name, ~resources.c.operated)
    .values(state=_named.c.state, reason=_named.c.reason)
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
_LOAD = (
    select(
        tasks.c.resource,
        tasks.c.state,
        func.count().label("number"),
        func.sum(tasks.c.estimate_s).label("seconds"),
    )
    .where(or_(tasks.c.state == "queued", tasks.c.state.in_(["claimed", "executing"])))
    .group_by(tasks.c.resource, tasks.c.state)
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
) -> None:
    """A worker serves these resources and lives."""
    dialect = connection.dialect
    rows = [resource_row(resource) for resource in sorted(served, key=lambda r: r.name)]
    names: list[Values] = [{"name": n} for n in sorted({r.device or r.name for r in served})]
    lives: list[Values] = [
        {"worker": worker, "resource": r.name, "seen_at": now, "ttl_us": ttl, "retired": False}
        for r in served
    ]
    if not rows:
        return
    connection.later(_DEVICES[dialect], {"r": document(names)})
    connection.later(_RESOURCES[dialect], {"r": document(rows)})
    connection.later(_FOLLOW, {"r": document(rows)})
    connection.later(_WORKERS[dialect], {"r": document(lives)})


def retire(connection: Transaction, worker: str) -> None:
    """A worker serves nothing any more."""
    connection.later(_RETIRE, {"by": worker})


def statuses(connection: Transaction, *, now: int) -> list[ResourceStatus]:
    """Every known resource and how busy it is."""
    seen = {row.resource: row for row in connection.execute(_SEEN, {"now": now})}
    loads = {(row.resource, row.state): row for row in connection.execute(_LOAD)}
    return [_status(resource_of(row), loads, seen) for row in connection.execute(_ALL)]


def _status(
    resource: Resource, loads: Mapping[tuple[str, str], Any], seen: Mapping[str, Any]
) -> ResourceStatus:
    by_state = [loads.get((resource.name, s)) for s in ("queued", "claimed", "executing")]
    queued, *active = [load.number if load else 0 for load in by_state]
    waiting = sum(load.seconds for load in by_state if load)
    worker = seen.get(resource.name)
    live = int(worker.live) if worker else 0
    return ResourceStatus(
        resource=resource,
        queued=queued,
        active=sum(active),
        wait_s=waiting / max(1, resource.lanes or live),
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
        raise NotFound(f"there is no resource {name!r}", where="resource")
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
