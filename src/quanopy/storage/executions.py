"""Remote executions: written before they are sent, taken over when due, moved on step by step."""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, bindparam, exists, or_, select, update
from sqlalchemy.types import BigInteger, Integer, Text

from quanopy.domain.errors import Conflict
from quanopy.domain.jobs import Execution, Task
from quanopy.domain.states import ExecutionState, TaskState
from quanopy.ports.executions import Due, ExecutionChange
from quanopy.storage import claims, schema
from quanopy.storage.clocks import shared_now
from quanopy.storage.compiled import Row
from quanopy.storage.events import History
from quanopy.storage.job_rows import execution_of, execution_row, task_of
from quanopy.storage.lanes import ALIVE
from quanopy.storage.rows import id_rows, ids_document
from quanopy.storage.statements import (
    EXECUTIONS,
    LOCKED_EXECUTIONS,
    LOCKED_TASKS,
    TASKS,
    insert_rows,
    read_ids,
    update_rows,
)
from quanopy.storage.transaction import Transaction
from quanopy.storage.transitions import Move, move_execution, move_tasks
from quanopy.storage.values import Values, problem_text, span

_executions = schema.executions
_now = bindparam("now", type_=BigInteger)
_HOLD = (
    update(schema.claims)
    .where(schema.claims.c.id == bindparam("claim", type_=Text))
    .values(
        expires_at=bindparam("until", type_=BigInteger), ttl_us=bindparam("ttl", type_=BigInteger)
    )
    .returning(schema.claims.c.worker)
)
_names = id_rows("names")
DEVICES = select(schema.resources.c.name, schema.resources.c.device).select_from(
    _names.join(schema.resources, schema.resources.c.name == _names.c.id)
)
_JOBS_OF = id_rows()
_TASK_JOBS = select(schema.tasks.c.id, schema.tasks.c.job_id).select_from(
    _JOBS_OF.join(schema.tasks, schema.tasks.c.id == _JOBS_OF.c.id)
)
_held = exists().where(schema.claims.c.id == _executions.c.claim_id, ALIVE)
_time_came = or_(
    _executions.c.due_at <= _now,
    # Written under another clock, before ours went backwards; not by another worker just now,
    # whose clock is a little ahead: that would be a look too soon, or a search.
    _executions.c.due_at > _now + 2 * _executions.c.due_in,
    and_(_executions.c.due_at.is_(None), _executions.c.state != ExecutionState.STRANDED.value),
)
_providers = id_rows("providers")
_DUE = (
    select(_executions)
    .join(_providers, _providers.c.id == _executions.c.provider)
    .where(
        _executions.c.state.in_(["submitting", "submitted", "running", "stranded"]),
        or_(
            and_(
                _executions.c.claim_id.is_(None),
                or_(_time_came, and_(_executions.c.stop_requested, ~_executions.c.stop_seen)),
            ),
            and_(_executions.c.claim_id.is_not(None), ~_held),
        ),
    )
    .order_by(_executions.c.due_at, _executions.c.id)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(of=_executions, skip_locked=True)
)


def devices_of(connection: Transaction, names: set[str]) -> Mapping[str, str]:
    """The physical device of each of these resources."""
    return by_name(connection.execute(DEVICES, {"names": ids_document(sorted(names))}), names)


def by_name(found: Sequence[Row], names: Collection[str]) -> Mapping[str, str]:
    """The physical device of each of these resources, as :data:`DEVICES` found them."""
    known = {row.name: row.device for row in found}
    return {name: known.get(name) or name for name in names}


def begin(
    connection: Transaction, claim_id: str, executions: Sequence[Execution], *, ttl: int, now: int
) -> None:
    """Write executions as submitting and their tasks as executing, begun by the shared clock.

    Raises:
        Conflict: the claim, or one of the tasks under it, is lost.
    """
    there = read_ids(connection, LOCKED_EXECUTIONS, [e.id for e in executions])
    if len(there) == len(executions) and all(row.claim_id == claim_id for row in there):
        # The reply to the first time was lost, and they are sent only from now on.
        begun = shared_now(connection, now)
        update_rows(connection, _executions, [{"id": r.id, "created_at": begun} for r in there])
        return
    tasks = {
        row.id: row
        for row in read_ids(connection, LOCKED_TASKS, [t for e in executions for t in e.tasks])
    }
    worker = connection.scalar(_HOLD, {"claim": claim_id, "until": now + ttl, "ttl": ttl})
    if worker is None or not all(
        task in tasks and tasks[task].claim_id == claim_id for e in executions for task in e.tasks
    ):
        raise Conflict(f"{claim_id} is lost", hint="Its tasks are somebody else's now.")
    history = History(worker, now)
    devices = devices_of(connection, {e.resource for e in executions})
    begun = shared_now(connection, now)
    insert_rows(
        connection,
        _executions,
        [_begun(e, claim_id, tasks, devices[e.resource], begun) for e in executions],
    )
    _announce(executions, tasks, history)
    moves = [_executing(tasks[task], e.id) for e in executions for task in e.tasks]
    move_tasks(connection, moves, history, now=now)
    history.write(connection)


def _begun(
    execution: Execution, claim_id: str, tasks: Mapping[str, Row], device: str, begun: int
) -> Values:
    stop = all(tasks[task].cancel_requested for task in execution.tasks)
    return execution_row(execution, device=device) | {
        "state": ExecutionState.SUBMITTING.value,
        "created_at": begun,
        "claim_id": claim_id,
        "stop_requested": stop,
    }


