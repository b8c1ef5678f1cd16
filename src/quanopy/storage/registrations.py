"""Resources that registered themselves: enrolled, kept by a heartbeat, offline without one."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, func, or_, select, update
from sqlalchemy.types import BigInteger, Text

from quanopy.domain.errors import Conflict, NotFound, QuotaExceeded
from quanopy.domain.resources import Registration, Resource, Target
from quanopy.domain.states import ResourceState
from quanopy.storage import calibrations
from quanopy.storage.compiled import Row
from quanopy.storage.events import History
from quanopy.storage.resource_rows import accounts_of, device_row, resource_of, resource_row
from quanopy.storage.resources import upsert
from quanopy.storage.rows import document
from quanopy.storage.schema import devices, registrations, resources, tasks, workers
from quanopy.storage.statements import insert_rows
from quanopy.storage.transaction import Transaction
from quanopy.storage.values import Values, moment, span

FORGOTTEN = 24 * 3600 * 1_000_000
"""A resource that was silent for so long has left."""
MOST = 100
"""Resources that one account may have registered."""
LEAVING = "it is about to end"
_name = bindparam("resource", type_=Text)
_now = bindparam("now", type_=BigInteger)
_REGISTRATION = select(registrations).where(registrations.c.name == _name).with_for_update()
_RESOURCE = select(resources).where(resources.c.name == _name).with_for_update()
_NEW = {d: upsert(d, resources, ["name"], []) for d in ("sqlite", "postgresql")}
_DEVICE = {d: upsert(d, devices, ["name"], []) for d in ("sqlite", "postgresql")}
_OTHERS_WORK = (
    select(tasks.c.id)
    .where(
        tasks.c.resource == _name,
        tasks.c.state.in_(["queued", "claimed", "executing"]),
        tasks.c.account != bindparam("account", type_=Text),
    )
    .limit(1)
)
_MACHINE = (
    select(resources.c.name).where(resources.c.device == _name, resources.c.name != _name).limit(1)
)
_OWN = (
    select(func.count())
    .select_from(registrations)
    .where(registrations.c.owner == bindparam("account", type_=Text))
)
_ALL = (
    select(registrations, resources.c.accounts)
    .join(resources, resources.c.name == registrations.c.name)
    .order_by(registrations.c.name)
)
_SILENT = (
    select(registrations.c.name)
    .join(resources, resources.c.name == registrations.c.name)
    .where(
        or_(
            registrations.c.seen_at + registrations.c.ttl_us < _now,
            # This was written under another clock, before ours went backwards.
            registrations.c.seen_at - registrations.c.ttl_us > _now,
        ),
        resources.c.state != ResourceState.OFFLINE.value,
        ~resources.c.operated,
    )
)
_FORGET = select(registrations.c.name).where(
    registrations.c.seen_at < bindparam("before", type_=BigInteger)
)
_DROP = (
    delete(registrations).where(registrations.c.name == _name),
    delete(workers).where(workers.c.resource == _name),
    delete(resources).where(resources.c.name == _name),
)
_UNREGISTER = delete(registrations).where(registrations.c.name == _name)
_STATE = (
    update(resources)
    .where(resources.c.name == _name)
    .values(state=bindparam("after", type_=Text), reason=bindparam("why", type_=Text))
)
_DESCRIBE = (
    update(resources)
    .where(resources.c.name == _name)
    .values(
        description=bindparam("about", type_=Text),
        lanes=bindparam("room", type_=resources.c.lanes.type),
        capabilities=bindparam("able", type_=Text),
    )
)
_SEEN = (
    update(registrations)
    .where(registrations.c.name == _name)
    .values(seen_at=bindparam("now", type_=BigInteger))
)
_OPEN = (
    update(resources)
    .where(resources.c.name == _name)
    .values(accounts=bindparam("served", type_=Text))
)


def enrol(
    connection: Transaction, asked: Registration, resource: Resource, *, now: int
) -> Registration:
    """Put a resource into the catalogue, or in the place of one of the same owner; raises
    ``Conflict`` where its name is not the owner's to take."""
    given = {"resource": asked.name, "account": asked.owner}
    there = connection.first(_RESOURCE, given)
    if there is None:
        _make(connection, asked, resource)
    elif there.owner != asked.owner:
        raise _conflict(asked.name)
    history = History(asked.owner, now)
    state = there.state if there is not None and there.operated else ResourceState.ONLINE.value
    if there is not None:
        row = resource_row(resource)
        connection.later(
            _DESCRIBE,
            given
            | {"about": row["description"], "room": row["lanes"], "able": row["capabilities"]},
        )
        if not there.operated:
            connection.later(_STATE, given | {"after": state, "why": None})
    connection.later(_UNREGISTER, given)
    insert_rows(connection, registrations, [_row(asked, now)])
    history.add(
        asked.name,
        "resource.registered",
        account=asked.owner,
        before=None if there is None else there.state,
        after=state,
        data={"url": asked.url, "registration": asked.id},
    )
    history.write(connection)
    served = resource.accounts if there is None else accounts_of(there.accounts)
    return _of(connection.first(_REGISTRATION, given), served, now)


