"""What a receipt has of a job, from catalogue and archive; what jobs share is written once."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from quanopy.codecs.members import circuits_member, program_member
from quanopy.codecs.plain import from_plain, to_plain
from quanopy.codecs.qpy import writer_of
from quanopy.codecs.receipt_records import (
    CalibrationEntry,
    EventEntry,
    ExecutionEntry,
    JobEntry,
    PartEntry,
    ProgramEntry,
    RanEntry,
    snapshots_of,
)
from quanopy.codecs.receipts import (
    RESULT_FORMAT,
    ReceiptWriter,
    calibration_member,
    encode_line,
    job_member,
)
from quanopy.codecs.records import JobRecord, ProgramRecord
from quanopy.codecs.result_arrays import to_npz
from quanopy.domain.errors import NotFound
from quanopy.domain.events import TOLD, Event, Position
from quanopy.domain.jobs import Execution, Extent, Task
from quanopy.domain.programs import digest_of
from quanopy.domain.sightings import Sighting
from quanopy.ports.events import EventQuery
from quanopy.ports.objects import Objects
from quanopy.ports.store import Store
from quanopy.services.ran import Ran, load_ran, ran_of
from quanopy.services.results import Wanted, assemble, with_tasks
from quanopy.services.unpacking import load_jobs

EVENTS_AT_ONCE = 5_000
_MOST_AHEAD = 16 * 1024 * 1024
"""Bytes of results that are read together."""


class Batch:
    """Some jobs, and what is read of them together."""

    def __init__(self, store: Store, objects: Objects, ids: Sequence[str]) -> None:
        self._store, self._objects, self.ids = store, objects, ids
        jobs, tasks = store.jobs_with_tasks(ids, ids)
        found = {one.job.id: one for one in with_tasks(jobs, tasks)}
        if lost := [job_id for job_id in ids if job_id not in found]:
            raise NotFound(f"there is no job {lost[0]} any more")
        self.jobs = [found[job_id] for job_id in ids]
        wanted = {task.execution_id for task in tasks if task.execution_id is not None}
        self._executions = {one.id: one for one in store.executions_by_id(wanted)}
        self._events = _events(store, ids)
        places = [one.job.spec for one in self.jobs]
        self._records = dict(zip(ids, load_jobs(objects, places), strict=True))
        self._circuits: dict[Extent, str] = {}
        self._ran: dict[str, Sequence[Ran]] = {}
        self._results: Mapping[Extent, bytes] = {}
        self._lost: set[str] = set()

    def write_shared(self, writer: ReceiptWriter) -> None:
        """Programs, circuits and snapshots that are not there yet."""
        self._write_programs(writer)
        self._write_ran(writer)
        self._write_snapshots(writer)

    def write(self, one: Wanted, writer: ReceiptWriter) -> None:
        """What is a job's own."""
        id_ = one.job.id
        has_result = self._write_result(one, writer)
        told = one.job.imported is not None
        seen = seen_events(self._events.get(id_, ()), told=told)
        lines = [event_entry(event).line() for event in seen]
        writer.add(job_member(id_, "events.jsonl"), b"".join(lines))
        writer.add(job_member(id_, "job.json"), self._entry(one, has_result).encoded())

    # -- what jobs share ----------------------------------------------------------------------
    def _write_programs(self, writer: ReceiptWriter) -> None:
        sources: dict[str, Extent] = {}
        circuits: set[Extent] = set()
        for one in self.jobs:
            for program in self._records[one.job.id].programs:
                sources[program_member(program.digest)] = program.data.within(one.job.spec.key)
                if program.circuits is not None and not _is_native(program):
                    circuits.add(program.circuits.within(one.job.spec.key))
        new = {name: place for name, place in sources.items() if name not in writer}
        places = sorted({*new.values(), *circuits}, key=lambda one: (one.key, one.offset))
        data = dict(zip(places, self._objects.read(places) if places else (), strict=True))
        for name, place in new.items():
            writer.add(name, data[place])
        for place in sorted(circuits, key=lambda one: (one.key, one.offset)):
            self._circuits[place] = _add_circuits(data[place], writer)

    def _write_ran(self, writer: ReceiptWriter) -> None:
        places = {one.record for one in self._executions.values() if one.record is not None}
        seen: dict[str, Sequence[Ran]] = {}
        for place in sorted(places, key=lambda one: (one.key, one.offset)):
            seen |= load_ran(self._objects, place)
        for one in self.jobs:
            record = self._records[one.job.id]
            ran = seen if record.told is None else ran_of(self._objects, one.job, record, ())
            own = {task.id: ran[task.id] for task in one.tasks if task.id in ran}
            self._ran |= own
            for some in own.values():
                for each in some:
                    _add_circuits(each.circuits, writer)
                    if each.read is not None:
                        _add_circuits(each.read, writer)

    def _standing(self, one: Wanted) -> Sequence[str]:
        """The executions of a job that stand at its parts, the oldest first."""
        standing = {task.execution_id for task in one.tasks if task.execution_id is not None}
        return sorted(standing & self._executions.keys())

    def _write_snapshots(self, writer: ReceiptWriter) -> None:
        digests = {
            digest for one in self._executions.values() for digest in snapshots_of(one.calibration)
        }
        new = sorted(
            one for one in digests if calibration_member(one, "calibration.json") not in writer
        )
        found = {one.digest: one for one in self._store.first_sightings(new)} if new else {}
        self._lost = set(new) - found.keys()
        for digest in sorted(found):
            raw, normal = self._objects.read([found[digest].raw, found[digest].normal])
            writer.add(calibration_member(digest, "raw.json"), raw)
            writer.add(calibration_member(digest, "metrics.json"), normal)
            about = _calibration(found[digest]).encoded()
            writer.add(calibration_member(digest, "calibration.json"), about)

    # -- what is a job's own ------------------------------------------------------------------
    def _write_result(self, one: Wanted, writer: ReceiptWriter) -> bool:
        """Its result, as far as there is one."""
        places = {task.id: task.result for task in one.tasks if task.result is not None}
        if not places:
            return False
        if not self._results.keys() >= set(places.values()):
            self._results = self._read_ahead(one)
        arrays = {task_id: self._results[place] for task_id, place in places.items()}
        result = _decoded(assemble(one.job, one.tasks, arrays))
        id_ = one.job.id
        writer.add(job_member(id_, "result.json"), encode_line({"format": RESULT_FORMAT, **result}))
        npz = to_npz(result["kind"], result["pubs"])
        writer.add(job_member(id_, "result.npz"), npz, packed=True)
        if _splits_shots(one.tasks):
            lines = [{"task": task, "pubs": _decoded(array)} for task, array in arrays.items()]
            writer.add(job_member(id_, "parts.jsonl"), b"".join(map(encode_line, lines)))
        return True

    def _read_ahead(self, first: Wanted) -> Mapping[Extent, bytes]:
        """The results of a job, and of as many after it as may be held together."""
        places: list[Extent] = []
        for one in self.jobs[self.jobs.index(first) :]:
            own = [task.result for task in one.tasks if task.result is not None]
            if places and sum(place.length for place in (*places, *own)) > _MOST_AHEAD:
                break
            places += own
        return dict(zip(places, self._objects.read(places), strict=True))

    def _entry(self, one: Wanted, has_result: bool) -> JobEntry:
        job, record = one.job, self._records[one.job.id]
        executions = tuple(_execution(self._executions[id_]) for id_ in self._standing(one))
        named = {digest for some in executions for digest in snapshots_of(some.calibration)}
        return JobEntry(
            id=job.id,
            kind=job.kind,
            name=job.name,
            tags=job.tags,
            account=job.account if job.imported is None else job.imported.account,
            resource=job.resource,
            state=job.state,
            priority=job.priority,
            shots=job.shots,
            created_at=job.created_at,
            started_at=job.started_at,
            ended_at=job.ended_at,
            problem=job.problem,
            cancel_requested=job.cancel_requested,
            estimate_s=job.estimate_s,
            requires=None if record.requires is None else to_plain(record.requires),
            chosen=record.chosen,
            **_turn(record),
            options=record.options,
            read=record.read,
            programs=tuple(self._program(one, job.spec.key) for one in record.programs),
            pubs=record.pubs,
            evaluations=record.evaluations,
            parts=tuple(self._part(task) for task in one.tasks),
            executions=executions,
            result=has_result,
            calibrations_lost=tuple(sorted(named & self._lost)),
        )

    def _program(self, program: ProgramRecord, key: str) -> ProgramEntry:
        span = None if _is_native(program) else program.circuits
        return ProgramEntry(
            format=program.format,
            digest=program.digest,
            circuits=None if span is None else self._circuits[span.within(key)],
            footprint=program.footprint,
        )

    def _part(self, task: Task) -> PartEntry:
        return PartEntry(
            id=task.id,
            state=task.state,
            slice=task.slice,
            attempt=task.attempt,
            estimate_s=task.estimate_s,
            solo=task.solo,
            execution_id=task.execution_id,
            result=task.result is not None,
            problem=task.problem,
            cancel_requested=task.cancel_requested,
            queued_at=task.queued_at,
            started_at=task.started_at,
            ended_at=task.ended_at,
            ran=tuple(map(_ran, self._ran[task.id])) if task.id in self._ran else None,
        )


