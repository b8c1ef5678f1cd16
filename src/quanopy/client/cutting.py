"""Cutting a group into segments once: a script that runs again finds those of the first time.

Circuits are not the same bytes in another process (their names and their parameters' identities
are new), so they are compared as circuits: the same gates, registers and names of parameters.
"""

import json
from collections.abc import Iterator, Sequence

from quanopy.client.http import Http
from quanopy.client.programs import decode, encode, unpacked
from quanopy.domain.errors import Conflict, NotFound
from quanopy.domain.programs import NATIVE, QPY
from quanopy.wire.groups import CutOut, SegmentsIn
from quanopy.wire.jobs import JobIn, JobOut, JobsOut, ProgramIn, ProgramOut, SubmittedOut


def cut(http: Http, group_id: str, asked: SegmentsIn) -> JobsOut:
    """The segments of a group: made, or those it has, if they are of this program and plan.

    Raises:
        Conflict: it has others; says in what they differ.
    """
    try:
        return _sent(http, group_id, asked)
    except Conflict as error:
        standing = _standing(http, group_id)
        if standing is None:
            raise
        return _attached(http, group_id, asked, standing, error)


def _sent(http: Http, group_id: str, asked: SegmentsIn) -> JobsOut:
    return http.post(JobsOut, f"/groups/{group_id}/segments", asked)


def _standing(http: Http, group_id: str) -> CutOut | None:
    try:
        return http.get(CutOut, f"/groups/{group_id}/segments")
    except NotFound:
        return None


def _attached(
    http: Http, group_id: str, asked: SegmentsIn, standing: CutOut, error: Conflict
) -> JobsOut:
    first = http.get(SubmittedOut, f"/jobs/{standing.first}/programs")
    alike = same_programs(asked.job.programs, first.programs)
    if alike:
        as_they_came = [encode(decode(one)) for one in first.programs]
        job = asked.job.model_copy(update={"programs": as_they_came})
        try:
            return _sent(http, group_id, asked.model_copy(update={"job": job}))
        except Conflict:
            pass  # It is not the program that differs.
    last = http.get(SubmittedOut, f"/jobs/{standing.last}/programs")
    differing = [
        *([] if alike else ["it is another program"]),
        *_plans(asked, standing, (first.options.shots, last.options.shots)),
        *_jobs(asked.job, http.get(JobOut, f"/jobs/{standing.first}"), first),
    ]
    raise Conflict(
        "the group has other segments: "
        + ("; ".join(differing) or "the pubs' parameter values or observables are others"),
        where=f"group {group_id}",
        hint="Give the experiment another name, or attach to this one: `client.find_group`.",
    ) from error


def same_programs(ours: Sequence[ProgramIn], theirs: Sequence[ProgramOut]) -> bool:
    """Whether these are the same programs: circuits as circuits, text as it is written, vendors'
    programs as the JSON that they are."""
    return len(ours) == len(theirs) and all(map(_same, ours, theirs))


def _same(ours: ProgramIn, theirs: ProgramOut) -> bool:
    if ours.format != theirs.format:
        return False
    mine = unpacked(ours.data or "") if ours.text is None else ours.text.encode()
    other = decode(theirs).data
    if mine == other:
        return True
    if ours.format == QPY:
        return _same_circuits(mine, other)
    return ours.format in NATIVE and _same_documents(mine, other)


def _same_circuits(mine: bytes, other: bytes) -> bool:
    from quanopy.client.circuits import same, unpack_circuits

    ours, theirs = unpack_circuits(mine), unpack_circuits(other)
    return len(ours) == len(theirs) and all(map(same, ours, theirs))


def _same_documents(mine: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(mine) == json.loads(other))
    except (ValueError, RecursionError):
        return False


def _plans(
    asked: SegmentsIn, standing: CutOut, shots: tuple[int | None, int | None]
) -> Iterator[str]:
    first, last = shots
    each = asked.shots or asked.job.options.shots
    if asked.total_shots is None:
        if asked.count != standing.count:
            yield _differs("count", standing.count, asked.count)
    else:
        total = None if first is None or last is None else first * (standing.count - 1) + last
        if total != asked.total_shots:
            yield _differs("total_shots", total, asked.total_shots)
        each = min(each or asked.total_shots, asked.total_shots)
    if first != each:
        yield _differs("shots", first, each)


def _jobs(asked: JobIn, job: JobOut, given: SubmittedOut) -> Iterator[str]:
    ours, theirs = asked.options.model_dump(), given.options.model_dump()
    for name in sorted(ours.keys() - {"shots"}):
        if ours[name] != theirs[name]:
            yield _differs(name, theirs[name], ours[name])
    for name in ("kind", "name", "tags", "priority"):
        if getattr(asked, name) != getattr(job, name):
            yield _differs(name, getattr(job, name), getattr(asked, name))
    if asked.resource is not None and asked.resource != job.resource:
        yield _differs("resource", job.resource, asked.resource)


def _differs(name: str, theirs: object, ours: object) -> str:
    return f"{name} is {_said(theirs)}, not {_said(ours)}"


def _said(value: object) -> str:
    return "none" if value is None else str(value)
