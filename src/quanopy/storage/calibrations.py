"""Calibrations: whom to ask for them when, which were seen, and which tasks wait for one."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, or_, select, true, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import BigInteger, Boolean, Integer, Text

from quanopy.domain.jobs import Problem
from quanopy.domain.sightings import Sighting, Standing
from quanopy.domain.states import TaskState
from quanopy.storage import schema, told_snapshots
from quanopy.storage.compiled import Row
from quanopy.storage.events import History
from quanopy.storage.mapping import (
    AT_ONCE,
    Values,
    moment,
    moment_or_none,
    problem_of,
    problem_text,
    sighting_of,
    sighting_row,
    span,
    stamp,
)
from quanopy.storage.rows import document, id_rows, ids_document, rows_of
from quanopy.storage.statements import insert_rows, update_rows
from quanopy.storage.transaction import Transaction

_standings, _sightings, _waits = schema.calibrations, schema.sightings, schema.calibration_waits
_LOOKS = 4
"""How often it is looked for a new calibration while one is as young as a task wants it."""
_now = bindparam("now", type_=BigInteger)
_resource = bindparam("resource", type_=Text)
_names = id_rows()
_INSERT: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def _ignoring(dialect: str, table: Any) -> Any:
    rows = rows_of(*table.c)
    names = [column.name for column in table.c]
    source = select(*(rows.c[name] for name in names)).where(true()).order_by(rows.c[names[0]])
    return _INSERT[dialect](table).from_select(names, source).on_conflict_do_nothing()


_FORGET_STANDING = delete(_standings).where(_standings.c.resource == _resource)
_KNOW = {dialect: _ignoring(dialect, _standings) for dialect in _INSERT}
_RESTORE = {dialect: _ignoring(dialect, _sightings) for dialect in _INSERT}
_impatience = (
    select(func.min(_waits.c.most_us) // _LOOKS)
    .where(_waits.c.resource == _standings.c.resource)
    .correlate(_standings)
    .scalar_subquery()
)
_TAKE = (
    update(_standings)
    .where(
        _standings.c.resource.in_(select(_names.c.id)),
        or_(
            _standings.c.due_at <= _now,
            # This was written under another clock, before ours went backwards; not by another
            # worker just now, whose clock is a little ahead.
            _standings.c.due_at > _now + 2 * _standings.c.due_in,
            _now - (_standings.c.due_at - _standings.c.due_in) >= _impatience,
        ),
    )
    .values(
        due_at=_now + bindparam("hold", type_=BigInteger),
        due_in=bindparam("hold", type_=BigInteger),
    )
    .returning(_standings.c.resource)
)
_LOCKED = select(_standings).where(_standings.c.resource == _resource).with_for_update()
_owner = (
    select(schema.resources.c.owner).where(schema.resources.c.name == _resource).scalar_subquery()
)
"""Whose resource it is now: what was seen of it under another is not its history."""
_registration = (
    select(schema.registrations.c.id)
    .where(schema.registrations.c.name == _resource)
    .scalar_subquery()
)
_NOW_OF = select(_owner.label("owner"), _registration.label("registration"))
_LOCK_ALL = (
    select(_standings.c.resource)
    .where(_standings.c.resource.in_(select(_names.c.id)))
    .order_by(_standings.c.resource)
    .with_for_update()
)
_LATEST = (
    select(_sightings)
    .where(_sightings.c.resource == _resource, _sightings.c.owner.is_not_distinct_from(_owner))
    .order_by(_sightings.c.seen_from.desc())
    .limit(1)
)
_NEWEST = select(func.max(_sightings.c.seen_from).label("at")).where(
    _sightings.c.resource == _resource
)
_EXTEND = (
    update(_sightings)
    .where(
        _sightings.c.resource == _resource,
        _sightings.c.seen_from == bindparam("first", type_=BigInteger),
    )
    .values(seen_until=_now)
)
_NOTE = (
    update(_standings)
    .where(_standings.c.resource == _resource)
    .values(
        asked_at=_now,
        published=bindparam("shown", type_=Boolean),
        problem=bindparam("why", type_=Text),
        due_at=_now + bindparam("pause", type_=BigInteger),
        due_in=bindparam("pause", type_=BigInteger),
    )
)
_HASTEN = update(_standings).where(_standings.c.resource == _resource).values(due_at=0, due_in=0)
_first = _sightings.alias("first")
_STANDINGS = (
    select(
        _names.c.id.label("name"),
        _standings.c.asked_at,
        _standings.c.published,
        _standings.c.problem,
        schema.resources.c.owner.label("owned_by"),
        schema.registrations.c.id.label("registration"),
        *_sightings.c,
    )
    .select_from(_names)
    .outerjoin(schema.resources, schema.resources.c.name == _names.c.id)
    .outerjoin(schema.registrations, schema.registrations.c.name == _names.c.id)
    .outerjoin(_standings, _standings.c.resource == _names.c.id)
    .outerjoin(
        _sightings,
        (_sightings.c.resource == _names.c.id)
        & (
            _sightings.c.seen_from
            == select(func.max(_first.c.seen_from))
            .where(
                _first.c.resource == _names.c.id,
                _first.c.owner.is_not_distinct_from(schema.resources.c.owner),
            )
            .correlate(_names, schema.resources)
            .scalar_subquery()
        ),
    )
)
_until = bindparam("until", type_=BigInteger)
_earlier = (
    select(func.max(_first.c.seen_from))
    .where(
        _first.c.resource == _resource,
        _first.c.owner.is_not_distinct_from(_owner),
        _first.c.seen_from <= bindparam("since", type_=BigInteger),
    )
    .scalar_subquery()
)
_BETWEEN = (
    select(_sightings)
    .where(
        _sightings.c.resource == _resource,
        _sightings.c.owner.is_not_distinct_from(_owner),
        _sightings.c.seen_from <= _until,
        _sightings.c.seen_from >= func.coalesce(_earlier, 0),
    )
    .order_by(_sightings.c.seen_from.desc())
    .limit(bindparam("most", type_=Integer))
)
_BY_DIGEST = (
    select(_sightings)
    .where(_sightings.c.digest == bindparam("wanted", type_=Text))
    .order_by(_sightings.c.seen_from.desc())
    .limit(1)
)
_OF_DIGESTS = (
    select(_sightings)
    .select_from(_names.join(_sightings, _sightings.c.digest == _names.c.id))
    .order_by(_sightings.c.seen_from, _sightings.c.resource)
)
_PACKS = select(_sightings.c.pack).select_from(
    _names.join(_sightings, _sightings.c.pack == _names.c.id)
)
_satisfied = (
    _waits.c.resource == _resource,
    _waits.c.most_us >= bindparam("age", type_=BigInteger),
)
_RELEASE = (
    update(schema.tasks)
    .where(
        schema.tasks.c.id.in_(select(_waits.c.task_id).where(*_satisfied)),
        schema.tasks.c.state == TaskState.QUEUED.value,
    )
    .values(ready_at=AT_ONCE)
    .returning(schema.tasks.c.id)
)
_AWAITED = select(_waits.c.task_id, _waits.c.most_us).select_from(
    _names.join(_waits, _waits.c.task_id == _names.c.id)
)
_FORGET = delete(_waits).where(*_satisfied)
_waiting = rows_of(*_waits.c)
_FORGET_THESE = delete(_waits).where(_waits.c.task_id.in_(select(_waiting.c.task_id)))
_FORGET_ALL_OF = delete(_waits).where(_waits.c.task_id.in_(select(_names.c.id)))


def due(connection: Transaction, names: Sequence[str], *, hold: int, now: int) -> set[str]:
    """Of these resources, those whose provider is to be asked now; nobody else is told so for
    ``hold``."""
    if not names:
        return set()
    _know(connection, sorted(names))
    given = {"r": ids_document(sorted(names)), "now": now, "hold": hold}
    # In the order in which whoever needs several of these rows locks them.
    connection.later(_LOCK_ALL, {"r": given["r"]})
    return {row.resource for row in connection.last(_TAKE, given)}


def _know(connection: Transaction, names: Sequence[str]) -> None:
    """Have a row of each of these resources, to ask for it at once."""
    never: Values = {
        "asked_at": None,
        "published": None,
        "problem": None,
        "due_at": 0,
        "due_in": 0,
    }
    rows = [{"resource": name, **never} for name in names]
    connection.later(_KNOW[connection.dialect], {"r": document(rows)})


def note(
    connection: Transaction,
    resource: str,
    found: Sighting | None,
    problem: Problem | None,
    *,
    registration: str | None,
    pause: int,
    actor: str,
    now: int,
) -> tuple[Standing, int]:
    """What a provider answered: how things stand then, and how many tasks may go on. Nothing of it
    is noted where the resource is another than that which was asked."""
    _know(connection, [resource])
    given_name = {"resource": resource}
    (before,), latest, (newest,), (of,) = connection.together(
        (_LOCKED, given_name), (_LATEST, given_name), (_NEWEST, given_name), (_NOW_OF, given_name)
    )
    if of.registration != registration:
        connection.later(_HASTEN, given_name)
        (standing,) = standings(connection, [resource])
        return standing, 0
    last = latest[0] if latest else None
    history = History(actor, now)
    row, released = None, 0
    if found is not None:
        # Two within a microsecond, or under a clock that went backwards, still have an order.
        first = now if newest.at is None else max(now, newest.at + 1)
        row = _see(
            connection, sighting_row(replace(found, owner=of.owner)), last, history, first, now
        )
        released = _release(connection, row, now)
    shown = before.published if problem is not None else found is not None
    given = {"resource": resource, "now": now, "shown": shown, "pause": pause}
    connection.later(_NOTE, given | {"why": problem_text(problem)})
    history.write(connection)
    seen = row if row is not None else None if last is None else last._asdict()
    return Standing(
        resource=resource,
        asked_at=moment(now),
        sighting=None if seen is None else _sighting(seen),
        published=shown,
        problem=problem,
        owner=of.owner,
        registration=of.registration,
    ), released


def _see(
    connection: Transaction, found: Values, last: Row | None, history: History, first: int, now: int
) -> Values:
    """The row of what is seen now: that of before, or a new one that begins at ``first``."""
    resource = found["resource"]
    if last is not None and last.digest == found["digest"]:
        connection.later(_EXTEND, {"resource": resource, "first": last.seen_from, "now": now})
        same: Values = last._asdict()
        return same | {"seen_until": now}
    row = found | {"seen_from": first, "seen_until": first}
    insert_rows(connection, _sightings, [row])
    at = moment_or_none(found["calibrated_at"])
    history.add(
        resource,
        "resource.calibrated",
        account=found["owner"],
        before=None if last is None else last.digest,
        after=found["digest"],
        data=None if at is None else {"calibrated_at": at.isoformat()},
    )
    return row


def _release(connection: Transaction, row: Values, now: int) -> int:
    """Let tasks go on that this is young enough for; how many."""
    given = {"resource": row["resource"], "age": _age(row, now)}
    released = connection.execute(_RELEASE, given)
    connection.later(_FORGET, given)
    return len(released)


def _age(row: Values, now: int) -> int:
    at: int = row["seen_from"] if row["calibrated_at"] is None else row["calibrated_at"]
    return max(0, now - at)


class _Named:
    """A row of values, by name."""

    def __init__(self, values: Values) -> None:
        self.__dict__.update(values)


def _sighting(values: Values) -> Sighting:
    return sighting_of(_Named(values))


def standings(connection: Transaction, names: Sequence[str]) -> list[Standing]:
    """How things stand at each of these resources, in order."""
    found = connection.last(_STANDINGS, {"r": ids_document(sorted(set(names)))})
    known = {
        row.name: Standing(
            resource=row.name,
            asked_at=moment_or_none(row.asked_at),
            sighting=None if row.seen_from is None else sighting_of(row),
            published=row.published,
            problem=problem_of(row.problem),
            owner=row.owned_by,
            registration=row.registration,
        )
        for row in found
    }
    return [known[name] for name in names]


def between(
    connection: Transaction, resource: str, since: datetime | None, until: datetime, limit: int
) -> list[Sighting]:
    """What was seen of a resource in a time, newest first; what was there when it began, too."""
    given = {
        "resource": resource,
        "since": -1 if since is None else stamp(since),
        "until": stamp(until),
        "most": limit,
    }
    return [sighting_of(row) for row in connection.last(_BETWEEN, given)]


def by_digest(connection: Transaction, digest: str) -> Sighting | None:
    """Where and when a snapshot was last seen."""
    rows = connection.execute(_BY_DIGEST, {"wanted": digest})
    if rows:
        return sighting_of(rows[0])
    return told_snapshots.by_digest(connection, [digest]).get(digest)


def first(connection: Transaction, digests: Collection[str]) -> list[Sighting]:
    """Where and when each of these snapshots was seen first."""
    rows = connection.execute(_OF_DIGESTS, {"r": ids_document(sorted(digests))})
    found: dict[str, Sighting] = {}
    for row in rows:
        found.setdefault(row.digest, sighting_of(row))
    told = told_snapshots.by_digest(connection, set(digests) - found.keys())
    return [*found.values(), *told.values()]


def forget(connection: Transaction, resource: str) -> None:
    """The name has passed on: of the resource that has it now nothing was ever asked."""
    connection.later(_FORGET_STANDING, {"resource": resource})


def restore(connection: Transaction, found: Sequence[Sighting]) -> None:
    """Insert what is not there."""
    wanted = ids_document([sighting.raw.key for sighting in found])
    there = set(connection.scalars(_PACKS, {"r": wanted}))
    rows = [sighting_row(one) for one in found if one.raw.key not in there]
    connection.later(_RESTORE[connection.dialect], {"r": document(rows)})


def await_younger(
    connection: Transaction, tasks: Mapping[str, tuple[str, float]], *, now: int
) -> None:
    """These tasks wait for a calibration of a resource that is younger than so many seconds.

    Where one was noted since that was found they need not, and are ready: nobody else would tell
    them. So whoever notes one is kept out from here to the commit.
    """
    rows: list[Values] = [
        {"task_id": task, "resource": resource, "most_us": span(seconds)}
        for task, (resource, seconds) in tasks.items()
    ]
    if not rows:
        return
    ages = _ages(connection, sorted({row["resource"] for row in rows}), now)
    met = [row for row in rows if ages.get(row["resource"], row["most_us"] + 1) <= row["most_us"]]
    connection.later(_FORGET_THESE, {"r": document(rows)})
    insert_rows(connection, _waits, [row for row in rows if row not in met])
    ready: list[Values] = [{"id": row["task_id"], "ready_at": AT_ONCE} for row in met]
    update_rows(connection, schema.tasks, ready)


def _ages(connection: Transaction, names: Sequence[str], now: int) -> Mapping[str, int]:
    """How old what was last seen of these resources is, which are locked."""
    _know(connection, names)
    given = [{"resource": name} for name in names]
    answers = connection.together(
        *((_LOCKED, one) for one in given), *((_LATEST, one) for one in given)
    )
    found = zip(names, answers[len(names) :], strict=True)
    return {name: _age(latest[0]._asdict(), now) for name, latest in found if latest}


def wait_no_more(connection: Transaction, task_ids: Collection[str]) -> None:
    """These tasks wait for no calibration any more."""
    if task_ids:
        connection.later(_FORGET_ALL_OF, {"r": ids_document(sorted(task_ids))})


def awaited(connection: Transaction, task_ids: Collection[str]) -> dict[str, float]:
    """Of these tasks, those that wait for a calibration, with the seconds that it may be old."""
    found = connection.last(_AWAITED, {"r": ids_document(sorted(task_ids))})
    return {row.task_id: row.most_us / 1e6 for row in found}