def _events(store: Store, ids: Sequence[str]) -> Mapping[str, Sequence[Event]]:
    """The history of these jobs so far, by job."""
    found: dict[str, list[Event]] = defaultdict(list)
    after = Position()
    while True:
        page = store.events(EventQuery(after=after, job_ids=ids, limit=EVENTS_AT_ONCE))
        for event in page.events:
            found[event.job_id or ""].append(event)
        if len(page.events) < EVENTS_AT_ONCE:
            return found
        after = page.position


def _turn(record: JobRecord) -> dict[str, Any]:
    """What a job came after, also where it was only told of."""
    if record.told is not None:
        told = from_plain(JobEntry, record.told.entry, record.id)
        return {"after": told.after, "on_failure": told.on_failure}
    return {"after": record.after, "on_failure": record.on_failure}


def _is_native(program: ProgramRecord) -> bool:
    """Whether it is no circuits: it runs as it stands, and what was read is what was submitted."""
    return program.footprint is not None and program.footprint.native is not None


def _add_circuits(data: bytes, writer: ReceiptWriter) -> str:
    """Their digest; a member, unless it is there."""
    digest = digest_of(data)
    writer.add(circuits_member(digest), data)
    return digest


def _decoded(result: bytes) -> Any:
    """A result as JSON has it; what is no number there (NaN) is ``null``."""
    return json.loads(result, parse_constant=lambda _: None)


