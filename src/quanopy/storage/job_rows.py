"""Jobs, tasks and executions as rows."""

import json
from dataclasses import asdict
from datetime import datetime
from functools import lru_cache

from quanopy.domain.calibration import UNBOUND, Binding, CalibrationLabel
from quanopy.domain.imports import Imported
from quanopy.domain.jobs import Execution, Extent, Job, JobKind, Slice, Task
from quanopy.domain.states import ExecutionState, JobState, TaskState
from quanopy.storage.compiled import Row
from quanopy.storage.values import (
    AT_ONCE,
    Values,
    compact,
    moment,
    moment_or_none,
    problem_of,
    problem_text,
    ready_stamp,
    stamp,
    stamp_or_none,
)


def job_row(job: Job) -> Values:
    """A job as a row."""
    return {
        "id": job.id,
        "account": job.account,
        "kind": job.kind.value,
        "resource": job.resource,
        "state": job.state.value,
        "name": job.name,
        "tags": compact(job.tags),
        "priority": job.priority,
        "pubs": job.pubs,
        "shots": job.shots,
        "tasks": job.tasks,
        "spec_key": job.spec.key,
        "spec_offset": job.spec.offset,
        "spec_length": job.spec.length,
        "created_at": stamp(job.created_at),
        "started_at": stamp_or_none(job.started_at),
        "ended_at": stamp_or_none(job.ended_at),
        "problem": problem_text(job.problem),
        "cancel_requested": job.cancel_requested,
        "held": job.held,
        "estimate_s": job.estimate_s,
        "group_id": job.group_id,
        "position": job.position,
        "blocked": job.blocked,
        "followed": False,
        "imported": _imported_text(job.imported),
    }


@lru_cache(maxsize=64)
def _imported_text(imported: Imported | None) -> str | None:
    """The same for all jobs of a receipt that were one account's."""
    if imported is None:
        return None
    times = {name: getattr(imported, name).isoformat() for name in _IMPORT_TIMES}
    return compact(asdict(imported) | times)


def _imported_of(text: str | None) -> Imported | None:
    if text is None:
        return None
    said = json.loads(text)
    return Imported(**said | {one: datetime.fromisoformat(said[one]) for one in _IMPORT_TIMES})


_IMPORT_TIMES = ("exported_at", "imported_at")


def job_of(row: Row) -> Job:
    """A job from its row."""
    return Job(
        id=row.id,
        account=row.account,
        kind=JobKind(row.kind),
        resource=row.resource,
        state=JobState(row.state),
        name=row.name,
        tags=tuple(json.loads(row.tags)) if row.tags != "[]" else (),
        priority=row.priority,
        pubs=row.pubs,
        shots=row.shots,
        tasks=row.tasks,
        spec=Extent(key=row.spec_key, offset=row.spec_offset, length=row.spec_length),
        created_at=moment(row.created_at),
        started_at=moment_or_none(row.started_at),
        ended_at=moment_or_none(row.ended_at),
        problem=problem_of(row.problem),
        cancel_requested=row.cancel_requested,
        held=row.held,
        estimate_s=row.estimate_s,
        group_id=row.group_id,
        position=row.position,
        blocked=row.blocked,
        imported=_imported_of(row.imported),
    )


def task_row(task: Task) -> Values:
    """A task as a row."""
    part, result = task.slice, task.result
    return {
        "id": task.id,
        "job_id": task.job_id,
        "account": task.account,
        "resource": task.resource,
        "state": task.state.value,
        "first": part.first,
        "number": part.count,
        "shots_from": part.shots_from,
        "shots": part.shots,
        "rank": -task.priority,
        "estimate_s": task.estimate_s,
        "attempt": task.attempt,
        "solo": task.solo,
        "ready_at": ready_stamp(task.ready_at, task.queued_at),
        "claim_id": task.claim_id,
        "execution_id": task.execution_id,
        "result_key": result and result.key,
        "result_offset": result and result.offset,
        "result_length": result and result.length,
        "problem": problem_text(task.problem),
        "cancel_requested": task.cancel_requested,
        "superseded": False,
        "lost": 0,
        "queued_at": stamp_or_none(task.queued_at),
        "started_at": stamp_or_none(task.started_at),
        "ended_at": stamp_or_none(task.ended_at),
    }


