"""What the archive asks of the catalogue: which objects it names, and to take back what is lost."""

from collections.abc import Collection, Sequence

from sqlalchemy import exists, or_, select

from quanopy.domain.jobs import Execution, Task
from quanopy.domain.states import FINAL_TASK_STATES, TaskState
from quanopy.ports.submissions import Submission
from quanopy.storage import schema
from quanopy.storage.events import History
from quanopy.storage.executions import devices_of
from quanopy.storage.job_rows import execution_row, task_row
from quanopy.storage.rows import id_rows
from quanopy.storage.statements import (
    EXECUTIONS,
    JOBS,
    LOCKED_JOBS,
    LOCKED_TASKS,
    by_ids,
    insert_rows,
    read_ids,
    update_rows,
)
from quanopy.storage.submissions import insert_jobs, keep_requests, tell_choice
from quanopy.storage.transaction import Transaction
from quanopy.storage.transitions import roll_up_jobs

_WENT_ON = FINAL_TASK_STATES | {TaskState.EXECUTING}
_keys = id_rows()
_NAMED = select(_keys.c.id).where(
    or_(
        exists().where(schema.jobs.c.spec_key == _keys.c.id),
        exists().where(schema.tasks.c.result_key == _keys.c.id),
        exists().where(schema.sightings.c.pack == _keys.c.id),
        exists().where(schema.told_snapshots.c.pack == _keys.c.id),
    )
)


def referenced(connection: Transaction, keys: Collection[str]) -> set[str]:
    """Those of these object keys that a job, a task or a sighting names."""
    return {row.id for row in connection.last(*by_ids(_NAMED, keys))}


def restore(
    connection: Transaction,
    submissions: Sequence[Submission],
    executions: Sequence[Execution],
    *,
    now: int,
) -> int:
    """Insert what is not there, and end what waits there although it has ended; how many jobs
    were new."""
    jobs = [job for submission in submissions for job in submission.jobs]
    tasks = [task for submission in submissions for task in submission.tasks]
    there = {row.id for row in read_ids(connection, JOBS, [job.id for job in jobs])}
    new = [job for job in jobs if job.id not in there]
    keep_requests(connection, [one.entry for one in submissions], now)
    insert_jobs(connection, new, [task for task in tasks if task.job_id not in there], now=now)
    _restore_executions(connection, executions)
    history = History("rebuild", now)
    for job in new:
        kind = "held" if job.held else job.state.value
        history.add(
            job.id, f"job.{kind}", account=job.account, job_id=job.id, after=job.state.value
        )
        tell_choice(history, job)
    _catch_up(connection, [task for task in tasks if task.job_id in there], history, now)
    history.write(connection)
    return len(new)


def _restore_executions(connection: Transaction, executions: Sequence[Execution]) -> None:
    unique = {execution.id: execution for execution in executions}
    there = {row.id for row in read_ids(connection, EXECUTIONS, unique)}
    new = [execution for id_, execution in unique.items() if id_ not in there]
    devices = devices_of(connection, {e.resource for e in new}) if new else {}
    rows = [execution_row(e, device=devices[e.resource]) | {"claim_id": None} for e in new]
    insert_rows(connection, schema.executions, rows)


def _catch_up(connection: Transaction, tasks: Sequence[Task], history: History, now: int) -> None:
    """Tasks that wait in an older copy of the catalogue, but went on since."""
    given = {task.id: task for task in tasks if task.state in _WENT_ON}
    locked = read_ids(connection, LOCKED_TASKS, given)
    behind = [row for row in locked if row.state == TaskState.QUEUED.value and not row.claim_id]
    if not behind:
        return
    jobs = read_ids(connection, LOCKED_JOBS, {row.job_id for row in behind})
    for row in behind:
        state = given[row.id].state
        history.add(
            row.id,
            f"task.{state}",
            account=row.account,
            job_id=row.job_id,
            before=row.state,
            after=state.value,
        )
    update_rows(connection, schema.tasks, [task_row(given[row.id]) for row in behind])
    roll_up_jobs(connection, jobs, history, now=now)
