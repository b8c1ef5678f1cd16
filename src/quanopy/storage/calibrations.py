"""Calibrations: whom to ask for them when, what was answered, and which tasks wait for one."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import bindparam, delete, func, or_, select, update
from sqlalchemy.types import BigInteger, Boolean, Text

from quanopy.domain.jobs import Problem
from quanopy.domain.sightings import Sighting, Standing
from quanopy.domain.states import TaskState
from quanopy.storage import schema
from quanopy.storage.events import History
from quanopy.storage.rows import document, id_rows, ids_document, rows_of
from quanopy.storage.sighting_rows import sighting_in, sighting_of, sighting_row
from quanopy.storage.sightings import LATEST, NEWEST, OWNER, age, see
from quanopy.storage.statements import insert_rows, keep_rows, update_rows
from quanopy.storage.transaction import Transaction
from quanopy.storage.values import (
    AT_ONCE,
    Values,
    moment,
    moment_or_none,
    problem_of,
    problem_text,
    span,
)

_standings, _sightings, _waits = schema.calibrations, schema.sightings, schema.calibration_waits
_LOOKS = 4
"""How often it is looked for a new calibration while one is as young as a task wants it."""
_now = bindparam("now", type_=BigInteger)
_resource = bindparam("resource", type_=Text)
_names = id_rows()
_FORGET_STANDING = delete(_standings).where(_standings.c.resource == _resource)
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
_registration = (
    select(schema.registrations.c.id)
    .where(schema.registrations.c.name == _resource)
    .scalar_subquery()
)
_NOW_OF = select(OWNER.label("owner"), _registration.label("registration"))
_LOCK_ALL = (
    select(_standings.c.resource)
    .where(_standings.c.resource.in_(select(_names.c.id)))
    .order_by(_standings.c.resource)
    .with_for_update()
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
    keep_rows(connection, _standings, rows)


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
        (_LOCKED, given_name), (LATEST, given_name), (NEWEST, given_name), (_NOW_OF, given_name)
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
        row = see(
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
        sighting=None if seen is None else sighting_in(seen),
        published=shown,
        problem=problem,
        owner=of.owner,
        registration=of.registration,
    ), released


def _release(connection: Transaction, row: Values, now: int) -> int:
    """Let tasks go on that this is young enough for; how many."""
    given = {"resource": row["resource"], "age": age(row, now)}
    released = connection.execute(_RELEASE, given)
    connection.later(_FORGET, given)
    return len(released)


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


def forget(connection: Transaction, resource: str) -> None:
    """The name has passed on: of the resource that has it now nothing was ever asked."""
    connection.later(_FORGET_STANDING, {"resource": resource})


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
        *((_LOCKED, one) for one in given), *((LATEST, one) for one in given)
    )
    found = zip(names, answers[len(names) :], strict=True)
    return {name: age(latest[0]._asdict(), now) for name, latest in found if latest}


def wait_no_more(connection: Transaction, task_ids: Collection[str]) -> None:
    """These tasks wait for no calibration any more."""
    if task_ids:
        connection.later(_FORGET_ALL_OF, {"r": ids_document(sorted(task_ids))})


def awaited(connection: Transaction, task_ids: Collection[str]) -> dict[str, float]:
    """Of these tasks, those that wait for a calibration, with the seconds that it may be old."""
    found = connection.last(_AWAITED, {"r": ids_document(sorted(task_ids))})
    return {row.task_id: row.most_us / 1e6 for row in found}
