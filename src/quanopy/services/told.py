"""Jobs that receipts tell of, in the archive and back: as they were, whatever made them so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from quanopy.codecs.lines import line_spans, result_lines
from quanopy.codecs.members import circuits_member
from quanopy.codecs.packs import PENDING, PackBuilder, Span
from quanopy.codecs.plain import from_plain, to_plain
from quanopy.codecs.receipt_files import json_object
from quanopy.codecs.receipt_records import (
    EventEntry,
    ExecutionEntry,
    GroupEntry,
    JobEntry,
    PartEntry,
)
from quanopy.codecs.receipts import GROUP_EVENTS
from quanopy.codecs.records import (
    EVENTS,
    JOBS,
    RESULTS,
    TOLD_GROUPS,
    JobRecord,
    RanRecord,
    TaskRecord,
    ToldGroupRecord,
    ToldRecord,
    requirements_of,
)
from quanopy.domain.events import Event, Position
from quanopy.domain.groups import Group
from quanopy.domain.imports import Imported
from quanopy.domain.jobs import Execution, Extent, Job, JobSpec, Reading, Task
from quanopy.domain.programs import Footprint, Program
from quanopy.ports.archive import Told, ToldGroup
from quanopy.ports.objects import Objects
from quanopy.services.recording import Accepted, job_record


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """A job of a receipt, whole and found to be sound."""

    entry: JobEntry
    programs: Sequence[bytes]
    """As they were submitted."""
    circuits: Mapping[str, bytes]
    """By digest, those that the entry names."""
    results: Mapping[str, bytes]
    """By part, the JSON array of what it gave."""
    events: Sequence[EventEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class TellingGroup:
    """The group of a receipt, whole and found to be sound."""

    entry: GroupEntry
    positions: Mapping[str, int]
    """Of its jobs, by id."""
    events: Sequence[EventEntry]

    def told(self, account: str, imported: Imported) -> ToldGroup:
        """As the catalogue of an account should hold it."""
        return ToldGroup(
            group=told_group(self.entry, account),
            imported=imported,
            positions=self.positions,
            events=[told_event(event) for event in self.events],
        )


def pack_told(
    told: Sequence[Telling], imported: Imported, account: str
) -> tuple[str, bytes, list[tuple[JobRecord, Extent]]]:
    """Pack jobs as they are told of, for an account: the pack's key, its bytes, and of each job
    its record and where that lies."""
    builder = PackBuilder(imported.imported_at)
    text, results = result_lines([pair for one in told for pair in one.results.items()])
    place = builder.add(RESULTS, text)
    results = {task: Span(place.offset + s.offset, s.length) for task, s in results.items()}
    histories = [b"".join(event.line() for event in one.events) for one in told]
    events = line_spans(builder.add(EVENTS, b"".join(histories)), histories)
    records = [
        _record(one, account, builder).model_copy(
            update={
                "told": ToldRecord(
                    imported=replace(imported, account=one.entry.account),
                    entry=to_plain(one.entry),
                    results={part: results[part] for part in one.results},
                    ran=_ran(one, builder),
                    events=span,
                )
            }
        )
        for one, span in zip(told, events, strict=True)
    ]
    lines = [record.line() for record in records]
    spans = line_spans(builder.add(JOBS, b"".join(lines)), lines)
    key, data = builder.close(PENDING)
    return key, data, [(r, s.within(key)) for r, s in zip(records, spans, strict=True)]


def pack_told_group(group: TellingGroup, imported: Imported, account: str) -> tuple[str, bytes]:
    """Pack a group as it is told of, for an account: the pack's key and its bytes."""
    builder = PackBuilder(imported.imported_at)
    record = ToldGroupRecord(
        id=group.entry.id,
        account=account,
        imported=imported,
        entry=to_plain(group.entry),
        positions=dict(group.positions),
        events=builder.add(GROUP_EVENTS, b"".join(event.line() for event in group.events)),
    )
    builder.add(TOLD_GROUPS, record.line())
    return builder.close(PENDING)


def _record(one: Telling, account: str, builder: PackBuilder) -> JobRecord:
    entry = one.entry
    programs = [
        Program(format=program.format, data=data)
        for program, data in zip(entry.programs, one.programs, strict=True)
    ]
    accepted = Accepted(
        id=entry.id,
        account=account,
        created_at=entry.created_at,
        spec=JobSpec(
            kind=entry.kind,
            resource=entry.resource,
            programs=programs,
            pubs=entry.pubs,
            options=entry.options,
            name=entry.name,
            tags=entry.tags,
            priority=entry.priority,
        ),
        tasks=[
            TaskRecord(id=part.id, slice=part.slice, estimate_s=part.estimate_s, solo=part.solo)
            for part in entry.parts
        ],
        reading=_reading(one, programs) if entry.read else None,
        shots=entry.shots,
        requires=None if entry.requires is None else requirements_of(entry.requires),
        chosen=entry.chosen,
    )
    return job_record(accepted, builder)


def _reading(one: Telling, programs: Sequence[Program]) -> Reading:
    entry = one.entry
    return Reading(
        kind=entry.kind,
        circuits=tuple(
            program.data if told.circuits is None else one.circuits[told.circuits]
            for told, program in zip(entry.programs, programs, strict=True)
        ),
        footprints=tuple(_footprint(told.footprint) for told in entry.programs),
        pubs=entry.pubs or (),
        evaluations=entry.evaluations,
    )


def _footprint(told: Footprint | None) -> Footprint:
    if told is None:
        raise ValueError("a program that was read has no footprint")
    return told


