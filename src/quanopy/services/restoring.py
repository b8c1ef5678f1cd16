"""From records to rows: a job, its tasks and executions as a rebuild restores them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime

from quanopy.codecs.records import Asked, RequestRecord
from quanopy.domain.calibration import UNBOUND, Binding, CalibrationLabel
from quanopy.domain.jobs import Execution, Job, Problem, Slice, Task
from quanopy.domain.states import (
    FINAL_JOB_STATES,
    ExecutionState,
    JobState,
    TaskState,
    roll_up,
)
from quanopy.services.archive_index import Found, InFlight, TaskEnding

LOST_TRACK = Problem(
    type="OutcomeUnknown",
    message="the database was rebuilt while this execution may have been at its provider",
    hint="It is looked for there; where that is not possible, an operator decides.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A job with its tasks."""

    job: Job
    tasks: tuple[Task, ...]
    idempotency_key: str | None
    request_digest: str


def restored(found: Found) -> Restored:
    """What the catalogue should hold of a job."""
    tasks = _tasks(found)
    return Restored(
        job=_job(found, tasks),
        tasks=tasks,
        idempotency_key=found.record.idempotency_key,
        request_digest=found.record.request_digest,
    )


def executions_of(jobs: Iterable[Found], now: datetime) -> list[Execution]:
    """The executions that these jobs had or may still have, each with all its tasks."""
    executions: dict[str, Execution] = {}
    for found in jobs:
        for ending in found.endings:
            key = ending.by.execution_id
            if key is not None and key not in executions:
                executions[key] = _ended(ending, key, found)
        for sent in found.in_flight:
            if sent.record.id not in executions:
                executions[sent.record.id] = _stranded(sent, now)
    return list(executions.values())


def _tasks(found: Found) -> tuple[Task, ...]:
    """One task a slice: of several, which retries made, the last; none replaces a completed one."""
    submitted = _waiting(found)
    by_slice = {task.slice: task for task in submitted}
    # Of each task, what is known best of it.
    known = {
        task.id: task
        for task in [
            *submitted,
            *(_asked_for(request, found, by_slice) for request in found.requests),
            *_executing(found, by_slice),
            *(_ended_task(ending, found, by_slice) for ending in found.endings),
        ]
    }
    for request in found.requests:
        if request.asked is Asked.CANCEL:
            known[request.id] = _cancelled(known[request.id], request)
    first = {task.id for task in submitted}
    chosen: dict[Slice, Task] = {}
    for task in sorted(known.values(), key=lambda task: (*_standing(task, first), task.id)):
        chosen[task.slice] = task
    return tuple(sorted(chosen.values(), key=_place))


def _standing(task: Task, first: Collection[str]) -> tuple[bool, bool]:
    return task.state is TaskState.COMPLETED, task.id not in first


def _place(task: Task) -> tuple[int, int]:
    return task.slice.first, task.slice.shots_from


def _waiting(found: Found) -> list[Task]:
    """The tasks as they were submitted, not to run before someone releases them."""
    return [
        _task(found, record.id, record.slice, record.estimate_s, solo=record.solo)
        for record in found.record.tasks
    ]


def _task(found: Found, id: str, part: Slice, estimate_s: float, *, solo: bool) -> Task:
    job = found.record
    return Task(
        id=id,
        job_id=job.id,
        account=job.account,
        resource=job.resource,
        state=TaskState.QUEUED,
        slice=part,
        priority=job.priority,
        estimate_s=estimate_s,
        attempt=0,
        solo=solo,
        spec=found.spec,
        ready_at=None,
        queued_at=job.created_at,
    )


def _like(found: Found, by_slice: dict[Slice, Task], id: str, part: Slice) -> Task:
    """A task with this id, otherwise as the one that was submitted for its slice."""
    model = by_slice.get(part)
    if model is None:
        return _task(found, id, part, 0.0, solo=False)
    return replace(model, id=id)


def _asked_for(request: RequestRecord, found: Found, by_slice: dict[Slice, Task]) -> Task:
    return replace(_like(found, by_slice, request.id, request.slice), queued_at=request.at)