def _splits_shots(tasks: Sequence[Task]) -> bool:
    """Whether parts share pubs, so that what each gave cannot be told from the whole."""
    places = [task.slice.first for task in tasks]
    return len(set(places)) < len(places)


def _execution(execution: Execution) -> ExecutionEntry:
    return ExecutionEntry(
        id=execution.id,
        provider=execution.provider,
        resource=execution.resource,
        state=execution.state,
        created_at=execution.created_at,
        provider_job_id=execution.provider_job_id,
        started_at=execution.started_at,
        ended_at=execution.ended_at,
        usage=execution.usage,
        problem=execution.problem,
        target=execution.target,
        fingerprint=execution.fingerprint,
        adopted=execution.adopted,
        calibration=execution.calibration,
    )


def _ran(one: Ran) -> RanEntry:
    compiled = one.level is not None
    return RanEntry(
        program=one.program,
        circuits=digest_of(one.circuits),
        level=one.level,
        seed=one.seed,
        compiler=f"qiskit {writer_of(one.circuits)}" if compiled else None,
        read=None if one.read is None else digest_of(one.read),
    )


def _calibration(found: Sighting) -> CalibrationEntry:
    return CalibrationEntry(
        digest=found.digest,
        resource=found.resource,
        raw_format=found.format,
        metrics=found.metrics,
        seen_from=found.seen_from,
        calibrated_at=found.calibrated_at,
        vendor_id=found.vendor_id,
    )


def group_events(store: Store, group_id: str) -> list[Event]:
    """The history of a group itself, so far."""
    found: list[Event] = []
    after = Position()
    while True:
        query = EventQuery(after=after, job_ids=(), subject=group_id, limit=EVENTS_AT_ONCE)
        page = store.events(query)
        found += page.events
        if len(page.events) < EVENTS_AT_ONCE:
            return found
        after = page.position


def seen_events(events: Sequence[Event], *, told: bool) -> Sequence[Event]:
    """What was seen where it happened: of what was imported what was told, as it was told."""
    if not told:
        return events
    return [
        replace(event, data={name: one for name, one in event.data.items() if name != TOLD})
        for event in events
        if TOLD in event.data
    ]


def event_entry(event: Event) -> EventEntry:
    """What a receipt says of an event."""
    return EventEntry(
        at=event.at,
        subject=event.subject,
        kind=event.kind,
        before=event.before,
        after=event.after,
        actor=event.actor,
        data=event.data,
    )
