"""What users ask of jobs that are there: to cancel them, to do again what failed of them."""

import json
from collections.abc import Collection, Sequence

from sqlalchemy import select, update

from quanopy.domain.errors import InvalidTransition
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Job
from quanopy.domain.states import FINAL_TASK_STATES, JobState, TaskState
from quanopy.storage import schema
from quanopy.storage.compiled import Row
from quanopy.storage.events import History
from quanopy.storage.mapping import AT_ONCE, Values, job_of
from quanopy.storage.rows import id_rows, ids_document
from quanopy.storage.statements import (
    JOBS,
    LOCKED_EXECUTIONS,
    LOCKED_JOBS,
    LOCKED_TASKS,
    insert_rows,
    read_ids,
    update_rows,
)
from quanopy.storage.transaction import Transaction
from quanopy.storage.transitions import Move, move_tasks, roll_up_jobs

_jobs = id_rows()
_OPEN = [state.value for state in TaskState if state not in FINAL_TASK_STATES]
_AGAIN = [TaskState.FAILED.value, TaskState.CANCELLED.value]
_OPEN_TASKS = (
    select(schema.tasks.c.id, schema.tasks.c.execution_id, schema.tasks.c.state)
    .select_from(_jobs.join(schema.tasks, schema.tasks.c.job_id == _jobs.c.id))
    .where(schema.tasks.c.state.in_(_OPEN), ~schema.tasks.c.superseded)
)
_PARTS = (
    select(schema.tasks)
    .select_from(_jobs.join(schema.tasks, schema.tasks.c.job_id == _jobs.c.id))
    .where(schema.tasks.c.state.in_(_AGAIN), ~schema.tasks.c.superseded)
    .order_by(schema.tasks.c.id)
)
_REQUEST = (
    update(schema.jobs)
    .where(schema.jobs.c.id.in_(select(_jobs.c.id)), schema.jobs.c.state.in_(["queued", "running"]))
    .values(cancel_requested=True)
)
_RELEASE = (
    update(schema.tasks)
    .where(
        schema.tasks.c.job_id.in_(select(_jobs.c.id)),
        schema.tasks.c.state == TaskState.QUEUED.value,
        schema.tasks.c.ready_at.is_(None),
    )
    .values(ready_at=AT_ONCE)
)


def cancel(connection: Transaction, job_ids: Collection[str], *, actor: str, now: int) -> list[Job]:
    """Cancel what is queued, request it of the rest."""
    found = read_ids(connection, _OPEN_TASKS, job_ids)
    executions = read_ids(
        connection, LOCKED_EXECUTIONS, {row.execution_id for row in found if row.execution_id}
    )
    tasks = read_ids(connection, LOCKED_TASKS, {row.id for row in found})
    history = History(actor, now)
    moves = [_cancelled(t, now) for t in tasks if t.state == TaskState.QUEUED.value]
    asked = [t for t in tasks if t.state in _OPEN and t.state != TaskState.QUEUED.value]
    if moves:
        move_tasks(connection, moves, history, now=now)
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


def retry(connection: Transaction, job_ids: Collection[str], *, actor: str, now: int) -> list[Job]:
    """Queue failed and cancelled parts again, and release what a rebuild held."""
    jobs = read_ids(connection, LOCKED_JOBS, job_ids)
    _check_own(jobs)
    history = History(actor, now)
    ended = [job for job in jobs if job.state in (JobState.FAILED, JobState.CANCELLED)]
    queue_again(connection, ended, history, now)
    _release(connection, [job for job in jobs if job.held], history)
    history.write(connection)
    return [job_of(row) for row in read_ids(connection, JOBS, job_ids)]


def _check_own(jobs: Sequence[Row]) -> None:
    for job in jobs:
        if job.imported is not None:
            raise InvalidTransition(
                f"{job.id} was imported: it did not run here",
                hint="Submit its programs as a job of your own.",
            )


def queue_again(
    connection: Transaction,
    jobs: Sequence[Row],
    history: History,
    now: int,
    *,
    blocked: bool = False,
) -> None:
    """Put new tasks in the place of those that failed, or were cancelled, of these locked jobs;
    ``blocked``: they wait for the turn of their jobs."""
    _check_own(jobs)
    parts = read_ids(connection, _PARTS, {job.id for job in jobs})
    new = [_again(part, now) | ({"ready_at": None} if blocked else {}) for part in parts]
    update_rows(connection, schema.tasks, [{"id": p.id, "superseded": True} for p in parts])
    insert_rows(connection, schema.tasks, new)
    update_rows(
        connection,
        schema.jobs,
        [{"id": job.id, "cancel_requested": False, "blocked": blocked} for job in jobs],
    )
    for part, task in zip(parts, new, strict=True):
        history.add(
            task["id"],
            "task.queued",
            account=part.account,
            job_id=part.job_id,
            after=TaskState.QUEUED.value,
            data={"replaces": part.id},
        )
    roll_up_jobs(connection, jobs, history, now=now)


def _again(part: Row, now: int) -> Values:
    values: Values = part._asdict()
    return values | {
        "id": new_id("task"),
        "state": TaskState.QUEUED.value,
        "attempt": 0,
        "lost": 0,
        "ready_at": AT_ONCE,
        "claim_id": None,
        "execution_id": None,
        "problem": None,
        "cancel_requested": False,
        "queued_at": now,
        "started_at": None,
        "ended_at": None,
    }


def _release(connection: Transaction, jobs: Sequence[Row], history: History) -> None:
    if not jobs:
        return
    update_rows(connection, schema.jobs, [{"id": job.id, "held": False} for job in jobs])
    # What is blocked goes on waiting, for its group or for other jobs.
    free = [job.id for job in jobs if not job.blocked]
    if free:
        connection.later(_RELEASE, {"r": ids_document(free)})
    for job in jobs:
        history.add(job.id, "job.released", account=job.account, job_id=job.id)