def _cancelled(task: Task, request: RequestRecord) -> Task:
    """It ends cancelled whatever it brings; what may run at a provider has to be stopped first."""
    if task.state is TaskState.EXECUTING:
        return replace(task, cancel_requested=True)
    return replace(
        task,
        state=TaskState.CANCELLED,
        cancel_requested=True,
        result=None,
        problem=None,
        ended_at=task.ended_at or request.at,
    )


def _ended_task(ending: TaskEnding, found: Found, by_slice: dict[Slice, Task]) -> Task:
    record = ending.task
    return replace(
        _like(found, by_slice, record.id, record.slice),
        state=record.state,
        attempt=0 if ending.by.execution_id is None else 1,
        execution_id=ending.by.execution_id,
        result=record.result.within(ending.pack) if record.result else None,
        problem=record.problem,
        started_at=record.started_at,
        ended_at=ending.by.ended_at,
    )


def _executing(found: Found, by_slice: dict[Slice, Task]) -> list[Task]:
    ended = {ending.task.id for ending in found.endings}
    return [
        replace(
            _like(found, by_slice, part.id, part.slice),
            state=TaskState.EXECUTING,
            attempt=1,
            execution_id=sent.record.id,
            started_at=sent.record.created_at,
        )
        for sent in found.in_flight
        for part in sent.record.tasks
        if part.job_id == found.record.id and part.id not in ended
    ]


def _job(found: Found, tasks: Sequence[Task]) -> Job:
    record = found.record
    state = roll_up(task.state for task in tasks) if tasks else JobState.QUEUED
    started = [task.started_at for task in tasks if task.started_at]
    ended = [task.ended_at for task in tasks if task.ended_at]
    failed = [task for task in tasks if task.state is TaskState.FAILED]
    return Job(
        id=record.id,
        account=record.account,
        kind=record.kind,
        resource=record.resource,
        state=state,
        name=record.name,
        tags=record.tags,
        priority=record.priority,
        pubs=len(record.pubs) if record.read and record.pubs is not None else None,
        shots=record.shots,
        tasks=len(tasks),
        spec=found.spec,
        created_at=record.created_at,
        started_at=min(started, default=None),
        ended_at=max(ended, default=None) if state in FINAL_JOB_STATES else None,
        problem=failed[0].problem if failed else None,
        cancel_requested=any(task.cancel_requested for task in tasks),
        held=any(task.state is TaskState.QUEUED for task in tasks),
        estimate_s=sum(task.estimate_s for task in tasks),
        chosen=record.chosen,
    )


def _ended(ending: TaskEnding, id: str, found: Found) -> Execution:
    job, end = found.record, ending.by
    return Execution(
        id=id,
        resource=end.resource or job.resource,
        provider=end.provider or "",
        account=end.account or job.account,
        state=end.state or ExecutionState.COMPLETED,
        tasks=tuple(task.id for task in end.tasks),
        created_at=end.created_at or end.ended_at,
        provider_job_id=end.provider_job_id,
        started_at=end.started_at,
        ended_at=end.ended_at,
        usage=end.usage,
        problem=end.problem,
        calibration=_binding(end.snapshots),
        target=end.target,
        fingerprint=end.fingerprint,
        record=ending.record,
        adopted=end.adopted or False,
    )


def _binding(snapshots: Mapping[str, object]) -> Binding:
    """What a record says of calibrations; nothing is made of what cannot be understood."""
    known = {one.name: snapshots.get(one.name) for one in fields(Binding)}
    digests = {name: found for name, found in known.items() if isinstance(found, str)}
    label = digests.pop("label", "")
    if label not in set(CalibrationLabel):
        return UNBOUND
    return Binding(label=CalibrationLabel(label), **digests)


def _stranded(sent: InFlight, now: datetime) -> Execution:
    intent = sent.record
    return Execution(
        id=intent.id,
        resource=intent.resource,
        provider=intent.provider,
        account=intent.account,
        state=ExecutionState.STRANDED,
        tasks=tuple(task.id for task in intent.tasks),
        created_at=intent.created_at,
        due_at=now,
        problem=LOST_TRACK,
        stop_requested=sent.unwanted,
        calibration=_binding(intent.snapshots),
        provider_job_id=intent.provider_job_id,
        target=intent.target,
        fingerprint=intent.fingerprint,
        record=sent.place,
        adopted=intent.adopted or False,
    )
