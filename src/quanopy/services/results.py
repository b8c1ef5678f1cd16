"""Results put together from the stored arrays of a job's tasks, as JSON text.

A task's result is the JSON array of its pubs' results, stored compactly, so a job's array is
made by joining the texts without reading them. Only where a limit split a pub's shots are its
parts parsed and merged.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from quanopy.codecs.results import decode_result, encode_result, merge_shots
from quanopy.domain.errors import NotReady, QuanopyError, TaskFailed
from quanopy.domain.jobs import Extent, Job, Task
from quanopy.domain.lots import lots
from quanopy.domain.states import JobState
from quanopy.ports.objects import Objects

_SMALL = 64 * 1024
"""Bytes of an array that are put together while others wait for it."""

_LATER = "Wait for it: `wait` of the request, `job.result()` in Python, `quanopy watch` in a shell."


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A job whose result is asked for, with its tasks in order."""

    job: Job
    tasks: Sequence[Task]


def with_tasks(jobs: Iterable[Job], tasks: Iterable[Task]) -> list[Wanted]:
    """Each of these jobs with its own of these tasks, which come by job and slice."""
    own = {job_id: list(some) for job_id, some in groupby(tasks, lambda task: task.job_id)}
    return [Wanted(job=job, tasks=own.get(job.id, [])) for job in jobs]


def why_none(job: Job) -> QuanopyError | None:
    """Why a job has no (whole) result: :class:`NotReady`, or :class:`TaskFailed` with the
    reason; ``None`` if it has."""
    if job.state is JobState.COMPLETED:
        return None
    if job.state is JobState.FAILED:
        reason = job.problem
        message = reason.message if reason else "a part of the job failed"
        hint = reason.hint if reason else None
        return TaskFailed(message, hint=hint or "What other parts gave is its partial result.")
    if job.state is JobState.CANCELLED:
        return TaskFailed(
            "the job was cancelled", hint="What was done before is its partial result."
        )
    return NotReady(f"the job is {job.state}", hint=_LATER)


def load(objects: Objects, wanted: Sequence[Wanted]) -> list[bytes]:
    """The results of these jobs as ``ResultOut`` JSON, read together; what a job has not (yet)
    is ``null`` and named in ``missing``.

    Raises ``NotFound`` or ``Unavailable`` as :meth:`Objects.read` does.
    """
    return _assembled(wanted, objects.read(_extents(wanted)))


def in_batches(wanted: Iterable[Wanted], *, most: int) -> Iterator[Sequence[Wanted]]:
    """These, in order, as many at a time as have results of ``most`` bytes together; one that has
    more comes alone."""
    return lots(wanted, _length, most=most)


def at_hand(objects: Objects, wanted: Sequence[Wanted]) -> list[bytes] | None:
    """The same where no waiting is needed: one small result that has just come back."""
    if len(wanted) > 1 or sum(map(_length, wanted)) > _SMALL:
        return None
    arrays = objects.at_hand(_extents(wanted))
    return None if arrays is None else _assembled(wanted, arrays)


def _length(one: Wanted) -> int:
    """Bytes of its arrays."""
    return sum(extent.length for extent in _extents([one]))


def _extents(wanted: Sequence[Wanted]) -> list[Extent]:
    return [task.result for one in wanted for task in one.tasks if task.result is not None]


def _assembled(wanted: Sequence[Wanted], arrays: Sequence[bytes]) -> list[bytes]:
    have = [task.id for one in wanted for task in one.tasks if task.result is not None]
    found = dict(zip(have, arrays, strict=True))
    return [assemble(one.job, one.tasks, found) for one in wanted]


def assemble(job: Job, tasks: Sequence[Task], arrays: Mapping[str, bytes]) -> bytes:
    """A job's result from its tasks' arrays by task id."""
    pubs: list[bytes] = []
    missing: list[int] = []
    for (first, count), parts in groupby(tasks, lambda task: (task.slice.first, task.slice.count)):
        some = list(parts)
        found = [arrays[task.id] for task in some if task.id in arrays]
        if len(found) < len(some):
            missing += range(first, first + count)
        pubs += _joined(found, count)
    head = _head(job)
    body = b",".join(pubs)
    return b'%b,"pubs":[%b],"missing":%b}' % (head, body, json.dumps(missing).encode())


def _joined(found: Sequence[bytes], count: int) -> Iterator[bytes]:
    """The inside of an array: of the one there is, of several parts merged, or nulls."""
    if not found:
        yield from [b"null"] * count
    elif len(found) == 1:
        yield found[0].strip()[1:-1]
    else:
        yield _merged(found)[1:-1]


def _merged(parts: Sequence[bytes]) -> bytes:
    """Arrays of the same pubs that did some of the shots each, as one array."""
    decoded = [decode_result(part) for part in parts]
    return encode_result([merge_shots(of_pub) for of_pub in zip(*decoded, strict=True)])


def _head(job: Job) -> bytes:
    """The fields before ``pubs``, without the closing brace."""
    fields: dict[str, Any] = {
        "job_id": job.id,
        "kind": job.kind,
        "resource": job.resource,
        "state": job.state,
    }
    error = why_none(job)
    if job.state in (JobState.FAILED, JobState.CANCELLED) and error is not None:
        kind = job.problem.type if job.problem else type(error).__name__
        fields["problem"] = {"type": kind, "message": error.message, "hint": error.hint}
    return json.dumps(fields).encode()[:-1]