def _make(connection: Transaction, asked: Registration, resource: Resource) -> None:
    """A resource of a name that nobody has; raises ``Conflict`` where somebody takes it at once."""
    given = {"resource": asked.name, "account": asked.owner}
    if connection.scalar(_OWN, given) >= MOST:
        raise QuotaExceeded(
            f"{asked.owner} has registered {MOST} resources",
            where="name",
            hint="Remove one: quanopy resources remove NAME.",
        )
    if connection.first(_OTHERS_WORK, given) is not None:
        raise Conflict(
            f"work of others waits for a resource {asked.name!r}",
            where="name",
            hint="Choose another name.",
        )
    if connection.first(_MACHINE, given) is not None:
        # Its work would take the lanes of that machine, and keep what overlaps waiting.
        raise _conflict(asked.name)
    device = device_row(asked.name)
    connection.later(_DEVICE[connection.dialect], {"r": document([device])})
    connection.later(_NEW[connection.dialect], {"r": document([resource_row(resource)])})
    there = connection.first(_RESOURCE, given)
    if there is None or there.owner != asked.owner:
        raise _conflict(asked.name)
    calibrations.forget(connection, asked.name)


def beat(connection: Transaction, name: str, id: str, *, leaving: bool, now: int) -> None:
    """It lives; raises ``NotFound`` where it is not, or no longer, registered."""
    there, _ = _registered(connection, name, id)
    connection.later(_SEEN, {"resource": name, "now": now})
    if there.operated:
        return
    after = ResourceState.MAINTENANCE if leaving else ResourceState.ONLINE
    if there.state != after.value:
        reason = LEAVING if leaving else None
        _move(connection, there, after, reason, History(there.owner, now))


def withdraw(connection: Transaction, name: str, id: str | None, *, actor: str, now: int) -> None:
    """Take a registered resource out of the catalogue; raises ``NotFound``."""
    _, found = _registered(connection, name, id)
    _drop(connection, found, History(actor, now), "it ended" if id else "an operator removed it")


def everyone(connection: Transaction, *, now: int) -> list[Registration]:
    """All registrations, by name."""
    return [_of(row, accounts_of(row.accounts), now) for row in connection.execute(_ALL)]


