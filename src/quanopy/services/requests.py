"""What users ask of jobs that are there, so that the archive knows of it too."""

from collections.abc import Collection, Sequence

from quanopy.codecs.records import Asked
from quanopy.domain.jobs import Job, Task
from quanopy.domain.states import FINAL_TASK_STATES
from quanopy.ports.objects import Objects
from quanopy.ports.store import Store
from quanopy.services.packing import pack_requests


def cancel(
    store: Store, objects: Objects, job_ids: Collection[str], *, actor: str
) -> Sequence[Job]:
    """Cancel what is queued of these jobs, request it of the rest; the jobs after.

    No execution tells the archive of tasks that it never had, nor that one which it brings a
    result for had been cancelled meanwhile; so this does: after the rows, for only they say which
    tasks that is so of. Cancelling again writes the same pack again, which is no write.

    Raises:
        Unavailable: database or object store are away. The cancellation may stand all the same:
            repeat it, or a rebuild would bring back what was cancelled.
    """
    jobs = store.cancel(job_ids, actor=actor)
    tasks = store.tasks([job.id for job in jobs])
    _keep(objects, Asked.CANCEL, [task for task in tasks if task.cancel_requested])
    return jobs


def retry(store: Store, objects: Objects, job_ids: Collection[str], *, actor: str) -> Sequence[Job]:
    """Queue the failed and cancelled parts of these jobs again, release held ones; the jobs after.

    Nothing tells the archive of the new tasks before they run, so this does, as :func:`cancel`
    does it. Raises as it does: repeat it, or a rebuild would bring the parts back as they were.
    """
    return keep_retries(store, objects, store.retry(job_ids, actor=actor))


def keep_retries(store: Store, objects: Objects, jobs: Sequence[Job]) -> Sequence[Job]:
    """Have the archive know of the new tasks of jobs that have just been queued again; the jobs.
    Raises as :func:`retry`."""
    made = {job.id: job.created_at for job in jobs}
    tasks = [task for task in store.tasks(made) if _is_open(task)]
    # What was submitted with its job the archive knows.
    _keep(objects, Asked.RETRY, [task for task in tasks if task.queued_at != made[task.job_id]])
    return jobs


def _is_open(task: Task) -> bool:
    return task.state not in FINAL_TASK_STATES


def _keep(objects: Objects, asked: Asked, tasks: Sequence[Task]) -> None:
    if tasks:
        key, data = pack_requests(asked, tasks)
        objects.put({key: data})
