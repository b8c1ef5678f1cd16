"""Executions: requests to providers, and what an operator says of those that are stranded."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from quanopy.domain.accounts import Scope
from quanopy.domain.errors import Invalid
from quanopy.domain.states import FINAL_EXECUTION_STATES, ExecutionState
from quanopy.ports.wakeups import Topic
from quanopy.server.auth import require
from quanopy.server.bodies import parse, read_body
from quanopy.server.openapi import problems, shows, takes
from quanopy.server.routes import examples
from quanopy.server.shapes import execution_line
from quanopy.server.web import answer, identity_of, web_of
from quanopy.services.settling import Settlement, settle
from quanopy.wire.service import ExecutionLineOut, ExecutionsOut, SettleIn

router = APIRouter(prefix="/v1/executions", tags=["executions"])


@router.get(
    "",
    summary="Executions in a state",
    response_model=ExecutionsOut,
    responses={**shows({"executions": [examples.EXECUTION]}), **problems(403)},
)
async def list_executions(
    request: Request,
    state: Annotated[
        ExecutionState, Query(description="One that is not final.")
    ] = ExecutionState.STRANDED,
    limit: Annotated[int, Query(ge=1, le=500, description="At most so many.")] = 100,
) -> Response:
    """Of all accounts, the oldest first. For operators."""
    web = web_of(request)
    require(identity_of(request), Scope.OPERATOR)
    if state in FINAL_EXECUTION_STATES:
        raise Invalid(
            f"executions that are {state} are shown with their jobs",
            where="state",
            hint="GET /v1/jobs/{id} has them.",
        )
    found = await web.calls.run(web.store.open_executions, state, limit=limit)
    return answer(ExecutionsOut(executions=[execution_line(one) for one in found]))


@router.post(
    "/{id}/settle",
    summary="Say what became of a stranded execution",
    response_model=ExecutionLineOut,
    responses={**shows(examples.EXECUTION), **problems(403, 404, 409, 413, 415)},
    openapi_extra=takes(
        SettleIn, example={"state": "failed", "reason": "not in the vendor's list", "retry": True}
    ),
)
async def settle_execution(
    request: Request,
    id: Annotated[str, Path(description="An execution's id.", max_length=100)],
) -> Response:
    """`failed` (with `retry`, its tasks queue again), `cancelled`, or `submitted`, to be followed
    again under `provider_job_id`. For operators."""
    web, identity = web_of(request), identity_of(request)
    require(identity, Scope.OPERATOR)
    body = await read_body(request, limit=64 * 1024, timeout_s=web.settings.body_timeout_s)
    asked = parse(SettleIn, body)
    found = Settlement(
        state=asked.state,
        reason=asked.reason,
        provider_job_id=asked.provider_job_id,
        retry=asked.retry,
    )
    after = await web.calls.run(settle, web.store, web.objects, id, found, actor=identity.account)
    web.wakeups.notify(Topic.WORK, Topic.EVENTS)
    return answer(execution_line(after))
