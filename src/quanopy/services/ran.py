"""What really ran: programs as they were compiled, kept with their executions and read back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from quanopy.codecs.members import circuits_member
from quanopy.codecs.packs import PackBuilder, Span
from quanopy.codecs.records import (
    ExecutionRanRecord,
    JobRecord,
    ProgramRecord,
    RanRecord,
    TaskRanRecord,
)
from quanopy.domain.errors import NotFound, NotReady
from quanopy.domain.jobs import Execution, Extent, Job, Task
from quanopy.domain.programs import digest_of
from quanopy.ports.objects import Objects
from quanopy.services.unpacking import load_circuits, load_jobs, load_programs


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a task runs of one of its job's programs, where that is not what was read from it."""

    program: int
    circuits: bytes
    """QPY of our own, with layouts."""
    level: int | None
    """The optimisation level it was compiled at; ``None``: it was read late, and not compiled."""
    seed: int | None = None
    kept: str | None = None
    """The object that holds these bytes already."""
    read: bytes | None = None
    """Of one that was read late and compiled: its QPY as it was read."""


def keep(ran: Sequence[Ran], builder: PackBuilder) -> tuple[RanRecord, ...] | None:
    """The records of these; what no object holds yet becomes a member of the pack."""
    return tuple(_kept(one, builder) for one in ran) or None


def _kept(ran: Ran, builder: PackBuilder) -> RanRecord:
    return RanRecord(
        program=ran.program,
        data=_member(ran.circuits, builder) if ran.kept is None else Span(0, len(ran.circuits)),
        key=ran.kept,
        level=ran.level,
        seed=ran.seed,
        read=None if ran.read is None else _member(ran.read, builder),
    )


def _member(qpy: bytes, builder: PackBuilder) -> Span:
    return builder.add(circuits_member(digest_of(qpy)), qpy)


def load_ran(objects: Objects, record: Extent) -> Mapping[str, Sequence[Ran]]:
    """What an execution (``Execution.record``) ran of its tasks' programs, by task id; a task or
    program left out ran as it was read.

    Raises:
        NotFound: its record, or a program that it names, is not there or damaged.
        Unavailable: the object store cannot be reached.
    """
    return _loaded(objects, {one.id: one.ran or () for one in _tasks_in(objects, record)}, record)


def _loaded(
    objects: Objects, ran: Mapping[str, Sequence[RanRecord]], record: Extent
) -> Mapping[str, Sequence[Ran]]:
    """These, which are told of there, with their bytes."""
    places = [place for some in ran.values() for one in some for place in _places(one, record)]
    distinct = list(dict.fromkeys(places))
    data = dict(zip(distinct, objects.read(distinct) if distinct else (), strict=True))
    return {
        task_id: [
            Ran(
                program=one.program,
                circuits=data[_places(one, record)[0]],
                level=one.level,
                seed=one.seed,
                kept=one.key,
                read=None if one.read is None else data[one.read.within(record.key)],
            )
            for one in some
        ]
        for task_id, some in ran.items()
    }


def _places(ran: RanRecord, record: Extent) -> Sequence[Extent]:
    data = ran.data.within(ran.key or record.key)
    return (data,) if ran.read is None else (data, ran.read.within(record.key))


def _tasks_in(objects: Objects, record: Extent) -> Sequence[TaskRanRecord]:
    (line,) = objects.read([record])
    try:
        return ExecutionRanRecord.model_validate_json(line).tasks
    except ValueError:
        raise NotFound(
            f"the record in {record.key} is damaged", hint="`quanopy store verify` says more."
        ) from None


def ran_of(
    objects: Objects, job: Job, record: JobRecord, executions: Sequence[Execution]
) -> Mapping[str, Sequence[Ran]]:
    """What the tasks of a job ran that is not what was read, by their ids, as its executions tell,
    or its receipt does where it was imported; one that ran before that was kept is left out.
    Raises as :func:`load_ran`."""
    if record.told is not None:
        return _loaded(objects, record.told.ran, job.spec)
    found: dict[str, Sequence[Ran]] = {}
    for place in dict.fromkeys(one.record for one in executions if one.record is not None):
        found |= load_ran(objects, place)
    return found


