"""Small jobs, executions and clocks for tests of a catalogue and of what stands on one."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Execution, Extent, Job, JobKind, Slice, Task
from quanopy.domain.states import ExecutionState, JobState, TaskState
from quanopy.ports.claims import Claim
from quanopy.ports.executions import Ending, TaskEnd
from quanopy.ports.submissions import Submission


class MovableClock:
    """A clock that goes only where it is told to, in seconds from where it stands."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self._now

    def move(self, seconds: float) -> None:
        """Go forwards, or backwards."""
        self._now += timedelta(seconds=seconds)


def job(account: str = "alice", *, parts: int = 1, **changes: Any) -> tuple[Job, list[Task]]:
    """A queued job of so many tasks, and the tasks; ``changes`` are fields of the job, or
    ``estimate_s``, ``solo`` and ``ready_at`` of its tasks."""
    created_at = changes.pop("created_at", datetime.now(UTC))
    of_tasks = {name: changes.pop(name) for name in ("solo", "ready_at") if name in changes}
    made = Job(
        id=new_id("job"),
        account=account,
        kind=JobKind.SAMPLE,
        resource="aer",
        state=JobState.QUEUED,
        name=None,
        tags=(),
        priority=0,
        pubs=parts,
        shots=1024,
        tasks=parts,
        spec=Extent(key="pending/test.pack", offset=0, length=1),
        created_at=created_at,
        estimate_s=0.01,
    )
    made = replace(made, **changes)
    return made, [replace(_task(made, index), **of_tasks) for index in range(parts)]


def _task(made: Job, index: int) -> Task:
    return Task(
        id=new_id("task"),
        job_id=made.id,
        account=made.account,
        resource=made.resource,
        state=TaskState.QUEUED,
        slice=Slice(first=index, count=1),
        priority=made.priority,
        estimate_s=made.estimate_s,
        attempt=0,
        solo=False,
        spec=made.spec,
        ready_at=made.created_at,
        queued_at=made.created_at,
    )


def submission(
    *made: tuple[Job, Sequence[Task]], key: str | None = None, digest: str = ""
) -> Submission:
    """One request with these jobs."""
    return Submission(
        account=made[0][0].account,
        jobs=[one for one, _ in made],
        tasks=[task for _, tasks in made for task in tasks],
        idempotency_key=key,
        request_digest=digest,
    )


def execution(
    claim: Claim, tasks: Sequence[Task] | None = None, *, provider: str = "aer"
) -> Execution:
    """An execution of a claim's tasks, about to be sent."""
    chosen = claim.tasks if tasks is None else tasks
    return Execution(
        id=new_id("exec"),
        resource=claim.resource,
        provider=provider,
        account=chosen[0].account,
        state=ExecutionState.SUBMITTING,
        tasks=tuple(task.id for task in chosen),
        created_at=datetime.now(UTC),
    )


def ending(
    of: Execution,
    state: TaskState = TaskState.COMPLETED,
    *,
    seconds: float = 0.01,
    **changes: Any,
) -> Ending:
    """The end of an execution, all its tasks in one state; ``changes`` are of each task's end."""
    now = datetime.now(UTC)
    failed = state is TaskState.FAILED
    ended = replace(
        of,
        state=ExecutionState.FAILED if failed else ExecutionState.COMPLETED,
        started_at=now,
        ended_at=now,
        usage={"seconds": seconds, "shots": 1024.0},
    )
    result = Extent(key="completed/test.pack", offset=0, length=1)
    fields = {"result": result if state is TaskState.COMPLETED else None, **changes}
    ends = [TaskEnd(task_id=task, state=state, **fields) for task in of.tasks]
    return Ending(execution=ended, tasks=ends)
