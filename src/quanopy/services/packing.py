"""Packing: what submissions, endings, remote intents and requests leave in the archive, as packs.

A pack is written before the rows that name it, so everything here needs only what is known
before: extents come out, never in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from quanopy.codecs.calibrations import encode_metrics
from quanopy.codecs.members import circuits_member, program_member
from quanopy.codecs.packs import CALIBRATIONS, COMPLETED, PENDING, PackBuilder, Span
from quanopy.codecs.records import (
    CALIBRATION,
    ENDINGS,
    EXECUTIONS,
    GROUPS,
    JOBS,
    REQUESTS,
    RESULTS,
    Asked,
    CalibrationRecord,
    EndRecord,
    ExecutionRecord,
    GroupFate,
    GroupRecord,
    JobRecord,
    PartRecord,
    ProgramRecord,
    RanRecord,
    RequestRecord,
    SeenRecord,
    TaskEndRecord,
    TaskRecord,
)
from quanopy.domain.calibration import UNBOUND, Binding, Snapshot
from quanopy.domain.groups import Group
from quanopy.domain.jobs import Execution, Extent, JobSpec, Problem, Pub, Reading, Task
from quanopy.domain.programs import Program, digest_of
from quanopy.domain.requirements import Requirements
from quanopy.domain.sightings import Sighting
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
class Packed:
    """A pending pack: where to put it, its bytes, and where each job's record lies in it."""

    key: str
    data: bytes
    jobs: tuple[Extent, ...]
    """One a job, in the order given: ``Job.spec`` and ``Task.spec``."""


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


def pack_submissions(accepted: Sequence[Accepted], made_at: datetime) -> Packed:
    """Pack jobs that were submitted together: programs, circuits, then a record a job.

    A program or circuit that several of the jobs share is kept once.
    """
    builder = PackBuilder(made_at)
    lines = [job_record(job, builder).line() for job in accepted]
    place = builder.add(JOBS, b"".join(lines))
    key, data = builder.close(PENDING)
    spans = line_spans(place, lines)
    return Packed(key=key, data=data, jobs=tuple(span.within(key) for span in spans))


def pack_endings(
    endings: Sequence[Ended], made_at: datetime
) -> tuple[str, bytes, dict[str, Extent]]:
    """Pack what executions brought back: the pack's key, its bytes, and extents: by task id that
    of exactly the JSON array of the task's pub results, so that arrays join without parsing; by
    execution id that of its record."""
    builder = PackBuilder(made_at)
    text, spans = result_lines(
        [
            (one.task.id, one.result)
            for ended in endings
            for one in ended.tasks
            if one.result is not None
        ]
    )
    place = builder.add(RESULTS, text)
    found = {task: Span(place.offset + s.offset, s.length) for task, s in spans.items()}
    lines = [_end_record(ended, found, builder).line() for ended in endings]
    records = line_spans(builder.add(ENDINGS, b"".join(lines)), lines)
    for ended, span in zip(endings, records, strict=True):
        if ended.execution is not None:
            found[ended.execution.id] = span
    key, data = builder.close(COMPLETED)
    return key, data, {name: span.within(key) for name, span in found.items()}


def pack_executions(
    intents: Sequence[Sent], made_at: datetime
) -> tuple[str, bytes, dict[str, Extent]]:
    """Pack remote executions that are about to be sent, with what they run: the pack's key, its
    bytes, and by execution id the extent of its record. Put it before the vendor is called."""
    builder = PackBuilder(made_at)
    lines = [_execution_record(intent, builder).line() for intent in intents]
    records = line_spans(builder.add(EXECUTIONS, b"".join(lines)), lines)
    key, data = builder.close(PENDING)
    spans = zip(intents, records, strict=True)
    return key, data, {sent.execution.id: span.within(key) for sent, span in spans}


