"""Resources: what can run programs, and how busy it is."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from quanopy.codecs.targets import checked_target
from quanopy.domain.accounts import Identity, Scope
from quanopy.domain.errors import NotFound
from quanopy.domain.ids import new_id
from quanopy.domain.resources import Registration, ResourceStatus
from quanopy.ports.wakeups import Topic
from quanopy.server.auth import is_operator, require
from quanopy.server.bodies import parse, read_body
from quanopy.server.openapi import problems, shows, takes
from quanopy.server.registering import checked_url
from quanopy.server.routes import examples
from quanopy.server.shown import resource_out
from quanopy.server.visible import status_of, visible
from quanopy.server.web import Web, answer, identity_of, json_response, web_of
from quanopy.services.registrations import resource_of
from quanopy.wire.service import (
    AccessIn,
    HeartbeatIn,
    RegistrationIn,
    RegistrationOut,
    ResourceOut,
    ResourcesOut,
    ResourceStateIn,
)

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
    web, identity = web_of(request), identity_of(request)
    return answer(ResourcesOut(resources=await web.calls.run(_shown, web, identity)))


@router.get(
    "/{name}",
    summary="One resource",
    response_model=ResourceOut,
    responses={**shows(examples.RESOURCE), **problems(404)},
)
async def get_resource(request: Request, name: Name) -> Response:
    """Its state, limits, queue depth and estimated wait."""
    web = web_of(request)
    return answer(await web.calls.run(_shown_one, web, identity_of(request), name))


@router.get(
    "/{name}/target",
    summary="The machine that programs are compiled for",
    responses={**shows(examples.TARGET), **problems(404), 304: {"description": "As you have it."}},
)
async def get_target(request: Request, name: Name) -> Response:
    """Gates, connections, errors and durations as `quanopy.target/1`; the `ETag` is its digest."""
    web = web_of(request)
    await web.calls.run(status_of, web, identity_of(request), name)
    target = await web.asks.run(web.targets.target, name)
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
    return answer(resource_out(await web.calls.run(status_of, web, identity, name)))


@router.post(
    "",
    summary="Register a virtual QPU",
    status_code=201,
    response_model=RegistrationOut,
    responses={
        **shows(examples.REGISTRATION, status=201),
        **problems(403, 409, 413, 415, 429),
    },
    openapi_extra=takes(RegistrationIn, example=examples.REGISTERS),
)
async def register(request: Request) -> Response:
    """It serves the caller's account alone until an operator opens it. Its name must not be
    another's; registering again under it takes the place of one's own."""
    web, identity = web_of(request), identity_of(request)
    body = await read_body(
        request, limit=web.settings.body_limit, timeout_s=web.settings.body_timeout_s
    )
    asked = parse(RegistrationIn, body)
    peer = request.client.host if request.client is not None else None
    url = checked_url(asked.url, peer, web.settings.registration_hosts)
    made = await web.calls.run(_enrol, web, asked, url, identity.account)
    web.wakeups.notify(Topic.WORK, Topic.EVENTS)
    token = await web.asks.run(web.registration_token, made.id)
    told = RegistrationOut(id=made.id, name=made.name, token=token, ttl_s=made.ttl_s)
    return answer(told, status=201)


@router.put(
    "/{name}/heartbeat",
    summary="Say that a registered resource lives",
    response_model=ResourceOut,
    responses={**shows(examples.RESOURCE), **problems(404, 413, 415)},
    openapi_extra=takes(HeartbeatIn, example={"id": examples.REGISTRATION["id"]}),
)
async def heartbeat(request: Request, name: Name) -> Response:
    """Again every third of `ttl_s`. 404 once it was removed, or registered anew elsewhere."""
    web, identity = web_of(request), identity_of(request)
    body = await read_body(request, limit=64 * 1024, timeout_s=web.settings.body_timeout_s)
    asked = parse(HeartbeatIn, body)
    await web.calls.run(_own, web, identity, name)
    await web.calls.run(web.store.beat, name, asked.id, leaving=asked.leaving)
    return answer(resource_out(await web.calls.run(status_of, web, identity, name)))


@router.delete(
    "/{name}",
    summary="Take a registered resource out of the catalogue",
    response_model=ResourceOut,
    responses={**shows(examples.RESOURCE), **problems(404)},
)
async def withdraw(
    request: Request,
    name: Name,
    id: Annotated[
        str | None, Query(description="Only this registration of it.", max_length=100)
    ] = None,
) -> Response:
    """By its owner, or an operator; the answer shows it as it was. Tasks that wait for it go on
    waiting."""
    web, identity = web_of(request), identity_of(request)
    before = await web.calls.run(_own, web, identity, name)
    await web.calls.run(web.store.withdraw, name, id, actor=identity.account)
    web.wakeups.notify(Topic.EVENTS)
    return answer(resource_out(before))


@router.put(
    "/{name}/accounts",
    summary="Say whom a resource serves",
    response_model=ResourceOut,
    responses={**shows(examples.RESOURCE), **problems(403, 404, 413, 415)},
    openapi_extra=takes(AccessIn, example={"accounts": ["ada", "grace"]}),
)
async def open_resource(request: Request, name: Name) -> Response:
    """These accounts and its owner, or everybody. For operators."""
    web, identity = web_of(request), identity_of(request)
    require(identity, Scope.OPERATOR)
    body = await read_body(request, limit=64 * 1024, timeout_s=web.settings.body_timeout_s)
    asked = parse(AccessIn, body)
    await web.calls.run(web.store.open_resource, name, asked.accounts, actor=identity.account)
    web.wakeups.notify(Topic.WORK, Topic.EVENTS)
    return answer(resource_out(await web.calls.run(status_of, web, identity, name)))


def _shown(web: Web, identity: Identity) -> list[ResourceOut]:
    found = visible(web, identity)
    standings = web.store.standings([status.resource.name for status in found])
    return [resource_out(*pair) for pair in zip(found, standings, strict=True)]


def _shown_one(web: Web, identity: Identity, name: str) -> ResourceOut:
    found = status_of(web, identity, name)
    return resource_out(found, *web.store.standings([name]))


def _enrol(web: Web, asked: RegistrationIn, url: str, account: str) -> Registration:
    target = checked_target(asked.target)
    now = datetime.now(UTC)
    registration = Registration(
        id=new_id("registration"),
        name=asked.name,
        owner=account,
        url=url,
        target=target,
        description=asked.description,
        lanes=asked.lanes,
        accounts=(account,),
        registered_at=now,
        seen_at=now,
        ttl_s=web.settings.registration_ttl_s,
    )
    return web.store.enrol(registration, resource_of(registration))


def _own(web: Web, identity: Identity, name: str) -> ResourceStatus:
    """A resource that the caller registered, or anybody if the caller is an operator; raises
    ``NotFound``."""
    found = status_of(web, identity, name)
    owner = found.resource.owner
    if owner is None or not (owner == identity.account or is_operator(identity)):
        raise NotFound(f"you have registered no resource {name!r}", where="name")
    return found
