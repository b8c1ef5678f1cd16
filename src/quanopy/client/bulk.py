"""Many jobs in one request: where they stand, waiting for them, their results, their end."""

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from quanopy.client.choices import several
from quanopy.client.handles import Job, checked_id
from quanopy.client.http import Http
from quanopy.client.polling import ends_at, rounds
from quanopy.client.results import Result, result_of
from quanopy.domain.errors import NotReady, QuanopyError, TaskFailed
from quanopy.domain.states import FINAL_JOB_STATES, JobState
from quanopy.wire.jobs import (
    DetailsOut,
    JobDetail,
    JobIdsIn,
    JobOut,
    JobsOut,
    ResultOut,
    ResultsIn,
    ResultsOut,
    SubmissionsOut,
    SubmittedOut,
)

AT_ONCE = 10_000
"""Ids in one request, at most."""
_TOLD_AT_ONCE = 1_000
"""Of jobs whose programs come back."""


def ids_of(jobs: Iterable[Job | str]) -> list[str]:
    """Ids of one or many jobs; raises :class:`Invalid` for what is no job's id."""
    return [job.id if isinstance(job, Job) else checked_id(job) for job in several(jobs)]


def states(http: Http, jobs: Iterable[Job | str], wait_s: float) -> list[JobOut]:
    """What the broker says of these, once all are final or after ``wait_s`` seconds."""
    return _asked(http, "/jobs/wait", ids_of(jobs), wait_s)


def details(http: Http, jobs: Iterable[Job | str]) -> list[JobDetail]:
    """These with their parts and executions; see :meth:`Client.details`."""
    return [
        detail
        for chunk in _chunks(ids_of(jobs))
        for detail in http.post(DetailsOut, "/jobs/details", JobIdsIn(ids=chunk)).jobs
    ]


def submitted(http: Http, jobs: Iterable[Job | str]) -> Iterator[SubmittedOut]:
    """What was submitted of each of these, in their order, as it comes: many at a time, without the
    circuits as they were read."""
    ids = ids_of(jobs)
    while ids:
        # As many of the first as the broker tells of together.
        found = http.post(SubmissionsOut, "/jobs/programs", JobIdsIn(ids=ids[:_TOLD_AT_ONCE])).jobs
        if not found or [one.job_id for one in found] != ids[: len(found)]:
            raise QuanopyError("the broker tells of other jobs than it was asked of")
        yield from found
        ids = ids[len(found) :]


def cancelled(http: Http, jobs: Iterable[Job | str]) -> list[JobOut]:
    """What the broker says of these, once it was asked for their end."""
    return _asked(http, "/jobs/cancel", ids_of(jobs))


def as_completed(http: Http, jobs: Iterable[Job | str], timeout: float | None) -> Iterator[Job]:
    """Jobs as they end; raises as :meth:`Client.as_completed`."""
    pending = set(ids_of(jobs))
    end = ends_at(timeout)
    while pending:
        for job_id in _first_to_end(http, pending, max(0.0, end - time.monotonic())):
            pending.discard(job_id)
            yield Job(http, job_id)


def results(
    http: Http, jobs: Iterable[Job | str], timeout: float | None, *, partial: bool
) -> list[Result[Any]]:
    """Results in the order of the jobs; raises as :meth:`Client.results`."""
    ids = ids_of(jobs)
    found: dict[str, Result[Any]] = {}
    for wait_s in rounds(0.0 if partial and timeout is None else timeout):
        missing = [job_id for job_id in dict.fromkeys(ids) if job_id not in found]
        for chunk in _chunks(missing):
            found |= _results(http, chunk, wait_s, partial)
        if len(found) == len(set(ids)):
            return [found[job_id] for job_id in ids]
    raise NotReady(f"{len(set(ids)) - len(found)} of {len(set(ids))} jobs are not done")


def _first_to_end(http: Http, ids: Collection[str], timeout: float) -> list[str]:
    for wait_s in rounds(timeout):
        said = _asked(http, "/jobs/wait", list(ids), wait_s, first=True)
        if ended := [job.id for job in said if job.state in FINAL_JOB_STATES]:
            return ended
    raise NotReady(f"{len(ids)} jobs have not ended")


def _asked(
    http: Http, path: str, ids: Sequence[str], wait_s: float = 0.0, *, first: bool = False
) -> list[JobOut]:
    return [
        answer
        for chunk in _chunks(ids)
        for answer in http.post(
            JobsOut,
            path,
            JobIdsIn(ids=chunk),
            params={"wait": wait_s or None, "first": first or None},
            wait_s=wait_s,
        ).jobs
    ]


def _results(http: Http, ids: list[str], wait_s: float, partial: bool) -> dict[str, Result[Any]]:
    answers = http.post(
        ResultsOut,
        "/results",
        ResultsIn(ids=ids, partial=partial),
        params={"wait": wait_s},
        wait_s=wait_s,
    ).results
    present = [answer for answer in answers if answer is not None]
    if not partial:
        for answer in present:
            _raise_failure(answer)
    return {answer.job_id: result_of(answer) for answer in present}


def _raise_failure(answer: ResultOut) -> None:
    if answer.state in (JobState.FAILED, JobState.CANCELLED):
        problem = answer.problem
        raise TaskFailed(
            problem.message if problem else f"it was {answer.state}",
            where=answer.job_id,
            hint=problem.hint if problem else None,
        )


def _chunks(ids: Sequence[str]) -> Iterator[list[str]]:
    return (list(ids[start : start + AT_ONCE]) for start in range(0, len(ids), AT_ONCE))
