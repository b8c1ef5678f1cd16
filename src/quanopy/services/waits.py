"""What a job waits for, as far as the catalogue knows it."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from quanopy.domain.durations import duration_text
from quanopy.domain.groups import Group, GroupState
from quanopy.domain.jobs import Job, Task
from quanopy.domain.resources import ResourceStatus
from quanopy.domain.sightings import Standing
from quanopy.domain.states import ResourceState, TaskState
from quanopy.domain.waits import Awaited, Wait
from quanopy.ports.store import Store

_LISTED = 3
"""Jobs that are named one by one."""


def waits_of(store: Store, job: Job, tasks: Sequence[Task]) -> list[Wait]:
    """What the queued ones of a job's tasks wait for; nothing, where none is queued."""
    queued = [task for task in tasks if task.state is TaskState.QUEUED]
    if not queued:
        return []
    if job.held:
        message = "it was restored from the archive, and runs once it is released"
        return [Wait(awaited=Awaited.RELEASE, message=message)]
    if job.blocked:
        return _order(store, job, datetime.now(UTC))
    now = datetime.now(UTC)
    ages = store.awaited_calibrations([task.id for task in queued])
    found = [
        *_calibration(store, job.resource, queued, ages, now),
        *_time([task for task in queued if task.id not in ages], now),
    ]
    status = next((s for s in store.resources() if s.resource.name == job.resource), None)
    found += _resource(job, status)
    return found or [_turn(job.resource, status)]


def _order(store: Store, job: Job, now: datetime) -> list[Wait]:
    """Of a job that is not to begin before others."""
    groups = store.groups([job.group_id]) if job.group_id is not None else []
    found = [_place(store, group, now) for group in groups]
    others = store.awaited_jobs(job.id)
    if others or not found:
        found.append(Wait(awaited=Awaited.JOBS, message=_listed(others)))
    return found


def _place(store: Store, group: Group, now: datetime) -> Wait:
    """Of one whose group has not begun it."""
    name = f"group {group.name}"
    if group.state is not GroupState.RUNNING:
        why = f": {group.reason}" if group.reason else ""
        return Wait(
            awaited=Awaited.GROUP, message=f"its place in {name}, which is {group.state}{why}"
        )
    progress = store.progress([group.id])[group.id]
    active, places = progress.queued + progress.running, group.policy.places
    if places is not None and active >= places:
        message = (
            f"its place in {name}: {active} of its jobs run, which are as many as may, and "
            f"{progress.blocked} wait"
        )
        return Wait(awaited=Awaited.GROUP, message=message)
    gap = (
        group.next_at
        if group.policy.gap_s and group.next_at != group.policy.stop.deadline
        else None
    )
    if gap is not None and gap > now:
        message = (
            f"its place in {name}, which waits {duration_text(group.policy.gap_s)} between jobs"
        )
        return Wait(awaited=Awaited.GROUP, message=message, until=gap)
    return Wait(
        awaited=Awaited.GROUP, message=f"its place in {name}: {progress.blocked} of its jobs wait"
    )


def _listed(jobs: Sequence[Job]) -> str:
    """Jobs that another comes after."""
    if not jobs:
        return "the jobs that it comes after"
    shown = ", ".join(f"{job.id} ({job.state})" for job in jobs[:_LISTED])
    rest = f" and {len(jobs) - _LISTED} more" if len(jobs) > _LISTED else ""
    return f"the end of {shown}{rest}, which it comes after"


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
