"""The sweep: what dead workers held is queued again, or freed for another to look after."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, not_, select
from sqlalchemy.types import BigInteger

from quanopy.domain.jobs import Problem
from quanopy.domain.states import FINAL_TASK_STATES, TaskState
from quanopy.ports.claims import Swept
from quanopy.storage import ledger, queue, registrations, schema
from quanopy.storage.compiled import Row
from quanopy.storage.events import History
from quanopy.storage.executions import devices_of
from quanopy.storage.lanes import ALIVE
from quanopy.storage.rows import id_rows, ids_document
from quanopy.storage.statements import LOCKED_EXECUTIONS, LOCKED_TASKS, read_ids, update_rows
from quanopy.storage.transaction import Transaction
from quanopy.storage.transitions import Move, move_tasks
from quanopy.storage.values import AT_ONCE, moment_or_none, problem_text

MOST_LOST = 10
"""How many workers may die with a task before it is taken for the reason."""
_BATCH = 200
_FORGET = 24 * 3600 * 1_000_000

_DEAD = select(schema.claims.c.id).where(not_(ALIVE)).limit(_BATCH)
_dead = id_rows()
_EXPIRE = (
    delete(schema.claims)
    .where(schema.claims.c.id.in_(select(_dead.c.id)), not_(ALIVE))
    .returning(schema.claims.c.id, schema.claims.c.expires_at)
)
_TASKS = select(schema.tasks.c.id).select_from(
    _dead.join(schema.tasks, schema.tasks.c.claim_id == _dead.c.id)
)
_EXECUTIONS = select(schema.executions.c.id).select_from(
    _dead.join(schema.executions, schema.executions.c.claim_id == _dead.c.id)
)
_FORGOTTEN = delete(schema.workers).where(
    schema.workers.c.seen_at < bindparam("before", type_=BigInteger)
)


def sweep(connection: Transaction, *, now: int) -> Swept:
    """Put right what can be, at most a few hundred claims at once."""
    dead = set(connection.scalars(_DEAD, {"now": now}))
    executions = _locked(connection, _EXECUTIONS, LOCKED_EXECUTIONS, dead)
    tasks = _locked(connection, _TASKS, LOCKED_TASKS, dead)
    gone = _expire(connection, dead, now)
    lost = [task for task in tasks if task.claim_id in gone]
    history = History("sweep", now)
    moves = [_requeued(task, now, stopped=gone[task.claim_id] == 0) for task in lost]
    if moves:
        move_tasks(connection, moves, history, now=now)
        history.write(connection)
        _refund(connection, lost)
    update_rows(
        connection,
        schema.executions,
        [
            {"id": e.id, "claim_id": None, "due_at": AT_ONCE}
            for e in executions
            if e.claim_id in gone
        ],
    )
    registrations.sweep(connection, now=now)
    connection.later(_FORGOTTEN, {"before": now - _FORGET})
    return Swept(
        tasks_requeued=sum(move.after is TaskState.QUEUED for move in moves),
        claims_expired=len(gone),
        next_ready_at=moment_or_none(queue.next_ready(connection, now)),
    )


def _locked(connection: Transaction, under: Any, locked: Any, claims: set[str]) -> list[Row]:
    found = {row.id for row in read_ids(connection, under, claims)}
    return read_ids(connection, locked, found)


def _expire(connection: Transaction, dead: set[str], now: int) -> dict[str, int]:
    """Those that are still dead now that what they held is locked, and when they expired."""
    if not dead:
        return {}
    given = {"r": ids_document(sorted(dead)), "now": now}
    return {row.id: row.expires_at for row in connection.execute(_EXPIRE, given)}


def _requeued(task: Row, now: int, *, stopped: bool) -> Move:
    lost = task.lost + (not stopped)
    after, problem = TaskState.QUEUED, None
    if task.cancel_requested:
        after = TaskState.CANCELLED
    elif lost >= MOST_LOST:
        after = TaskState.FAILED
        problem = Problem(type="TaskFailed", message=f"{lost} workers died while they had it")
    return Move(
        task=task,
        after=after,
        changes={
            "claim_id": None,
            "lost": lost,
            "problem": problem_text(problem),
            "started_at": None,
            "ended_at": now if after in FINAL_TASK_STATES else None,
        },
    )


def _refund(connection: Transaction, tasks: Sequence[Row]) -> None:
    devices = devices_of(connection, {task.resource for task in tasks})
    ledger.settle(connection, [(devices[t.resource], t.account, -t.estimate_s) for t in tasks])
