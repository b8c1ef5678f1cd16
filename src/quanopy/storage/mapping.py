"""Rows to domain objects and back. Times are microseconds, JSON is text (see the schema)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from quanopy.domain.accounts import Scope, Token
from quanopy.domain.calibration import UNBOUND, Binding, CalibrationLabel
from quanopy.domain.events import Event, Position
from quanopy.domain.imports import Imported
from quanopy.domain.jobs import Execution, Extent, Job, JobKind, Problem, Slice, Task
from quanopy.domain.resources import Capabilities, Limits, Resource
from quanopy.domain.sightings import Sighting
from quanopy.domain.states import ExecutionState, JobState, ResourceState, TaskState
from quanopy.storage.compiled import Row

Values = dict[str, Any]

AT_ONCE = 0
"""``ready_at`` of what need not wait: a clock that goes backwards cannot delay it."""
_SECOND = 1_000_000
_FIRST = round(datetime(1, 1, 2, tzinfo=UTC).timestamp()) * _SECOND
_LAST = round(datetime(9999, 12, 30, tzinfo=UTC).timestamp()) * _SECOND
_compact = json.JSONEncoder(separators=(",", ":")).encode


def stamp(time: datetime) -> int:
    """Microseconds since 1970. A vendor's time at the very edge of the calendar, which in UTC lies
    beyond it, is the last or first that :func:`moment` can read."""
    return max(_FIRST, min(round(time.timestamp() * _SECOND), _LAST))


def stamp_or_none(time: datetime | None) -> int | None:
    """As :func:`stamp`."""
    return None if time is None else stamp(time)


def span(seconds: float) -> int:
    """Microseconds of a duration."""
    return round(seconds * _SECOND)


def moment(stamped: int) -> datetime:
    """The time of a stamp."""
    return datetime.fromtimestamp(stamped / _SECOND, UTC)


def moment_or_none(stamped: int | None) -> datetime | None:
    """As :func:`moment`."""
    return None if stamped is None else datetime.fromtimestamp(stamped / _SECOND, UTC)


def problem_text(problem: Problem | None) -> str | None:
    """A problem as it is stored."""
    return None if problem is None else _compact(asdict(problem))


def problem_of(text: str | None) -> Problem | None:
    """A problem as it was stored."""
    return None if text is None else Problem(**json.loads(text))


def job_row(job: Job) -> Values:
    """A job as a row."""
    return {
        "id": job.id,
        "account": job.account,
        "kind": job.kind.value,
        "resource": job.resource,
        "state": job.state.value,
        "name": job.name,
        "tags": _compact(job.tags),
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


def _imported_text(imported: Imported | None) -> str | None:
    if imported is None:
        return None
    times = {name: getattr(imported, name).isoformat() for name in _IMPORT_TIMES}
    return _compact(asdict(imported) | times)


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


def ready_stamp(ready_at: datetime | None, queued_at: datetime | None) -> int | None:
    """When a task may be taken: at once, unless that is later than when it was queued."""
    if ready_at is None:
        return None
    return stamp(ready_at) if queued_at is not None and ready_at > queued_at else AT_ONCE


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
        "tasks": _compact(execution.tasks),
        "created_at": stamp(execution.created_at),
        "claim_id": execution.claim_id,
        "provider_job_id": execution.provider_job_id,
        "searches": execution.searches,
        "due_at": stamp_or_none(execution.due_at),
        "due_in": None,
        "started_at": stamp_or_none(execution.started_at),
        "ended_at": stamp_or_none(execution.ended_at),
        "usage": _compact(dict(execution.usage)),
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
    return None if binding == UNBOUND else _compact(asdict(binding))


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


def event_of(row: Row) -> Event:
    """An event from its row."""
    return Event(
        position=Position(row.tx, row.seq),
        at=moment(row.at),
        subject=row.subject,
        kind=row.kind,
        before=row.before,
        after=row.after,
        actor=row.actor,
        account=row.account,
        job_id=row.job_id,
        data=json.loads(row.data),
    )


def resource_row(resource: Resource) -> Values:
    """A resource as a row."""
    return {
        "name": resource.name,
        "provider": resource.provider,
        "description": resource.description,
        "lanes": resource.lanes,
        "device": resource.device,
        "part": None if resource.part is None else _compact(sorted(set(resource.part))),
        "state": resource.state.value,
        "reason": resource.reason,
        "operated": False,
        "capabilities": _compact(asdict(resource.capabilities)),
        "owner": resource.owner,
        "accounts": None if resource.accounts is None else _compact(resource.accounts),
    }


def resource_of(row: Row) -> Resource:
    """A resource from its row."""
    return Resource(
        name=row.name,
        provider=row.provider,
        description=row.description,
        lanes=row.lanes,
        device=row.device,
        part=part_of(row.part),
        state=ResourceState(row.state),
        reason=row.reason,
        capabilities=_capabilities(json.loads(row.capabilities)),
        owner=row.owner,
        accounts=accounts_of(row.accounts),
    )


def device_row(name: str) -> Values:
    """A device that nobody has said anything of yet, as a row."""
    return {
        "name": name,
        "parted": False,
        **dict.fromkeys(("wanted_by", "wanted_at", "tried_at")),
    }


def part_of(stored: str | None) -> tuple[str, ...] | None:
    """What of its device a resource takes, as its row has it."""
    return None if stored is None else tuple(json.loads(stored))


def accounts_of(stored: str | None) -> tuple[str, ...] | None:
    """The accounts that a resource serves, as its row has them; ``None``: all."""
    return None if stored is None else tuple(json.loads(stored))


def _capabilities(stored: Mapping[str, Any]) -> Capabilities:
    gates: Sequence[str] | None = stored["gates"]
    return Capabilities(
        **{
            **stored,
            "kinds": tuple(JobKind(kind) for kind in stored["kinds"]),
            "limits": Limits(**stored["limits"]),
            "gates": None if gates is None else tuple(gates),
            "formats": tuple(stored["formats"]),
        }
    )


def sighting_row(sighting: Sighting) -> Values:
    """A sighting as a row."""
    return {
        "resource": sighting.resource,
        "seen_from": stamp(sighting.seen_from),
        "seen_until": stamp(sighting.seen_until),
        "digest": sighting.digest,
        "format": sighting.format,
        "metrics": sighting.metrics,
        "calibrated_at": stamp_or_none(sighting.calibrated_at),
        "vendor_id": sighting.vendor_id,
        "pack": sighting.raw.key,
        "raw_offset": sighting.raw.offset,
        "raw_length": sighting.raw.length,
        "normal_offset": sighting.normal.offset,
        "normal_length": sighting.normal.length,
        "owner": sighting.owner,
    }


def sighting_of(row: Row) -> Sighting:
    """A sighting from its row."""
    return Sighting(
        resource=row.resource,
        digest=row.digest,
        format=row.format,
        metrics=row.metrics,
        calibrated_at=moment_or_none(row.calibrated_at),
        vendor_id=row.vendor_id,
        seen_from=moment(row.seen_from),
        seen_until=moment(row.seen_until),
        raw=Extent(key=row.pack, offset=row.raw_offset, length=row.raw_length),
        normal=Extent(key=row.pack, offset=row.normal_offset, length=row.normal_length),
        owner=row.owner,
    )


def token_row(token: Token) -> Values:
    """A token as a row."""
    return {
        "id": token.id,
        "account": token.account,
        "scope": token.scope.value,
        "digest": token.digest,
        "created_at": stamp(token.created_at),
        "expires_at": stamp_or_none(token.expires_at),
        "revoked_at": stamp_or_none(token.revoked_at),
        "label": token.label,
    }


def token_of(row: Row) -> Token:
    """A token from its row."""
    return Token(
        id=row.id,
        account=row.account,
        scope=Scope(row.scope),
        digest=row.digest,
        created_at=moment(row.created_at),
        expires_at=moment_or_none(row.expires_at),
        revoked_at=moment_or_none(row.revoked_at),
        label=row.label,
    )
