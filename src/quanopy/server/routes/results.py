"""Results, of one job or of many."""

import json
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from quanopy.codecs.result_arrays import to_npz
from quanopy.domain.states import JobState
from quanopy.server.bodies import parse, read_body
from quanopy.server.openapi import problems, shows, takes
from quanopy.server.problems import plain_response
from quanopy.server.routes import examples
from quanopy.server.routes.parameters import JobId, Wait
from quanopy.server.waiting import wait_for_results
from quanopy.server.web import identity_of, json_response, web_of
from quanopy.services.results import at_hand, load, why_none
from quanopy.wire.jobs import ResultOut, ResultsIn, ResultsOut

router = APIRouter(prefix="/v1", tags=["results"])

JSON = "application/json"
NPZ = "application/x-npz"


@router.get(
    "/jobs/{id}/result",
    summary="A job's result",
    response_model=ResultOut,
    responses={
        200: {"content": {JSON: {"example": examples.RESULT}, NPZ: {}}},
        **problems(404, 406, 409, 410),
    },
)
async def get_result(
    request: Request,
    id: JobId,
    wait: Wait = 0.0,
    partial: Annotated[bool, Query(description="What there is, of a job at any state.")] = False,
) -> Response:
    """JSON, or NumPy's `.npz` by `Accept`. Not ready: 409; failed or cancelled: 410."""
    web = web_of(request)
    media_type = _accepted(request.headers.get("accept", "*/*"))
    if media_type is None:
        return plain_response(406, "a result is JSON or npz", hint=f"Accept {JSON} or {NPZ}.")
    (found,) = await wait_for_results(web, identity_of(request), [id], wait)
    error = why_none(found.job)
    if error is not None and not partial:
        raise error
    texts = at_hand(web.objects, [found])
    if texts is None:
        texts = await web.calls.run(load, web.objects, [found])
    (result,) = texts
    if media_type == JSON:
        return json_response(result)
    return Response(await web.calls.run(_npz, result), media_type=NPZ)


@router.post(
    "/results",
    summary="Results of many jobs",
    response_model=ResultsOut,
    responses={**shows({"results": [examples.RESULT]}), **problems(404, 413, 415)},
    openapi_extra=takes(ResultsIn, example={"ids": [examples.JOB_ID]}),
)
async def get_results(request: Request, wait: Wait = 0.0) -> Response:
    """In the order asked; `null` where a job has none yet, its problem where it failed."""
    web = web_of(request)
    settings = web.settings
    body = await read_body(request, limit=settings.body_limit, timeout_s=settings.body_timeout_s)
    asked = parse(ResultsIn, body)
    found = await wait_for_results(web, identity_of(request), asked.ids, wait)
    shown = [
        one if asked.partial or one.job.state is JobState.COMPLETED else replace(one, tasks=())
        for one in found
        if asked.partial or one.job.state in _ENDED
    ]
    texts = await web.calls.run(load, web.objects, shown)
    by_id = dict(zip((one.job.id for one in shown), texts, strict=True))
    results = b",".join(by_id.get(one.job.id, b"null") for one in found)
    return json_response(b'{"results":[%b]}' % results)


_ENDED = (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)


def _npz(result: bytes) -> bytes:
    document = json.loads(result)
    return to_npz(document["kind"], document["pubs"])


def _accepted(accept: str) -> str | None:
    """The media type to answer with: what the header names first that there is."""
    for part in accept.split(","):
        name = part.partition(";")[0].strip().lower()
        if name in (JSON, "*/*", "application/*", ""):
            return JSON
        if name == NPZ:
            return NPZ
    return None