def task_of(row: Row) -> Task:
    """A task from its row, which has its job's ``spec_…`` columns too."""
    result = row.result_key
    return Task(
        id=row.id,
        job_id=row.job_id,
        account=row.account,
        resource=row.resource,
        state=TaskState(row.state),
        slice=Slice(first=row.first, count=row.number, shots_from=row.shots_from, shots=row.shots),
        priority=-row.rank,
        estimate_s=row.estimate_s,
        attempt=row.attempt,
        solo=row.solo,
        spec=Extent(key=row.spec_key, offset=row.spec_offset, length=row.spec_length),
        # What need not wait was ready when it was queued.
        ready_at=moment_or_none(row.queued_at if row.ready_at == AT_ONCE else row.ready_at),
        claim_id=row.claim_id,
        execution_id=row.execution_id,
        result=result and Extent(key=result, offset=row.result_offset, length=row.result_length),
        problem=problem_of(row.problem),
        cancel_requested=row.cancel_requested,
        queued_at=moment_or_none(row.queued_at),
        turn_at=moment_or_none(row.turn_at),
        started_at=moment_or_none(row.started_at),
        ended_at=moment_or_none(row.ended_at),
    )


def execution_row(execution: Execution, *, device: str) -> Values:
    """An execution as a row."""
    record = execution.record
    return {
        "id": execution.id,
        "resource": execution.resource,
        "device": device,
        "provider": execution.provider,
        "account": execution.account,
        "state": execution.state.value,
        "tasks": compact(execution.tasks),
        "created_at": stamp(execution.created_at),
        "claim_id": execution.claim_id,
        "provider_job_id": execution.provider_job_id,
        "searches": execution.searches,
        "due_at": stamp_or_none(execution.due_at),
        "due_in": None,
        "started_at": stamp_or_none(execution.started_at),
        "ended_at": stamp_or_none(execution.ended_at),
        "usage": compact(dict(execution.usage)),
        "problem": problem_text(execution.problem),
        "stop_requested": execution.stop_requested,
        "stop_seen": False,
        "calibration": _binding_text(execution.calibration),
        "target": execution.target,
        "fingerprint": execution.fingerprint,
        "record_key": record and record.key,
        "record_offset": record and record.offset,
        "record_length": record and record.length,
        "adopted": execution.adopted,
    }


def _binding_text(binding: Binding) -> str | None:
    return None if binding == UNBOUND else compact(asdict(binding))


def _binding(text: str | None) -> Binding:
    if text is None:
        return UNBOUND
    stored = json.loads(text)
    return Binding(**{**stored, "label": CalibrationLabel(stored["label"])})


def execution_of(row: Row) -> Execution:
    """An execution from its row."""
    record = row.record_key
    return Execution(
        id=row.id,
        resource=row.resource,
        provider=row.provider,
        account=row.account,
        state=ExecutionState(row.state),
        tasks=tuple(json.loads(row.tasks)),
        created_at=moment(row.created_at),
        claim_id=row.claim_id,
        provider_job_id=row.provider_job_id,
        searches=row.searches,
        due_at=moment_or_none(row.due_at),
        started_at=moment_or_none(row.started_at),
        ended_at=moment_or_none(row.ended_at),
        usage=json.loads(row.usage),
        problem=problem_of(row.problem),
        stop_requested=row.stop_requested,
        calibration=_binding(row.calibration),
        target=row.target,
        fingerprint=row.fingerprint,
        record=record and Extent(key=record, offset=row.record_offset, length=row.record_length),
        adopted=row.adopted,
    )
