"""Ending: what became of tasks, kept as one pack and one transaction a batch."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from quanopy.domain.calibration import UNBOUND, Binding
from quanopy.domain.errors import QuanopyError, Transient, Unavailable, retry_after
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Execution, Extent, Problem, Task
from quanopy.domain.states import FINAL_TASK_STATES, ExecutionState, TaskState
from quanopy.ports.executions import Ending, ExecutionStore, Finished, TaskEnd
from quanopy.ports.objects import Objects
from quanopy.ports.providers import Outcome
from quanopy.ports.wakeups import Topic, Wakeups
from quanopy.services.hints import JobHints
from quanopy.services.holding import Holding
from quanopy.services.packing import pack_endings
from quanopy.services.ran import Ran
from quanopy.services.recording import Ended, EndedTask
from quanopy.services.results import with_tasks

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""How many executions a task may have before what looks transient counts as a failure."""
_FIRST_RETRY_S = 1.0
_LATEST_RETRY_S = 300.0


Ends = Sequence[tuple[Execution, Sequence["Verdict"]]]
"""Executions at their end, with what became of their tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a task ended; ``queued`` where it is to be tried again from ``ready_at`` on."""

    task: Task
    state: TaskState
    result: bytes | None = None
    problem: Problem | None = None
    ready_at: datetime | None = None
    awaits_s: float | None = None
    """Set where it waits for a calibration younger than this: until ``ready_at``, if that is
    set, or until one comes."""
    ran: Sequence[Ran] = ()
    """What it ran of its programs here, where that is not what was read."""


def problem_of(error: QuanopyError) -> Problem:
    """An error as it is stored and shown."""
    message = f"{error.where}: {error.message}" if error.where else error.message
    return Problem(type=type(error).__name__, message=message, hint=error.hint)


def retry_delay_s(task: Task, error: QuanopyError) -> float:
    """How long to leave a task alone: longer each time, and as long as the provider asks
    (within reason: see :func:`~quanopy.domain.errors.retry_after`)."""
    asked = retry_after(error) or 0.0
    return max(asked, min(_FIRST_RETRY_S * 2.0 ** min(task.attempt, 16), _LATEST_RETRY_S))


def again(task: Task, error: QuanopyError) -> Verdict:
    """Try the task again later: its work was not done, nor billed."""
    return Verdict(
        task=task,
        state=TaskState.QUEUED,
        problem=problem_of(error),
        ready_at=datetime.now(UTC) + timedelta(seconds=retry_delay_s(task, error)),
    )


def failed(task: Task, error: QuanopyError) -> Verdict:
    """The task failed for good."""
    return Verdict(task=task, state=TaskState.FAILED, problem=problem_of(error))


def judge(task: Task, outcome: Outcome, *, cancelled: bool = False) -> Verdict:
    """What an outcome means for its task, where trying again costs nobody anything."""
    error = outcome.error
    if cancelled:
        return Verdict(task=task, state=TaskState.CANCELLED)
    if error is None:
        return Verdict(task=task, state=TaskState.COMPLETED, result=outcome.result)
    if isinstance(error, Transient | Unavailable) and task.attempt + 1 < ATTEMPTS:
        return again(task, error)
    return failed(task, error)


