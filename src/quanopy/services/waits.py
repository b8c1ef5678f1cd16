"""What a job waits for, as far as the catalogue knows it."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from quanopy.domain.durations import duration_text
from quanopy.domain.jobs import Job, Task
from quanopy.domain.resources import ResourceStatus
from quanopy.domain.sightings import Standing
from quanopy.domain.states import ResourceState, TaskState
from quanopy.domain.waits import Awaited, Wait
from quanopy.ports.store import Store


def waits_of(store: Store, job: Job, tasks: Sequence[Task]) -> list[Wait]:
    """What the queued ones of a job's tasks wait for; nothing, where none is queued."""
    queued = [task for task in tasks if task.state is TaskState.QUEUED]
    if not queued:
        return []
    if job.held:
        message = "it was restored from the archive, and runs once it is released"
        return [Wait(awaited=Awaited.RELEASE, message=message)]
    if job.blocked:
        return [_order(store, job)]
    now = datetime.now(UTC)
    ages = store.awaited_calibrations([task.id for task in queued])
    found = [
        *_calibration(store, job.resource, queued, ages, now),
        *_time([task for task in queued if task.id not in ages], now),
    ]
    status = next((s for s in store.resources() if s.resource.name == job.resource), None)
    found += _resource(job, status)
    return found or [_turn(job.resource, status)]


def _order(store: Store, job: Job) -> Wait:
    """Of a job that is not to begin before others."""
    for group in store.groups([job.group_id]) if job.group_id is not None else ():
        why = f": {group.reason}" if group.reason else ""
        message = f"its place in group {group.name}, which is {group.state}{why}"
        return Wait(awaited=Awaited.GROUP, message=message)
    return Wait(awaited=Awaited.JOBS, message="the jobs that it comes after")


def _calibration(
    store: Store, resource: str, tasks: Sequence[Task], ages: dict[str, float], now: datetime
) -> Iterator[Wait]:
    if not ages:
        return
    most_s = min(ages.values())
    ends = [task.ready_at for task in tasks if task.id in ages and task.ready_at is not None]
    (standing,) = store.standings([resource])
    seen = standing.sighting
    yield Wait(
        awaited=Awaited.CALIBRATION,
        message=f"a calibration of {resource} that is at most {duration_text(most_s)} old; "
        + _told(standing, now),
        until=min(ends, default=None),
        max_age_s=most_s,
        age_s=None if seen is None else seen.age_s(now),
    )


def _told(standing: Standing, now: datetime) -> str:
    seen, problem = standing.sighting, standing.problem
    last = f"the last is {duration_text(seen.age_s(now))} old" if seen else "none was seen yet"
    return last if problem is None else f"{last}, and it does not tell now: {problem.message}"


def _time(tasks: Sequence[Task], now: datetime) -> Iterator[Wait]:
    later = [task for task in tasks if task.ready_at is not None and task.ready_at > now]
    if later and len(later) == len(tasks):
        first = min(later, key=lambda task: task.ready_at or now)
        why = f"it is tried again: {first.problem.message}" if first.problem else "its time"
        yield Wait(awaited=Awaited.TIME, message=why, until=first.ready_at)


def _resource(job: Job, status: ResourceStatus | None) -> Iterator[Wait]:
    if status is None:
        gone = f"{job.resource} is not in the catalogue any more"
        yield Wait(awaited=Awaited.RESOURCE, message=gone)
    elif not status.resource.serves(job.account):
        closed = f"{job.resource} serves {job.account} no more"
        yield Wait(awaited=Awaited.RESOURCE, message=closed)
    elif status.resource.state is not ResourceState.ONLINE:
        why = f": {status.resource.reason}" if status.resource.reason else ""
        message = f"{job.resource} {_OUT_OF_SERVICE[status.resource.state]}{why}"
        yield Wait(awaited=Awaited.RESOURCE, message=message)
    elif not status.workers:
        yield Wait(awaited=Awaited.WORKER, message=f"no worker serves {job.resource} now")


_OUT_OF_SERVICE = {
    ResourceState.MAINTENANCE: "is in maintenance, and starts no new work",
    ResourceState.OFFLINE: "is offline",
}


def _turn(name: str, status: ResourceStatus | None) -> Wait:
    queued, active = (0, 0) if status is None else (status.queued, status.active)
    return Wait(
        awaited=Awaited.TURN,
        message=f"its turn on {name}: {queued} {'task' if queued == 1 else 'tasks'} queued there, "
        f"{active} at work",
        queued=queued,
        active=active,
    )