def _announce(executions: Sequence[Execution], tasks: Mapping[str, Row], history: History) -> None:
    for execution in executions:
        for job_id in dict.fromkeys(tasks[task].job_id for task in execution.tasks):
            history.add(
                execution.id,
                "execution.submitting",
                account=execution.account,
                job_id=job_id,
                after=ExecutionState.SUBMITTING.value,
            )


def _executing(task: Row, execution_id: str) -> Move:
    return Move(
        task=task,
        after=TaskState.EXECUTING,
        changes={"claim_id": None, "execution_id": execution_id, "attempt": task.attempt + 1},
    )


def due(
    connection: Transaction,
    worker: str,
    providers: Sequence[str],
    *,
    limit: int,
    ttl: int,
    now: int,
) -> list[Due]:
    """Claim executions that want a look now, one claim a provider."""
    given = {"providers": ids_document(sorted(set(providers))), "now": now, "most": limit}
    found = list(connection.execute(_DUE, given))
    by_provider: dict[str, list[Row]] = defaultdict(list)
    for row in found:
        by_provider[row.provider].append(row)
    return [
        take(connection, worker, provider, rows, ttl=ttl, now=now)
        for provider, rows in by_provider.items()
    ]


def take(
    connection: Transaction,
    worker: str,
    provider: str,
    rows: Sequence[Row],
    *,
    ttl: int,
    now: int,
) -> Due:
    """Put these locked executions of one provider under a new claim."""
    claim_id = claims.track(connection, worker, ttl=ttl, now=now)
    update_rows(
        connection,
        _executions,
        [{"id": r.id, "claim_id": claim_id, "stop_seen": bool(r.stop_requested)} for r in rows],
    )
    taken, at = [row.id for row in rows], shared_now(connection, now)
    executions = [execution_of(row) for row in read_ids(connection, EXECUTIONS, taken)]
    ids = [task for execution in executions for task in execution.tasks]
    tasks = {row.id: task_of(row) for row in read_ids(connection, TASKS, ids)}
    return Due(
        claim_id=claim_id,
        provider=provider,
        executions=executions,
        tasks={e.id: _slots(e, tasks) for e in executions},
        ages_s={row.id: (at - row.created_at) / 1_000_000 for row in rows},
    )


def _slots(execution: Execution, tasks: Mapping[str, Task]) -> list[Task]:
    return [tasks[slot] for slot in execution.tasks if slot in tasks]


def advance(
    connection: Transaction, claim_id: str, changes: Sequence[ExecutionChange], *, now: int
) -> None:
    """Move executions on that this claim still holds."""
    locked = read_ids(connection, LOCKED_EXECUTIONS, [c.execution_id for c in changes])
    held = {row.id: row for row in locked if row.claim_id == claim_id}
    wanted = [change for change in changes if change.execution_id in held]
    if not wanted:
        return
    history = History(worker_of(connection, claim_id), now)
    jobs = _jobs_of(connection, held.values())
    for change in wanted:
        _tell(change, held[change.execution_id], jobs[change.execution_id], history)
    rows = [_advanced(change, held[change.execution_id], now) for change in wanted]
    update_rows(connection, _executions, rows)
    history.write(connection)
    claims.release(connection, claim_id)


def _tell(change: ExecutionChange, row: Row, job_ids: Sequence[str], history: History) -> None:
    if change.state is not None and change.state.value != row.state:
        move_execution(row, change.state, job_ids, history, change.detail)
    elif change.detail:
        for job_id in job_ids:
            history.add(
                row.id,
                "execution.reported",
                account=row.account,
                job_id=job_id,
                before=row.state,
                after=row.state,
                data=change.detail,
            )


def _advanced(change: ExecutionChange, row: Row, now: int) -> Values:
    state = ExecutionState(row.state) if change.state is None else change.state
    put_down = change.due_in_s is not None or state is ExecutionState.STRANDED
    due_in = None if change.due_in_s is None else span(change.due_in_s)
    return {
        "id": row.id,
        "state": state.value,
        "provider_job_id": change.provider_job_id or row.provider_job_id,
        "fingerprint": row.fingerprint
        if change.fingerprint is None
        else change.fingerprint or None,
        "searches": row.searches + change.searched,
        "problem": problem_text(change.problem) or row.problem,
        "started_at": row.started_at or (now if state is ExecutionState.RUNNING else None),
        "due_at": None if due_in is None else now + due_in,
        "due_in": due_in,
        "claim_id": None if put_down else row.claim_id,
    }


WORKER = select(schema.claims.c.worker).where(schema.claims.c.id == bindparam("claim", type_=Text))


def worker_of(connection: Transaction, claim_id: str) -> str:
    """Who has this claim; empty once it is gone."""
    return connection.scalar(WORKER, {"claim": claim_id}) or ""


def jobs_of(connection: Transaction, ids: Collection[str]) -> Mapping[str, list[str]]:
    """The jobs whose tasks these executions carry."""
    return _jobs_of(connection, read_ids(connection, EXECUTIONS, ids))


def _jobs_of(connection: Transaction, rows: Any) -> Mapping[str, list[str]]:
    parts: dict[str, list[str]] = {row.id: json.loads(row.tasks) for row in rows}
    ids = [task for tasks in parts.values() for task in tasks]
    jobs = {row.id: row.job_id for row in read_ids(connection, _TASK_JOBS, ids)}
    return {
        execution: list(dict.fromkeys(jobs[task] for task in tasks if task in jobs))
        for execution, tasks in parts.items()
    }