def open_to(
    connection: Transaction, name: str, accounts: Sequence[str] | None, *, actor: str, now: int
) -> Resource:
    """Have a resource serve these accounts (``None``: all), and always its owner; raises
    ``NotFound``."""
    there = connection.first(_RESOURCE, {"resource": name})
    if there is None:
        raise NotFound(
            f"there is no resource {name!r}",
            where="resource",
            hint="`quanopy resources --all` lists them.",
        )
    served = accounts
    if accounts is not None:
        served = sorted({*accounts, *([there.owner] if there.owner is not None else [])})
    stored = None if served is None else json.dumps(served, separators=(",", ":"))
    connection.later(_OPEN, {"resource": name, "served": stored})
    history = History(actor, now)
    history.add(name, "resource.opened", account=there.owner, data={"accounts": served})
    history.write(connection)
    return resource_of(connection.first(_RESOURCE, {"resource": name}))


def sweep(connection: Transaction, *, now: int) -> None:
    """Those that are silent go offline; those silent for a day leave."""
    for name in connection.scalars(_SILENT, {"now": now}):
        there = connection.first(_RESOURCE, {"resource": name})
        found = connection.first(_REGISTRATION, {"resource": name})
        if found is None or there is None or _lives(found, now):
            continue
        silent_s = (now - found.seen_at) / 1_000_000
        since = f"for {silent_s:.0f} s" if silent_s >= 0 else "since the clock was put back"
        reason = f"no heartbeat {since}: it died, or cannot reach the broker"
        _move(connection, there, ResourceState.OFFLINE, reason, History("sweep", now))
    for name in connection.scalars(_FORGET, {"before": now - FORGOTTEN}):
        connection.first(_RESOURCE, {"resource": name})  # always locked before its registration
        found = connection.first(_REGISTRATION, {"resource": name})
        if found is not None and found.seen_at < now - FORGOTTEN:
            _drop(connection, found, History("sweep", now), "nothing was heard of it for a day")


def _lives(found: Row, now: int) -> bool:
    """Whether its last heartbeat was of this time."""
    seen_at, ttl = int(found.seen_at), int(found.ttl_us)
    return seen_at - ttl <= now <= seen_at + ttl


def _registered(connection: Transaction, name: str, id: str | None) -> tuple[Row, Row]:
    """A resource and its registration, locked in this order."""
    there = connection.first(_RESOURCE, {"resource": name})
    found = connection.first(_REGISTRATION, {"resource": name})
    if there is None or found is None or id not in (None, found.id):
        raise NotFound(f"there is no such registration of {name!r}", where="name")
    return there, found


def _drop(connection: Transaction, found: Row, history: History, why: str) -> None:
    for statement in _DROP:
        connection.later(statement, {"resource": found.name})
    history.add(found.name, "resource.left", account=found.owner, data={"reason": why})
    history.write(connection)


def _move(
    connection: Transaction, there: Row, after: ResourceState, reason: str | None, history: History
) -> None:
    given = {"resource": there.name, "after": after.value, "why": reason}
    connection.later(_STATE, given)
    history.add(
        there.name,
        f"resource.{after}",
        account=there.owner,
        before=there.state,
        after=after.value,
        data={"reason": reason} if reason else None,
    )
    history.write(connection)


def _conflict(name: str) -> Conflict:
    return Conflict(
        f"the name {name!r} is taken by another resource",
        where="name",
        hint="Choose another with --name.",
    )


def _row(asked: Registration, now: int) -> Values:
    return {
        "name": asked.name,
        "id": asked.id,
        "owner": asked.owner,
        "url": asked.url,
        "target": asked.target.data.decode(),
        "description": asked.description,
        "lanes": asked.lanes,
        "registered_at": now,
        "seen_at": now,
        "ttl_us": span(asked.ttl_s),
    }


def _of(row: Any, accounts: tuple[str, ...] | None, now: int) -> Registration:
    return Registration(
        id=row.id,
        name=row.name,
        owner=row.owner,
        url=row.url,
        target=Target(data=row.target.encode()),
        description=row.description,
        lanes=row.lanes,
        accounts=accounts,
        registered_at=moment(row.registered_at),
        seen_at=moment(row.seen_at),
        ttl_s=row.ttl_us / 1_000_000,
        alive=_lives(row, now),
    )
