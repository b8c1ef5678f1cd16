"""Settling: an operator says what became of an execution that nobody else can tell of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from quanopy.domain.errors import Conflict, Invalid, TaskFailed
from quanopy.domain.jobs import Execution, Task
from quanopy.domain.states import ExecutionState, TaskState, WayOut
from quanopy.ports.executions import Due, ExecutionChange, ExecutionStore
from quanopy.ports.objects import Objects
from quanopy.services.ending import Verdict, ended, failed, pack_ends, problem_of

_TTL_S = 60.0
"""How long the operator's claim lives, should this process die with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What an operator found out, or wants."""

    way: WayOut
    reason: str
    provider_job_id: str | None = None
    """The provider's id of one that was found; ``None``: the one that is known."""


def settle(
    store: ExecutionStore, objects: Objects, execution_id: str, found: Settlement, *, actor: str
) -> Execution:
    """Settle a stranded execution; the execution after. The archive is told before the rows.

    Raises:
        Invalid: it was found, and nobody knows the provider's id of it.
        NotFound, InvalidTransition, Conflict: it is not there, not stranded, or in other hands.
        Unavailable: database or object store are away; nothing is settled.
    """
    due = store.hold_stranded(
        execution_id,
        actor=actor,
        ttl_s=_TTL_S,
        found=found.provider_job_id if found.way is WayOut.FOUND else None,
    )
    try:
        if found.way is WayOut.FOUND:
            return _goes_on(store, due, found)
        if found.way is WayOut.LOOK:
            return _looked_for(store, due)
        return _ends(store, objects, due, found)
    except BaseException:
        # Put it down as it was, for the next who tries.
        store.advance(due.claim_id, [ExecutionChange(execution_id=execution_id)])
        raise


def _looked_for(store: ExecutionStore, due: Due) -> Execution:
    """A worker asks the provider once more; it stays stranded unless it is found."""
    (execution,) = due.executions
    store.advance(due.claim_id, [ExecutionChange(execution_id=execution.id, due_in_s=0.0)])
    return execution


def _goes_on(store: ExecutionStore, due: Due, found: Settlement) -> Execution:
    (execution,) = due.executions
    known = found.provider_job_id or execution.provider_job_id
    if known is None:
        raise Invalid(
            "nobody knows the provider's id of it",
            where="provider_job_id",
            hint="Give the id that the provider shows for it.",
        )
    change = ExecutionChange(
        execution_id=execution.id,
        state=ExecutionState.SUBMITTED,
        provider_job_id=known,
        fingerprint="",  # It is the account that has it now: the next look says which.
        due_in_s=0.0,
        detail={"reason": found.reason},
    )
    store.advance(due.claim_id, [change])
    return replace(execution, state=ExecutionState.SUBMITTED, provider_job_id=known)


def _ends(store: ExecutionStore, objects: Objects, due: Due, found: Settlement) -> Execution:
    (execution,) = due.executions
    error = TaskFailed(f"an operator settled it: {found.reason}")
    after = ended(execution, ExecutionState.FAILED, error)
    verdicts = _verdicts(due.tasks[execution.id], found, error)
    key, data, endings = pack_ends([(after, verdicts)])
    objects.put({key: data})
    done = store.finish(due.claim_id, endings)
    if verdicts and not done.taken:
        raise Conflict(f"{execution.id} is in other hands by now", hint="Look at it again.")
    return after


def _verdicts(tasks: Sequence[Task], found: Settlement, error: TaskFailed) -> list[Verdict]:
    if found.way is WayOut.GIVE_UP:
        return [failed(task, error) for task in tasks]
    return [
        Verdict(
            task=task,
            state=TaskState.CANCELLED if task.cancel_requested else TaskState.QUEUED,
            problem=problem_of(error),
        )
        for task in tasks
    ]