def usage_of(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """What a batch used, summed by kind."""
    total: dict[str, float] = {}
    for outcome in outcomes:
        for kind, amount in outcome.usage.items():
            total[kind] = total.get(kind, 0.0) + amount
    return total


def by_account(
    verdicts: Sequence[Verdict],
    outcomes: Sequence[Outcome],
    *,
    resource: str,
    provider: str,
    claim_id: str,
    began_at: datetime,
    target: str | None,
    calibration: Binding = UNBOUND,
) -> list[tuple[Execution, list[Verdict]]]:
    """The executions of a batch that has run here: one an account, for usage is an account's."""
    groups: dict[str, list[tuple[Verdict, Outcome]]] = {}
    for verdict, outcome in zip(verdicts, outcomes, strict=True):
        groups.setdefault(verdict.task.account, []).append((verdict, outcome))
    now = datetime.now(UTC)
    return [
        (
            Execution(
                id=new_id("exec"),
                resource=resource,
                provider=provider,
                account=account,
                state=_state([verdict for verdict, _ in group]),
                tasks=tuple(verdict.task.id for verdict, _ in group),
                created_at=began_at,
                claim_id=claim_id,
                started_at=began_at,
                ended_at=now,
                usage=usage_of([outcome for _, outcome in group]),
                calibration=calibration,
                target=target,
            ),
            [verdict for verdict, _ in group],
        )
        for account, group in groups.items()
    ]


def _state(verdicts: Sequence[Verdict]) -> ExecutionState:
    done = any(verdict.state is TaskState.COMPLETED for verdict in verdicts)
    return ExecutionState.COMPLETED if done else ExecutionState.FAILED


def ended(execution: Execution, state: ExecutionState, error: QuanopyError | None) -> Execution:
    """A remote execution at its end."""
    return replace(
        execution,
        state=state,
        ended_at=datetime.now(UTC),
        problem=problem_of(error) if error else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Ends that the archive has, and what is to be written down of them."""

    ends: Ends
    endings: Sequence[Ending]


class Endings:
    """Writes ends down: the pack first, synced, then one transaction, then a hint."""

    def __init__(
        self,
        *,
        store: ExecutionStore,
        objects: Objects,
        wakeups: Wakeups,
        holding: Holding,
        hints: JobHints,
    ) -> None:
        self._store = store
        self._objects = objects
        self._wakeups = wakeups
        self._holding = holding
        self._hints = hints

    def end(self, claim_id: str, ends: Ends, *, frees: bool = False) -> None:
        """End these executions under their claim; ``frees`` a lane that others may wait for.

        While the database or object store is away the ends are kept here and tried again.

        Raises:
            Conflict: the claim was lost before the ends were written.
        """
        key, data, endings = pack_ends(ends)
        self._holding.persist(claim_id, lambda: self._objects.put({key: data}))
        self.write(claim_id, Kept(ends=ends, endings=endings), frees=frees)

    def keep(self, ends: Ends) -> Kept:
        """Put what became of these into the archive, and nothing more.

        Raises:
            Unavailable: the object store is away.
        """
        key, data, endings = pack_ends(ends)
        self._objects.put({key: data})
        return Kept(ends=ends, endings=endings)

    def write(self, claim_id: str, kept: Kept, *, frees: bool = False) -> None:
        """Write down ends that the archive has; as :meth:`end`."""
        verdicts = [verdict for _, verdicts in kept.ends for verdict in verdicts]
        job_ids = {verdict.task.job_id for verdict in verdicts}

        def finish() -> Finished:
            return self._store.finish(claim_id, kept.endings, show=self._hints.wanted(job_ids))

        done = self._holding.persist(claim_id, finish)
        self._hints.let_go(claim_id)
        shown = {one.job.id: one for one in with_tasks(done.jobs, done.tasks)}
        self._hints.tell({job_id: shown.get(job_id) for job_id in job_ids})
        self._notify(verdicts, done, frees)

    def _notify(self, verdicts: Sequence[Verdict], done: Finished, frees: bool) -> None:
        late = len(verdicts) - len(done.taken)
        if late:
            log.info("%d of %d ends came too late", late, len(verdicts))
        queued = any(verdict.state is TaskState.QUEUED for verdict in verdicts)
        topics = [Topic.EVENTS, Topic.WORK] if queued or frees else [Topic.EVENTS]
        self._wakeups.notify(*topics, *([Topic.TURNS] if done.turns else []))


def pack_ends(ends: Ends) -> tuple[str, bytes, list[Ending]]:
    """The pack of these ends, its key and bytes, and what to write down once it is there."""
    key, data, extents = pack_endings([record_of(*end) for end in ends], datetime.now(UTC))
    return key, data, [ending_of(*end, extents) for end in ends]


def ending_of(
    execution: Execution, verdicts: Sequence[Verdict], extents: Mapping[str, Extent]
) -> Ending:
    """What the rows are told of an end; ``extents``: where results lie, by task, and records, by
    execution. What was sent has a record from before that, which says what it ran."""
    record = execution.record or extents.get(execution.id)
    return Ending(
        execution=replace(execution, record=record),
        tasks=[
            TaskEnd(
                task_id=verdict.task.id,
                state=verdict.state,
                result=extents.get(verdict.task.id),
                problem=verdict.problem,
                ready_at=verdict.ready_at,
                awaits_s=verdict.awaits_s,
            )
            for verdict in verdicts
        ],
    )


def record_of(execution: Execution, verdicts: Sequence[Verdict]) -> Ended:
    """What the archive is told of an end."""
    return Ended(
        execution=execution,
        ended_at=execution.ended_at or datetime.now(UTC),
        tasks=[
            EndedTask(
                task=verdict.task,
                state=verdict.state,
                result=verdict.result,
                problem=verdict.problem,
                ran=verdict.ran,
            )
            for verdict in verdicts
            if verdict.state in FINAL_TASK_STATES
        ],
    )
