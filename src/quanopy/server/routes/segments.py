"""Segments: the jobs that a program is cut into, in a group of their own."""

import hashlib
import json
from collections.abc import Sequence

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from quanopy.domain.errors import Invalid, NotFound
from quanopy.domain.jobs import JobSpec
from quanopy.server.asked import requirements_in, spec_of
from quanopy.server.bodies import parse
from quanopy.server.openapi import problems, shows, takes
from quanopy.server.routes import examples
from quanopy.server.routes.groups import owned
from quanopy.server.routes.parameters import CUT, GroupId
from quanopy.server.routes.submitting import status_of, submit_specs
from quanopy.server.shown import jobs_out
from quanopy.server.web import answer, body_of, identity_of, web_of
from quanopy.services.segments import by_count, by_shots
from quanopy.wire.groups import CutOut, SegmentsIn
from quanopy.wire.jobs import JobsOut

router = APIRouter(prefix="/v1/groups", tags=["groups"])


@router.post(
    "/{id}/segments",
    summary="Cut a program into segments, the jobs of a group",
    status_code=201,
    response_model=JobsOut,
    responses={
        200: {"model": JobsOut, "description": "The segments that it has."},
        **shows(examples.JOBS, status=201),
        **problems(404, 409, 413, 415),
    },
    openapi_extra=takes(
        SegmentsIn,
        example={
            "job": {"programs": [{"format": "openqasm3", "text": "…"}]},
            "total_shots": 1_000_000,
            "shots": 10_000,
        },
    ),
)
async def add_segments(request: Request, id: GroupId) -> Response:
    """One job a segment; a seed counts on from one to the next. A group is cut once: the same
    again gives the same jobs, however often sent, anything else is 409."""
    web = web_of(request)
    asked = parse(SegmentsIn, await body_of(request, web))
    await owned(web, identity_of(request), id)
    spec = spec_of(asked.job, "job.")
    if asked.count is not None and asked.shots is None and asked.total_shots is None:
        specs = by_count(spec, asked.count)
    elif asked.shots is not None and (asked.count is None) != (asked.total_shots is None):
        total = asked.total_shots or asked.shots * (asked.count or 0)
        specs = by_shots(spec, total, asked.shots)
    else:
        raise Invalid(
            "it is not said how many",
            hint="Give total_shots and shots, or count, with or without shots.",
        )
    wanted = requirements_in([asked.job], "job.").get(0)
    submitted = await submit_specs(
        request,
        web,
        _cut_digest(asked, specs),
        specs,
        {} if wanted is None else dict.fromkeys(range(len(specs)), wanted),
        group_id=id,
        key=_cut_key(id),
    )
    return answer(jobs_out(submitted.jobs), status_of(submitted))


@router.get(
    "/{id}/segments",
    summary="What a group was cut into",
    response_model=CutOut,
    responses={
        **shows({"count": 100, "first": examples.JOB_ID, "last": examples.JOB_ID}),
        **problems(404),
    },
)
async def get_segments(request: Request, id: GroupId) -> Response:
    """404 until it has segments."""
    web = web_of(request)
    group = await owned(web, identity_of(request), id)
    jobs = await web.calls.run(web.store.requested, group.account, _cut_key(id))
    if not jobs:
        raise NotFound(
            f"the group {group.name!r} has no segments",
            where="group",
            hint="POST them, or list its jobs.",
        )
    return answer(CutOut(count=len(jobs), first=jobs[0].id, last=jobs[-1].id))


def _cut_key(id: str) -> str:
    """Stands for the segments of a group, which is cut but once."""
    return CUT + id.removeprefix("group_")


def _cut_digest(asked: SegmentsIn, specs: Sequence[JobSpec]) -> str:
    """Names a job and what it is cut into, however that was said and written."""
    job = asked.job.model_dump(mode="json", exclude_defaults=True)
    job.get("options", {}).pop("shots", None)
    sizes = [len(specs), specs[0].options.shots, specs[-1].options.shots]
    return hashlib.sha256(json.dumps([job, sizes], sort_keys=True).encode()).hexdigest()
