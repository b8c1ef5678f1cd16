"""Settling: an operator says what became of an execution that nobody else can tell of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from quanopy.domain.errors import Conflict, Invalid, TaskFailed
from quanopy.domain.jobs import Execution, Task
from quanopy.domain.states import ExecutionState, TaskState
from quanopy.ports.objects import Objects
from quanopy.ports.store import Due, ExecutionChange, Store
from quanopy.services.ending import Verdict, ended, ending_of, failed, problem_of, record_of
from quanopy.services.packing import pack_endings

_TTL_S = 60.0
"""How long the operator's claim lives, should this process die with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What an operator found out: it was never done, is not wanted any more, or goes on."""

    state: ExecutionState
    """``failed``, ``cancelled`` or ``submitted``."""
    reason: str
    provider_job_id: str | None = None
    """The provider's id, where it goes on; ``None``: the one that is known."""
    retry: bool = False
    """Whether tasks of a failed one queue again: only where nothing of it can be billed."""


def settle(
    store: Store, objects: Objects, execution_id: str, found: Settlement, *, actor: str
) -> Execution:
    """Settle a stranded execution; the execution after. The archive is told before the rows.

    Raises:
        Invalid: no settlement, or without the provider's id.
        NotFound, InvalidTransition, Conflict: it is not there, not stranded, or in other hands.
        Unavailable: database or object store are away; nothing is settled.
    """
    _check(found)
    due = store.hold_stranded(execution_id, actor=actor, ttl_s=_TTL_S)
    try:
        if found.state is ExecutionState.SUBMITTED:
            return _goes_on(store, due, found)
        return _ends(store, objects, due, found)
    except BaseException:
        # Put it down as it was, for the next who tries.
        store.advance(due.claim_id, [ExecutionChange(execution_id=execution_id)])
        raise


def _check(found: Settlement) -> None:
    known = (ExecutionState.FAILED, ExecutionState.CANCELLED, ExecutionState.SUBMITTED)
    if found.state not in known:
        raise Invalid(
            f"nothing is settled as {found.state}",
            where="state",
            hint=f"Say {', '.join(known)}.",
        )
    if found.retry and found.state is not ExecutionState.FAILED:
        raise Invalid(f"what is {found.state} is not done again", where="retry")


def _goes_on(store: Store, due: Due, found: Settlement) -> Execution:
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
        state=found.state,
        provider_job_id=known,
        fingerprint="",  # It is the account that has it now: the next look says which.
        due_in_s=0.0,
        detail={"reason": found.reason},
    )
    store.advance(due.claim_id, [change])
    return replace(execution, state=found.state, provider_job_id=known)


def _ends(store: Store, objects: Objects, due: Due, found: Settlement) -> Execution:
    (execution,) = due.executions
    error = TaskFailed(f"an operator settled it: {found.reason}")
    after = ended(execution, found.state, error)
    verdicts = _verdicts(due.tasks[execution.id], found, error)
    key, data, extents = pack_endings([record_of(after, verdicts)], datetime.now(UTC))
    objects.put({key: data})
    done = store.finish(due.claim_id, [ending_of(after, verdicts, extents)])
    if verdicts and not done.taken:
        raise Conflict(f"{execution.id} is in other hands by now", hint="Look at it again.")
    return after


def _verdicts(tasks: Sequence[Task], found: Settlement, error: TaskFailed) -> list[Verdict]:
    if found.state is ExecutionState.CANCELLED:
        return [Verdict(task=task, state=TaskState.CANCELLED) for task in tasks]
    if not found.retry:
        return [failed(task, error) for task in tasks]
    return [
        Verdict(
            task=task,
            state=TaskState.CANCELLED if task.cancel_requested else TaskState.QUEUED,
            problem=problem_of(error),
        )
        for task in tasks
    ]
