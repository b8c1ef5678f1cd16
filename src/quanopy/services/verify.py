"""Verify: does the archive still hold, bit by bit, what was put there?"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from quanopy.codecs.calibrations import decode_metrics
from quanopy.codecs.packs import CALIBRATIONS, COMPILED, COMPLETED, PENDING, Member, Span
from quanopy.codecs.records import (
    CALIBRATION,
    ENDINGS,
    EXECUTIONS,
    GROUPS,
    JOBS,
    REQUESTS,
    RESULTS,
    TOLD_GROUPS,
    CalibrationRecord,
    EndRecord,
    ExecutionRecord,
    GroupRecord,
    JobRecord,
    ProgramRecord,
    Record,
    RequestRecord,
    ToldGroupRecord,
)
from quanopy.domain.errors import Invalid
from quanopy.domain.programs import digest_of
from quanopy.ports.objects import Objects
from quanopy.services.archive_packs import Damage, Pack, contents, packs

_COMPILED_KEY = re.compile(rf"{COMPILED}/([0-9a-f]{{2}})/\1[0-9a-f]{{62}}\.qpy")
_QPY = b"QISKIT"

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was looked at, and every object that is damaged."""

    packs: int
    bytes: int
    damaged: tuple[Damage, ...]


def verify(objects: Objects, on_progress: Callable[[int, int], None] | None = None) -> Verified:
    """Read the whole archive and check it.

    Each pack's digest must be its key's, each program's and circuit's its member's name, each
    record must parse, and each span it names must lie inside and hold what it says. Of compiled
    programs only name and form are checked. Reads from the store, never from memory; a few packs
    are held at a time. ``on_progress`` is told (packs, bytes) so far.

    Raises:
        Unavailable: the object store went away meanwhile.
    """
    count = size = 0
    damaged: list[Damage] = []
    for pack in packs(objects, PENDING, COMPLETED, CALIBRATIONS):
        count += 1
        if isinstance(pack, Damage):
            damaged.append(pack)
        else:
            size += pack.info.size
            damaged += [Damage(key=pack.key, problem=problem) for problem in _problems(pack)]
        if on_progress:
            on_progress(count, size)
    damaged += _damaged_cache(objects)
    return Verified(packs=count, bytes=size, damaged=tuple(damaged))


def _damaged_cache(objects: Objects) -> Iterator[Damage]:
    for info, data in contents(objects, objects.list(COMPILED)):
        if not _COMPILED_KEY.fullmatch(info.key):
            yield Damage(key=info.key, problem="has a name that no compiled program has")
        elif data is not None and not data.startswith(_QPY):
            yield Damage(key=info.key, problem="is no QPY; restore it from a copy")


def _problems(pack: Pack) -> Iterator[str]:
    """Everything that is wrong inside a pack."""
    by_name = {member.name: member for member in pack.members}
    places = {member.span: member for member in pack.members}
    for member in pack.members:
        yield from _wrong_name(member)
    for job in _records(by_name, JOBS, JobRecord):
        if isinstance(job, str):
            yield job
        else:
            for program in job.programs:
                yield from _wrong_program(job, program, places)
            for task_id, span in job.told.results.items() if job.told else ():
                yield from _wrong_result(task_id, span, by_name.get(RESULTS))
    for execution in _records(by_name, EXECUTIONS, ExecutionRecord):
        if isinstance(execution, str):
            yield execution
    for request in _records(by_name, REQUESTS, RequestRecord):
        if isinstance(request, str):
            yield request
    for group in _records(by_name, GROUPS, GroupRecord):
        if isinstance(group, str):
            yield group
    for told in _records(by_name, TOLD_GROUPS, ToldGroupRecord):
        if isinstance(told, str):
            yield told
    for end in _records(by_name, ENDINGS, EndRecord):
        if isinstance(end, str):
            yield end
        else:
            for task in end.tasks:
                if task.result is not None:
                    yield from _wrong_result(task.id, task.result, by_name.get(RESULTS))
    for snapshot in _records(by_name, CALIBRATION, CalibrationRecord):
        if isinstance(snapshot, str):
            yield snapshot
        else:
            yield from _wrong_snapshot(snapshot, places)


def _wrong_snapshot(snapshot: CalibrationRecord, places: Mapping[Span, Member]) -> Iterator[str]:
    raw, normal = places.get(snapshot.raw), places.get(snapshot.normal)
    if raw is None or digest_of(raw.data) != snapshot.digest:
        yield f"a calibration of {snapshot.resource} is not the {snapshot.digest} it is named"
    try:
        count = None if normal is None else len(decode_metrics(normal.data))
    except Invalid as error:
        yield str(error)
        return
    if count != snapshot.metrics:
        yield f"a calibration of {snapshot.resource} has {count} numbers, not {snapshot.metrics}"


def _wrong_name(member: Member) -> Iterator[str]:
    folder, _, name = member.name.partition("/")
    promised = f"sha256:{name.removesuffix('.qpy')}"
    if folder in ("programs", "circuits") and digest_of(member.data) != promised:
        yield f"{member.name} has another digest than its name"


def _records(by_name: Mapping[str, Member], name: str, kind: type[R]) -> Iterator[R | str]:
    """The records of a member, or what is wrong with one."""
    member = by_name.get(name)
    lines = member.data.splitlines() if member else []
    for number, line in enumerate(lines, start=1):
        try:
            yield kind.model_validate_json(line)
        except ValueError as error:
            yield f"{name} line {number} is no record: {str(error).splitlines()[0]}"


def _wrong_program(
    job: JobRecord, program: ProgramRecord, places: Mapping[Span, Member]
) -> Iterator[str]:
    source = places.get(program.data)
    if source is None:
        yield f"{job.id} names a program at {program.data.offset} where none lies"
    elif digest_of(source.data) != program.digest:
        yield f"{job.id} names {program.digest}, but {source.name} lies there"
    if program.circuits is not None and program.circuits not in places:
        yield f"{job.id} names circuits at {program.circuits.offset} where none lie"


def _wrong_result(task_id: str, span: Span, results: Member | None) -> Iterator[str]:
    if results is None:
        yield f"{task_id} names a result, but there is no {RESULTS}"
        return
    head = b'{"task":"%b","pubs":' % task_id.encode()
    start = span.offset - results.span.offset
    end = start + span.length
    data = results.data
    inside = len(head) <= start <= end <= len(data)
    if not inside or data[start - len(head) : start] != head or data[end : end + 2] != b"}\n":
        yield f"{task_id} names a result at {span.offset} where none of its own lies"
