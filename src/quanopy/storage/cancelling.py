"""Cancelling: what is queued is cancelled, of the rest it is requested."""

import json
from collections.abc import Collection, Sequence

from sqlalchemy import select, update

from quanopy.domain.jobs import Job
from quanopy.domain.states import FINAL_TASK_STATES, TaskState
from quanopy.storage import schema
from quanopy.storage.compiled import Row
from quanopy.storage.events import History
from quanopy.storage.job_rows import job_of
from quanopy.storage.rows import id_rows, ids_document
from quanopy.storage.statements import (
    JOBS,
    LOCKED_EXECUTIONS,
    LOCKED_JOBS,
    LOCKED_TASKS,
    by_ids,
    read_ids,
    update_rows,
)
from quanopy.storage.transaction import Transaction
from quanopy.storage.transitions import Move, move_tasks
from quanopy.storage.values import Values

_jobs = id_rows()
OPEN = [state.value for state in TaskState if state not in FINAL_TASK_STATES]
_OPEN_TASKS = (
    select(schema.tasks.c.id, schema.tasks.c.execution_id, schema.tasks.c.state)
    .select_from(_jobs.join(schema.tasks, schema.tasks.c.job_id == _jobs.c.id))
    .where(schema.tasks.c.state.in_(OPEN), ~schema.tasks.c.superseded)
)
_REQUEST = (
    update(schema.jobs)
    .where(schema.jobs.c.id.in_(select(_jobs.c.id)), schema.jobs.c.state.in_(["queued", "running"]))
    .values(cancel_requested=True)
)


def cancel(connection: Transaction, job_ids: Collection[str], *, actor: str, now: int) -> list[Job]:
    """Cancel what is queued, request it of the rest."""
    found = read_ids(connection, _OPEN_TASKS, job_ids)
    executions = read_ids(
        connection, LOCKED_EXECUTIONS, {row.execution_id for row in found if row.execution_id}
    )
    tasks, jobs = connection.together(
        by_ids(LOCKED_TASKS, {row.id for row in found}), by_ids(LOCKED_JOBS, job_ids)
    )
    history = History(actor, now)
    moves = [_cancelled(t, now) for t in tasks if t.state == TaskState.QUEUED.value]
    asked = [t for t in tasks if t.state in OPEN and t.state != TaskState.QUEUED.value]
    if moves:
        move_tasks(connection, moves, history, now=now, jobs=jobs)
    _request(connection, [t for t in asked if not t.cancel_requested], history)
    _stop(connection, executions, {t.id for t in asked})
    if job_ids:
        connection.later(_REQUEST, {"r": ids_document(sorted(job_ids))})
    history.write(connection)
    return [job_of(row) for row in read_ids(connection, JOBS, job_ids)]


def _cancelled(task: Row, now: int) -> Move:
    return Move(
        task=task, after=TaskState.CANCELLED, changes={"cancel_requested": True, "ended_at": now}
    )


def _request(connection: Transaction, tasks: Sequence[Row], history: History) -> None:
    for task in tasks:
        history.add(
            task.id,
            "task.cancel_requested",
            account=task.account,
            job_id=task.job_id,
            before=task.state,
            after=task.state,
        )
    update_rows(
        connection, schema.tasks, [{"id": task.id, "cancel_requested": True} for task in tasks]
    )


def _stop(connection: Transaction, executions: Sequence[Row], asked: Collection[str]) -> None:
    """Stop an execution once nobody wants any of its tasks."""
    parts = {row.id: json.loads(row.tasks) for row in executions if not row.stop_requested}
    ids = {task for tasks in parts.values() for task in tasks} - set(asked)
    wanted = {
        row.id
        for row in read_ids(connection, LOCKED_TASKS, ids)
        if row.state == TaskState.EXECUTING.value and not row.cancel_requested
    }
    rows: list[Values] = [
        {"id": execution, "stop_requested": True}
        for execution, tasks in parts.items()
        if not wanted.intersection(tasks)
    ]
    update_rows(connection, schema.executions, rows)