def read_late(
    objects: Objects, job: Job, tasks: Sequence[Task], executions: Sequence[Execution]
) -> Mapping[int, bytes]:
    """The circuits of a job's programs, by program, as they were read only when its tasks were
    dispatched: so far as is told of it. Raises as :func:`load_ran`."""
    (record,) = load_jobs(objects, [job.spec])
    ids = {task.id for task in tasks}
    places = {
        one.program: place
        for task_id, some, told_at in _told_ran(objects, job, record, executions)
        if task_id in ids
        for one in some
        if (place := _as_read(one, told_at)) is not None
    }
    found = objects.read(list(places.values())) if places else ()
    return dict(zip(places, found, strict=True))


def _told_ran(
    objects: Objects, job: Job, record: JobRecord, executions: Sequence[Execution]
) -> Iterator[tuple[str, Sequence[RanRecord], Extent]]:
    """By task, what it ran, and where that is told."""
    if record.told is not None:
        yield from ((task_id, some, job.spec) for task_id, some in record.told.ran.items())
        return
    for place in (one.record for one in executions if one.record is not None):
        yield from ((task.id, task.ran or (), place) for task in _tasks_in(objects, place))


def _as_read(ran: RanRecord, record: Extent) -> Extent | None:
    if ran.read is not None:
        return ran.read.within(record.key)
    # What is not compiled is kept only of what was read late.
    return ran.data.within(ran.key or record.key) if ran.level is None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AsRun:
    """A program as a part of its job ran it."""

    program: int
    part: int
    """Index of the part among the job's."""
    execution: Execution
    data: bytes
    """QPY, or a native program as it was submitted."""
    native: str | None = None
    ran: Ran | None = None
    """``None``: as it was read, or submitted."""


def all_as_run(
    objects: Objects, job: Job, tasks: Sequence[Task], executions: Sequence[Execution]
) -> tuple[JobRecord, list[AsRun]]:
    """What was submitted, and what the parts of a job (its tasks in order) ran of it.

    Raises:
        NotReady: nothing of it has run yet.
        NotFound: it ran before that was kept, or the archive has lost it.
        Unavailable: the object store cannot be reached.
    """
    by_id = {execution.id: execution for execution in executions}
    parts = [(i, t, by_id[t.execution_id]) for i, t in enumerate(tasks) if t.execution_id in by_id]
    if not parts:
        raise NotReady(f"nothing of {job.id} has run yet", hint="Ask again when it has.")
    (record,) = load_jobs(objects, [job.spec])
    (read,) = load_circuits(objects, [job.spec], [record])
    if read is None:
        (programs,) = load_programs(objects, [job.spec], [record])
        read = tuple(program.data for program in programs)
    found = ran_of(objects, job, record, [execution for _, _, execution in parts])
    as_run: list[AsRun] = []
    for index, task, execution in parts:
        if task.id not in found and (record.told is not None or execution.record is None):
            raise NotFound(f"{execution.id} ran before what ran was kept")
        ran = {one.program: one for one in found.get(task.id, ())}
        as_run += [
            AsRun(
                program=program,
                part=index,
                execution=execution,
                data=ran[program].circuits if program in ran else read[program],
                native=_native(record.programs[program], ran.get(program)),
                ran=ran.get(program),
            )
            for program in _used(record, task)
        ]
    return record, as_run


def _used(record: JobRecord, task: Task) -> Sequence[int]:
    """The programs that a task's pubs are of."""
    if record.pubs is None:
        return range(len(record.programs))
    part = task.slice
    pubs = record.pubs[part.first : part.first + part.count] if record.read else record.pubs
    return sorted({pub.program for pub in pubs})


def _native(program: ProgramRecord, ran: Ran | None) -> str | None:
    """The format of a program that is no circuits; of those that were read late, only circuits
    are kept as they ran."""
    if program.footprint is not None:
        return program.footprint.native
    return program.format if ran is None else None