def _ran(one: Telling, builder: PackBuilder) -> dict[str, tuple[RanRecord, ...]]:
    return {
        part.id: tuple(
            RanRecord(
                program=ran.program,
                data=_circuits(one, ran.circuits, builder),
                level=ran.level,
                seed=ran.seed,
                read=None if ran.read is None else _circuits(one, ran.read, builder),
            )
            for ran in part.ran
        )
        for part in one.entry.parts
        if part.ran is not None
    }


def _circuits(one: Telling, digest: str, builder: PackBuilder) -> Span:
    return builder.add(circuits_member(digest), one.circuits[digest])


def load_told(objects: Objects, places: Sequence[tuple[JobRecord, Extent]]) -> list[Told]:
    """The jobs of records that tell of some (``JobRecord.told``), as the catalogue should hold
    them. Raises as :meth:`Objects.read` does."""
    spans = [
        record.told.events.within(spec.key)
        for record, spec in places
        if record.told is not None and record.told.events is not None
    ]
    found = dict(zip(spans, objects.read(spans) if spans else (), strict=True))
    return [
        _told(record, record.told, spec, found)
        for record, spec in places
        if record.told is not None
    ]


def load_told_group(objects: Objects, record: ToldGroupRecord, pack: str) -> ToldGroup:
    """The group that a record of a pack tells of, as the catalogue should hold it. Raises as
    :meth:`Objects.read` does."""
    (history,) = objects.read([record.events.within(pack)])
    return ToldGroup(
        group=told_group(from_plain(GroupEntry, record.entry, record.id), record.account),
        imported=record.imported,
        positions=record.positions,
        events=[_event(line, record.id) for line in history.splitlines()],
    )


def placed(one: Told, group: ToldGroup | None) -> Told:
    """A job in its place in the group."""
    if group is None:
        return one
    position = group.positions[one.job.id]
    return replace(one, job=replace(one.job, group_id=group.group.id, position=position))


def _told(record: JobRecord, told: ToldRecord, spec: Extent, found: Mapping[Extent, bytes]) -> Told:
    entry = from_plain(JobEntry, told.entry, record.id)
    history = b"" if told.events is None else found[told.events.within(spec.key)]
    return Told(
        job=_job(entry, record.account, told.imported, spec),
        tasks=[_task(part, entry, record.account, told, spec) for part in entry.parts],
        executions=[_execution(one, entry, record.account) for one in entry.executions],
        events=[_event(line, record.id) for line in history.splitlines()],
    )


def _job(entry: JobEntry, account: str, imported: Imported, spec: Extent) -> Job:
    return Job(
        id=entry.id,
        account=account,
        kind=entry.kind,
        resource=entry.resource,
        state=entry.state,
        name=entry.name,
        tags=entry.tags,
        priority=entry.priority,
        pubs=None if entry.pubs is None or not entry.read else len(entry.pubs),
        shots=entry.shots,
        tasks=len(entry.parts),
        spec=spec,
        created_at=entry.created_at,
        started_at=entry.started_at,
        ended_at=entry.ended_at,
        problem=entry.problem,
        cancel_requested=entry.cancel_requested,
        estimate_s=entry.estimate_s,
        imported=imported,
    )


def _task(part: PartEntry, entry: JobEntry, account: str, told: ToldRecord, spec: Extent) -> Task:
    result = told.results.get(part.id)
    return Task(
        id=part.id,
        job_id=entry.id,
        account=account,
        resource=entry.resource,
        state=part.state,
        slice=part.slice,
        priority=entry.priority,
        estimate_s=part.estimate_s,
        attempt=part.attempt,
        solo=part.solo,
        spec=spec,
        ready_at=None,
        execution_id=part.execution_id,
        result=None if result is None else result.within(spec.key),
        problem=part.problem,
        cancel_requested=part.cancel_requested,
        queued_at=part.queued_at,
        started_at=part.started_at,
        ended_at=part.ended_at,
    )


def _execution(one: ExecutionEntry, entry: JobEntry, account: str) -> Execution:
    return Execution(
        id=one.id,
        resource=one.resource,
        provider=one.provider,
        account=account,
        state=one.state,
        tasks=tuple(part.id for part in entry.parts if part.execution_id == one.id),
        created_at=one.created_at,
        provider_job_id=one.provider_job_id,
        started_at=one.started_at,
        ended_at=one.ended_at,
        usage=one.usage,
        problem=one.problem,
        calibration=one.calibration,
        target=one.target,
        fingerprint=one.fingerprint,
        adopted=one.adopted,
    )


def _event(line: bytes, job_id: str) -> Event:
    return told_event(from_plain(EventEntry, json_object(line, job_id), job_id))


def told_event(entry: EventEntry) -> Event:
    """An event, whose position is another broker's."""
    return Event(
        position=Position(),
        at=entry.at,
        subject=entry.subject,
        kind=entry.kind,
        before=entry.before,
        after=entry.after,
        actor=entry.actor,
        data=entry.data,
    )


def told_group(entry: GroupEntry, account: str) -> Group:
    """A group as it ended, for an account."""
    return Group(
        id=entry.id,
        account=account,
        name=entry.name,
        state=entry.state,
        policy=entry.policy,
        created_at=entry.created_at,
        resource=entry.resource,
        reason=entry.reason,
        size=entry.size,
        started_at=entry.started_at,
        ended_at=entry.ended_at,
        usage=entry.usage,
        failures=entry.failures,
    )


def as_imported(manifest: Mapping[str, object], digest: str, by: str, at: datetime) -> Imported:
    """Where all jobs of a receipt come from; whose each was there its entry says."""
    made = manifest["made"]
    made = made if isinstance(made, dict) else {}
    told = from_plain(_Made, made, "manifest.json.made")
    return Imported(
        receipt=digest,
        broker=told.broker,
        account=told.account,
        exported_at=told.at,
        imported_at=at,
        by=by,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    at: datetime
    broker: str = ""
    account: str = ""
