"""Preparing: from claimed tasks to works that a provider can run, many at once."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from quanopy.codecs.records import JobRecord
from quanopy.domain.errors import NotFound, QuanopyError, ResourceMismatch, TaskFailed, Transient
from quanopy.domain.jobs import Extent, JobKind, JobSpec, Pub, Reading, Task
from quanopy.domain.programs import Footprint
from quanopy.domain.resources import Resource, Target
from quanopy.ports.objects import Objects
from quanopy.ports.programs import Compilation, Compiled, Compiler, Reader
from quanopy.ports.providers import Provider, Work
from quanopy.services.matching import settle
from quanopy.services.ran import Ran, load_ran
from quanopy.services.splitting import split
from quanopy.services.unpacking import load_circuits, load_jobs, load_programs

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A work that can be run, and how it differs from what was submitted."""

    work: Work
    ran: tuple[Ran, ...] = ()
    """Its programs that do not run as they were read at submission."""
    target: str | None = None
    """Digest of what they were compiled for."""


Prepared = Ready | QuanopyError
"""A work, or why its task fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """A job as far as running it needs."""

    record: JobRecord
    kind: JobKind
    circuits: tuple[bytes, ...]
    footprints: tuple[Footprint, ...]
    pubs: tuple[Pub, ...]


def checked(provider: Provider, prepared: Sequence[Prepared]) -> list[Prepared]:
    """Works that their provider does not refuse; before anything is sent, and each for itself."""
    return [_checked(provider, one) for one in prepared]


def _checked(provider: Provider, one: Prepared) -> Prepared:
    try:
        if isinstance(one, Ready):
            provider.check(one.work)
    except QuanopyError as error:
        return error
    except Exception as error:
        # A provider is a plugin: what it breaks is this task, not those claimed with it.
        log.exception("provider %s broke", provider.name)
        return TaskFailed(f"the provider broke: {type(error).__name__}: {error}"[:400])
    return one


class Preparing:
    """Loads, reads and compiles what tasks need; every failure stays with its own task."""

    def __init__(
        self,
        *,
        objects: Objects,
        reader: Reader,
        compiler: Compiler,
        deadline_s: float = 120.0,
        snapshot: Callable[[str], Extent] | None = None,
    ) -> None:
        """``deadline_s`` bounds the reading of programs that submission left unread. ``snapshot``
        tells where the numbers of one lie, by its digest; it raises ``NotFound``."""
        self._objects = objects
        self._reader = reader
        self._compiler = compiler
        self._deadline_s = deadline_s
        self._snapshot = snapshot

    def prepare(
        self, tasks: Sequence[Task], resource: Resource, target: Callable[[], Target]
    ) -> list[Prepared]:
        """Works of these tasks, in order. ``target`` is asked only if something is compiled.

        Raises:
            Unavailable: the object store cannot be reached.
        """
        jobs = self._load(list(dict.fromkeys(task.spec for task in tasks)), resource)
        works = [self._noisy(_ready(task, jobs[task.spec])) for task in tasks]
        return self._compile(works, [jobs[task.spec] for task in tasks], resource, cache(target))

    def recall(self, tasks: Sequence[Task], resource: Resource, record: Extent) -> list[Work]:
        """The works of an execution as they were sent, which its ``record`` tells: nothing is
        compiled again, for the target may have changed since.

        Raises:
            NotFound: what was sent is not in the archive any more.
            Unavailable: the object store cannot be reached.
        """
        ran = load_ran(self._objects, record)
        jobs = self._load(list(dict.fromkeys(task.spec for task in tasks)), resource)
        return [_recalled(_ready(task, jobs[task.spec]), ran.get(task.id, ())) for task in tasks]

    def _noisy(self, ready: Prepared) -> Prepared:
        """The work with the noise that it is to be emulated with."""
        if isinstance(ready, QuanopyError) or ready.work.options.noise is None:
            return ready
        try:
            if self._snapshot is None:
                raise NotFound("no calibrations are kept here", where="options.noise")
            (numbers,) = self._objects.read([self._snapshot(ready.work.options.noise)])
        except NotFound as error:
            return error
        return replace(ready, work=replace(ready.work, noise=numbers))

    def _load(
        self, extents: Sequence[Extent], resource: Resource
    ) -> dict[Extent, _Loaded | QuanopyError]:
        try:
            return self._load_together(extents, resource)
        except (NotFound, ValueError) as error:
            if len(extents) == 1:
                return {extents[0]: _lost(error)}
        # One lost or damaged pack must not fail the jobs whose packs are there.
        found: dict[Extent, _Loaded | QuanopyError] = {}
        for extent in extents:
            found |= self._load([extent], resource)
        return found

    def _load_together(
        self, extents: Sequence[Extent], resource: Resource
    ) -> dict[Extent, _Loaded | QuanopyError]:
        records = load_jobs(self._objects, extents)
        circuits = load_circuits(self._objects, extents, records)
        unread = [i for i, found in enumerate(circuits) if found is None]
        unread = [i for i in unread if records[i].programs]
        late = iter(self._read([extents[i] for i in unread], [records[i] for i in unread]))
        return {
            extent: _as_stored(record, found)
            if found is not None
            else _as_read(record, next(late), resource)
            if record.programs
            else _without_program(record)
            for extent, record, found in zip(extents, records, circuits, strict=True)
        }

    def _read(
        self, extents: Sequence[Extent], records: Sequence[JobRecord]
    ) -> list[Reading | QuanopyError | None]:
        if not extents:
            return []
        programs = load_programs(self._objects, extents, records)
        specs = [
            JobSpec(
                kind=record.kind,
                resource=record.resource,
                programs=of_job,
                pubs=record.pubs,
                options=record.options,
            )
            for record, of_job in zip(records, programs, strict=True)
        ]
        return self._reader.read(specs, deadline_s=self._deadline_s)

    def _compile(
        self,
        works: Sequence[Prepared],
        jobs: Sequence[_Loaded | QuanopyError],
        resource: Resource,
        target: Callable[[], Target],
    ) -> list[Prepared]:
        """The works with what does not fit the target compiled, each distinct program once."""
        wanted: dict[tuple[int, int], Compilation] = {}
        for index, (ready, job) in enumerate(zip(works, jobs, strict=True)):
            if isinstance(ready, QuanopyError) or isinstance(job, QuanopyError):
                continue
            for program in _to_compile(ready.work, job, resource):
                wanted[index, program] = _compilation(ready.work, program, resource, target)
        if not wanted:
            return list(works)
        answers = self._compiler.compile(list(wanted.values()))
        compiled = list(works)
        for ((index, program), asked), answer in zip(wanted.items(), answers, strict=True):
            compiled[index] = _with_compiled(compiled[index], program, asked, answer)
        return compiled


def _lost(error: NotFound | ValueError) -> QuanopyError:
    if isinstance(error, NotFound):
        return error
    log.error("a job's record cannot be read", exc_info=error)
    return NotFound("the job's record is damaged", hint="`quanopy store verify` shows the pack.")


def _with_compiled(
    ready: Prepared, program: int, asked: Compilation, answer: Compiled | QuanopyError
) -> Prepared:
    if isinstance(ready, QuanopyError):
        return ready
    if isinstance(answer, QuanopyError):
        answer.where = answer.where or f"programs[{program}]"
        return answer
    ready = replace(ready, target=asked.target.digest)
    if not answer.changed:
        return ready
    late = next((one.circuits for one in ready.ran if one.program == program), None)
    ran = Ran(
        program=program,
        circuits=answer.circuits,
        level=asked.level,
        seed=asked.seed,
        kept=answer.kept,
        read=late,
    )
    others = tuple(one for one in ready.ran if one.program != program)
    return replace(ready, work=_with(ready.work, [ran]), ran=(*others, ran))


def _recalled(ready: Prepared, ran: Sequence[Ran]) -> Work:
    if isinstance(ready, QuanopyError):
        raise ready
    used = {pub.program for pub in ready.work.pubs}
    return _with(ready.work, [one for one in ran if one.program in used])


def _with(work: Work, ran: Sequence[Ran]) -> Work:
    """The work with these programs in place of what was read."""
    circuits = list(work.circuits)
    for one in ran:
        if one.program >= len(circuits):
            raise NotFound(f"what ran of {work.task_id} is not of its job")
        circuits[one.program] = one.circuits
    return replace(work, circuits=circuits)


def _without_program(record: JobRecord) -> QuanopyError:
    return ResourceMismatch(
        f"{record.id} was made elsewhere and adopted; its program is not known",
        hint="Submit the program as a job of its own.",
    )


def _as_stored(record: JobRecord, circuits: tuple[bytes, ...]) -> _Loaded | QuanopyError:
    footprints = tuple(p.footprint for p in record.programs if p.footprint is not None)
    if len(footprints) != len(circuits) or record.pubs is None:
        return NotFound(f"the record of {record.id} is not whole")
    return _Loaded(
        record=record,
        kind=record.kind,
        circuits=circuits,
        footprints=footprints,
        pubs=record.pubs,
    )


def _as_read(
    record: JobRecord, reading: Reading | QuanopyError | None, resource: Resource
) -> _Loaded | QuanopyError:
    """A job whose programs were left unread at submission, checked as submission would have."""
    if reading is None:
        return Transient("the programs could not be read in time")
    if isinstance(reading, QuanopyError):
        return reading
    spec = JobSpec(kind=record.kind, resource=record.resource, programs=(), options=record.options)
    try:
        pubs = settle(spec, reading, resource)
        parts = split(pubs, reading, resource.capabilities)
    except QuanopyError as error:
        return error
    if len(parts) > 1:
        return ResourceMismatch(
            f"{record.id} would need {len(parts)} tasks, and took too long to read to be split",
            hint="Submit it as several smaller jobs.",
        )
    return _Loaded(
        record=record,
        kind=reading.kind,
        circuits=reading.circuits,
        footprints=reading.footprints,
        pubs=pubs,
    )


def _ready(task: Task, job: _Loaded | QuanopyError) -> Prepared:
    if isinstance(job, QuanopyError):
        return job
    work = _work(task, job)
    if job.record.read or work.native is not None:
        return Ready(work=work)
    # The archive has no circuits of a job that was read late.
    late = [
        Ran(program=index, circuits=circuits, level=None)
        for index, circuits in enumerate(job.circuits)
    ]
    return Ready(work=work, ran=tuple(late))


def _work(task: Task, job: _Loaded) -> Work:
    part = task.slice
    pubs = job.pubs[part.first : part.first + part.count] if job.record.read else job.pubs
    if part.shots:
        pubs = tuple(replace(pub, shots=part.shots) for pub in pubs)
    used = {pub.program for pub in pubs}
    return Work(
        task_id=task.id,
        resource=task.resource,
        kind=job.kind,
        circuits=[qpy if i in used else b"" for i, qpy in enumerate(job.circuits)],
        pubs=pubs,
        options=job.record.options,
        native=job.footprints[0].native,
        first_pub=part.first,
        shots_from=part.shots_from,
        estimate_s=task.estimate_s,
    )


def _to_compile(work: Work, job: _Loaded, resource: Resource) -> list[int]:
    """Programs of the work that do not simply run as they stand."""
    if work.native is not None:
        return []
    gates = resource.capabilities.gates
    return [
        index
        for index in sorted({pub.program for pub in work.pubs})
        if gates is None
        or work.options.optimization_level is not None
        or not set(job.footprints[index].gates) <= {*gates, "measure", "barrier"}
    ]


def _compilation(
    work: Work, program: int, resource: Resource, target: Callable[[], Target]
) -> Compilation:
    level = work.options.optimization_level
    return Compilation(
        circuits=work.circuits[program],
        target=target(),
        level=resource.capabilities.default_level if level is None else level,
        options=work.options,
    )
