"""Resources: what can run programs, and how busy it is."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from quanopy.domain.accounts import Scope
from quanopy.domain.resources import ResourceStatus
from quanopy.ports.wakeups import Topic
from quanopy.server.auth import require
from quanopy.server.bodies import parse, read_body
from quanopy.server.openapi import problems, shows, takes
from quanopy.server.routes import examples
from quanopy.server.shapes import resource_out
from quanopy.server.web import Web, answer, identity_of, json_response, web_of
from quanopy.services.catalogue import no_resource
from quanopy.wire.service import ResourceOut, ResourcesOut, ResourceStateIn

router = APIRouter(prefix="/v1/resources", tags=["resources"])

Name = Annotated[str, Path(description="A resource's name.", max_length=100, examples=["aer"])]


@router.get(
    "",
    summary="All resources",
    response_model=ResourcesOut,
    responses={**shows({"resources": [examples.RESOURCE]}), **problems()},
)
async def list_resources(request: Request) -> Response:
    """With how many tasks wait and how long a new one would."""
    web = web_of(request)
    found = await web.calls.run(web.store.resources)
    return answer(ResourcesOut(resources=[resource_out(status) for status in found]))


@router.get(
    "/{name}",
    summary="One resource",
    response_model=ResourceOut,
    responses={**shows(examples.RESOURCE), **problems(404)},
)
async def get_resource(request: Request, name: Name) -> Response:
    """Its state, limits, queue depth and estimated wait."""
    web = web_of(request)
    return answer(resource_out(await web.calls.run(_status, web, name)))


@router.get(
    "/{name}/target",
    summary="The machine that programs are compiled for",
    responses={**shows(examples.TARGET), **problems(404), 304: {"description": "As you have it."}},
)
async def get_target(request: Request, name: Name) -> Response:
    """Gates, connections, errors and durations as `quanopy.target/1`; the `ETag` is its digest."""
    web = web_of(request)
    target = await web.calls.run(web.targets.target, name)
    tag = f'"{target.digest}"'
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"ETag": tag})
    return json_response(target.data, headers={"ETag": tag})


@router.put(
    "/{name}/state",
    summary="Take a resource in or out of service",
    response_model=ResourceOut,
    responses={**shows(examples.RESOURCE), **problems(403, 404, 413, 415)},
    openapi_extra=takes(
        ResourceStateIn, example={"state": "maintenance", "reason": "fridge warm-up until 18:00"}
    ),
)
async def set_state(request: Request, name: Name) -> Response:
    """In maintenance no new work starts and what runs may finish. For operators."""
    web, identity = web_of(request), identity_of(request)
    require(identity, Scope.OPERATOR)
    body = await read_body(request, limit=64 * 1024, timeout_s=web.settings.body_timeout_s)
    asked = parse(ResourceStateIn, body)
    await web.calls.run(
        web.store.set_resource_state, name, asked.state, asked.reason, actor=identity.account
    )
    web.wakeups.notify(Topic.WORK, Topic.EVENTS)
    return answer(resource_out(await web.calls.run(_status, web, name)))


def _status(web: Web, name: str) -> ResourceStatus:
    known = {status.resource.name: status for status in web.store.resources()}
    if name not in known:
        raise no_resource(name, known, where="name")
    return known[name]
