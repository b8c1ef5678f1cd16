"""What the jobs of a group used, counted as they end."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import select

from quanopy.storage import schema
from quanopy.storage.compiled import Row
from quanopy.storage.resource_rows import resource_of
from quanopy.storage.rows import id_rows
from quanopy.storage.statements import read_ids
from quanopy.storage.transaction import Transaction

_ids = id_rows()
_PART = ("job_id", "first", "shots_from", "superseded", "execution_id")
_PARTS = select(*(schema.tasks.c[name] for name in _PART)).select_from(
    _ids.join(schema.tasks, schema.tasks.c.job_id == _ids.c.id)
)
_USAGE = select(
    *(schema.executions.c[name] for name in ("id", "resource", "usage", "tasks"))
).select_from(_ids.join(schema.executions, schema.executions.c.id == _ids.c.id))
_RESOURCES = select(schema.resources).select_from(
    _ids.join(schema.resources, schema.resources.c.name == _ids.c.id)
)


def add_usage(
    connection: Transaction, before: Mapping[str, float], job_ids: Sequence[str]
) -> dict[str, float]:
    """What these jobs used, added to what others of their group did."""
    usage = dict(before)
    parts = _latest(read_ids(connection, _PARTS, job_ids))
    numbers = Counter(task.execution_id for task in parts)
    rows = read_ids(connection, _USAGE, numbers)
    names = {row.resource for row in rows}
    priced = {
        row.name: resource_of(row).capabilities for row in read_ids(connection, _RESOURCES, names)
    }
    for row in rows:
        used = json.loads(row.usage)
        able = priced.get(row.resource)
        cost = able and able.cost(used.get("shots", 0.0), used.get("tasks", 1.0))
        if cost is not None and used:
            used.setdefault("cost", cost)
        # An execution that tasks share is used by each of them alike.
        share = numbers[row.id] / len(json.loads(row.tasks))
        for kind, amount in used.items():
            usage[kind] = usage.get(kind, 0.0) + amount * share
    return usage


def _latest(tasks: Sequence[Row]) -> list[Row]:
    """Those that ran when their jobs ended last: what had completed before was counted before.
    Each time a job is queued again, all that has not completed of it is superseded once more."""
    times = Counter(_part(task) for task in tasks if task.superseded)
    most: dict[str, int] = {}
    for (job_id, *_), count in times.items():
        most[job_id] = max(count, most.get(job_id, 0))
    return [
        task
        for task in tasks
        if not task.superseded
        and task.execution_id is not None
        and times[_part(task)] == most.get(task.job_id, 0)
    ]


def _part(task: Row) -> tuple[str, int, int]:
    return task.job_id, task.first, task.shots_from
