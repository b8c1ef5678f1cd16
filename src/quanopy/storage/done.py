"""Jobs that were done before they were stored: inserted as they ended.

Rows and history are those that a claim, and then an end of it, would have left.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from quanopy.domain.jobs import Job, Task
from quanopy.domain.states import JobState, TaskState
from quanopy.ports.claims import Claim
from quanopy.ports.executions import Ending, TaskEnd
from quanopy.ports.submissions import Ended
from quanopy.storage import schema
from quanopy.storage.claims import Line
from quanopy.storage.events import History
from quanopy.storage.job_rows import execution_row
from quanopy.storage.statements import insert_rows
from quanopy.storage.transaction import Transaction
from quanopy.storage.values import Values, stamp_or_none


def may_be_whole(claims: Sequence[Claim], jobs: Iterable[Job]) -> list[Claim]:
    """Those of which every task is all of a job that stands by itself."""
    whole = {job.id for job in jobs if job.tasks == 1 and job.group_id is None and not job.blocked}
    return [claim for claim in claims if all(task.job_id in whole for task in claim.tasks)]


def as_rows(
    begun: Mapping[str, Task], ended: Ended, claimed: Mapping[str, Values], now: int
) -> dict[str, Values]:
    """By id, what is otherwise in the rows of tasks that have ended, and of their jobs; as
    :func:`quanopy.storage.claims.as_rows`, whose rows these come from."""
    found: dict[str, Values] = {}
    for ending, end in _ends(ended):
        task, result = begun[end.task_id], end.result
        started_at = stamp_or_none(ending.execution.started_at) or claimed[task.id]["started_at"]
        found[task.id] = {
            "state": TaskState.COMPLETED.value,
            "claim_id": None,
            "execution_id": ending.execution.id,
            "attempt": task.attempt + 1,
            "result_key": result and result.key,
            "result_offset": result and result.offset,
            "result_length": result and result.length,
            "started_at": started_at,
            "ended_at": now,
        }
        completed = {"state": JobState.COMPLETED.value, "ended_at": now}
        found[task.job_id] = {**claimed[task.job_id], **completed}
    return found


def _ends(ended: Ended) -> Iterator[tuple[Ending, TaskEnd]]:
    for endings in ended.values():
        for ending in endings:
            for end in ending.tasks:
                yield ending, end


def write(
    connection: Transaction,
    worker: str,
    found: Line,
    begun: Mapping[str, Task],
    ended: Ended,
    now: int,
) -> None:
    """The executions, and what history says of their tasks."""
    if not ended or found.resource is None:
        return
    rows = [
        execution_row(ending.execution, device=found.resource.physical) | {"claim_id": None}
        for endings in ended.values()
        for ending in endings
    ]
    insert_rows(connection, schema.executions, rows)
    history = History(worker, now)
    tasks = [begun[end.task_id] for _, end in _ends(ended)]
    for what, before in (("task", TaskState.CLAIMED), ("job", JobState.RUNNING)):
        for task in tasks:
            history.step(
                what,
                task.id if what == "task" else task.job_id,
                account=task.account,
                job_id=task.job_id,
                before=before.value,
                after=TaskState.COMPLETED.value,
            )
    history.write(connection)


def uses(claims: Sequence[Claim], ended: Ended) -> Iterator[tuple[str, float]]:
    """What accounts are charged for claims (account, seconds): what was used where that is known,
    and what it is estimated to be."""
    for claim in claims:
        estimates = {task.id: task.estimate_s for task in claim.tasks}
        if claim.id not in ended:
            for task in claim.tasks:
                yield task.account, task.estimate_s
            continue
        for ending in ended[claim.id]:
            estimate_s = sum(estimates[end.task_id] for end in ending.tasks)
            yield ending.execution.account, ending.execution.usage.get("seconds", estimate_s)
