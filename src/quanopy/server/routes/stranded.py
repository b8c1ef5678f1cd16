"""Stranded executions: what may have been billed and nobody can tell of, and the ways out."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from quanopy.domain.accounts import Scope
from quanopy.domain.states import ExecutionState
from quanopy.ports.wakeups import Topic
from quanopy.server.auth import require
from quanopy.server.bodies import parse, read_body
from quanopy.server.openapi import problems, shows, takes
from quanopy.server.routes import examples
from quanopy.server.shown import stranded_out
from quanopy.server.web import Web, answer, identity_of, web_of
from quanopy.services.settling import Settlement, settle
from quanopy.wire.service import StrandedListOut, StrandedOut, WayOutIn

router = APIRouter(prefix="/v1/stranded", tags=["stranded"])


@router.get(
    "",
    summary="Stranded executions",
    response_model=StrandedListOut,
    responses={**shows({"executions": [examples.EXECUTION]}), **problems(403)},
)
async def list_stranded(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=500, description="At most so many.")] = 100,
) -> Response:
    """Of all accounts, the oldest first. For operators."""
    web = web_of(request)
    require(identity_of(request), Scope.OPERATOR)
    return answer(await web.calls.run(_stranded, web, limit))


def _stranded(web: Web, limit: int) -> StrandedListOut:
    found = web.store.open_executions(ExecutionState.STRANDED, limit=limit)
    jobs = web.store.jobs_of([execution.id for execution in found])
    return StrandedListOut(executions=[stranded_out(one, jobs.get(one.id, ())) for one in found])


@router.post(
    "/{id}",
    summary="Say what became of a stranded execution",
    response_model=StrandedOut,
    responses={**shows(examples.EXECUTION), **problems(403, 404, 409, 413, 415)},
    openapi_extra=takes(WayOutIn, example={"way": "resend", "reason": "not in the vendor's list"}),
)
async def settle_stranded(
    request: Request,
    id: Annotated[str, Path(description="An execution's id.", max_length=100)],
) -> Response:
    """`found` (under `provider_job_id`, to be followed again), `resend` (its tasks queue again),
    `give-up` (they fail), or `look` (a worker asks the provider once more). For operators."""
    web, identity = web_of(request), identity_of(request)
    require(identity, Scope.OPERATOR)
    body = await read_body(request, limit=64 * 1024, timeout_s=web.settings.body_timeout_s)
    asked = parse(WayOutIn, body)
    found = Settlement(way=asked.way, reason=asked.reason, provider_job_id=asked.provider_job_id)
    after = await web.calls.run(settle, web.store, web.objects, id, found, actor=identity.account)
    web.wakeups.notify(Topic.WORK, Topic.CANCEL, Topic.EVENTS)
    return answer(stranded_out(after))
