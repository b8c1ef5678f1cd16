"""Cancelling, so that the archive knows of it too."""

from collections.abc import Collection, Sequence
from itertools import groupby

from quanopy.domain.jobs import Job, Task
from quanopy.domain.states import TaskState
from quanopy.ports.objects import Objects
from quanopy.ports.store import Store
from quanopy.services.packing import Ended, EndedTask, pack_endings


def cancel(
    store: Store, objects: Objects, job_ids: Collection[str], *, actor: str
) -> Sequence[Job]:
    """Cancel what is queued of these jobs, request it of the rest; the jobs after.

    No execution tells the archive of tasks that ended before they had one, nor that a task which
    it brings a result for had been cancelled meanwhile; so this does: after the rows, for only they
    say which tasks that is so of. Cancelling again writes the same pack again, which is no write.

    Raises:
        Unavailable: database or object store are away. The cancellation may stand all the same:
            repeat it, or a rebuild would bring what was cancelled back, held.
    """
    jobs = store.cancel(job_ids, actor=actor)
    tasks = [task for task in store.tasks([job.id for job in jobs]) if _is_cancelled(task)]
    if tasks:
        key, data = _pack(tasks)
        objects.put({key: data})
    return jobs


def _is_cancelled(task: Task) -> bool:
    """Whether its end is a cancellation that no execution tells of. What runs at a provider is
    left to its execution: it has to be stopped there."""
    if task.state is TaskState.CLAIMED:
        return task.cancel_requested
    return task.state is TaskState.CANCELLED and task.execution_id is None


def _pack(tasks: Sequence[Task]) -> tuple[str, bytes]:
    """The same tasks give the same pack. Of several ends the archive believes the earliest: what
    still runs is said to have ended when it was begun."""
    by_end = {task.id: task.ended_at or task.started_at or task.queued_at for task in tasks}
    ordered = sorted(tasks, key=lambda task: (str(by_end[task.id]), task.id))
    endings = [
        Ended(
            tasks=[
                EndedTask(task=task, state=TaskState.CANCELLED, problem=task.problem)
                for task in some
            ],
            ended_at=ended_at,
        )
        for ended_at, some in groupby(ordered, key=lambda task: by_end[task.id])
        if ended_at is not None
    ]
    key, data, _ = pack_endings(endings, endings[-1].ended_at)
    return key, data
