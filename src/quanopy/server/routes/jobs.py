"""Jobs: submit, list, look at, wait for, cancel, retry."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from quanopy.domain.jobs import Job, JobKind
from quanopy.domain.states import FINAL_JOB_STATES, JobState
from quanopy.ports.jobs import JobQuery
from quanopy.ports.wakeups import Topic
from quanopy.server.asked import requirements_in, spec_of
from quanopy.server.bodies import parse
from quanopy.server.cursors import cursor_after, position_of
from quanopy.server.openapi import problems, shows, takes
from quanopy.server.routes import examples
from quanopy.server.routes.parameters import KEY, JobId, Wait, account_asked, aware, text_of
from quanopy.server.routes.submitting import status_of, submit_specs
from quanopy.server.shown import job_detail, job_out, jobs_out
from quanopy.server.waiting import wait_for_jobs
from quanopy.server.web import Web, answer, body_of, identity_of, web_of
from quanopy.services.requests import cancel, retry
from quanopy.services.results import Wanted
from quanopy.services.waits import waits_of
from quanopy.wire.jobs import (
    DetailsOut,
    JobDetail,
    JobIdsIn,
    JobIn,
    JobOut,
    JobPage,
    JobsIn,
    JobsOut,
)

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

First = Annotated[bool, Query(description="Answer as soon as any of the jobs is final.")]


@router.post(
    "",
    summary="Submit a job",
    status_code=201,
    response_model=JobOut,
    responses={
        200: {"model": JobOut, "description": "The job that this Idempotency-Key made before."},
        **shows(examples.JOB, status=201),
        **problems(404, 409, 413, 415),
    },
    openapi_extra={**takes(JobIn, example=examples.JOB_IN), "parameters": [KEY]},
)
async def submit_job(request: Request) -> Response:
    """Durable once it is answered: the program is stored and the job is in the queue."""
    web = web_of(request)
    body = await body_of(request, web)
    asked = parse(JobIn, body)
    submitted = await submit_specs(
        request, web, _digest(body), [spec_of(asked)], requirements_in([asked])
    )
    job = submitted.jobs[0]
    return answer(job_out(job), status_of(submitted), {"Location": f"/v1/jobs/{job.id}"})


@router.post(
    "/batch",
    summary="Submit many jobs",
    status_code=201,
    response_model=JobsOut,
    responses={
        200: {"model": JobsOut, "description": "The jobs that this Idempotency-Key made before."},
        **shows(examples.JOBS, status=201),
        **problems(404, 409, 413, 415),
    },
    openapi_extra={**takes(JobsIn, example={"jobs": [examples.JOB_IN]}), "parameters": [KEY]},
)
async def submit_jobs(request: Request) -> Response:
    """All of them are accepted, in this order, or none."""
    web = web_of(request)
    body = await body_of(request, web)
    asked = parse(JobsIn, body).jobs
    specs = [spec_of(job, f"jobs[{index}].") for index, job in enumerate(asked)]
    submitted = await submit_specs(
        request, web, _digest(body), specs, requirements_in(asked, "jobs[{}].")
    )
    return answer(jobs_out(submitted.jobs), status_of(submitted))


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@router.get(
    "",
    summary="List jobs",
    response_model=JobPage,
    responses={**shows({"jobs": [examples.JOB], "next": None}), **problems(403)},
)
async def list_jobs(
    request: Request,
    state: Annotated[list[JobState] | None, Query(description="One of these states.")] = None,
    resource: Annotated[str | None, Query(max_length=100)] = None,
    kind: JobKind | None = None,
    tag: Annotated[str | None, Query(max_length=100)] = None,
    name: Annotated[str | None, Query(max_length=200)] = None,
    name_prefix: Annotated[str | None, Query(max_length=200)] = None,
    account: Annotated[
        str | None, Query(max_length=100, description="Another's jobs, or `*`: for operators.")
    ] = None,
    created_from: datetime | None = None,
    created_to: datetime | None = None,
    group: Annotated[str | None, Query(max_length=100, description="A group's id.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[
        str | None, Query(max_length=100, description="`next` of the page before.")
    ] = None,
) -> Response:
    """Newest first, a page at a time."""
    web = web_of(request)
    query = JobQuery(
        account=account_asked(identity_of(request), account),
        states=tuple(sorted(set(state or ()))),
        resource=text_of("resource", resource),
        kind=kind,
        tag=text_of("tag", tag),
        name=text_of("name", name),
        name_prefix=text_of("name_prefix", name_prefix),
        created_from=aware("created_from", created_from),
        created_to=aware("created_to", created_to),
        group_id=text_of("group", group),
        limit=limit,
    )
    return answer(await _page(web, query, cursor))


async def _page(web: Web, query: JobQuery, cursor: str | None) -> JobPage:
    before = None if cursor is None else position_of(query, cursor)
    # One more than asked for tells whether there is another page.
    more = replace(query, before=before, limit=query.limit + 1)
    jobs = await web.calls.run(web.store.list_jobs, more)
    page = jobs[: query.limit]
    following = cursor_after(query, page[-1].id) if len(jobs) > query.limit else None
    return JobPage(jobs=[job_out(job) for job in page], next=following)


@router.post(
    "/wait",
    summary="Wait for many jobs",
    response_model=JobsOut,
    responses={**shows(examples.JOBS), **problems(404, 413, 415)},
    openapi_extra=takes(JobIdsIn, example={"ids": [examples.JOB_ID]}),
)
async def wait_jobs(request: Request, wait: Wait = 0.0, first: First = False) -> Response:
    """Answers when all of them (with `first`: any of them) are final, or the time is over."""
    web = web_of(request)
    ids = parse(JobIdsIn, await body_of(request, web)).ids
    jobs = await wait_for_jobs(web, identity_of(request), ids, wait, first=first)
    return answer(jobs_out(jobs))


@router.post(
    "/details",
    summary="Look at many jobs",
    response_model=DetailsOut,
    responses={**shows({"jobs": [examples.DETAIL]}), **problems(404, 413, 415)},
    openapi_extra=takes(JobIdsIn, example={"ids": [examples.JOB_ID]}),
)
async def get_jobs(request: Request) -> Response:
    """Each with its parts and executions, in the order asked; what they wait for is said of one
    job alone."""
    web = web_of(request)
    ids = parse(JobIdsIn, await body_of(request, web)).ids
    found = await web.reads.find(ids, identity_of(request), tasks=True)
    return answer(await web.calls.run(_details, web, found))


def _details(web: Web, found: Sequence[Wanted]) -> DetailsOut:
    each = [dict.fromkeys(task.execution_id for task in one.tasks) for one in found]
    wanted = {execution for some in each for execution in some if execution is not None}
    known = {execution.id: execution for execution in web.store.executions_by_id(wanted)}
    return DetailsOut(
        jobs=[
            job_detail(one.job, one.tasks, [known[own] for own in some if own in known])
            for one, some in zip(found, each, strict=True)
        ]
    )


@router.post(
    "/cancel",
    summary="Cancel many jobs",
    response_model=JobsOut,
    responses={**shows(examples.JOBS), **problems(404, 413, 415)},
    openapi_extra=takes(JobIdsIn, example={"ids": [examples.JOB_ID]}),
)
async def cancel_jobs(request: Request) -> Response:
    """Cancels what waits, and asks it of what runs. Cancelling twice is no error."""
    web = web_of(request)
    ids = parse(JobIdsIn, await body_of(request, web)).ids
    return answer(
        jobs_out(await _change(request, ids, partial(cancel, web.store, web.objects), Topic.CANCEL))
    )


@router.post(
    "/{id}/cancel",
    summary="Cancel a job",
    response_model=JobOut,
    responses={**shows(examples.JOB), **problems(404)},
)
async def cancel_job(request: Request, id: JobId) -> Response:
    """Cancels what of it waits, and asks it of what runs. Cancelling twice is no error."""
    web = web_of(request)
    changed = await _change(request, [id], partial(cancel, web.store, web.objects), Topic.CANCEL)
    return answer(job_out(changed[0]))


@router.post(
    "/{id}/retry",
    summary="Run what is missing of a job again",
    response_model=JobOut,
    responses={**shows(examples.JOB), **problems(404, 409)},
)
async def retry_job(request: Request, id: JobId) -> Response:
    """Queues the failed and cancelled parts again, and releases a job that a rebuild held."""
    web = web_of(request)
    changed = await _change(request, [id], partial(retry, web.store, web.objects), Topic.WORK)
    return answer(job_out(changed[0]))


async def _change(
    request: Request, ids: Sequence[str], change: Callable[..., Sequence[Job]], topic: Topic
) -> list[Job]:
    """Change jobs that are the caller's; as they are then, in the order asked."""
    web, identity = web_of(request), identity_of(request)
    await web.reads.owned(ids, identity)
    changed = await web.calls.run(change, set(ids), actor=identity.account)
    web.wakeups.notify(topic, Topic.EVENTS, Topic.TURNS)
    by_id = {job.id: job for job in changed}
    return [by_id[job_id] for job_id in ids]


@router.get(
    "/{id}",
    summary="Look at a job, or wait for it",
    response_model=JobDetail,
    responses={**shows(examples.DETAIL), **problems(404)},
)
async def get_job(
    request: Request,
    id: JobId,
    wait: Wait = 0.0,
    until: Annotated[
        list[JobState] | None, Query(description="Wait for one of these; else for the end.")
    ] = None,
) -> Response:
    """With `wait`: answers when the job is final, or in a state of `until`, or time is over."""
    web = web_of(request)
    states = frozenset(until) | FINAL_JOB_STATES if until else FINAL_JOB_STATES
    jobs = await wait_for_jobs(web, identity_of(request), [id], wait, states)
    detail = await web.calls.run(_detail, web, jobs[0])
    return answer(detail)


def _detail(web: Web, job: Job) -> JobDetail:
    tasks = web.store.tasks([job.id])
    waits = waits_of(web.store, job, tasks)
    return job_detail(job, tasks, web.store.executions(job.id), waits)
