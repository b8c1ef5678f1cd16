"""What users ask of jobs and groups, so that the archive knows of it too."""

from collections.abc import Collection, Sequence

from quanopy.codecs.records import Asked, GroupFate
from quanopy.domain.groups import Group, GroupAction, GroupPolicy, GroupState
from quanopy.domain.jobs import Job, Task
from quanopy.domain.states import FINAL_TASK_STATES
from quanopy.ports.objects import Objects
from quanopy.ports.store import Store
from quanopy.services.packing import pack_group, pack_requests


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


def make_group(store: Store, objects: Objects, group: Group) -> tuple[Group, bool]:
    """Make a group, unless its account has one of its name; that one, and whether it is new.

    Raises:
        Unavailable: database or object store are away. Repeat it: the group may be there, and a
            rebuild would not bring it back.
    """
    standing, new = store.create_group(group)
    _keep_group(objects, standing)
    return standing, new


def revise_group(
    store: Store,
    objects: Objects,
    group_id: str,
    *,
    name: str | None,
    policy: GroupPolicy | None,
    actor: str,
) -> Group:
    """Give a group another name or policy. Raises as ``Store.revise_group``; ``Unavailable``:
    repeat it, or a rebuild would bring it back as it was."""
    group = store.revise_group(group_id, name=name, policy=policy, actor=actor)
    _keep_group(objects, group)
    return group


def act_on_group(
    store: Store, objects: Objects, group_id: str, action: GroupAction, *, actor: str
) -> Group:
    """Run, pause or cancel a group. Raises as ``Store.act_on_group``; ``Unavailable``: repeat it,
    or a rebuild would bring back what was cancelled."""
    group = store.act_on_group(group_id, action, actor=actor)
    if group.state is GroupState.CANCELLED:
        _keep_group(objects, group)
    return group


def remove_group(store: Store, objects: Objects, group_id: str, *, actor: str) -> Group:
    """Forget a group whose jobs have all ended; as it was. Raises as ``Store.remove_group``;
    ``Unavailable``: a rebuild may bring it back, with its ended jobs."""
    group = store.remove_group(group_id, actor=actor)
    key, data = pack_group(group, GroupFate.REMOVED)
    objects.put({key: data})
    return group


def _keep_group(objects: Objects, group: Group) -> None:
    """Have the archive know how a group stands: the same again is no write."""
    cancelled = group.state is GroupState.CANCELLED
    key, data = pack_group(group, GroupFate.CANCELLED if cancelled else None)
    objects.put({key: data})


def _is_open(task: Task) -> bool:
    return task.state not in FINAL_TASK_STATES


def _keep(objects: Objects, asked: Asked, tasks: Sequence[Task]) -> None:
    if tasks:
        key, data = pack_requests(asked, tasks)
        objects.put({key: data})
