"""What really ran: programs as they were compiled, kept with their executions and read back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    name = digest_of(qpy).removeprefix("sha256:")
    return builder.add(f"circuits/{name}.qpy", qpy)


def load_ran(objects: Objects, record: Extent) -> Mapping[str, Sequence[Ran]]:
    """What an execution (``Execution.record``) ran of its tasks' programs, by task id; a task or
    program left out ran as it was read.

    Raises:
        NotFound: its record, or a program that it names, is not there or damaged.
        Unavailable: the object store cannot be reached.
    """
    places = [
        (task.id, one, one.data.within(one.key or record.key))
        for task in _tasks_in(objects, record)
        for one in task.ran or ()
    ]
    distinct = list(dict.fromkeys(place for _, _, place in places))
    data = dict(zip(distinct, objects.read(distinct) if distinct else (), strict=True))
    found: dict[str, list[Ran]] = {}
    for task_id, one, place in places:
        found.setdefault(task_id, []).append(
            Ran(
                program=one.program,
                circuits=data[place],
                level=one.level,
                seed=one.seed,
                kept=one.key,
            )
        )
    return found


def _tasks_in(objects: Objects, record: Extent) -> Sequence[TaskRanRecord]:
    (line,) = objects.read([record])
    try:
        return ExecutionRanRecord.model_validate_json(line).tasks
    except ValueError:
        raise NotFound(
            f"the record in {record.key} is damaged", hint="`quanopy store verify` says more."
        ) from None


def read_late(
    objects: Objects, tasks: Sequence[Task], executions: Sequence[Execution]
) -> Mapping[int, bytes]:
    """The circuits of a job's programs, by program, as they were read only when its tasks were
    dispatched: so far as an execution tells of it. Raises as :func:`load_ran`."""
    ids = {task.id for task in tasks}
    places = {
        one.program: place
        for execution in executions
        if execution.record is not None
        for task in _tasks_in(objects, execution.record)
        if task.id in ids
        for one in task.ran or ()
        if (place := _as_read(one, execution.record)) is not None
    }
    found = objects.read(list(places.values())) if places else ()
    return dict(zip(places, found, strict=True))


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
    found: dict[Extent, Mapping[str, Sequence[Ran]]] = {}
    as_run: list[AsRun] = []
    for index, task, execution in parts:
        if execution.record is None:
            raise NotFound(f"{execution.id} ran before what ran was kept")
        if execution.record not in found:
            found[execution.record] = load_ran(objects, execution.record)
        ran = {one.program: one for one in found[execution.record].get(task.id, ())}
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
