"""Recording: what the archive says of jobs, of executions and their ends, and of requests.

A record is made of what is known before its pack is written; see :mod:`quanopy.services.packing`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from quanopy.codecs.members import circuits_member, program_member
from quanopy.codecs.packs import PackBuilder, Span
from quanopy.codecs.records import (
    Asked,
    EndRecord,
    ExecutionRecord,
    JobRecord,
    PartRecord,
    ProgramRecord,
    RanRecord,
    RequestRecord,
    TaskEndRecord,
    TaskRecord,
)
from quanopy.domain.calibration import UNBOUND, Binding
from quanopy.domain.jobs import Execution, JobSpec, Problem, Pub, Reading, Task
from quanopy.domain.programs import Program, digest_of
from quanopy.domain.requirements import Requirements
from quanopy.domain.states import TaskState
from quanopy.services.ran import Ran, keep


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaiting:
    """A job waits for a calibration younger than ``age_s``, for ``at_most_s`` (``None``: until
    one comes)."""

    age_s: float
    at_most_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A job that is to be submitted, before it has a place in a pack."""

    id: str
    account: str
    created_at: datetime
    spec: JobSpec
    tasks: Sequence[TaskRecord]
    reading: Reading | None = None
    """``None``: its programs have not been read yet, and are checked at dispatch."""
    shots: int | None = None
    """As its row will show them."""
    awaiting: Awaiting | None = None
    """What it is to wait for before it may run."""
    idempotency_key: str | None = None
    request_digest: str = ""
    requires: Requirements | None = None
    """What it asked of a resource, where it named none."""
    chosen: Mapping[str, Any] | None = None
    """As :attr:`quanopy.domain.jobs.Job.chosen`."""
    group_id: str | None = None
    """The group that it goes into."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedTask:
    """A task that has ended for good, and its pub results as a compact JSON array."""

    task: Task
    state: TaskState
    result: bytes | None = None
    """``Outcome.result``; must not contain a line break."""
    problem: Problem | None = None
    ran: Sequence[Ran] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An execution that has ended (``None``: its tasks never had one), with its tasks."""

    tasks: Sequence[EndedTask]
    ended_at: datetime
    execution: Execution | None = None
    """As it stands at its end: state, usage, times, problem and calibration are its final
    ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A remote execution about to be sent, or adopted, with its tasks in the order of its
    slots."""

    execution: Execution
    tasks: Sequence[Task]
    ran: Sequence[Sequence[Ran]]
    """One a task: its programs that do not run as they were read."""


def job_record(job: Accepted, builder: PackBuilder) -> JobRecord:
    """A job's record; its programs and circuits become members."""
    spec, reading = job.spec, job.reading
    return JobRecord(
        id=job.id,
        account=job.account,
        kind=reading.kind if reading else spec.kind,
        resource=spec.resource,
        created_at=job.created_at,
        options=spec.options,
        programs=_programs(spec.programs, reading, builder),
        pubs=reading.pubs if reading else _as_given(spec),
        read=reading is not None,
        evaluations=reading.evaluations if reading else (),
        shots=job.shots,
        name=spec.name,
        tags=spec.tags,
        priority=spec.priority,
        idempotency_key=job.idempotency_key,
        request_digest=job.request_digest,
        requires=job.requires,
        chosen=None if job.chosen is None else dict(job.chosen),
        tasks=tuple(job.tasks),
        group=job.group_id,
        after=spec.after or None,
        on_failure=spec.on_failure if spec.after else None,
    )


def _as_given(spec: JobSpec) -> tuple[Pub, ...] | None:
    return None if spec.pubs is None else tuple(spec.pubs)


def _programs(
    programs: Sequence[Program], reading: Reading | None, builder: PackBuilder
) -> tuple[ProgramRecord, ...]:
    return tuple(
        ProgramRecord(
            format=program.format,
            digest=program.digest,
            data=builder.add(program_member(program.digest), program.data),
            circuits=_circuits(reading.circuits[index], builder) if reading else None,
            footprint=reading.footprints[index] if reading else None,
        )
        for index, program in enumerate(programs)
    )


def _circuits(qpy: bytes, builder: PackBuilder) -> Span:
    return builder.add(circuits_member(digest_of(qpy)), qpy)


def end_record(ended: Ended, spans: Mapping[str, Span], builder: PackBuilder) -> EndRecord:
    """The record of an end, whose tasks' results lie at ``spans``; what they ran becomes
    members."""
    execution = ended.execution
    tasks = tuple(
        _task_end(task, spans.get(task.task.id), keep(task.ran, builder)) for task in ended.tasks
    )
    if execution is None:
        return EndRecord(ended_at=ended.ended_at, tasks=tasks)
    return EndRecord(
        ended_at=ended.ended_at,
        tasks=tasks,
        execution_id=execution.id,
        resource=execution.resource,
        provider=execution.provider,
        account=execution.account,
        state=execution.state,
        provider_job_id=execution.provider_job_id,
        created_at=execution.created_at,
        started_at=execution.started_at,
        usage=dict(execution.usage),
        problem=execution.problem,
        snapshots=_snapshots(execution.calibration),
        target=execution.target,
        fingerprint=execution.fingerprint,
        adopted=execution.adopted or None,
    )


def _task_end(
    ended: EndedTask, span: Span | None, ran: tuple[RanRecord, ...] | None
) -> TaskEndRecord:
    return TaskEndRecord(
        id=ended.task.id,
        job_id=ended.task.job_id,
        slice=ended.task.slice,
        state=ended.state,
        result=span,
        problem=ended.problem,
        started_at=ended.task.started_at,
        ran=ran,
    )


def execution_record(sent: Sent, builder: PackBuilder) -> ExecutionRecord:
    """The record of an execution that is about to be sent; what it runs becomes members."""
    execution = sent.execution
    return ExecutionRecord(
        id=execution.id,
        account=execution.account,
        resource=execution.resource,
        provider=execution.provider,
        created_at=execution.created_at,
        tasks=tuple(
            PartRecord(
                id=task.id,
                job_id=task.job_id,
                slice=task.slice,
                estimate_s=task.estimate_s,
                ran=keep(ran, builder),
            )
            for task, ran in zip(sent.tasks, sent.ran, strict=True)
        ),
        snapshots=_snapshots(execution.calibration),
        target=execution.target,
        fingerprint=execution.fingerprint,
        provider_job_id=execution.provider_job_id,
        adopted=execution.adopted or None,
    )


def _snapshots(binding: Binding) -> dict[str, object]:
    if binding is UNBOUND:
        return {}
    return {name: value for name, value in asdict(binding).items() if value is not None}


def request_record(asked: Asked, task: Task) -> RequestRecord:
    """The record of what was asked of a task, at the last time that it changed."""
    return RequestRecord(
        asked=asked,
        id=task.id,
        job_id=task.job_id,
        slice=task.slice,
        at=max(filter(None, (task.queued_at, task.started_at, task.ended_at))),
    )