def pack_requests(asked: Asked, tasks: Sequence[Task]) -> tuple[str, bytes]:
    """Pack that this was asked of these tasks: the pack's key and bytes. The same tasks give the
    same pack."""
    records = [_request_record(asked, task) for task in sorted(tasks, key=lambda task: task.id)]
    builder = PackBuilder(max(record.at for record in records))
    builder.add(REQUESTS, b"".join(record.line() for record in records))
    return builder.close(PENDING)


def pack_group(group: Group, fate: GroupFate | None = None) -> tuple[str, bytes]:
    """Pack how a group stands: the pack's key and bytes. The same gives the same pack."""
    at = group.changed_at or group.created_at
    record = GroupRecord(
        id=group.id,
        account=group.account,
        name=group.name,
        policy=group.policy,
        resource=group.resource,
        created_at=group.created_at,
        at=at,
        fate=fate,
    )
    builder = PackBuilder(at)
    builder.add(GROUPS, record.line())
    return builder.close(PENDING)


def pack_snapshot(
    snapshot: Snapshot,
    *,
    before: Sighting | None = None,
    owner: str | None = None,
    told: bool = False,
) -> tuple[str, bytes, Sighting]:
    """Pack a snapshot that is seen for the first time: the pack's key, its bytes, and the
    sighting that begins with it. ``before``: the one that ends with it;
    ``owner`` has registered the resource; ``told``: another broker saw it."""
    builder = PackBuilder(snapshot.fetched_at)
    record = CalibrationRecord(
        resource=snapshot.resource,
        digest=snapshot.digest,
        raw_format=snapshot.format,
        fetched_at=snapshot.fetched_at,
        calibrated_at=snapshot.calibrated_at,
        vendor_id=snapshot.vendor_id,
        metrics=len({(metric.name, metric.targets) for metric in snapshot.metrics}),
        raw=builder.add("raw.json", snapshot.raw),
        normal=builder.add("metrics.json", encode_metrics(snapshot.metrics)),
        before=None
        if before is None
        else SeenRecord(pack=before.raw.key, seen_until=before.seen_until),
        owner=owner,
        told=told or None,
    )
    builder.add(CALIBRATION, record.line())
    key, data = builder.close(CALIBRATIONS)
    return key, data, sighting_in(record, key)


def sighting_in(record: CalibrationRecord, key: str) -> Sighting:
    """The sighting that a pack's record tells of."""
    return Sighting(
        resource=record.resource,
        digest=record.digest,
        format=record.raw_format,
        metrics=record.metrics,
        calibrated_at=record.calibrated_at,
        vendor_id=record.vendor_id,
        seen_from=record.fetched_at,
        seen_until=record.fetched_at,
        raw=record.raw.within(key),
        normal=record.normal.within(key),
        owner=record.owner,
    )


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


def line_spans(place: Span, lines: Sequence[bytes]) -> list[Span]:
    """Where each line of a member lies."""
    spans, offset = [], place.offset
    for line in lines:
        spans.append(Span(offset, len(line)))
        offset += len(line)
    return spans


def result_lines(results: Sequence[tuple[str, bytes]]) -> tuple[bytes, dict[str, Span]]:
    """The text of ``results.jsonl`` from tasks' ids and arrays, and by task id where its array
    lies in that text."""
    parts: list[bytes] = []
    spans: dict[str, Span] = {}
    offset = 0
    for task_id, result in results:
        if b"\n" in result:
            raise ValueError(f"the result of {task_id} has a line break in it")
        head = b'{"task":"%b","pubs":' % task_id.encode("ascii")
        spans[task_id] = Span(offset + len(head), len(result))
        parts += (head, result, b"}\n")
        offset += len(head) + len(result) + 2
    return b"".join(parts), spans


def _end_record(ended: Ended, spans: Mapping[str, Span], builder: PackBuilder) -> EndRecord:
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


def _execution_record(sent: Sent, builder: PackBuilder) -> ExecutionRecord:
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


def _request_record(asked: Asked, task: Task) -> RequestRecord:
    return RequestRecord(
        asked=asked,
        id=task.id,
        job_id=task.job_id,
        slice=task.slice,
        at=max(filter(None, (task.queued_at, task.started_at, task.ended_at))),
    )
