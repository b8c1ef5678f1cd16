"""The one place where states change: tasks move, their jobs roll up, and history is written.

Who calls has locked the tasks (:data:`~quanopy.storage.statements.LOCKED_TASKS`) and checked the
fence on the rows it got; everything here happens in the caller's transaction.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import BigInteger, Text, column, select, update

from quanopy.domain.states import (
    FINAL_JOB_STATES,
    ExecutionState,
    JobState,
    TaskState,
    check_execution_transition,
    check_task_transition,
    roll_up,
)
from quanopy.storage import schema
from quanopy.storage.calibrations import wait_no_more
from quanopy.storage.compiled import Row
from quanopy.storage.events import History
from quanopy.storage.rows import document, id_rows, rows_of
from quanopy.storage.statements import LOCKED_JOBS, insert_rows, read_ids, update_rows
from quanopy.storage.transaction import Transaction
from quanopy.storage.values import AT_ONCE, Values

_wanted = id_rows()
_STATES = (
    select(schema.tasks.c.job_id, schema.tasks.c.state)
    .select_from(_wanted.join(schema.tasks, schema.tasks.c.job_id == _wanted.c.id))
    .where(~schema.tasks.c.superseded)
    .distinct()
)
_ALONE = {state: roll_up((state,)) for state in TaskState}
"""The state of a job that has one task, by the task's."""
_moved = rows_of(
    column("of_account", Text),
    column("before", Text),
    column("after", Text),
    column("made_at", BigInteger),
    column("of_job", Text),
)
_MOVE_STATES = (
    update(schema.job_states)
    .where(
        schema.job_states.c.account == _moved.c.of_account,
        schema.job_states.c.state == _moved.c.before,
        schema.job_states.c.created_at == _moved.c.made_at,
        schema.job_states.c.job_id == _moved.c.of_job,
    )
    .values(state=_moved.c.after)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A step of a task: its row as locked, where it goes, and what else changes of it."""

    task: Row
    after: TaskState
    changes: Values = field(default_factory=dict)
    """Columns; every move of one batch changes the same."""
    because: str | None = None
    """What its event says of why."""


def move_tasks(
    connection: Transaction,
    moves: Sequence[Move],
    history: History,
    *,
    now: int,
    jobs: Sequence[Row] | None = None,
) -> bool:
    """Carry out these steps, roll their jobs up and write what happened; whether it is somebody's
    turn now (see :func:`roll_up_jobs`).

    ``jobs``: the rows of these tasks' jobs, if they were locked with them.

    Raises:
        InvalidTransition: a state does not lead there.
    """
    for move in moves:
        task = move.task
        check_task_transition(task.id, TaskState(task.state), move.after)
        after = str(move.after)
        history.add(
            task.id,
            "task." + after,
            account=task.account,
            job_id=task.job_id,
            before=task.state,
            after=after,
            data=None if move.because is None else {"because": move.because},
        )
    # Jobs are locked before tasks change, so that whoever rolls a job up sees all its tasks.
    touched = {move.task.job_id for move in moves}
    if jobs is None:
        jobs = read_ids(connection, LOCKED_JOBS, touched)
    update_rows(
        connection,
        schema.tasks,
        [{"id": m.task.id, "state": str(m.after), **m.changes} for m in moves],
    )
    wait_no_more(connection, [m.task.id for m in moves if _may_wait(m.task)])
    ends: dict[str, TaskState] = {move.task.job_id: move.after for move in moves}
    problems = {
        move.task.job_id: move.changes["problem"]
        for move in reversed(moves)
        if move.after is TaskState.FAILED
    }
    return roll_up_jobs(
        connection,
        [job for job in jobs if job.id in touched],
        history,
        now=now,
        ends=ends,
        problems=problems,
    )


def _may_wait(task: Row) -> bool:
    """Whether it may wait for a calibration: what does is ready at a time, or never, not at
    once."""
    return bool(task.state == TaskState.QUEUED and task.ready_at != AT_ONCE)


def roll_up_jobs(
    connection: Transaction,
    jobs: Sequence[Row],
    history: History,
    *,
    now: int,
    ends: Mapping[str, TaskState] | None = None,
    problems: Mapping[str, str | None] | None = None,
) -> bool:
    """Write the states of these locked jobs anew, from their tasks as they stand; whether one has
    ended that belongs to a group, or that others come after: it is somebody's turn then.

    ``ends``: where the last task of each job went (all there is to know of a job of one task);
    ``problems``: why jobs failed, if they did.
    """
    known = ends or {}
    several = {job.id for job in jobs if job.tasks > 1 or job.id not in known}
    states = _task_states(connection, several)
    changed, moved, turns = [], [], []
    for job in jobs:
        after = roll_up(states[job.id]) if job.id in several else _ALONE[known[job.id]]
        problem = (problems or {}).get(job.id)
        if after != job.state:
            history.add(
                job.id,
                f"job.{after}",
                account=job.account,
                job_id=job.id,
                before=job.state,
                after=str(after),
            )
            moved.append(_move_state(job, after))
            if after in FINAL_JOB_STATES and (job.group_id is not None or job.followed):
                turns.append({"job_id": job.id, "group_id": job.group_id, "position": job.position})
        if after != job.state or problem is not None:
            changed.append(_job_values(job, after, now, problem))
    update_rows(connection, schema.jobs, changed)
    if moved:
        connection.later(_MOVE_STATES, {"r": document(moved)})
    insert_rows(connection, schema.turns, turns)
    return bool(turns)


def move_execution(
    execution: Row,
    after: ExecutionState,
    job_ids: Iterable[str],
    history: History,
    data: Mapping[str, object] | None = None,
) -> None:
    """Check and write down a step of an execution; its row is the caller's to update.

    Raises:
        InvalidTransition: its state does not lead there.
    """
    check_execution_transition(execution.id, ExecutionState(execution.state), after)
    for job_id in job_ids:
        history.add(
            execution.id,
            f"execution.{after}",
            account=execution.account,
            job_id=job_id,
            before=execution.state,
            after=str(after),
            data=data,
        )


def _task_states(
    connection: Transaction, job_ids: Collection[str]
) -> Mapping[str, list[TaskState]]:
    states: dict[str, list[TaskState]] = defaultdict(list)
    for row in read_ids(connection, _STATES, job_ids):
        states[row.job_id].append(TaskState(row.state))
    return states


def _move_state(job: Row, after: JobState) -> Values:
    return {
        "of_account": job.account,
        "before": job.state,
        "after": str(after),
        "made_at": job.created_at,
        "of_job": job.id,
    }


def _job_values(job: Row, after: JobState, now: int, problem: str | None) -> Values:
    started = job.started_at
    if started is None and after in (JobState.RUNNING, JobState.COMPLETED, JobState.FAILED):
        started = now
    again = job.state in FINAL_JOB_STATES and after not in FINAL_JOB_STATES
    return {
        "id": job.id,
        "state": str(after),
        "started_at": started,
        "ended_at": now if after in FINAL_JOB_STATES else None,
        # The first failure stays the reason, even while other parts still run.
        "problem": None if again else (job.problem or problem),
    }
