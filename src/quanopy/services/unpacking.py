"""Unpacking: jobs, circuits and programs read back from their packs, many in one call."""

from collections.abc import Callable, Sequence

from quanopy.codecs.packs import Span
from quanopy.codecs.records import JobRecord, ProgramRecord
from quanopy.domain.jobs import Extent
from quanopy.domain.programs import Program
from quanopy.ports.objects import Objects


def load_jobs(objects: Objects, extents: Sequence[Extent]) -> list[JobRecord]:
    """The jobs whose records lie at these extents (``Job.spec``), in the order asked.

    Raises:
        NotFound: a pack, or that part of it, is not there.
        Unavailable: the object store cannot be reached.
    """
    return [JobRecord.model_validate_json(line) for line in objects.read(extents)]


def load_circuits(
    objects: Objects, extents: Sequence[Extent], records: Sequence[JobRecord]
) -> list[tuple[bytes, ...] | None]:
    """Circuits of these jobs as QPY of our own, one entry a program, fetched together.

    ``extents`` are where ``records`` were loaded from. ``None`` for a job whose programs have
    not been read yet: take :func:`load_programs` and have them read. Raises as
    :func:`load_jobs`.
    """
    loaded = _load(objects, extents, records, lambda program: program.circuits)
    return [
        circuits if record.read else None for circuits, record in zip(loaded, records, strict=True)
    ]


def load_programs(
    objects: Objects, extents: Sequence[Extent], records: Sequence[JobRecord]
) -> list[tuple[Program, ...]]:
    """Programs of these jobs as they were submitted; arguments and errors as above."""
    loaded = _load(objects, extents, records, lambda program: program.data)
    return [
        tuple(
            Program(format=program.format, data=data)
            for program, data in zip(record.programs, datas, strict=True)
        )
        for datas, record in zip(loaded, records, strict=True)
    ]


def _load(
    objects: Objects,
    extents: Sequence[Extent],
    records: Sequence[JobRecord],
    part: Callable[[ProgramRecord], Span | None],
) -> list[tuple[bytes, ...]]:
    """One part of every program of every job, each read once however many share it."""
    wanted = [
        tuple(span.within(extent.key) for program in record.programs if (span := part(program)))
        for extent, record in zip(extents, records, strict=True)
    ]
    unique = list(dict.fromkeys(extent for of_job in wanted for extent in of_job))
    found = dict(zip(unique, objects.read(unique), strict=True))
    return [tuple(found[extent] for extent in of_job) for of_job in wanted]
