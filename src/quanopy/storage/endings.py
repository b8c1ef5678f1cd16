"""Ends: executions and their tasks, hundreds in one transaction, under the fence of a claim."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict

from quanopy.domain.jobs import Execution
from quanopy.domain.states import FINAL_EXECUTION_STATES, ExecutionState, TaskState
from quanopy.ports.executions import Ending, Finished, TaskEnd
from quanopy.storage import claims, ledger, schema
from quanopy.storage.calibrations import await_younger
from quanopy.storage.compiled import Row
from quanopy.storage.events import History
from quanopy.storage.executions import DEVICES, WORKER, by_name
from quanopy.storage.job_rows import execution_row
from quanopy.storage.reading import jobs_with_tasks
from quanopy.storage.rows import ids_document
from quanopy.storage.statements import (
    LOCKED_EXECUTIONS,
    LOCKED_JOBS_OF,
    LOCKED_TASKS,
    by_ids,
    insert_rows,
    update_rows,
)
from quanopy.storage.transaction import Transaction
from quanopy.storage.transitions import Move, move_execution, move_tasks
from quanopy.storage.values import Values, moment, problem_text, ready_stamp, stamp_or_none

Rows = Mapping[str, Row]
_LONGEST_REASON = 500


def finish(
    connection: Transaction,
    claim_id: str,
    endings: Sequence[Ending],
    show: Collection[str],
    *,
    now: int,
) -> Finished:
    """End what this claim still holds, and read some jobs as they are then."""
    ids = [task.task_id for ending in endings for task in ending.tasks]
    names = {ending.execution.resource for ending in endings}
    there, parts, jobs, workers, found = connection.together(
        by_ids(LOCKED_EXECUTIONS, [ending.execution.id for ending in endings]),
        by_ids(LOCKED_TASKS, ids),
        by_ids(LOCKED_JOBS_OF, ids),
        (WORKER, {"claim": claim_id}),
        (DEVICES, {"names": ids_document(sorted(names))}),
    )
    sent, tasks = {row.id: row for row in there}, {row.id: row for row in parts}
    devices = by_name(found, names)
    taken = [
        (ending, ends)
        for ending in endings
        for ends in [_held(ending, claim_id, sent, tasks)]
        if ends or _is_held(sent.get(ending.execution.id), claim_id)
    ]
    history = History(workers[0].worker if workers else "", now)
    _write_executions(connection, taken, sent, tasks, devices, history)
    moves = [
        _move(tasks[end.task_id], end, ending.execution, now)
        for ending, ends in taken
        for end in ends
    ]
    turns = bool(moves) and move_tasks(connection, moves, history, now=now, jobs=jobs)
    await_younger(
        connection,
        {
            end.task_id: (ending.execution.resource, end.awaits_s)
            for ending, ends in taken
            for end in ends
            if end.awaits_s is not None and not tasks[end.task_id].cancel_requested
        },
        now=now,
    )
    history.write(connection)
    _settle(connection, taken, tasks, devices)
    claims.release(connection, claim_id)
    found, parts_of = jobs_with_tasks(connection, show, show) if show else ([], [])
    return Finished(
        taken=frozenset(move.task.id for move in moves), jobs=found, tasks=parts_of, turns=turns
    )


def _is_held(sent: Row | None, claim_id: str) -> bool:
    return (
        sent is not None
        and sent.claim_id == claim_id
        and ExecutionState(sent.state) not in FINAL_EXECUTION_STATES
    )


def _held(ending: Ending, claim_id: str, sent: Rows, tasks: Rows) -> list[TaskEnd]:
    """Which tasks are still the claim's: by themselves, or by the execution that carries them."""
    execution = sent.get(ending.execution.id)
    if execution is None:
        return [
            end
            for end in ending.tasks
            if end.task_id in tasks and tasks[end.task_id].claim_id == claim_id
        ]
    if not _is_held(execution, claim_id):
        return []
    return [
        end
        for end in ending.tasks
        if end.task_id in tasks
        and tasks[end.task_id].state == TaskState.EXECUTING
        and tasks[end.task_id].execution_id == execution.id
    ]


def _move(task: Row, end: TaskEnd, execution: Execution, now: int) -> Move:
    after = TaskState.CANCELLED if task.cancel_requested else end.state
    again = after is TaskState.QUEUED
    result = end.result if after is TaskState.COMPLETED else None
    local = task.state == TaskState.CLAIMED
    return Move(
        task=task,
        after=after,
        because=end.problem.message[:_LONGEST_REASON] if again and end.problem else None,
        changes={
            "claim_id": None,
            "execution_id": execution.id,
            "attempt": task.attempt + local,
            "ready_at": _ready(end, now),
            "result_key": result and result.key,
            "result_offset": result and result.offset,
            "result_length": result and result.length,
            "problem": None if after is TaskState.CANCELLED else problem_text(end.problem),
            "queued_at": now if again else task.queued_at,
            "started_at": None if again else stamp_or_none(execution.started_at) or task.started_at,
            "ended_at": None if again else now,
        },
    )


def _ready(end: TaskEnd, now: int) -> int | None:
    if end.awaits_s is not None and end.ready_at is None:
        return None
    return ready_stamp(end.ready_at or moment(0), moment(now))


def _write_executions(
    connection: Transaction,
    taken: Sequence[tuple[Ending, Sequence[TaskEnd]]],
    sent: Rows,
    tasks: Rows,
    devices: Mapping[str, str],
    history: History,
) -> None:
    """Local executions appear here, ended; remote ones end."""
    new, ended = [], []
    for ending, ends in taken:
        execution = ending.execution
        if execution.id not in sent:
            row = execution_row(execution, device=devices[execution.resource])
            new.append(row | {"claim_id": None, "due_at": None})
            continue
        ended.append(_ended(execution))
        jobs = dict.fromkeys(tasks[end.task_id].job_id for end in ends)
        move_execution(sent[execution.id], execution.state, jobs, history)
        if execution.calibration.changed:
            _warn(execution, jobs, history)
    insert_rows(connection, schema.executions, new)
    update_rows(connection, schema.executions, ended)


def _warn(execution: Execution, job_ids: Iterable[str], history: History) -> None:
    """Say that its resource was calibrated anew between submission and end."""
    known = asdict(execution.calibration).items()
    for job_id in job_ids:
        history.add(
            execution.id,
            "execution.recalibrated",
            account=execution.account,
            job_id=job_id,
            data={name: digest for name, digest in known if digest is not None},
        )


def _ended(execution: Execution) -> Values:
    row = execution_row(execution, device="")
    kept = (
        *("id", "state", "provider_job_id", "started_at", "ended_at", "usage", "problem"),
        "calibration",
    )
    return {name: row[name] for name in kept} | {"claim_id": None, "due_at": None}


def _settle(
    connection: Transaction,
    taken: Sequence[tuple[Ending, Sequence[TaskEnd]]],
    tasks: Rows,
    devices: Mapping[str, str],
) -> None:
    ledger.settle(
        connection,
        [
            (
                devices[ending.execution.resource],
                ending.execution.account,
                ending.execution.usage["seconds"]
                - sum(tasks[end.task_id].estimate_s for end in ends),
            )
            for ending, ends in taken
            if "seconds" in ending.execution.usage
        ],
    )
